//! How much there may be at a time: in a queue, and in a section of its lock.

/// How much a queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In packets; at least 1.
    pub packets: u32,
    /// In bytes, link headers included. One packet always fits, however long.
    pub bytes: u32,
}

impl Limits {
    /// What a queue holds unless somebody says otherwise.
    pub const DEFAULT: Self = Self { packets: 512, bytes: 1 << 20 };
    /// What anybody may say.
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

/// The most packets that are moved in one section of the lock: interrupts are off in it, so it must be short.
pub(crate) const RUN: u32 = 16;
