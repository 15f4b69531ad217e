//! [`System`]: a kernel under test, with one TUN or TAP unit.

use std::fmt;
use std::sync::mpsc;

use bitflags::bitflags;
use haiku_system::Mode;

/// A file descriptor.
pub type Fd = i32;

/// Both modes.
pub const BOTH: &[Mode] = &Mode::ALL;
/// TUN only.
pub const TUN: &[Mode] = &[Mode::Tun];
/// TAP only.
pub const TAP: &[Mode] = &[Mode::Tap];

/// What `TUNSETIFF` calls a mode.
#[must_use]
pub const fn flag(mode: Mode) -> u16 {
    match mode {
        Mode::Tun => 1,
        Mode::Tap => 2,
    }
}

/// An error by its name, as POSIX has it: the numbers differ from kernel to kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub &'static str);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a descriptor may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    ReadWrite,
}

/// Whether calls wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// They do.
    Wait,
    /// `O_NONBLOCK`.
    DontWait,
}

/// What is in front of each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing: `IFF_NO_PI`.
    Bare,
    /// `struct tun_pi`.
    Information,
}

/// What an `ioctl` is given.
#[derive(Debug)]
pub enum Argument<'a> {
    /// A number.
    Number(usize),
    /// A pointer to this.
    Memory(&'a mut [u8]),
    /// The null pointer.
    Null,
    /// A pointer to where there is nothing.
    Unmapped,
}

bitflags! {
    /// What `poll` says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u8 {
        /// `POLLIN`.
        const IN = 1;
        /// `POLLOUT`.
        const OUT = 1 << 1;
        /// `POLLERR`.
        const ERR = 1 << 2;
        /// `POLLHUP`.
        const HUP = 1 << 3;
        /// `POLLNVAL`.
        const NVAL = 1 << 4;
    }

    /// What is said of an interface.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InterfaceFlags: u8 {
        /// `IFF_BROADCAST`.
        const BROADCAST = 1;
        /// `IFF_POINTOPOINT`.
        const POINT_TO_POINT = 1 << 1;
        /// `IFF_MULTICAST`.
        const MULTICAST = 1 << 2;
        /// The link works: Haiku's `IFF_LINK`, Linux's `IFF_LOWER_UP`.
        const LINK = 1 << 3;
    }
}

/// How long a `poll` waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// Until something happens.
    Endless,
}

/// The call in which a thread must block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// `read`.
    Read,
    /// `poll` or `select`.
    Poll,
}

/// A thread, by its kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread(pub i32);

/// The numbers of controls that each kernel has numbers of its own for.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// `FIONBIO`.
    pub fionbio: u32,
    /// `FIONREAD`.
    pub fionread: u32,
}

/// A kernel under test, with one unit of one mode. Packets are as the program sees them, and without what the framing
/// puts in front of them.
pub trait System: Sync {
    /// What the unit carries.
    fn mode(&self) -> Mode;
    /// The interface's name.
    fn name(&self) -> &'static str;
    /// Numbers of its own.
    fn numbers(&self) -> Numbers;

    /// Opens the unit's node.
    fn open(&self, access: Access, blocking: Blocking) -> Result<Fd, Errno>;
    /// Sees to it that the unit has an interface, down, and that this descriptor serves it with that framing.
    fn make(&self, fd: Fd, framing: Framing) -> Result<(), Errno>;
    /// [`Self::open`] and [`Self::make`] by another user than root; where only root may open the node, root does that.
    fn take_as(&self, user: u32) -> Result<Fd, Errno>;
    /// `close`.
    fn close(&self, fd: Fd) -> Result<(), Errno>;
    /// `dup`.
    fn dup(&self, fd: Fd) -> Result<Fd, Errno>;
    /// `fcntl(F_SETFL)`.
    fn set_blocking(&self, fd: Fd, blocking: Blocking) -> Result<(), Errno>;
    /// `fcntl(F_GETFL)`.
    fn blocking(&self, fd: Fd) -> Result<Blocking, Errno>;
    /// `read`.
    fn read(&self, fd: Fd, buffer: &mut [u8]) -> Result<usize, Errno>;
    /// `write`.
    fn write(&self, fd: Fd, packet: &[u8]) -> Result<usize, Errno>;
    /// `read` to where there is nothing.
    fn read_unmapped(&self, fd: Fd, length: usize) -> Result<usize, Errno>;
    /// `write` from where there is nothing.
    fn write_unmapped(&self, fd: Fd, length: usize) -> Result<usize, Errno>;
    /// `readv`.
    fn readv(&self, fd: Fd, buffers: &mut [&mut [u8]]) -> Result<usize, Errno>;
    /// `writev`.
    fn writev(&self, fd: Fd, buffers: &[&[u8]]) -> Result<usize, Errno>;
    /// `ioctl`.
    fn ioctl(&self, fd: Fd, request: u32, argument: Argument<'_>) -> Result<(), Errno>;
    /// `poll`; errors and hang-ups are said in any case.
    fn poll(&self, fd: Fd, events: Events, patience: Patience) -> Result<Events, Errno>;
    /// `select` for one descriptor and either [`Events::IN`] or [`Events::OUT`].
    fn select(&self, fd: Fd, event: Events, patience: Patience) -> Result<bool, Errno>;

    /// Whether there is an interface.
    fn exists(&self) -> bool;
    /// `ifconfig up`.
    fn up(&self);
    /// `ifconfig down`.
    fn down(&self);
    /// Removes the interface, also while the unit is open.
    fn remove(&self);
    /// Makes a new interface of the name, after it was removed.
    fn remake(&self);
    /// Sets the interface's MTU.
    fn set_mtu(&self, mtu: usize) -> Result<(), Errno>;
    /// The interface's MTU.
    fn mtu(&self) -> usize;
    /// What is said of the interface.
    fn flags(&self) -> InterfaceFlags;
    /// The interface's link-layer address.
    fn address(&self) -> [u8; 6];
    /// Packets that crossed, by the kernel's own statistics: to the stack, and to the program.
    fn statistics(&self, fd: Fd) -> (u64, u64);
    /// The stack sends a packet.
    ///
    /// # Errors
    /// The result for the sender.
    fn send(&self, packet: &[u8]) -> Result<(), Errno>;
    /// The next packet for the stack, waiting for it.
    fn receive(&self) -> Vec<u8>;

    /// The calling thread.
    fn this_thread(&self) -> Thread;
    /// Returns once that thread is blocked.
    fn await_blocked(&self, thread: Thread, call: Blocked);
    /// Sends it a signal that it handles.
    fn signal(&self, thread: Thread);
}

/// Has another thread make a call that blocks, does something once it has, and returns what came of the call.
pub fn while_blocked<R: Send>(
    system: &dyn System,
    blocked: Blocked,
    call: impl FnOnce() -> R + Send,
    act: impl FnOnce(Thread),
) -> R {
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let caller = scope.spawn(move || {
            let _ = tell.send(system.this_thread());
            call()
        });
        if let Ok(thread) = told.recv() {
            system.await_blocked(thread, blocked);
            act(thread);
        }
        caller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
