//! The proof with an independent client: the `ping` of iputils, on this machine's kernel, reaches the emulated Haiku through
//! the driver's device, in a separate network namespace.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use haiku_kernel::{syscalls, thread};
use haiku_stack::Family;
use haiku_sys::{B_INTERRUPTED, O_RDWR};
use haiku_system::{Lab, LabOptions, Mode, scenario};
use tuntap_testkit::linux_tun;
use tuntap_testkit::suite::linux;
use tuntap_testkit::watchdog::Watchdog;

/// How many requests, and how many replies.
const COUNT: u32 = 1000;

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

/// Linux's interface with the far side's addresses, up.
fn linux_side() -> File {
    let tun = linux_tun::open("bridged", libc::IFF_TUN | libc::IFF_NO_PI).expect("root may make an interface");
    let [inet, inet6] = Family::ALL.map(|family| scenario::peer(Mode::Tun, family));
    let lines = [format!("addr add {inet}/24 dev bridged"), format!("addr add {inet6}/64 dev bridged nodad")];
    for line in lines.iter().map(String::as_str).chain(["link set dev bridged up"]) {
        assert!(Command::new("ip").args(line.split(' ')).status().expect("iproute2").success(), "ip {line}");
    }
    tun
}

/// Copies what Haiku sends, until a signal after the end.
fn to_linux(fd: i32, mut linux: &File, ended: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    while !ended.load(Ordering::SeqCst) {
        match syscalls::read(fd, &mut buffer) {
            Ok(length) => linux.write_all(&buffer[..length]).expect("Linux takes every packet"),
            Err(error) => assert_eq!(error, B_INTERRUPTED),
        }
    }
}

/// Copies what Linux sends, until the end.
fn to_haiku(fd: i32, mut linux: &File, ended: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    while !ended.load(Ordering::SeqCst) {
        let mut wait = libc::pollfd { fd: linux.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live entry.
        unsafe { libc::poll(&raw mut wait, 1, 50) };
        if let Ok(length) = linux.read(&mut buffer) {
            assert_eq!(syscalls::write(fd, &buffer[..length]), Ok(length), "Haiku takes every packet");
        }
    }
}

/// What Linux's ping says over either family, across a Haiku.
fn ping_across() -> [String; 2] {
    let linux = linux_side();
    let lab = Lab::boot(LabOptions::default()).expect("a lab");
    lab.configure(Mode::Tun).expect("an interface");
    let fd = syscalls::open("/dev/tun/0", O_RDWR).expect("a device");
    let (ended, (tell, told)) = (AtomicBool::new(false), std::sync::mpsc::channel());
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            tell.send(thread::current()).expect("the other end");
            to_linux(fd, &linux, &ended);
        });
        scope.spawn(|| to_haiku(fd, &linux, &ended));
        let reader = told.recv().expect("a reader");
        let said = Family::ALL.map(ping);
        ended.store(true, Ordering::SeqCst);
        thread::signal(reader).expect("the reader waits");
        said
    });
    syscalls::close(fd).expect("open");
    let ledgers = lab.shutdown();
    assert!(ledgers.is_zero(), "{ledgers}");
    said
}

#[test]
fn linuxs_own_ping_is_answered_a_thousand_times_of_a_thousand() {
    if let Some(reason) = unavailable() {
        eprintln!("skipped: Linux's own ping across a bridge was not tried, because {reason}");
        return;
    }
    let _watchdog = Watchdog::over("the bridge to Linux's own ping");
    for said in linux::in_own_network(ping_across) {
        let expected = format!("{COUNT} packets transmitted, {COUNT} received, 0% packet loss");
        assert!(said.contains(&expected), "{said}");
    }
}
