//! Linux's own stack talks to the responder, over a TAP in a network namespace of its own.
//!
//! Needs root and `/dev/net/tun`; says so and passes without. No packet leaves the namespace.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tuntap_ptp::{Answered, HEAD_TO_STACK, HEAD_TO_USER, MacAddress, Reason, Reply, Responder, Verdict};
use tuntap_testkit::linux_tun;

const INTERFACE: MacAddress = MacAddress::from_bytes([2, 0, 0, 0, 0, 1]);
const HEADER: usize = 14;
/// How long anything may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A link whose near side is Linux and whose far side is the responder, with a program behind it that echoes UDP.
struct Link {
    tap: File,
    responder: Responder,
    answered: Vec<Answered>,
    dropped: Vec<Reason>,
    /// Solicitations and requests that were sent to the peer, not to a group.
    unicast_questions: usize,
}

impl Link {
    /// Makes the interface `tap0` in the namespace of this thread.
    fn new() -> Self {
        Self {
            tap: linux_tun::open("tap0", libc::IFF_TAP | libc::IFF_NO_PI).expect("root may make an interface"),
            responder: Responder::new(INTERFACE),
            answered: Vec::new(),
            dropped: Vec::new(),
            unicast_questions: 0,
        }
    }

    /// Carries frames until something holds.
    fn run_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "it never came about that {what}; {:?} {:?}",
                self.answered,
                self.dropped
            );
            wait_for_frame(self.tap.as_raw_fd(), Duration::from_millis(20));
            while self.carry_one() {}
        }
    }

    /// Carries frames for a time.
    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            wait_for_frame(self.tap.as_raw_fd(), left);
            while self.carry_one() {}
        }
    }

    fn carry_one(&mut self) -> bool {
        let mut frame = [0; 2048];
        let length = match self.tap.read(&mut frame) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("reading from the TAP: {error}"),
        };
        let mut reply = Reply::new();
        match self.responder.classify_to_user(&frame[..length.min(HEAD_TO_USER)], length, &mut reply) {
            Verdict::Deliver => self.echo(&mut frame[HEADER..length]),
            Verdict::Answer(answered) => {
                self.answered.push(answered);
                self.unicast_questions += usize::from(frame[0] & 1 == 0);
                self.tap.write_all(reply.bytes()).expect("the TAP takes frames");
            }
            Verdict::Drop(reason) => self.dropped.push(reason),
        }
        true
    }

    /// The program: sends a datagram back to where it came from.
    fn echo(&mut self, packet: &mut [u8]) {
        let (addresses, ports) = match (packet[0] >> 4, packet[0] & 0xf, packet.get(9), packet.get(6)) {
            (4, words, Some(17), _) => (12..20, usize::from(words) * 4),
            (6, _, _, Some(17)) => (8..40, 40),
            _ => return,
        };
        // The checksums stay right: swapping summands changes no sum.
        swap_halves(&mut packet[addresses]);
        swap_halves(&mut packet[ports..ports + 4]);
        let head = &packet[..packet.len().min(HEAD_TO_STACK)];
        let header = self.responder.classify_to_stack(head, packet.len()).expect("it came as an IP packet");
        self.tap.write_all(&[&header[..], packet].concat()).expect("the TAP takes frames");
    }

    /// Sends datagrams to an address on the link, and counts those that come back.
    fn exchange(&mut self, from: &str, to: &str, count: u8) -> usize {
        let socket = UdpSocket::bind(from).expect("the address is the interface's");
        socket.set_nonblocking(true).expect("a socket can be non-blocking");
        let mut back = 0;
        for number in 0..count {
            socket.send_to(&[number; 100], to).expect("the link is up");
            let mut buffer = [0; 200];
            self.run_until("a datagram came back", |_| match socket.recv(&mut buffer) {
                Ok(length) => {
                    assert_eq!(buffer[..length], [number; 100]);
                    back += 1;
                    true
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    false
                }
            });
        }
        back
    }
}

fn swap_halves(bytes: &mut [u8]) {
    let (left, right) = bytes.split_at_mut(bytes.len() / 2);
    left.swap_with_slice(right);
}

fn wait_for_frame(fd: RawFd, time: Duration) {
    let mut fds = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let milliseconds = i32::try_from(time.as_millis()).expect("a short time");
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut fds, 1, milliseconds) };
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("`ip` was there a moment ago");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a conversation in a new network namespace, if this machine permits one.
fn in_namespace(conversation: impl FnOnce() + Send + 'static) {
    if !std::path::Path::new(linux_tun::NODE).exists() || Command::new("ip").arg("-V").output().is_err() {
        println!("skipped: this needs /dev/net/tun, and `ip` from iproute2");
        return;
    }
    let thread = thread::spawn(|| {
        // SAFETY: a plain system call; only this thread changes its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            println!("skipped: a network namespace needs root");
            return;
        }
        conversation();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn configured() -> Link {
    let link = Link::new();
    ip("link set tap0 address 02:00:00:00:00:01");
    ip("link set tap0 up");
    ip("addr add 10.9.0.1/24 dev tap0");
    ip("addr add 10.9.0.7/24 dev tap0");
    ip("-6 addr add fd00:9::1/64 dev tap0");
    link
}

/// Waits until duplicate address detection has let the interface have its address.
fn settled(link: &mut Link) {
    link.run_until("the address was free", |_| UdpSocket::bind("[fd00:9::1]:0").is_ok());
}

#[test]
fn linux_keeps_its_addresses_because_duplicate_detection_is_not_answered() {
    in_namespace(|| {
        let mut link = configured();
        settled(&mut link);
        assert!(link.dropped.contains(&Reason::DuplicateDetection), "{:?}", link.dropped);
        let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6").expect("IPv6 is on");
        let ours = addresses.lines().find(|line| line.starts_with("fd000009")).expect("the address is there");
        let flags = ours.split_whitespace().nth(4).map(|flags| u8::from_str_radix(flags, 16));
        // 0x08: a duplicate, 0x40: tentative.
        assert_eq!(flags.expect("flags").expect("in hexadecimal") & 0x48, 0, "{ours}");
    });
}

#[test]
fn linux_resolves_and_reaches_any_neighbour_over_ipv4_and_ipv6() {
    in_namespace(|| {
        let mut link = configured();
        settled(&mut link);
        assert_eq!(link.exchange("10.9.0.1:0", "10.9.0.2:7", 50), 50);
        assert_eq!(link.exchange("10.9.0.7:0", "10.9.0.200:7", 50), 50);
        assert_eq!(link.exchange("[fd00:9::1]:0", "[fd00:9::2]:7", 50), 50);
        assert_eq!(link.exchange("[fd00:9::1]:0", "[fd00:9::abcd]:7", 50), 50);
        assert_eq!(link.answered.iter().filter(|it| **it == Answered::Arp).count(), 2);
        assert!(link.answered.iter().filter(|it| **it == Answered::Neighbour).count() >= 2);
    });
}

#[test]
fn linux_finds_its_neighbours_still_reachable_however_often_it_asks() {
    in_namespace(|| {
        let mut link = configured();
        settled(&mut link);
        for family in ["ipv4", "ipv6"] {
            let neighbours = format!("/proc/sys/net/{family}/neigh/tap0");
            fs::write(format!("{neighbours}/base_reachable_time_ms"), "100").expect("our own namespace");
            fs::write(format!("{neighbours}/delay_first_probe_time"), "0").expect("our own namespace");
        }
        // Linux takes up a new reachable time only when it makes an entry for a neighbour.
        let start = Instant::now();
        let mut back = 0;
        while start.elapsed() < Duration::from_secs(4) {
            back += link.exchange("10.9.0.1:0", "10.9.0.3:7", 1);
            back += link.exchange("[fd00:9::1]:0", "[fd00:9::3]:7", 1);
            link.run_for(Duration::from_millis(100));
        }
        assert!(back >= 20, "{back} came back");
        assert!(link.unicast_questions >= 4, "Linux asked {} times", link.unicast_questions);
    });
}
