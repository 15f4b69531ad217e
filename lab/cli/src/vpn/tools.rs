//! The tools: a row for each with its files, its command lines, and what it is able to carry.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::plan::{self, HOST, Keys, Plan, Side};
use super::process::{self, Launch};
use haiku_stack::{Error, Family};
use haiku_system::Mode;

/// A VPN program.
pub struct Tool {
    /// Its name, as it is typed, which is that of Debian's package too.
    pub name: &'static str,
    /// The programs that must be there; the first is started unless the launch says otherwise.
    pub programs: &'static [&'static str],
    /// The devices that it can carry.
    pub modes: &'static [Mode],
    /// What it can carry across them.
    pub families: &'static [Family],
    /// How long it may take until packets flow.
    pub patience: Duration,
    /// Writes its keys and its configuration.
    prepare: fn(&Plan) -> Result<(), Error>,
    /// A third process that both sides need.
    helper: Option<fn(&Plan) -> Launch>,
    /// The command line of a side, which stays in the foreground.
    launch: fn(&Plan, Side) -> Result<Launch, Error>,
}

impl Tool {
    /// Writes its keys and its configuration.
    ///
    /// # Errors
    /// Linux's, or those of the programs that make keys.
    pub fn prepare(&self, plan: &Plan) -> Result<(), Error> {
        (self.prepare)(plan)
    }

    /// A third process that both sides need.
    pub fn helper(&self, plan: &Plan) -> Option<Launch> {
        self.helper.map(|helper| helper(plan))
    }

    /// The command line of a side.
    ///
    /// # Errors
    /// Linux's, from writing a script.
    pub fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        (self.launch)(plan, side)
    }
}

/// A tool that needs no files and carries everything, for the rows that differ in less than that.
const PLAIN: Tool = Tool {
    name: "",
    programs: &[],
    modes: &Mode::ALL,
    families: &Family::ALL,
    patience: Duration::from_secs(30),
    prepare: |_| Ok(()),
    helper: None,
    launch: |_, _| Err(Error::Failed(String::new())),
};

/// All tools.
pub const ALL: &[Tool] = &[
    // `TUNSETIFF` without packet information, `poll`, descriptors that do not block.
    Tool {
        name: "openvpn",
        programs: &["openvpn", "openssl"],
        prepare: openvpn_prepare,
        launch: openvpn_launch,
        ..PLAIN
    },
    // Packet information on a TUN and none on a TAP, `pselect`, descriptors that do not block.
    Tool { name: "tinc", programs: &["tincd", "openssl"], prepare: tinc_prepare, launch: tinc_launch, ..PLAIN },
    // `select`, descriptors that block, and `ifconfig` through `system`. Version 1 lets ARP and IPv4 pass.
    Tool {
        name: "n2n",
        programs: &["edge", "supernode"],
        modes: &[Mode::Tap],
        families: &[Family::Inet],
        helper: Some(|plan| Launch::new(found("supernode"), ["-l", &plan.ports[2].to_string(), "-v"])),
        launch: n2n_launch,
        ..PLAIN
    },
    // `select`, a process that forks for each connection, packet information as Linux gives it.
    Tool { name: "vtun", programs: &["vtund"], prepare: vtun_prepare, launch: vtun_launch, ..PLAIN },
    // `poll`, descriptors that block, without packet information.
    Tool { name: "quicktun", programs: &["quicktun"], launch: quicktun_launch, ..PLAIN },
    // IP over DNS; packet information, `select`, `ifconfig` through `system`. It finds a packet's receiver by its IPv4 address.
    Tool {
        name: "iodine",
        programs: &["iodine", "iodined"],
        modes: &[Mode::Tun],
        families: &[Family::Inet],
        patience: Duration::from_secs(60),
        launch: iodine_launch,
        ..PLAIN
    },
    // `open64`, `epoll` through `syscall`, descriptors that do not block.
    Tool { name: "fastd", programs: &["fastd"], prepare: fastd_prepare, launch: fastd_launch, ..PLAIN },
];

/// The programs that were looked at and cannot be served, with the reason.
pub const UNSERVED: [(&str, &str); 3] = [
    ("wireguard-go", "a Go program: it makes its system calls itself, where no library can stand in front of them"),
    ("nebula", "a Go program, as wireguard-go"),
    ("tailscale", "a Go program, as wireguard-go, and not in Debian"),
];

/// The tool of this name.
///
/// # Errors
/// If there is no such tool, or it cannot be run; with the reason.
pub fn named(name: &str) -> Result<&'static Tool, String> {
    if let Some(tool) = ALL.iter().find(|tool| tool.name == name) {
        return Ok(tool);
    }
    if let Some((_, reason)) = UNSERVED.iter().find(|(unserved, _)| *unserved == name) {
        return Err(format!("{name} cannot be served: {reason}"));
    }
    let names: Vec<&str> = ALL.iter().map(|tool| tool.name).collect();
    Err(format!("there is no adapter for {name}; there are {}", names.join(", ")))
}

/// Where a program is.
fn found(program: &str) -> PathBuf {
    process::find(program).unwrap_or_else(|| program.into())
}

/// The words of a line, each `@` in front of one replaced by the plan's folder.
fn words(plan: &Plan, line: &str) -> Vec<String> {
    let word = |word: &str| match word.strip_prefix('@') {
        Some(file) => plan.folder.join(file).display().to_string(),
        None => word.to_owned(),
    };
    line.split_whitespace().map(word).collect()
}

/// Runs a program to its end.
fn run(plan: &Plan, program: &str, line: &str) -> Result<(), Error> {
    process::run(&Launch::new(found(program), words(plan, line)))
}

fn openvpn_prepare(plan: &Plan) -> Result<(), Error> {
    /// A new elliptic-curve key without a password, and what it signs for two days.
    const NEW: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    if plan.keys == Keys::Static {
        return run(plan, "openvpn", "--genkey secret @static.key");
    }
    run(plan, "openssl", &format!("{NEW} -keyout @ca.key -out @ca.crt -subj /CN=haiku-lab"))?;
    for side in Side::ALL {
        let line = format!(
            "{NEW} -CA @ca.crt -CAkey @ca.key -keyout @{side}.key -out @{side}.crt -subj /CN={side} \
             -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage={side}Auth \
             -addext keyUsage=digitalSignature"
        );
        run(plan, "openssl", &line)?;
    }
    Ok(())
}

fn openvpn_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    let (port, peer_port, mode) = (plan.port(side), plan.port(side.other()), plan.mode);
    let script = plan.up_script(side)?;
    let keys = match plan.keys {
        Keys::Static => "--secret static.key --cipher AES-256-CBC".to_owned(),
        Keys::Tls => format!(
            "--tls-{side} --dh none --ca ca.crt --cert {side}.crt --key {side}.key --remote-cert-tls {}",
            side.other()
        ),
    };
    let line = format!(
        "--dev {mode}0 --dev-type {mode} --proto udp --local {HOST} --lport {port} --remote {HOST} {peer_port} \
         --ifconfig-noexec --route-noexec --disable-dco --script-security 2 --persist-tun --persist-key \
         --keepalive 3 10 --verb 3 --float --sndbuf 212992 --rcvbuf 212992 {keys} --up"
    );
    let words = words(plan, &line).into_iter().chain([script.display().to_string()]);
    Ok(Launch::new(found("openvpn"), words))
}

fn tinc_prepare(plan: &Plan) -> Result<(), Error> {
    // The key is made once a run, and both sides share it, because it need not be secret in a test.
    run(plan, "openssl", "genrsa -traditional -out @rsa.key 2048")?;
    run(plan, "openssl", "rsa -in @rsa.key -RSAPublicKey_out -out @rsa.pub")?;
    let read = |name: &str| {
        let path = plan.folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| Error::io(format!("reading {}", path.display()), error))
    };
    let (private, public) = (read("rsa.key")?, read("rsa.pub")?);
    let (kind, mode) = match plan.mode {
        Mode::Tun => ("tun", "router"),
        Mode::Tap => ("tap", "switch"),
    };
    for side in Side::ALL {
        let folder = plan.file(side, "tinc");
        let connect = if side == Side::Client { "ConnectTo = server\n" } else { "" };
        let text = format!(
            "Name = {side}\nAddressFamily = ipv4\nBindToAddress = {HOST} {}\nDevice = /dev/net/tun\nDeviceType = {kind}\n\
             Interface = {}\nMode = {mode}\nPingTimeout = 5\nMaxTimeout = 1\nProcessPriority = normal\n{connect}",
            plan.port(side),
            plan.interface()
        );
        plan::write(&folder.join("tinc.conf"), &text)?;
        plan::write(&folder.join("rsa_key.priv"), &private)?;
        plan::set_mode(&folder.join("rsa_key.priv"), 0o600)?;
        for host in Side::ALL {
            let subnets = Family::ALL.map(|family| format!("Subnet = {}\n", plan.address(host, family))).concat();
            let subnets = if plan.mode == Mode::Tun { subnets } else { String::new() };
            let text = format!("Address = {HOST} {}\n{subnets}{public}", plan.port(host));
            plan::write(&folder.join(format!("hosts/{host}")), &text)?;
        }
        let up = folder.join("tinc-up");
        plan::write(&up, &format!("#!/bin/sh\nexec '{}'\n", plan.up_script(side)?.display()))?;
        plan::set_mode(&up, 0o755)?;
    }
    Ok(())
}

fn tinc_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    let (config, pid) = (plan.file(side, "tinc"), plan.file(side, "pid"));
    let [config, pid] =
        [("config", config), ("pidfile", pid)].map(|(name, file)| format!("--{name}={}", file.display()));
    Ok(Launch::new(found("tincd"), [&config, &pid, "--no-detach", "--debug=2"]))
}

fn n2n_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    let line = format!(
        "-d {} -a {} -s 255.255.255.0 -c lab -k secret -m 02:00:00:00:00:0{} -p {} -l {HOST}:{} -M 1400 -v",
        plan.interface(),
        plan.address(side, Family::Inet),
        side.number(),
        plan.port(side),
        plan.ports[2]
    );
    Ok(Launch::new(found("edge"), words(plan, &line)))
}

fn vtun_prepare(plan: &Plan) -> Result<(), Error> {
    for side in Side::ALL {
        let script = plan.up_script(side)?;
        let kind = if plan.mode == Mode::Tun { "tun" } else { "ether" };
        let text = format!(
            "options {{\n  port {};\n  timeout 10;\n}}\nlab {{\n  passwd secret;\n  type {kind};\n  device {};\n  \
             proto udp;\n  compress no;\n  encrypt no;\n  keepalive yes;\n  persist yes;\n  stat no;\n  up {{\n    \
             program \"{}\" wait;\n  }};\n}}\n",
            plan.port(Side::Server),
            plan.interface(),
            script.display()
        );
        plan::write(&plan.file(side, "vtund.conf"), &text)?;
    }
    Ok(())
}

fn vtun_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    let config = plan.file(side, "vtund.conf").display().to_string();
    let (host, port) = (HOST.to_string(), plan.port(Side::Server).to_string());
    Ok(match side {
        Side::Server => Launch::new(found("vtund"), ["-s", "-n", "-f", &config, "-P", &port, "-L", &host]),
        Side::Client => Launch::new(found("vtund"), ["-n", "-f", &config, "-P", &port, "lab", &host]),
    })
}

/// Debian's takes its settings from the variables that `ifupdown` makes of `/etc/network/interfaces`.
fn quicktun_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    let script = plan.up_script(side)?;
    Ok(Launch::new(found("quicktun"), [""; 0])
        .with("IF_QT_PROTOCOL", "raw")
        .with("IF_QT_INTERFACE", plan.interface())
        .with("IF_QT_TUN_MODE", u8::from(plan.mode == Mode::Tun))
        .with("IF_QT_LOCAL_ADDRESS", HOST)
        .with("IF_QT_LOCAL_PORT", plan.port(side))
        .with("IF_QT_REMOTE_ADDRESS", HOST)
        .with("IF_QT_REMOTE_PORT", plan.port(side.other()))
        .with("IF_QT_TUN_UP_SCRIPT", script.display()))
}

fn iodine_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    /// The domain that is asked about.
    const DOMAIN: &str = "t.lab";
    // The client always uses port 53; no other server has this loopback address.
    let host = Ipv4Addr::new(127, 53, 53, 53);
    let address = plan.address(Side::Server, Family::Inet);
    let (program, line) = match side {
        Side::Server => ("iodined", format!("-f -c -P secret -l {host} {address}/24 {DOMAIN}")),
        Side::Client => ("iodine", format!("-f -r -P secret {host} {DOMAIN}")),
    };
    Ok(Launch::new(found(program), words(plan, &line)))
}

/// A secret and a public key for each side, made once with `fastd --generate-key`. They need not be secret in a test.
const FASTD_KEYS: [(&str, &str); 2] = [
    (
        "c89b43b84a46158be9ae8c9ba21bf25995db4695d1e93c5b6175cdbef6122a40",
        "69099728a849ea3b43d5cb1ed972d5d886bd15a5fe10ccc82939bea57599ee25",
    ),
    (
        "f8217f207744bf5e27662b10a16184d50692620e5bc8c403f349c47f2f96a541",
        "1ee17a89c86b56617c8bb31bf6e962460d1b63ac29f2cdcb079217007fcfde4c",
    ),
];

fn fastd_prepare(plan: &Plan) -> Result<(), Error> {
    for (side, (secret, _)) in Side::ALL.into_iter().zip(FASTD_KEYS) {
        let other = side.other();
        let (_, public) = FASTD_KEYS[usize::from(other == Side::Client)];
        let text = format!(
            "log level info;\nmode {};\ninterface \"{}\";\nmethod \"salsa2012+umac\";\nmtu 1400;\nbind {HOST}:{};\n\
             secret \"{secret}\";\non up \"{}\";\npeer \"{other}\" {{\n  key \"{public}\";\n  remote {HOST}:{};\n}}\n",
            plan.mode,
            plan.interface(),
            plan.port(side),
            plan.up_script(side)?.display(),
            plan.port(other)
        );
        let path = plan.file(side, "fastd.conf");
        plan::write(&path, &text)?;
        plan::set_mode(&path, 0o600)?;
    }
    Ok(())
}

fn fastd_launch(plan: &Plan, side: Side) -> Result<Launch, Error> {
    let config = plan.file(side, "fastd.conf").display().to_string();
    Ok(Launch::new(found("fastd"), ["--config", &config]))
}
