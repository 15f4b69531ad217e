//! The client program of `linux` and `preload`: it makes Linux's calls and knows nothing of Haiku.
//!
//! Over Linux's own `/dev/net/tun` and over ours, through the library that is preloaded, it is the same program. The far
//! side of its packets is the network stack of either: Linux's, or that of the emulated Haiku in its own process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tuntap_net_addon::ioctl::wire::{Preamble, StatisticsRequest, TUNGETSTATISTICS, TUNWRITEBATCH, VERSION};

use super::unit::records;
use crate::error::Error;

/// What the client measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Writes an echo request and reads the reply, again and again.
    Trips,
    /// Writes packets as fast as they are taken.
    Packets,
    /// The same in batches, which Linux does not have.
    Batch,
}

const NAME: &[u8] = b"bench0";
const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// A group that nobody joined: either stack throws away what is for it, and says nothing. To an address that nobody has
/// Haiku would answer each time that the host is unreachable, and Linux not.
const NOBODY: Ipv4Addr = Ipv4Addr::new(239, 9, 9, 9);
/// Bytes of IP.
const LENGTH: usize = 64;
/// Round trips before those that are measured: until the stack knows its neighbour, among others.
const WARM: u32 = 200;
/// How long the last packets may take to the stack.
const PATIENCE: Duration = Duration::from_secs(10);

/// Linux's answer.
fn answered(doing: &str, result: libc::c_int) -> Result<(), Error> {
    if result < 0 { Err(Error::io(doing, io::Error::last_os_error())) } else { Ok(()) }
}

/// A request about the interface.
fn request() -> libc::ifreq {
    // SAFETY: zeros are a value of every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
        *to = *from as libc::c_char;
    }
    request
}

/// An address as a socket's control has it.
fn address(address: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = address.octets().map(|byte| byte as libc::c_char);
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: [0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}

/// Opens the device and brings its interface up.
fn open() -> Result<File, Error> {
    let path = "/dev/net/tun";
    let device = OpenOptions::new().read(true).write(true).open(path);
    let device = device.map_err(|error| Error::io(format!("opening {path}"), error))?;
    let mut wanted = request();
    wanted.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request lives through the call.
    answered("making the interface", unsafe {
        libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut wanted)
    })?;
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    answered("opening a socket", socket)?;
    // SAFETY: new, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let control = |doing: &str, number: libc::c_ulong, mut wanted: libc::ifreq| {
        // SAFETY: the request lives through the call.
        answered(doing, unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw mut wanted) })
    };
    let mut wanted = request();
    wanted.ifr_ifru.ifru_addr = address(LOCAL);
    control("setting the address", libc::SIOCSIFADDR, wanted)?;
    wanted.ifr_ifru.ifru_netmask = address(Ipv4Addr::new(255, 255, 255, 0));
    control("setting the mask", libc::SIOCSIFNETMASK, wanted)?;
    wanted.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    control("bringing the interface up", libc::SIOCSIFFLAGS, wanted)?;
    Ok(device)
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

/// An IPv4 packet from the far side.
fn packet(destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend_from_slice(&REMOTE.octets());
    packet.extend_from_slice(&destination.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend_from_slice(payload);
    packet
}

/// An echo request to the stack.
fn echo_request(number: u16) -> Vec<u8> {
    let mut echo = vec![8, 0, 0, 0, 0, 1];
    echo.extend_from_slice(&number.to_be_bytes());
    echo.resize(LENGTH - 20, 0x5a);
    let sum = checksum(&echo);
    echo[2..4].copy_from_slice(&sum);
    packet(LOCAL, 1, &echo)
}

/// Writes an echo request and reads until the reply to it comes: the stack has things of its own to say too.
fn trip(device: &mut File, number: u16) -> io::Result<()> {
    device.write_all(&echo_request(number))?;
    let mut buffer = [0; 2048];
    loop {
        let length = device.read(&mut buffer)?;
        let is_ours = matches!(&buffer[..length], [0x45, .., ] if length == LENGTH)
            && buffer[9] == 1
            && buffer[20] == 0
            && buffer[26..28] == number.to_be_bytes();
        if is_ours {
            return Ok(());
        }
    }
}

/// How many packets the network stack has taken from the device, by the device's own count.
fn taken(device: &File) -> Result<u64, Error> {
    // SAFETY: the structure is made of integers only, for which zeros are a value.
    let mut statistics: StatisticsRequest = unsafe { std::mem::zeroed() };
    statistics.preamble = Preamble { version: VERSION, size: size_of::<StatisticsRequest>() as u32 };
    // SAFETY: the request lives through the call, and says how long it is.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), TUNGETSTATISTICS as _, &raw mut statistics) };
    if result == 0 {
        return Ok(statistics.to_stack.delivered);
    }
    // Linux does not know the control, and counts for each interface of the namespace.
    let path = "/proc/thread-self/net/dev";
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(format!("reading {path}"), error))?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(std::str::from_utf8(NAME).ok()?));
    let packets = line.and_then(|line| line.trim_start_matches(':').split_whitespace().nth(1)?.parse().ok());
    packets.ok_or_else(|| Error::Failed(format!("{path} has no count of the interface's packets")))
}

/// Returns when the stack has taken `count` packets since it had taken `before`: a packet that was dropped on the way is
/// no packet.
fn wait_until_taken(device: &File, before: u64, count: u32) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let arrived = taken(device)?.saturating_sub(before);
        if arrived >= count.into() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Failed(format!("of {count} packets the stack took {arrived}")));
        }
        std::thread::yield_now();
    }
}

/// Runs a task; says how many nanoseconds each trip or packet took.
///
/// # Errors
/// Linux's, or what the library makes of the device's.
pub fn run(task: Task, count: u32, batch: u32, namespace: bool) -> Result<f64, Error> {
    if namespace {
        // SAFETY: no pointers; the process has one thread yet.
        answered("entering a network namespace", unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    }
    let mut device = open()?;
    let failed = |error| Error::io("the client's device", error);
    for number in 0..WARM {
        trip(&mut device, number as u16).map_err(failed)?;
    }
    let one = packet(NOBODY, 17, &[0x5a; LENGTH - 20]);
    let mut request = records(&one, batch);
    let before = taken(&device)?;
    let start = Instant::now();
    match task {
        Task::Trips => (0..count).try_for_each(|number| trip(&mut device, number as u16)).map_err(failed)?,
        Task::Packets => (0..count).try_for_each(|_| device.write_all(&one)).map_err(failed)?,
        Task::Batch => {
            let mut left = count;
            while left > 0 {
                request[8..12].copy_from_slice(&batch.min(left).to_ne_bytes());
                // SAFETY: the request lives through the call, and says how long it is.
                answered("a batch", unsafe {
                    libc::ioctl(device.as_raw_fd(), TUNWRITEBATCH as _, request.as_mut_ptr())
                })?;
                let taken = request.get(8..12).and_then(|word| word.try_into().ok()).map_or(0, u32::from_ne_bytes);
                left = left.saturating_sub(taken);
            }
        }
    }
    if task != Task::Trips {
        wait_until_taken(&device, before, count)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_header_with_its_checksum_is_zero() {
        let request = echo_request(7);
        assert_eq!((request.len(), checksum(&request[..20]), checksum(&request[20..])), (LENGTH, [0, 0], [0, 0]));
    }
}
