//! The cases, by what they are about.

mod controls;
mod identity;
mod interface;
mod opening;
mod queues;
mod readiness;
mod reading;
mod waiting;
mod writing;

use super::{
    Access, Argument, BOTH, Blocked, Blocking, Case, Errno, Events, Fd, Framing, Group, InterfaceFlags, Patience, Seen,
    System, TAP, TUN, flag, while_blocked,
};
use crate::packet::{self, Way};

/// All of them.
pub const GROUPS: &[Group] = &[
    Group { title: "Opening and closing", cases: opening::CASES },
    Group { title: "Reading", cases: reading::CASES },
    Group { title: "Writing", cases: writing::CASES },
    Group { title: "Waiting", cases: waiting::CASES },
    Group { title: "`poll` and `select`", cases: readiness::CASES },
    Group { title: "Queues", cases: queues::CASES },
    Group { title: "The interface", cases: interface::CASES },
    Group { title: "`TUNSETIFF` and `TUNGETIFF`", cases: identity::CASES },
    Group { title: "Other controls", cases: controls::CASES },
];

/// Opens the unit, not to wait.
fn open(system: &dyn System) -> Fd {
    system.open(Access::ReadWrite, Blocking::DontWait).expect("the unit is free")
}

/// Opens the unit and sees to it that it has an interface, which is down.
fn made(system: &dyn System, framing: Framing) -> Fd {
    let fd = open(system);
    system.make(fd, framing).expect("an interface");
    fd
}

/// Opens the unit and sees to it that it has an interface, which is up.
fn ready(system: &dyn System) -> Fd {
    ready_with(system, Framing::Bare)
}

fn ready_with(system: &dyn System, framing: Framing) -> Fd {
    let fd = made(system, framing);
    system.up();
    fd
}

/// The same, with calls that wait.
fn ready_to_wait(system: &dyn System) -> Fd {
    let fd = ready(system);
    system.set_blocking(fd, Blocking::Wait).expect("fcntl");
    fd
}

/// A packet of `length` bytes as the unit carries it.
fn packet(system: &dyn System, way: Way, length: usize) -> Vec<u8> {
    packet::program_packet(system.mode(), way, length)
}

/// The stack sends packets of these lengths.
fn send(system: &dyn System, lengths: &[usize]) {
    for &length in lengths {
        system.send(&packet(system, Way::ToUser, length)).expect("there is room");
    }
}

/// The program writes a packet of this length.
fn write(system: &dyn System, fd: Fd, length: usize) -> Result<usize, Errno> {
    system.write(fd, &packet(system, Way::ToStack, length))
}

/// The program reads into more room than any packet here needs.
fn read(system: &dyn System, fd: Fd) -> Result<usize, Errno> {
    system.read(fd, &mut [0; 4096])
}

/// What becomes of a packet that was written: it comes out as it went in.
fn arrives(system: &dyn System, written: &[u8]) -> Seen {
    let received = system.receive();
    if received == written { "arrives".into() } else { format!("arrives as {} bytes", received.len()).into() }
}

/// An `ioctl` with a number in the pointer's place.
fn number(system: &dyn System, fd: Fd, request: u32, number: i32) -> Result<(), Errno> {
    system.ioctl(fd, request, Argument::Number(number as usize))
}

/// An `ioctl` with a pointer to a number, which comes back.
fn integer(system: &dyn System, fd: Fd, request: u32, value: i32) -> Result<i32, Errno> {
    let mut bytes = value.to_ne_bytes();
    system.ioctl(fd, request, Argument::Memory(&mut bytes))?;
    Ok(i32::from_ne_bytes(bytes))
}

/// Linux's `TUNSETPERSIST`: without it an interface of Linux's goes with its last descriptor.
fn persist(system: &dyn System, fd: Fd) {
    number(system, fd, TUNSETPERSIST, 1).expect("root may do so");
}

const TUNSETNOCSUM: u32 = 0x4004_54c8;
const TUNSETIFF: u32 = 0x4004_54ca;
const TUNSETPERSIST: u32 = 0x4004_54cb;
const TUNSETOWNER: u32 = 0x4004_54cc;
const TUNSETLINK: u32 = 0x4004_54cd;
const TUNSETGROUP: u32 = 0x4004_54ce;
const TUNGETFEATURES: u32 = 0x8004_54cf;
const TUNSETOFFLOAD: u32 = 0x4004_54d0;
const TUNGETIFF: u32 = 0x8004_54d2;
const TUNGETSNDBUF: u32 = 0x8004_54d3;
const TUNSETSNDBUF: u32 = 0x4004_54d4;
const TUNSETCARRIER: u32 = 0x4004_54e2;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCSIFHWADDR: u32 = 0x8924;

const IFF_NO_PI: u16 = 0x1000;
