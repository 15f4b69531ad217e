//! The numbers and structures of the controls, as programs know them.
//!
//! Linux's have Linux's numbers and layouts, the BSDs' theirs; `include/tun_tap.h` says the same in C.

use bitflags::bitflags;
use tuntap_driver::{Backlog, Counters, Statistics};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::reasons::{self, Place};

/// Linux's `_IOW`, `_IOR` and `_IOWR` for its letter `T`.
const fn linux(direction: u32, number: u32, size: u32) -> u32 {
    direction << 30 | size << 16 | (b'T' as u32) << 8 | number
}

/// The BSDs' `_IOW` and `_IOR` for their letter `t`.
const fn bsd(direction: u32, number: u32, size: u32) -> u32 {
    direction << 30 | size << 16 | (b't' as u32) << 8 | number
}

const LINUX_WRITE: u32 = 1;
const LINUX_READ: u32 = 2;
const BSD_READ: u32 = 1;
const BSD_WRITE: u32 = 2;

macro_rules! numbers {
    ($($name:ident = $value:expr;)*) => {
        $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: u32 = $value;)*
        /// Every control with its name, for the check against the header.
        #[cfg(test)]
        pub const NUMBERS: &[(&str, u32)] = &[$((stringify!($name), $name),)*];
    };
}

numbers! {
    // <linux/if_tun.h>
    TUNSETNOCSUM = linux(LINUX_WRITE, 200, 4);
    TUNSETIFF = linux(LINUX_WRITE, 202, 4);
    TUNSETPERSIST = linux(LINUX_WRITE, 203, 4);
    TUNSETOWNER = linux(LINUX_WRITE, 204, 4);
    TUNSETLINK = linux(LINUX_WRITE, 205, 4);
    TUNSETGROUP = linux(LINUX_WRITE, 206, 4);
    TUNGETFEATURES = linux(LINUX_READ, 207, 4);
    TUNGETIFF = linux(LINUX_READ, 210, 4);
    TUNGETSNDBUF = linux(LINUX_READ, 211, 4);
    TUNSETSNDBUF = linux(LINUX_WRITE, 212, 4);
    TUNSETCARRIER = linux(LINUX_WRITE, 226, 4);
    // <linux/sockios.h>
    SIOCSIFHWADDR = 0x8924;
    SIOCGIFHWADDR = 0x8927;
    // FreeBSD's <net/if_tun.h> and <net/if_tap.h>
    TUNSDEBUG = bsd(BSD_WRITE, 90, 4);
    TUNSIFINFO = bsd(BSD_WRITE, 91, 8);
    TUNGIFINFO = bsd(BSD_READ, 92, 8);
    TUNSIFMODE = bsd(BSD_WRITE, 94, 4);
    TUNSIFHEAD = bsd(BSD_WRITE, 96, 4);
    TUNGIFHEAD = bsd(BSD_READ, 97, 4);
    TAPGIFNAME = bsd(BSD_READ, 93, 40);
    // This driver's own.
    TUNGETSTATISTICS = linux(LINUX_READ | LINUX_WRITE, 240, size_of::<StatisticsRequest>() as u32);
    TUNGETLIMITS = linux(LINUX_READ | LINUX_WRITE, 241, size_of::<LimitsRequest>() as u32);
    TUNSETLIMITS = linux(LINUX_WRITE, 242, size_of::<LimitsRequest>() as u32);
    TUNREADBATCH = linux(LINUX_READ | LINUX_WRITE, 243, size_of::<BatchRequest>() as u32);
    TUNWRITEBATCH = linux(LINUX_READ | LINUX_WRITE, 244, size_of::<BatchRequest>() as u32);
    TUNSETPEER = linux(LINUX_WRITE, 245, size_of::<PeerRequest>() as u32);
    TUNGETUNITSTATISTICS = linux(LINUX_READ | LINUX_WRITE, 246, size_of::<UnitStatisticsRequest>() as u32);
}

bitflags! {
    /// The flags of `TUNSETIFF`. Linux's other flags are refused, because this driver does not implement them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TunFlags: u16 {
        /// IP packets.
        const TUN = 0x0001;
        /// Ethernet frames.
        const TAP = 0x0002;
        /// No packet-information header.
        const NO_PI = 0x1000;
        /// One queue; there never is more.
        const ONE_QUEUE = 0x2000;
        /// The unit must not be in use; it never is.
        const EXCLUSIVE = 0x8000;
    }
}

/// Linux's `struct ifreq`: what `TUNSETIFF` and `SIOCGIFHWADDR` point to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LinuxRequest {
    /// `ifr_name`.
    pub name: [u8; 16],
    /// `ifr_flags`, or the family of `ifr_hwaddr`.
    pub flags: u16,
    /// The bytes of `ifr_hwaddr`.
    pub address: [u8; 6],
    /// The rest of the union.
    pub rest: [u8; 16],
}

const _: () = assert!(size_of::<LinuxRequest>() == 40);

/// FreeBSD's `struct tuninfo`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TunInfo {
    /// Not used: 0.
    pub baudrate: i32,
    /// In bytes of IP.
    pub mtu: u16,
    /// `IFT_*`.
    pub kind: u8,
    /// 0.
    pub dummy: u8,
}

/// The version of this driver's own controls, except those that return statistics.
pub const VERSION: u32 = 1;
/// The version of [`TUNGETSTATISTICS`] and [`TUNGETUNITSTATISTICS`].
pub const STATISTICS_VERSION: u32 = 2;

/// The start of each of this driver's own requests.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Preamble {
    /// [`VERSION`] or [`STATISTICS_VERSION`].
    pub version: u32,
    /// The size of the whole request in bytes, this word included; of a batch, with its records.
    pub size: u32,
}

/// One direction's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DirectionStatistics {
    /// Packets accepted from the sender.
    pub accepted: u64,
    /// Their bytes, link headers included.
    pub accepted_bytes: u64,
    /// Packets handed to the receiver.
    pub delivered: u64,
    /// Their bytes, link headers included.
    pub delivered_bytes: u64,
    /// Packets that the device answered itself.
    pub answered: u64,
    /// Packets dropped with the whole queue.
    pub purged: u64,
    /// Packets longer than the reader's buffer.
    pub truncated: u64,
    /// Packets in the queue now.
    pub queued: u64,
    /// Bytes in the queue now.
    pub queued_bytes: u64,
    /// One for each reason, by its [position](reasons::NAMES); the rest is for those to come.
    pub dropped: [u64; Self::REASONS],
}

const _: () = assert!(reasons::NAMES.len() <= DirectionStatistics::REASONS);

impl DirectionStatistics {
    /// How many reasons to drop a packet the statistics have room for.
    pub const REASONS: usize = 32;

    #[inline(never)]
    fn new(counters: &Counters, queued: Backlog, places: &[Place]) -> Self {
        let mut dropped = [0; Self::REASONS];
        for (count, &place) in dropped.iter_mut().zip(places) {
            *count = reasons::dropped(counters, place);
        }
        Self {
            accepted: counters.accepted,
            accepted_bytes: counters.accepted_bytes,
            delivered: counters.delivered,
            delivered_bytes: counters.delivered_bytes,
            answered: counters.answered,
            purged: counters.purged,
            truncated: counters.truncated,
            queued: queued.packets.into(),
            queued_bytes: queued.bytes.into(),
            dropped,
        }
    }
}

/// Returns both directions' statistics: to the program, to the stack.
#[inline(never)]
pub(crate) fn statistics(statistics: &Statistics, places: &[Place]) -> (DirectionStatistics, DirectionStatistics) {
    let Statistics { to_user, to_user_queued, to_stack, to_stack_queued } = statistics;
    (
        DirectionStatistics::new(to_user, *to_user_queued, places),
        DirectionStatistics::new(to_stack, *to_stack_queued, places),
    )
}

/// The argument of `TUNGETSTATISTICS`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StatisticsRequest {
    /// Version and size.
    pub preamble: Preamble,
    /// From the stack to the program.
    pub to_user: DirectionStatistics,
    /// From the program to the stack.
    pub to_stack: DirectionStatistics,
}

/// The argument of `TUNGETUNITSTATISTICS` points to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnitStatisticsRequest {
    /// Version and size.
    pub preamble: Preamble,
    /// In: [`TunFlags::TUN`] or [`TunFlags::TAP`].
    pub mode: u32,
    /// In: the unit's number.
    pub unit: u32,
    /// From the stack to the program.
    pub to_user: DirectionStatistics,
    /// From the program to the stack.
    pub to_stack: DirectionStatistics,
}

/// The argument of `TUNGETLIMITS` and `TUNSETLIMITS`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LimitsRequest {
    /// Version and size.
    pub preamble: Preamble,
    /// Packets in the queue to the program.
    pub to_user_packets: u32,
    /// Bytes in the queue to the program.
    pub to_user_bytes: u32,
    /// Packets in the queue to the stack.
    pub to_stack_packets: u32,
    /// Bytes in the queue to the stack.
    pub to_stack_bytes: u32,
}

/// The argument of `TUNREADBATCH` and `TUNWRITEBATCH`; the records follow it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BatchRequest {
    /// Version and size.
    pub preamble: Preamble,
    /// In: how many packets at most. Out: how many there were.
    pub packets: u32,
    /// Out: how many bytes their records took.
    pub bytes: u32,
}

/// The argument of `TUNSETPEER`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PeerRequest {
    /// Version and size.
    pub preamble: Preamble,
    /// 4 or 6.
    pub ip_version: u32,
    /// The peer's address; of IPv4, the first four bytes.
    pub address: [u8; 16],
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn linux_numbers_are_linux_own() {
        assert_eq!(TUNSETIFF, 0x4004_54ca);
        assert_eq!(TUNSETPERSIST, 0x4004_54cb);
        assert_eq!(TUNGETFEATURES, 0x8004_54cf);
        assert_eq!(TUNGETIFF, 0x8004_54d2);
        assert_eq!(TUNSETSNDBUF, 0x4004_54d4);
        assert_eq!(TUNSETCARRIER, 0x4004_54e2);
    }

    #[test]
    fn no_two_controls_share_a_number() {
        for (index, (name, number)) in NUMBERS.iter().enumerate() {
            for (other, same) in &NUMBERS[index + 1..] {
                assert_ne!(number, same, "{name} and {other}");
            }
        }
    }

    #[test]
    fn the_header_for_programs_has_the_same_numbers() {
        let header = include_str!("../../include/tun_tap.h");
        for (name, number) in NUMBERS {
            let line = header.lines().find(|line| line.starts_with(&format!("#define {name} ")));
            let line = line.unwrap_or_else(|| panic!("{name} is missing from tun_tap.h"));
            let value = line.split_whitespace().nth(2).expect("a value").trim_start_matches("0x");
            assert_eq!(u32::from_str_radix(value, 16).expect("a number in hexadecimal"), *number, "{name}");
        }
    }
}
