//! The same pings on Linux: its own stack, with raw sockets in a network namespace.

use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::control::Measured;
use super::process::Namespace;
use crate::error::Error;

/// The first bytes of every request.
const HEADER: usize = 8;

/// Pings from a namespace.
///
/// # Errors
/// No root, or no way to the target.
pub fn measure(
    namespace: &Namespace,
    target: IpAddr,
    count: u64,
    size: usize,
    patience: Duration,
) -> Result<Measured, Error> {
    // A thread can be in another namespace than its process, and takes it along when it ends.
    std::thread::scope(|scope| {
        let run = scope.spawn(move || {
            // SAFETY: an open descriptor of a namespace; the call concerns this thread only.
            if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(Error::io("entering a network namespace", std::io::Error::last_os_error()));
            }
            Pinger::new(target, patience)?.run(count, size)
        });
        run.join().unwrap_or_else(|_| Err(Error::Failed("the ping on Linux panicked".to_owned())))
    })
}

struct Pinger {
    socket: OwnedFd,
    target: IpAddr,
    patience: Duration,
}

/// The Internet checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let (high, low) = (pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0));
        sum += u32::from(u16::from_be_bytes([high, low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Pinger {
    fn new(target: IpAddr, patience: Duration) -> Result<Self, Error> {
        let (family, protocol) = match target {
            IpAddr::V4(_) => (libc::AF_INET, libc::IPPROTO_ICMP),
            IpAddr::V6(_) => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
        };
        // SAFETY: a call without pointers.
        let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return Err(Error::io("making a raw socket", std::io::Error::last_os_error()));
        }
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let this = Self { socket, target, patience };
        this.connect()?;
        let time = libc::timeval { tv_sec: patience.as_secs().cast_signed(), tv_usec: patience.subsec_micros().into() };
        let (value, length) = ((&raw const time).cast(), size_of_val(&time) as libc::socklen_t);
        // SAFETY: an open socket and a live value of that length.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, length) };
        Ok(this)
    }

    fn connect(&self) -> Result<(), Error> {
        let fd = self.socket.as_raw_fd();
        let result = match self.target {
            IpAddr::V4(address) => {
                let to = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: 0,
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: a live address of that length.
                unsafe { libc::connect(fd, (&raw const to).cast(), size_of_val(&to) as libc::socklen_t) }
            }
            IpAddr::V6(address) => {
                let to = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: 0,
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                    sin6_scope_id: 0,
                };
                // SAFETY: a live address of that length.
                unsafe { libc::connect(fd, (&raw const to).cast(), size_of_val(&to) as libc::socklen_t) }
            }
        };
        if result == 0 {
            return Ok(());
        }
        Err(Error::io(format!("finding a way to {}", self.target), std::io::Error::last_os_error()))
    }

    fn run(&self, count: u64, size: usize) -> Result<Measured, Error> {
        let mut measured = Measured::default();
        let mut buffer = [MaybeUninit::<u8>::uninit(); 65_536];
        for sequence in 0..count {
            let request = self.request(sequence as u16, size);
            let begin = Instant::now();
            // SAFETY: an open socket and a live buffer of that length.
            let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
            measured.sent += 1;
            if sent < 0 {
                continue;
            }
            while begin.elapsed() < self.patience {
                // SAFETY: an open socket and a live buffer of that length.
                let got = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
                let round_trip = begin.elapsed();
                let Ok(length) = usize::try_from(got) else { break };
                // SAFETY: so many bytes were just written.
                let reply = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length) };
                if self.answers(reply, &request) {
                    measured.received += 1;
                    measured.nanoseconds.push(u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX));
                    break;
                }
            }
        }
        Ok(measured)
    }

    fn request(&self, sequence: u16, size: usize) -> Vec<u8> {
        let kind = if self.target.is_ipv4() { 8 } else { 128 };
        let [high, low] = sequence.to_be_bytes();
        let mut bytes = vec![kind, 0, 0, 0, 0x4c, 0x61, high, low];
        bytes.extend((0..size).map(|place| (place as u8).wrapping_mul(31).wrapping_add(low)));
        if self.target.is_ipv4() {
            let [high, low] = checksum(&bytes).to_be_bytes();
            if let Some(place) = bytes.get_mut(2..4) {
                place.copy_from_slice(&[high, low]);
            }
        }
        bytes
    }

    /// Whether this is the reply, with the same number and the same data.
    fn answers(&self, packet: &[u8], request: &[u8]) -> bool {
        let (skip, kind) = if self.target.is_ipv4() { (20, 0) } else { (0, 129) };
        let reply = packet.get(skip..).unwrap_or_default();
        reply.len() == request.len()
            && reply.first() == Some(&kind)
            && reply.get(4..HEADER) == request.get(4..HEADER)
            && reply.get(HEADER..) == request.get(HEADER..)
    }
}
