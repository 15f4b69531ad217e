//! Haiku with our driver as a kernel under test: the lab, with the test as its network stack.

use std::sync::{Mutex, MutexGuard};

use haiku_kernel::syscalls::{self, FdSet, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PollFd};
use haiku_kernel::{creds, thread, user};
use haiku_sys::{self as sys, status_t};
use haiku_system::{Lab, LabOptions, Mode};
use tuntap_net_addon::ioctl::wire::{StatisticsRequest, TUNGETSTATISTICS, TUNSETIFF};

use zerocopy::IntoBytes;

use super::system::{
    Access, Argument, Blocked, Blocking, Errno, Events, Fd, Framing, InterfaceFlags, Numbers, Patience, System, Thread,
    flag,
};
use super::{Case, Seen};
use crate::card::Card;
use crate::names::errno;
use crate::packet::{BROADCAST, ETHER_TYPE_IP, ETHER_TYPE_IPV6, ETHERNET_HEADER, frame};
use crate::program::{NO_PI, nowhere, preamble, zeroed};
use crate::wait::{Place, blocked};
use crate::watchdog::{self, Watchdog};

/// Runs a case on a kernel of its own, which must end with nothing left over.
#[must_use]
pub fn run(case: &Case, mode: Mode) -> Seen {
    let lab = Lab::boot(LabOptions::default()).expect("a lab");
    let _watchdog = Watchdog::over(format!("\"{}\" on our {mode}", case.name));
    let seen = (case.run)(&Haiku { mode, lab: &lab, card: Mutex::new(None) });
    let ledgers = lab.shutdown();
    assert!(ledgers.is_zero(), "\"{}\" on our {mode} left something over:\n{ledgers}", case.name);
    seen
}

/// The lab with one unit.
struct Haiku<'lab> {
    mode: Mode,
    lab: &'lab Lab,
    card: Mutex<Option<Card<'lab>>>,
}

impl<'lab> Haiku<'lab> {
    fn slot(&self) -> MutexGuard<'_, Option<Card<'lab>>> {
        self.card.lock().expect("unpoisoned")
    }

    fn with_card<R>(&self, act: impl FnOnce(&Card<'lab>) -> R) -> R {
        act(self.slot().as_ref().expect("an interface was made"))
    }
}

/// A result as the suite has it.
fn named<T>(result: Result<T, status_t>) -> Result<T, Errno> {
    result.map_err(errno)
}

impl System for Haiku<'_> {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn name(&self) -> &'static str {
        match self.mode {
            Mode::Tun => "tun/0",
            Mode::Tap => "tap/0",
        }
    }

    fn numbers(&self) -> Numbers {
        Numbers { fionbio: sys::FIONBIO, fionread: sys::FIONREAD }
    }

    fn open(&self, access: Access, blocking: Blocking) -> Result<Fd, Errno> {
        let access = match access {
            Access::Read => sys::O_RDONLY,
            Access::Write => sys::O_WRONLY,
            Access::ReadWrite => sys::O_RDWR,
        };
        let flags = if blocking == Blocking::DontWait { sys::O_NONBLOCK } else { 0 };
        named(syscalls::open(&self.mode.node(0), access | flags))
    }

    fn make(&self, fd: Fd, framing: Framing) -> Result<(), Errno> {
        if self.slot().is_none() {
            self.remake();
        }
        let bare = if framing == Framing::Bare { NO_PI } else { 0 };
        let mut request = [0; 40];
        request[..self.name().len()].copy_from_slice(self.name().as_bytes());
        request[16..18].copy_from_slice(&(flag(self.mode) | bare).to_ne_bytes());
        self.ioctl(fd, TUNSETIFF, Argument::Memory(&mut request))
    }

    fn take_as(&self, user: u32) -> Result<Fd, Errno> {
        creds::set_euid(user);
        let taken = self.open(Access::ReadWrite, Blocking::DontWait).and_then(|fd| {
            self.make(fd, Framing::Bare)?;
            Ok(fd)
        });
        creds::set_euid(0);
        taken
    }

    fn close(&self, fd: Fd) -> Result<(), Errno> {
        named(syscalls::close(fd))
    }

    fn dup(&self, fd: Fd) -> Result<Fd, Errno> {
        named(syscalls::dup(fd))
    }

    fn set_blocking(&self, fd: Fd, blocking: Blocking) -> Result<(), Errno> {
        let flags = if blocking == Blocking::DontWait { sys::O_NONBLOCK } else { 0 };
        named(syscalls::fcntl(fd, syscalls::F_SETFL, flags as usize)).map(drop)
    }

    fn blocking(&self, fd: Fd) -> Result<Blocking, Errno> {
        let flags = named(syscalls::fcntl(fd, syscalls::F_GETFL, 0))?;
        Ok(if flags as u32 & sys::O_NONBLOCK == 0 { Blocking::Wait } else { Blocking::DontWait })
    }

    fn read(&self, fd: Fd, buffer: &mut [u8]) -> Result<usize, Errno> {
        named(syscalls::read(fd, buffer))
    }

    fn write(&self, fd: Fd, packet: &[u8]) -> Result<usize, Errno> {
        named(syscalls::write(fd, packet))
    }

    fn read_unmapped(&self, fd: Fd, length: usize) -> Result<usize, Errno> {
        named(syscalls::read_raw(fd, nowhere(), length))
    }

    fn write_unmapped(&self, fd: Fd, length: usize) -> Result<usize, Errno> {
        named(syscalls::write_raw(fd, nowhere(), length))
    }

    fn readv(&self, fd: Fd, buffers: &mut [&mut [u8]]) -> Result<usize, Errno> {
        named(syscalls::readv(fd, buffers))
    }

    fn writev(&self, fd: Fd, buffers: &[&[u8]]) -> Result<usize, Errno> {
        named(syscalls::writev(fd, buffers))
    }

    fn ioctl(&self, fd: Fd, request: u32, argument: Argument<'_>) -> Result<(), Errno> {
        let argument = match argument {
            Argument::Number(number) => number,
            Argument::Memory(memory) => user::to_user(memory.as_mut_ptr() as usize),
            Argument::Null => 0,
            Argument::Unmapped => nowhere(),
        };
        named(syscalls::ioctl(fd, request, argument, 0)).map(drop)
    }

    fn poll(&self, fd: Fd, events: Events, patience: Patience) -> Result<Events, Errno> {
        let bits = POLL_BITS.iter().filter(|(_, event)| events.contains(*event)).fold(0, |bits, (bit, _)| bits | bit);
        let mut entries = [PollFd { fd, events: bits, revents: 0 }];
        named(syscalls::poll(&mut entries, timeout(patience)))?;
        let happened = POLL_BITS.iter().filter(|(bit, _)| entries[0].revents & bit != 0);
        Ok(happened.map(|(_, event)| *event).collect())
    }

    fn select(&self, fd: Fd, event: Events, patience: Patience) -> Result<bool, Errno> {
        let mut set = FdSet::default();
        set.insert(fd);
        let timeout = timeout(patience);
        let selected = match event {
            Events::IN => syscalls::select(fd + 1, Some(&mut set), None, None, timeout),
            _ => syscalls::select(fd + 1, None, Some(&mut set), None, timeout),
        };
        named(selected).map(|count| count > 0)
    }

    fn exists(&self) -> bool {
        self.slot().is_some()
    }

    fn up(&self) {
        self.with_card(Card::up);
    }

    fn down(&self) {
        self.with_card(Card::down);
    }

    fn remove(&self) {
        let card = self.slot().take();
        assert!(card.is_some(), "an interface was made");
    }

    fn remake(&self) {
        *self.slot() = Some(Card::new(self.lab, self.name()));
    }

    fn set_mtu(&self, mtu: usize) -> Result<(), Errno> {
        named(self.with_card(|card| card.set_mtu(mtu)))
    }

    fn mtu(&self) -> usize {
        self.with_card(|card| card.mtu())
    }

    fn flags(&self) -> InterfaceFlags {
        let flags = self.with_card(|card| card.flags());
        let names = [
            (sys::IFF_BROADCAST, InterfaceFlags::BROADCAST),
            (sys::IFF_POINTOPOINT, InterfaceFlags::POINT_TO_POINT),
            (sys::IFF_MULTICAST, InterfaceFlags::MULTICAST),
            (sys::IFF_LINK, InterfaceFlags::LINK),
        ];
        names.into_iter().filter(|&(bit, _)| flags & bit != 0).map(|(_, flag)| flag).collect()
    }

    fn address(&self) -> [u8; 6] {
        self.with_card(|card| card.address())
    }

    fn statistics(&self, fd: Fd) -> (u64, u64) {
        let preamble = preamble::<StatisticsRequest>();
        let mut statistics = StatisticsRequest { preamble, ..zeroed() };
        self.ioctl(fd, TUNGETSTATISTICS, Argument::Memory(statistics.as_mut_bytes())).expect("statistics");
        (statistics.to_stack.delivered, statistics.to_user.delivered)
    }

    fn send(&self, packet: &[u8]) -> Result<(), Errno> {
        named(self.with_card(|card| match self.mode {
            Mode::Tap => card.send(packet),
            Mode::Tun => {
                let ipv6 = packet.first().is_some_and(|first| first >> 4 == 6);
                let ether_type = if ipv6 { ETHER_TYPE_IPV6 } else { ETHER_TYPE_IP };
                card.send(&frame(BROADCAST, card.address(), ether_type, packet))
            }
        }))
    }

    fn receive(&self) -> Vec<u8> {
        let mut frame = self.with_card(|card| card.receive()).expect("a packet");
        match self.mode {
            Mode::Tap => frame,
            Mode::Tun => frame.split_off(ETHERNET_HEADER),
        }
    }

    fn this_thread(&self) -> Thread {
        Thread(thread::current())
    }

    fn await_blocked(&self, _: Thread, call: Blocked) {
        match call {
            Blocked::Read => watchdog::until("a thread reads", || blocked(Place::Read) == 1),
            // From here on the driver knows of the wait, and notices are kept until the thread looks.
            Blocked::Poll => watchdog::until("a thread polls", || self.lab.kernel().ledgers().selects > 0),
        }
    }

    fn signal(&self, thread: Thread) {
        thread::signal(thread.0).expect("the thread lives");
    }
}

const POLL_BITS: [(u16, Events); 5] = [
    (POLLIN, Events::IN),
    (POLLOUT, Events::OUT),
    (POLLERR, Events::ERR),
    (POLLHUP, Events::HUP),
    (POLLNVAL, Events::NVAL),
];

/// A timeout in microseconds.
fn timeout(patience: Patience) -> i64 {
    match patience {
        Patience::None => 0,
        Patience::Endless => -1,
    }
}
