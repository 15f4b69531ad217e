//! [`Tunnel`]: OpenVPN at both ends, each with an emulated Haiku inside; the client's is configured by the scripts.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haiku_lab::preload;
use haiku_lab::vpn::process::find;
use haiku_system::control::{self, Remote};

use crate::machine::{CARD_LINES, RESOLVER, scripts, write_commands, write_script};

/// How long anything may take that is certain to come.
const PATIENCE: Duration = Duration::from_secs(120);
/// One tunnel at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A process that ends with this one.
struct Process(Child);

impl Process {
    /// Starts OpenVPN with an emulated Haiku inside. It ends with this process.
    fn start(folder: &Path, side: &str) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(folder.join(format!("{side}.log"))).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(find("openvpn").unwrap()).args(["--config", &format!("{side}.ovpn")]);
        command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.env(control::SOCKET, folder.join(format!("{side}.sock")));
        preload::insert(&mut command, &preload::library().unwrap());
        Self(command.spawn().unwrap())
    }

    /// Sends a signal.
    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child has not been waited for, so that the number is its own.
        unsafe { libc::kill(self.0.id() as libc::pid_t, signal) };
    }

    /// Sends a signal, and waits for the end.
    fn end(&mut self, signal: libc::c_int) -> ExitStatus {
        self.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "OpenVPN does not end"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A tunnel in a folder of its own.
pub(crate) struct Tunnel {
    folder: PathBuf,
    client: Option<Process>,
    _server: Process,
    _turn: MutexGuard<'static, ()>,
}

/// Runs `openssl` in a folder.
fn openssl(folder: &Path, line: &str) {
    let mut command = Command::new(find("openssl").unwrap());
    let output = command.args(line.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes an authority and a certificate for each side.
fn make_certificates(folder: &Path) {
    let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(folder, &format!("{key} -keyout ca.key -out ca.crt -subj /CN=authority"));
    for side in ["server", "client"] {
        let uses = format!("-addext extendedKeyUsage={side}Auth -addext keyUsage=digitalSignature");
        let constraint = "-addext basicConstraints=critical,CA:FALSE";
        let files = format!("-CA ca.crt -CAkey ca.key -keyout {side}.key -out {side}.crt -subj /CN={side}");
        openssl(folder, &format!("{key} {files} {constraint} {uses}"));
    }
}

/// What both sides' configurations begin with.
fn common(side: &str) -> String {
    format!(
        "dev tun0\ndev-type tun\nproto udp4\ndisable-dco\nscript-security 2\nverb 3\nca ca.crt\ncert {side}.crt\n\
         key {side}.key\n"
    )
}

/// The head of a script that OpenVPN starts: it finds the emulated Haiku's commands, and sees the name that an interface
/// has on Haiku.
fn head(folder: &Path, side: &str) -> String {
    let commands = folder.join(format!("{side}-bin"));
    write_commands(&commands, &folder.join(format!("{side}.sock")));
    format!("#!/bin/sh\nunset LD_PRELOAD\ndev=tun/0\nPATH={}:/usr/bin:/bin\nexport dev PATH\n", commands.display())
}

impl Tunnel {
    /// Starts a server that pushes these options, and a client that includes one of the two files. Without OpenVPN it
    /// says so, and there is none.
    pub(crate) fn start(name: &str, include: &str, pushed: &[&str]) -> Option<Self> {
        if let Some(missing) = ["openvpn", "openssl", "setpriv"].into_iter().find(|program| find(program).is_none()) {
            eprintln!("passed over: {missing} is not installed");
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = std::env::temp_dir().join(format!("openvpn-scripts-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        make_certificates(&folder);
        std::fs::write(folder.join("resolv.conf"), RESOLVER).unwrap();
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        write_server(&folder, port, pushed);
        write_client(&folder, port, include);
        let server = Process::start(&folder, "server");
        let mut tunnel = Self { folder, client: None, _server: server, _turn: turn };
        tunnel.await_log("server", "Initialization Sequence Completed");
        tunnel.start_client();
        Some(tunnel)
    }

    /// Starts the client, for the first time or again.
    pub(crate) fn start_client(&mut self) {
        let _ = std::fs::remove_file(self.folder.join("client.log"));
        self.client = Some(Process::start(&self.folder, "client"));
    }

    /// Sends the client a signal.
    pub(crate) fn signal_client(&self, signal: libc::c_int) {
        self.client.as_ref().expect("the client runs").signal(signal);
    }

    /// Ends the client with a signal.
    pub(crate) fn end_client(&mut self, signal: libc::c_int) {
        let status = self.client.take().expect("the client runs").end(signal);
        let expected = if signal == libc::SIGKILL { Some(signal) } else { None };
        assert_eq!(status.signal(), expected, "{}", self.text("client.log"));
    }

    /// A file's contents.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Waits until a side's log has these words.
    pub(crate) fn await_log(&self, side: &str, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.text(&format!("{side}.log")).contains(words) {
            assert!(Instant::now() < deadline, "no \"{words}\":\n{}", self.text(&format!("{side}.log")));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the client is connected and configured. Returns a connection to its Haiku.
    pub(crate) fn await_client(&self) -> Remote {
        self.await_log("client", "Initialization Sequence Completed");
        let remote = Remote::connect(&self.folder.join("client.sock")).unwrap();
        remote.set_patience(PATIENCE).unwrap();
        remote
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.client = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn write_server(folder: &Path, port: u16, pushed: &[&str]) {
    let pushes: String = pushed.iter().map(|option| format!("push \"{option}\"\n")).collect();
    let networks = "topology subnet\nserver 10.8.0.0 255.255.255.0\nserver-ipv6 fd00:8::/64\n";
    let rest = "local 127.0.0.1\ndh none\nkeepalive 2 20\nifconfig-noexec\nroute-noexec\nup ./server-up\n";
    let text = format!("{}port {port}\n{networks}{rest}{pushes}", common("server"));
    std::fs::write(folder.join("server.ovpn"), text).unwrap();
    let lines = "set -e\nifconfig tun/0 10.8.0.1 255.255.255.0 up\nifconfig tun/0 inet6 fd00:8::1 prefixlen 64\n\
                 route add tun/0 inet6 ff00:: prefixlen 8\n";
    write_script(&folder.join("server-up"), &(head(folder, "server") + lines));
}

fn write_client(folder: &Path, port: u16, include: &str) {
    let (scripts, here) = (scripts(), folder.display());
    let settings = format!("setenv tun_tap_state {here}/state\nsetenv tun_tap_resolver {here}/resolv.conf\n");
    // The file that users include, with its scripts in another place.
    let text = format!(
        "client\n{}remote 127.0.0.1 {port}\nnobind\nremote-cert-tls server\nconfig {}\n{settings}up ./client-up\ndown ./client-down\n",
        common("client"),
        scripts.join(include).display()
    );
    std::fs::write(folder.join("client.ovpn"), text).unwrap();
    let card: String = CARD_LINES.iter().map(|line| format!("{line}\n")).collect();
    let lab = preload::program().unwrap();
    let far = format!("'{}' attach --socket client.sock far tap\n", lab.display());
    // The emulated Haiku begins with the client. Its network card is there before the VPN is.
    let up = format!("[ -e configured-$PPID ] || {{ {far}{card}: >configured-$PPID; }}\nroute >before\n");
    let run = format!("/bin/sh {}", scripts.join("openvpn-up").display());
    write_script(&folder.join("client-up"), &format!("{}{up}exec {run} \"$@\"\n", head(folder, "client")));
    let run = format!("/bin/sh {}", scripts.join("openvpn-down").display());
    write_script(&folder.join("client-down"), &format!("{}{run} \"$@\"\nroute >after\n", head(folder, "client")));
}
