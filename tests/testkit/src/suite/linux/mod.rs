//! Linux as a kernel under test: `/dev/net/tun` in a network namespace of its own.
//!
//! The stack's side is a packet socket on the interface. No address is ever set, so that nothing but the cases' own
//! packets crosses, and nothing leaves the namespace, which goes with the thread that made it.

mod calls;
mod interface;
mod names;

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use haiku_system::Mode;

use super::system::{
    Access, Argument, Blocked, Blocking, Errno, Events, Fd, Framing, InterfaceFlags, Numbers, Patience, System, Thread,
    flag,
};
use super::{Case, Seen};
use crate::linux_tun;
use crate::watchdog::{self, Watchdog};
use calls::{Owned, checked};
use interface::Interfaces;

/// Linux's `TUNSETIFF`.
const TUNSETIFF: u32 = 0x4004_54ca;
/// Linux's `TUNSETPERSIST`.
const TUNSETPERSIST: u32 = 0x4004_54cb;
/// Linux's `IFF_NO_PI`.
const IFF_NO_PI: u16 = 0x1000;

/// Why Linux cannot be tested here, if it cannot.
#[must_use]
pub fn unavailable() -> Option<&'static str> {
    if !Path::new(linux_tun::NODE).exists() {
        return Some("there is no /dev/net/tun");
    }
    let outcome =
        std::thread::spawn(|| calls::own_network().is_ok() && calls::open(Access::ReadWrite, 0).map(Owned).is_ok());
    match outcome.join() {
        Ok(true) => None,
        _ => Some("making network namespaces and interfaces needs root"),
    }
}

/// Runs something in a network namespace of its own, threads and processes that it starts included.
pub fn in_own_network<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            calls::own_network().expect("a network namespace");
            run()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Linux's release, without what its builder calls it: what was observed holds for this one.
#[must_use]
pub fn release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect()
}

/// Runs a case in a network namespace of its own, and with a table of descriptors of its own: those that it leaves open
/// are closed with it, and no other case's come to have the number of one that it closed.
#[must_use]
pub fn run(case: &Case, mode: Mode) -> Seen {
    let _watchdog = Watchdog::over(format!("\"{}\" on Linux's {}", case.name, mode.name()));
    let run = case.run;
    in_own_network(move || {
        calls::own_descriptors().expect("a table of descriptors");
        // Without IPv6 the interface stays silent. A kernel without the file has no IPv6.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        run(&Linux::new(mode))
    })
}

/// Linux with one unit.
struct Linux {
    mode: Mode,
    interfaces: Interfaces,
    /// The packet socket on the interface.
    stack: Mutex<Option<Owned>>,
}

impl Linux {
    fn new(mode: Mode) -> Self {
        calls::catch_signals();
        Self { mode, interfaces: Interfaces::new(), stack: Mutex::new(None) }
    }

    fn attach(&self, fd: Fd, framing: Framing) -> Result<(), Errno> {
        let bare = if framing == Framing::Bare { IFF_NO_PI } else { 0 };
        let mut request = linux_tun::request(self.name(), flag(self.mode) | bare);
        self.ioctl(fd, TUNSETIFF, Argument::Memory(&mut request))
    }

    /// Listens on the interface, as the stack.
    fn listen(&self) {
        *self.stack.lock().expect("unpoisoned") = Some(self.interfaces.listen(self.name()));
    }

    fn with_stack<R>(&self, act: impl FnOnce(&Owned) -> R) -> R {
        act(self.stack.lock().expect("unpoisoned").as_ref().expect("an interface was made"))
    }
}

impl System for Linux {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn name(&self) -> &'static str {
        match self.mode {
            Mode::Tun => "tun0",
            Mode::Tap => "tap0",
        }
    }

    fn numbers(&self) -> Numbers {
        Numbers { fionbio: 0x5421, fionread: 0x541b }
    }

    fn open(&self, access: Access, blocking: Blocking) -> Result<Fd, Errno> {
        let flags = if blocking == Blocking::DontWait { libc::O_NONBLOCK } else { 0 };
        calls::open(access, flags)
    }

    fn make(&self, fd: Fd, framing: Framing) -> Result<(), Errno> {
        self.attach(fd, framing)?;
        self.listen();
        Ok(())
    }

    fn take_as(&self, user: u32) -> Result<Fd, Errno> {
        let fd = self.open(Access::ReadWrite, Blocking::DontWait)?;
        calls::as_user(user, || self.attach(fd, Framing::Bare))?;
        Ok(fd)
    }

    fn close(&self, fd: Fd) -> Result<(), Errno> {
        calls::close(fd)
    }

    fn dup(&self, fd: Fd) -> Result<Fd, Errno> {
        calls::dup(fd)
    }

    fn set_blocking(&self, fd: Fd, blocking: Blocking) -> Result<(), Errno> {
        calls::set_blocking(fd, blocking)
    }

    fn blocking(&self, fd: Fd) -> Result<Blocking, Errno> {
        calls::blocking(fd)
    }

    fn read(&self, fd: Fd, buffer: &mut [u8]) -> Result<usize, Errno> {
        calls::read(fd, buffer.as_mut_ptr(), buffer.len())
    }

    fn write(&self, fd: Fd, packet: &[u8]) -> Result<usize, Errno> {
        calls::write(fd, packet.as_ptr(), packet.len())
    }

    fn read_unmapped(&self, fd: Fd, length: usize) -> Result<usize, Errno> {
        calls::read(fd, calls::nowhere(), length)
    }

    fn write_unmapped(&self, fd: Fd, length: usize) -> Result<usize, Errno> {
        calls::write(fd, calls::nowhere(), length)
    }

    fn readv(&self, fd: Fd, buffers: &mut [&mut [u8]]) -> Result<usize, Errno> {
        calls::readv(fd, buffers)
    }

    fn writev(&self, fd: Fd, buffers: &[&[u8]]) -> Result<usize, Errno> {
        calls::writev(fd, buffers)
    }

    fn ioctl(&self, fd: Fd, request: u32, argument: Argument<'_>) -> Result<(), Errno> {
        let argument = match argument {
            Argument::Number(number) => number,
            Argument::Memory(memory) => memory.as_mut_ptr() as usize,
            Argument::Null => 0,
            Argument::Unmapped => calls::nowhere() as usize,
        };
        calls::ioctl(fd, request, argument)
    }

    fn poll(&self, fd: Fd, events: Events, patience: Patience) -> Result<Events, Errno> {
        calls::poll(fd, events, patience)
    }

    fn select(&self, fd: Fd, event: Events, patience: Patience) -> Result<bool, Errno> {
        calls::select(fd, event, patience)
    }

    fn exists(&self) -> bool {
        self.interfaces.index(self.name()).is_some()
    }

    fn up(&self) {
        self.interfaces.set_up(self.name(), true);
        self.with_stack(|stack| stack.forget_error());
    }

    fn down(&self) {
        self.interfaces.set_up(self.name(), false);
        self.with_stack(|stack| stack.forget_error());
    }

    fn remove(&self) {
        self.interfaces.remove(self.name());
    }

    fn remake(&self) {
        let other = Owned(calls::open(Access::ReadWrite, 0).expect("a descriptor"));
        self.attach(other.0, Framing::Bare).expect("an interface of the name");
        // It stays, and is free for the descriptor that is tested.
        self.ioctl(other.0, TUNSETPERSIST, Argument::Number(1)).expect("root may do so");
    }

    fn set_mtu(&self, mtu: usize) -> Result<(), Errno> {
        self.interfaces.set_mtu(self.name(), mtu)
    }

    fn mtu(&self) -> usize {
        self.interfaces.mtu(self.name())
    }

    fn flags(&self) -> InterfaceFlags {
        self.interfaces.flags(self.name())
    }

    fn address(&self) -> [u8; 6] {
        self.interfaces.address(self.name())
    }

    fn statistics(&self, _: Fd) -> (u64, u64) {
        interface::statistics(self.name())
    }

    fn send(&self, packet: &[u8]) -> Result<(), Errno> {
        let index = self.interfaces.index(self.name()).expect("an interface");
        self.with_stack(|stack| interface::send(stack, index, interface::ether_type(self.mode, packet), packet))
    }

    fn receive(&self) -> Vec<u8> {
        self.with_stack(interface::receive)
    }

    fn this_thread(&self) -> Thread {
        Thread(calls::this_thread())
    }

    fn await_blocked(&self, thread: Thread, call: Blocked) {
        let numbers: &[i64] = match call {
            Blocked::Read => &[libc::SYS_read],
            Blocked::Poll => &[libc::SYS_poll, libc::SYS_ppoll, libc::SYS_select, libc::SYS_pselect6],
        };
        let file = format!("/proc/self/task/{}/syscall", thread.0);
        watchdog::until("a thread is blocked", || {
            // "running", or the number of the call that it sleeps in, and its arguments.
            let state = fs::read_to_string(&file).expect("the thread lives");
            state.split(' ').next().and_then(|word| word.parse().ok()).is_some_and(|number| numbers.contains(&number))
        });
    }

    fn signal(&self, thread: Thread) {
        checked(calls::signal(thread.0)).expect("the thread lives");
    }
}
