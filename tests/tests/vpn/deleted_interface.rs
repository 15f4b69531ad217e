//! VPN programs whose interface is deleted under them: they are idle without it, and use the next one of its name.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use haiku_lab::vpn::plan::{Keys, Plan, Side};
use haiku_lab::vpn::process::{Launch, Process};
use haiku_stack::Family;
use haiku_system::Mode;

use crate::Tunnel;

/// How long the interface is away before the other side sends packets to it.
const QUIET: Duration = Duration::from_secs(2);
/// Packets that the other side sends after that, one every half second. tinc logs each packet that it cannot write.
const PACKETS: u32 = 6;
/// The most lines that an idle program logs in a second.
const IDLE_LINES: f64 = 10.0;
/// The largest part of a processor that an idle program uses.
const IDLE_SHARE: f64 = 0.02;

/// What a process has logged and used up to a moment.
#[derive(Debug)]
struct Work {
    lines: usize,
    cpu: Duration,
    at: Instant,
}

impl Work {
    fn of(process: &Process, log: &Path) -> Self {
        let lines = std::fs::read(log).expect("the log").iter().filter(|byte| **byte == b'\n').count();
        Self { lines, cpu: process.cpu_time().expect("a living process"), at: Instant::now() }
    }

    /// Lines a second, and the share of a processor, since `before`.
    fn rates_since(&self, before: &Self) -> (f64, f64) {
        let seconds = (self.at - before.at).as_secs_f64();
        ((self.lines - before.lines) as f64 / seconds, (self.cpu - before.cpu).as_secs_f64() / seconds)
    }
}

/// Deletes the client's interface, makes it again, and checks the client in between and after. `started` is what the
/// tool logs once at each start.
fn loses_its_interface(name: &str, started: &str) {
    let Some(mut tunnel) = Tunnel::start(name, Mode::Tun, Keys::Tls) else { return };
    let session = tunnel.session();
    let (target, log) = (session.plan().address(Side::Client, Family::Inet), session.plan().file(Side::Client, "log"));
    let console = session.plan().console(Side::Client);
    let mut server = session.remote(Side::Server).expect("the server's Haiku");
    let mut client = session.remote(Side::Client).expect("the client's Haiku");
    let process = session.process(Side::Client).expect("the client");

    let mut before = Work::of(process, &log);
    client.execute("ifconfig --delete tun/0").expect("the interface is deleted");
    let mut check_idle = |when: &str| {
        process.check().unwrap_or_else(|error| panic!("{when}: {error}\n{}", process.log()));
        let now = Work::of(process, &log);
        let (lines, share) = now.rates_since(&before);
        let idle = lines < IDLE_LINES && share < IDLE_SHARE;
        assert!(idle, "{when}: {lines} lines/s, {share} of a processor\n{}", process.log());
        before = now;
    };
    std::thread::sleep(QUIET);
    check_idle("without packets");
    let pings = server.execute(&format!("ping -q -c {PACKETS} -i 0.5 -W 100 {target}"));
    let unanswered = pings.expect_err("the client has no interface").to_string();
    assert!(unanswered.contains(&format!("{PACKETS} of {PACKETS} requests")), "{unanswered}");
    check_idle("with packets for the deleted interface");

    for line in console {
        client.execute(&line).expect("the interface is made again");
    }
    tunnel.flows_again();
    let text = std::fs::read_to_string(&log).expect("the log");
    assert_eq!(text.matches(started).count(), 1, "{name} restarted:\n{text}");
    tunnel.end();
}

#[test]
fn openvpn_is_idle_without_its_interface_and_uses_the_next_one() {
    loses_its_interface("openvpn", "Initialization Sequence Completed");
}

#[test]
#[ignore = "thorough"]
fn tinc_is_idle_without_its_interface_and_uses_the_next_one() {
    loses_its_interface("tinc", "Ready\n");
}

/// The rates of a shell script after half a second.
fn rates_of(name: &str, script: &str) -> (f64, f64) {
    let folder = std::env::temp_dir().join(format!("vpn-test-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let plan = Plan { mode: Mode::Tun, keys: Keys::Tls, folder, program: PathBuf::new(), ports: [0; 3] };
    let process = Process::helper(&plan, &Launch::new("/bin/sh", ["-c", script])).expect("a shell");
    let log = plan.folder.join("helper-log");
    let before = Work::of(&process, &log);
    std::thread::sleep(Duration::from_millis(500));
    let rates = Work::of(&process, &log).rates_since(&before);
    drop(process);
    std::fs::remove_dir_all(plan.folder).expect("the folder is removed");
    rates
}

#[test]
fn a_program_that_logs_or_spins_is_not_idle() {
    let (lines, _) = rates_of("logs", "while :; do echo read failed; done");
    assert!(lines >= IDLE_LINES, "{lines} lines/s");
    let (lines, share) = rates_of("spins", "while :; do :; done");
    assert!(share >= IDLE_SHARE && lines < IDLE_LINES, "{lines} lines/s, {share} of a processor");
    let (lines, share) = rates_of("sleeps", "exec sleep 60");
    assert!(share < IDLE_SHARE && lines < IDLE_LINES, "{lines} lines/s, {share} of a processor");
}
