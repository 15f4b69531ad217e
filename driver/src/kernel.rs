//! What the core needs of an operating system.
//!
//! `net-addon` implements these traits for Haiku; the tests implement them for a kernel whose every step they choose.

use crate::{Delivery, Error, Extent, FRAMING_HEADER, Framing, HEAD_TO_STACK_MAX};

/// An operating system, as far as a device needs it.
pub trait Kernel: Sized + Send + Sync + 'static {
    /// A packet of the network stack's, owned.
    type Packet: Packet<User = Self::User>;
    /// A queue of such packets.
    type Fifo: Fifo<Self::Packet>;
    /// A piece of a program's memory.
    type User: UserMemory;
    /// A lock for sections of constant time, in which nothing sleeps, faults, logs, allocates or calls out.
    type Lock<T: Send>: Lock<T>;
    /// A lock for what happens rarely; it may put the caller to sleep.
    type Mutex<T: Send>: Lock<T>;
    /// Where threads wait.
    type WaitPoint: WaitPoint;
    /// A select that waits.
    type Select: SelectSync;
    /// How a program's packets reach the stack's protocols.
    type Delivery: Delivery<Self::Packet>;

    /// Returns what precedes a packet of this Ethernet type in the program's buffer. `framing` is not [`Framing::Bare`].
    fn framing_header(framing: Framing, ether_type: u16, extent: Extent) -> [u8; FRAMING_HEADER];
}

/// A packet, freed when dropped.
pub trait Packet: Sized + Send {
    /// The program memory it can be copied from and to.
    type User: UserMemory;

    /// Makes a packet of these bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, Error>;

    /// Makes a packet of `length` bytes of the program's memory, from `offset` in it, and copies its beginning to `head`, as
    /// much as there is. Each byte is fetched once.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`], or [`Error::BadAddress`] if the memory is not mapped.
    fn from_user(
        user: &Self::User,
        offset: usize,
        length: usize,
        head: &mut [u8; HEAD_TO_STACK_MAX],
    ) -> Result<Self, Error>;

    /// Puts a header in front.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`].
    fn prepend(&mut self, header: &[u8]) -> Result<(), Error>;

    /// Removes `length` bytes from the front.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are fewer.
    fn strip(&mut self, length: usize) -> Result<(), Error>;

    /// Bytes in the packet.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes from `offset` on into `buffer`, as many as there are of both, and shows them.
    fn peek<'b>(&self, offset: usize, buffer: &'b mut [u8]) -> &'b [u8];

    /// Copies `length` bytes from `offset` into the program's memory, at `at` in it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if the memory is not mapped.
    fn copy_to_user(&self, offset: usize, user: &Self::User, at: usize, length: usize) -> Result<(), Error>;
}

/// Packets in a row. Neither end allocates: the packets carry the links themselves.
pub trait Fifo<P>: Default + Send {
    /// Puts a packet at the end.
    fn push(&mut self, packet: P);
    /// Takes the packet at the front.
    fn pop(&mut self) -> Option<P>;
    /// Puts all packets of `other` at the end, in constant time.
    fn append(&mut self, other: Self);
    /// Bytes of the packet at the front; 0 if there is none.
    fn front_length(&self) -> usize;
}

/// A piece of a program's memory: an address and a length, nothing that can be dereferenced.
pub trait UserMemory {
    /// Its length in bytes.
    fn len(&self) -> usize;

    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies out of it, from `offset`. All of `into` or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if the memory is not mapped.
    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Error>;

    /// Copies into it, at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if the memory is not mapped.
    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error>;
}

/// A lock around a value. The value is only lent to a closure, so that a caller cannot forget to unlock.
pub trait Lock<T>: Send + Sync {
    /// Returns a free lock around `value`.
    fn new(value: T) -> Self;
    /// Calls `section` with exclusive access to the value.
    fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R;
    /// As [`Self::with`], but returns `None` if the lock is held: for a debugger, which runs while the system is stopped and
    /// would wait for ever.
    fn try_with<R>(&self, section: impl FnOnce(&mut T) -> R) -> Option<R> {
        Some(self.with(section))
    }
}

/// Whether a signal may end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruptible {
    /// It may: a program waits.
    Yes,
    /// It may not: a thread of the kernel waits, or the wait is for something that is sure to come.
    No,
}

/// A place where threads wait: a counting semaphore. The core counts the waiters and wakes exactly as many, so no wake is
/// lost. If a signal wins the race, the wake stays for the next waiter.
pub trait WaitPoint: Sized + Send + Sync {
    /// Returns a wait point without waiters.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`] if the kernel has no more of them.
    fn new(name: &'static core::ffi::CStr) -> Result<Self, Error>;

    /// Waits for one wake.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if a signal came first; no wake is consumed then.
    fn wait(&self, interruptible: Interruptible) -> Result<(), Error>;

    /// Wakes `count` waiters, future ones included, and keeps the CPU. Must be called with no spinning lock held.
    fn wake(&self, count: u32);
}

/// What a select can wait for. Each is a bit of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// A read would not wait.
    Read = 1,
    /// A write would not wait, and would succeed.
    Write = 1 << 1,
    /// Something is wrong: so far only that the device is disconnected.
    Error = 1 << 2,
    /// The interface is gone, or the descriptor closed.
    Disconnected = 1 << 3,
}

impl Event {
    /// Returns the event as a bit of a mask.
    pub(crate) const fn bit(self) -> u8 {
        self as u8
    }
}

/// A program's `select` or `poll` on one descriptor, as the kernel hands it to the driver. The kernel keeps it from the
/// `select` hook until the `deselect` hook has returned.
pub trait SelectSync: Copy + PartialEq + Send {
    /// Notifies it of an event. Called with no spinning lock held.
    fn notify(self, event: Event);
}
