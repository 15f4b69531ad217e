//! Unmodified VPN programs, over the driver's devices at both ends.
//!
//! A tool that is not installed is skipped with a message. OpenVPN runs always, the others with `--ignored`.

mod deleted_interface;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haiku_lab::vpn::plan::{Keys, Side};
use haiku_lab::vpn::session::{Session, Setup};
use haiku_lab::vpn::{missing, tools};
use haiku_stack::Family;
use haiku_system::Mode;
use haiku_system::control::Measured;

/// One tunnel at a time: some of the tools have ports that they insist on.
static TURN: Mutex<()> = Mutex::new(());

/// A tunnel in a folder of its own.
struct Tunnel {
    session: Option<Session>,
    folder: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Tunnel {
    /// Starts a tool, if it is there.
    fn start(name: &str, mode: Mode, keys: Keys) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let tool = tools::named(name).expect("an adapter");
        let absent = missing(tool);
        if !absent.is_empty() {
            eprintln!("passed over: {name} is not installed (no {}); apt-get install {name}", absent.join(", "));
            return None;
        }
        let folder = std::env::temp_dir().join(format!("vpn-test-{}-{name}-{mode}", std::process::id()));
        let setup = Setup { tool, mode, keys, folder: &folder };
        let session = Session::start(&setup).unwrap_or_else(|error| panic!("{error}"));
        Some(Self { session: Some(session), folder, _turn: turn })
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("the tunnel runs")
    }

    fn flood(&mut self, side: Side, family: Family, count: u64) -> Measured {
        let session = self.session();
        let measured = session.measure(side, family, count, 56);
        measured.unwrap_or_else(|error| panic!("{}", session.explain(&error)))
    }

    /// Pings everywhere, and misses nothing.
    fn all_come_back(&mut self, families: &[Family], count: u64) {
        for side in Side::ALL {
            for &family in families {
                let measured = self.flood(side, family, count);
                let found = (measured.sent, measured.received, measured.wrong);
                assert_eq!(found, (count, count, 0), "from the {side}: {family:?}");
            }
        }
    }

    /// Waits until packets flow, and then misses none.
    fn flows_again(&mut self) {
        let session = self.session();
        if let Err(error) = session.await_packets() {
            panic!("{}", session.explain(&error));
        }
        self.all_come_back(&Family::ALL, 100);
    }

    fn end(mut self) {
        let session = self.session.take().expect("the tunnel runs");
        session.end().unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        drop(self.session.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn carries(name: &str, mode: Mode, keys: Keys, count: u64) {
    let Some(mut tunnel) = Tunnel::start(name, mode, keys) else { return };
    let families = tools::named(name).expect("an adapter").families;
    tunnel.all_come_back(families, count);
    tunnel.end();
}

#[test]
fn openvpn_carries_packets_with_tls() {
    carries("openvpn", Mode::Tun, Keys::Tls, 1_000);
}

#[test]
fn openvpn_carries_frames_with_tls() {
    carries("openvpn", Mode::Tap, Keys::Tls, 1_000);
}

#[test]
fn openvpn_carries_packets_with_a_static_key() {
    carries("openvpn", Mode::Tun, Keys::Static, 200);
}

macro_rules! others {
    ($($test:ident: $tool:literal $mode:ident;)*) => {
        $(
            #[test]
            #[ignore = "thorough"]
            fn $test() {
                carries($tool, Mode::$mode, Keys::Tls, 1_000);
            }
        )*
    };
}

others! {
    tinc_carries_packets: "tinc" Tun;
    tinc_carries_frames: "tinc" Tap;
    n2n_carries_frames: "n2n" Tap;
    vtun_carries_packets: "vtun" Tun;
    vtun_carries_frames: "vtun" Tap;
    quicktun_carries_packets: "quicktun" Tun;
    quicktun_carries_frames: "quicktun" Tap;
    iodine_carries_packets: "iodine" Tun;
    fastd_carries_packets: "fastd" Tun;
    fastd_carries_frames: "fastd" Tap;
}

/// Pings from the server while something is done to the client; then everything must be well again.
fn survives(what: impl FnOnce(&mut Session)) {
    let Some(mut tunnel) = Tunnel::start("openvpn", Mode::Tun, Keys::Static) else { return };
    let session = tunnel.session();
    let target = session.plan().address(Side::Client, Family::Inet);
    let mut remote = session.remote(Side::Server).expect("the server's Haiku");
    let traffic = std::thread::spawn(move || remote.execute(&format!("measure {target} 1500 56 1000")));
    what(session);
    let text = traffic.join().expect("the pings").expect("the server's Haiku lives");
    let wrong = text.parse::<Measured>().expect("a measurement").wrong;
    assert_eq!(wrong, 0, "something stale or wrong came back: {text}");
    tunnel.flows_again();
    tunnel.end();
}

#[test]
fn a_killed_client_starts_again() {
    survives(|session| {
        session.process(Side::Client).expect("the client").kill();
        session.start_side(Side::Client).expect("the client starts");
    });
}

#[test]
fn a_client_that_comes_back_from_another_port_is_followed() {
    survives(|session| {
        session.process(Side::Client).expect("the client").kill();
        session.roam(Side::Client).expect("another port");
        session.start_side(Side::Client).expect("the client starts");
    });
}

#[test]
fn a_client_that_restarts_by_itself_keeps_its_device() {
    survives(|session| session.process(Side::Client).expect("the client").signal(libc::SIGHUP));
}

#[test]
fn a_suspended_client_resumes() {
    survives(|session| {
        let client = session.process(Side::Client).expect("the client");
        client.signal(libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(300));
        client.signal(libc::SIGCONT);
    });
}

#[test]
fn a_server_that_was_killed_comes_back_under_the_client() {
    let Some(mut tunnel) = Tunnel::start("openvpn", Mode::Tap, Keys::Static) else { return };
    let session = tunnel.session();
    session.process(Side::Server).expect("the server").kill();
    session.start_side(Side::Server).expect("the server starts");
    tunnel.flows_again();
    tunnel.end();
}

#[test]
fn an_idle_tunnel_uses_no_cpu() {
    let Some(mut tunnel) = Tunnel::start("openvpn", Mode::Tun, Keys::Static) else { return };
    let session = tunnel.session();
    let used = |session: &mut Session| {
        Side::ALL.map(|side| session.process(side).expect("a side").cpu_time().expect("its times"))
    };
    let (before, begin) = (used(session), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let after = used(session);
    for (before, after) in before.iter().zip(after) {
        // OpenVPN's own timers wake it twice a second; the clock that this is measured with ticks every 10 ms.
        assert!(after - *before <= Duration::from_millis(30), "{:?} in {:?}", after - *before, begin.elapsed());
    }
    tunnel.end();
}
