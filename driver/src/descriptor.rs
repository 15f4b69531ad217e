//! Per-open state.

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Whether a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// It waits.
    Wait,
    /// It fails with [`crate::Error::WouldBlock`] instead.
    DontWait,
}

/// What precedes every packet that the program reads and writes. [`crate::Kernel::framing_header`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Framing {
    /// Nothing.
    Bare = 0,
    /// Flags and the Ethernet type.
    PacketInformation = 1,
    /// The address family.
    AddressFamily = 2,
}

/// How many bytes [`Framing::PacketInformation`] and [`Framing::AddressFamily`] take.
pub const FRAMING_HEADER: usize = 4;

/// How much of a packet the program's buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Its beginning.
    CutOff,
}

impl Framing {
    /// Returns how many bytes precede each packet.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Bare => 0,
            Self::PacketInformation | Self::AddressFamily => FRAMING_HEADER,
        }
    }
}

/// One open of a device: made by [`crate::Device::open`], shared by all duplicates of the file descriptor.
#[derive(Debug)]
pub struct Descriptor {
    dont_wait: AtomicBool,
    framing: AtomicU8,
}

impl Descriptor {
    pub(crate) const fn new(blocking: Blocking) -> Self {
        Self {
            dont_wait: AtomicBool::new(matches!(blocking, Blocking::DontWait)),
            framing: AtomicU8::new(Framing::Bare as u8),
        }
    }

    /// Whether reads and writes may wait.
    #[must_use]
    pub fn blocking(&self) -> Blocking {
        if self.dont_wait.load(Ordering::Relaxed) { Blocking::DontWait } else { Blocking::Wait }
    }

    /// Lets reads and writes wait, or not.
    pub fn set_blocking(&self, blocking: Blocking) {
        self.dont_wait.store(matches!(blocking, Blocking::DontWait), Ordering::Relaxed);
    }

    /// What stands in front of every packet.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match self.framing.load(Ordering::Relaxed) {
            1 => Framing::PacketInformation,
            2 => Framing::AddressFamily,
            _ => Framing::Bare,
        }
    }

    /// Sets what stands in front of every packet.
    pub fn set_framing(&self, framing: Framing) {
        self.framing.store(framing as u8, Ordering::Relaxed);
    }
}
