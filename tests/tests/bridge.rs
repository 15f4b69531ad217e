//! The proof with an independent client: the `ping` of iputils, on this machine's kernel, reaches the emulated Haiku through
//! the driver's device, in a separate network namespace.

use std::io::{self, Write};
use std::process::Command;
use std::sync::mpsc::{self, Sender};

use haiku_lab::Global;
use haiku_lab::bridge::{self, BridgeArgs};
use haiku_stack::Family;
use haiku_system::{Mode, scenario};
use tuntap_testkit::suite::linux;
use tuntap_testkit::watchdog::Watchdog;

/// How many requests, and how many replies.
const COUNT: u32 = 1000;

/// What the bridge prints: kept, and the line that says that packets flow told at once.
struct Words {
    text: Vec<u8>,
    ready: Sender<()>,
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend(bytes);
        if bytes.windows(5).any(|word| word == b"READY") {
            let _ = self.ready.send(());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why the test cannot be made here, if it cannot.
fn unavailable() -> Option<String> {
    if let Some(reason) = linux::unavailable() {
        return Some(reason.to_owned());
    }
    match Command::new("ping").arg("-V").output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("iputils") => None,
        Ok(_) => Some("this ping is not that of iputils".to_owned()),
        Err(_) => Some("there is no ping; it is in the package iputils-ping".to_owned()),
    }
}

/// Pings as fast as the replies come, and returns what `ping` says of it.
fn ping(family: Family) -> String {
    let target = scenario::near(Mode::Tun, family).to_string();
    let count = COUNT.to_string();
    let output =
        Command::new("ping").args(["-A", "-q", "-n", "-c", &count, "-w", "50", &target]).output().expect("ping");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn linuxs_own_ping_is_answered_a_thousand_times_of_a_thousand() {
    if let Some(reason) = unavailable() {
        eprintln!("skipped: Linux's own ping across the bridge was not tried, for {reason}");
        return;
    }
    let _watchdog = Watchdog::over("the bridge to Linux's own ping");
    let (said, bridged) = linux::in_own_network(|| {
        std::thread::scope(|scope| {
            let (ready, told) = mpsc::channel();
            let bridge = scope.spawn(move || {
                let mut words = Words { text: Vec::new(), ready };
                let arguments = BridgeArgs { linux_tun: "bridged".to_owned(), seconds: None };
                let result = bridge::run(&Global::default(), &arguments, &mut words);
                (result.map_err(|error| error.to_string()), String::from_utf8_lossy(&words.text).into_owned())
            });
            // If the bridge fails, it never says so, and its end of the channel is closed.
            let said = told.recv().ok().map(|()| Family::ALL.map(ping));
            // SAFETY: the bridge has a handler for the signal, from before it was ready.
            let _ = said.is_some().then(|| unsafe { libc::raise(libc::SIGTERM) });
            (said, bridge.join().expect("the bridge"))
        })
    });
    assert_eq!(bridged.0, Ok(()), "{}", bridged.1);
    for said in said.expect("packets flow") {
        let expected = format!("{COUNT} packets transmitted, {COUNT} received, 0% packet loss");
        assert!(said.contains(&expected), "{said}");
    }
    assert!(bridged.1.contains("0 refused by Linux, 0 by Haiku"), "{}", bridged.1);
}
