//! [`Machine`]: an emulated Haiku with a network card and a VPN device, on which the scripts run unchanged.
//!
//! `ifconfig` and `route` are small programs that speak to the emulated console. The card is `tap/0`, which has a link
//! because a program has its device open.

use std::io::BufReader;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use haiku_stack::{Family, RouteInfo};
use haiku_sys::RTF_REJECT;
use haiku_system::Mode;
use haiku_system::control;
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

/// The network card.
pub(crate) const CARD: &str = "tap/0";
/// The resolver's settings before a VPN.
pub(crate) const RESOLVER: &str = "# Added automatically by DHCP\nnameserver 192.168.0.1\n# no line end here";

/// What OpenVPN sets for a VPN with both families.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("dev", "tun/0"),
    ("script_type", "up"),
    ("tun_mtu", "1400"),
    ("trusted_ip", "192.0.2.7"),
    ("remote_1", "192.0.2.7"),
    ("remote_2", "vpn.example.net"),
    ("remote_3", "192.0.2.8"),
    ("ifconfig_local", "10.8.0.2"),
    ("ifconfig_netmask", "255.255.255.0"),
    ("route_vpn_gateway", "10.8.0.1"),
    ("route_net_gateway", "192.168.0.1"),
    ("ifconfig_ipv6_local", "fd00:8::1000"),
    ("ifconfig_ipv6_netbits", "64"),
    ("ifconfig_ipv6_remote", "fd00:8::1"),
    ("foreign_option_1", "dhcp-option DNS 10.8.0.1"),
    ("foreign_option_2", "dhcp-option DNS6 fd00:8::1"),
    ("foreign_option_3", "dhcp-option DOMAIN example.net"),
];

/// The folder of the scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/openvpn")
}

/// Writes a script that can be run.
pub(crate) fn write_script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Puts `ifconfig` and `route` into a folder. Like Haiku's, `route` succeeds whatever happens, and so does
/// `ifconfig --delete`.
pub(crate) fn write_commands(folder: &Path, socket: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let lab = haiku_lab::preload::program().unwrap();
    let call = format!("unset LD_PRELOAD\n'{}' attach --socket '{}'", lab.display(), socket.display());
    let succeed = "case $1 in --delete) exit 0 ;; esac\nexit $status\n";
    write_script(&folder.join("route"), &format!("#!/bin/sh\n{call} route \"$@\"\nexit 0\n"));
    write_script(&folder.join("ifconfig"), &format!("#!/bin/sh\n{call} ifconfig \"$@\"\nstatus=$?\n{succeed}"));
}

/// The lines that configure the card for both families.
pub(crate) const CARD_LINES: &[&str] = &[
    "ifconfig tap/0 192.168.0.2 255.255.255.0 up",
    "route add tap/0 default gw 192.168.0.1",
    "ifconfig tap/0 inet6 2001:db8:1::2 prefixlen 64",
    "route add tap/0 inet6 ff00:: prefixlen 8",
    "route add tap/0 inet6 fe80:: prefixlen 64",
    "route add tap/0 inet6 default gw fe80::1",
];

/// A machine.
pub(crate) struct Machine {
    pub(crate) rig: Rig,
    pub(crate) folder: PathBuf,
    /// The VPN program's open of `tun/0`.
    pub(crate) program: Program,
}

impl Machine {
    /// A machine whose card is configured and whose `tun/0` a program has open, as OpenVPN has.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("openvpn-scripts-{}-{number}", std::process::id()));
        let rig = Rig::boot();
        let [program, _] = [Mode::Tun, Mode::Tap].map(Program::new);
        let machine = Self { rig, folder, program };
        write_commands(&machine.folder.join("bin"), &machine.socket());
        std::fs::write(machine.resolver(), RESOLVER).unwrap();
        for line in CARD_LINES {
            machine.rig.console().execute(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        machine
    }

    /// Has the scripts run in bash, as on Haiku, whose `sh` it is.
    pub(crate) fn use_bash(&self) {
        std::os::unix::fs::symlink("/bin/bash", self.folder.join("bin/sh")).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("haiku.sock")
    }

    /// The file of the resolver's settings.
    pub(crate) fn resolver(&self) -> PathBuf {
        self.folder.join("resolv.conf")
    }

    /// The resolver's settings.
    pub(crate) fn resolver_text(&self) -> String {
        std::fs::read_to_string(self.resolver()).unwrap_or_default()
    }

    /// The files of the scripts' state.
    pub(crate) fn state(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join("state")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Runs a script with these variables and no others.
    pub(crate) fn run(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let ended = AtomicBool::new(false);
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                for stream in listener.incoming() {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let stream = stream.unwrap();
                    let mut execute = |line: &str| control::execute(self.rig.lab(), line);
                    let _ = control::serve(&mut BufReader::new(&stream), &mut &stream, &mut execute);
                }
            });
            let own = self.folder.join("bin/sh");
            let mut command = Command::new(if own.exists() { own } else { "/bin/sh".into() });
            command.arg(scripts().join(script)).args(arguments).env_clear();
            command.env("PATH", format!("{}:/usr/bin:/bin", self.folder.join("bin").display()));
            command.env("tun_tap_state", self.folder.join("state")).env("tun_tap_resolver", self.resolver());
            let output = command.envs(variables.iter().copied()).output();
            ended.store(true, Ordering::SeqCst);
            drop(UnixStream::connect(self.socket()));
            output.unwrap()
        });
        std::fs::remove_file(self.socket()).unwrap();
        output
    }

    /// Runs a script that must succeed, and returns what it said.
    pub(crate) fn succeed(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run(script, arguments, variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{script}: {said}");
        said
    }

    /// Configures a VPN.
    pub(crate) fn up(&self, variables: &[(&str, &str)]) -> String {
        self.succeed("openvpn-up", &[], variables)
    }

    /// Undoes it.
    pub(crate) fn down(&self) -> String {
        self.succeed("openvpn-down", &[], &[("dev", "tun/0"), ("script_type", "down")])
    }

    /// The interface that packets to an address leave by; `refused` and `none` if none do.
    pub(crate) fn way(&self, address: &str) -> String {
        self.way_to(address.parse().unwrap())
    }

    /// The same of an address that was parsed.
    pub(crate) fn way_to(&self, address: IpAddr) -> String {
        match self.rig.stack().route_for(address) {
            Some(route) if route.flags & RTF_REJECT != 0 => "refused".to_owned(),
            Some(route) => route.interface,
            None => "none".to_owned(),
        }
    }

    /// All routes of both families.
    pub(crate) fn routes(&self) -> Vec<RouteInfo> {
        Family::ALL.into_iter().flat_map(|family| self.rig.stack().routes(family)).collect()
    }

    /// Ends the machine.
    pub(crate) fn end(self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        self.rig.end();
    }
}

/// With other values for some variables, which an empty value removes.
pub(crate) fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = VARIABLES.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    kept.chain(changes).copied().filter(|(_, value)| !value.is_empty()).collect()
}
