//! How much there may be at a time: in a queue, and in a section of its lock.

/// How much a queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In packets; at least 1.
    pub packets: u32,
    /// In bytes, link headers included. A packet is taken while the queue holds fewer, so the last one may exceed it.
    pub bytes: u32,
}

impl Limits {
    /// The limits of a new queue.
    pub const DEFAULT: Self = Self { packets: 512, bytes: 1 << 20 };
    /// The highest limits that may be set.
    pub const MOST: Self = Self { packets: 1 << 16, bytes: 64 << 20 };
}

/// How much a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// In packets.
    pub packets: u32,
    /// In bytes, link headers included.
    pub bytes: u32,
    /// Bytes of the packet that is next, link header included.
    pub next: u32,
}

/// The most packets that are moved in one critical section, which runs with interrupts disabled.
pub(crate) const RUN: u32 = 16;

/// How many of the device's own answers the queue to the stack takes beyond its limit, so that a program that fills the
/// queue does not delay address resolution.
pub(crate) const ANSWERS: u32 = 64;

/// How many bytes wait for a program that is behind with reading. On one of several processors the stack's threads then do the
/// protocols' work for it: see [`Delivery::is_direct`](crate::Delivery::is_direct). The acknowledgements
/// of a window stay below it, a window of data exceeds it.
pub(crate) const BEHIND: usize = 16 << 10;

/// How many bytes wait for a program that several connections keep busy: more than the window of any one (64 KiB, RFC 9293,
/// section 3.1). See [`Delivery::deliver`](crate::Delivery::deliver).
pub(crate) const CROWDED: usize = 128 << 10;
