//! Counters for every outcome of a packet.
//!
//! In each direction, once the device is at rest: accepted = delivered + answered + purged + dropped + queued.

use crate::Mode;

/// Why the core dropped a packet that it had accepted. A mode has its own reasons: [`Mode::Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// The queue was full.
    Full,
    /// No program has the device open.
    NoProgram,
    /// The interface was down.
    Down,
    /// The program's buffer was not mapped.
    BadAddress,
    /// The device had an answer, but no memory or no room in the queue to the stack for it.
    AnswerLost,
    /// A frame without anything behind its link header.
    Malformed,
    /// A TCP acknowledgement that waited for the program, and that a later one of its flow superseded. No loss.
    Superseded,
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = Self::Superseded as usize + 1;
}

/// How many drop reasons a mode may have.
pub const MODE_REASONS: usize = 8;

/// The reason for which a frame was dropped: the core's, or one of the mode's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped<R> {
    /// By the core.
    ByCore(DropReason),
    /// By the verdict of the mode.
    ByMode(R),
}

impl<R: Copy> Dropped<R> {
    /// Returns the index of the reason's counter.
    pub(crate) fn counter<M: Mode<Reason = R>>(self) -> usize {
        match self {
            Self::ByCore(reason) => reason as usize,
            Self::ByMode(reason) => DropReason::COUNT + M::number(reason),
        }
    }
}

/// One direction's counters, in packets unless they say bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Accepted from the sender.
    pub accepted: u64,
    /// Their bytes, link headers included.
    pub accepted_bytes: u64,
    /// Handed to the receiver.
    pub delivered: u64,
    /// Their bytes, link headers included.
    pub delivered_bytes: u64,
    /// Answered by the device itself.
    pub answered: u64,
    /// Dropped with the whole queue, on close, down or removal of the interface.
    pub purged: u64,
    /// Delivered, but longer than the reader's buffer.
    pub truncated: u64,
    /// Each reason of the core's is one counter, and each of the mode's.
    dropped: [u64; DropReason::COUNT + MODE_REASONS],
}

impl Counters {
    /// All zero.
    pub const ZERO: Self = Self {
        accepted: 0,
        accepted_bytes: 0,
        delivered: 0,
        delivered_bytes: 0,
        answered: 0,
        purged: 0,
        truncated: 0,
        dropped: [0; DropReason::COUNT + MODE_REASONS],
    };

    /// How many the core dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many were dropped for each reason: the core's in their order, then the mode's by their [numbers](Mode::number).
    #[must_use]
    pub const fn dropped_by_reason(&self) -> &[u64; DropReason::COUNT + MODE_REASONS] {
        &self.dropped
    }

    /// How many were dropped for any reason.
    #[must_use]
    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// How many are accounted for: equals `accepted` when the queue is empty.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.delivered + self.answered + self.purged + self.all_dropped()
    }

    pub(crate) fn accept(&mut self, bytes: usize) {
        self.accepted += 1;
        self.accepted_bytes += bytes as u64;
    }

    pub(crate) fn deliver(&mut self, bytes: usize) {
        self.delivered += 1;
        self.delivered_bytes += bytes as u64;
    }

    /// Counts a packet as dropped; `counter` is the index of its reason.
    pub(crate) fn drop(&mut self, counter: usize) {
        if let Some(counter) = self.dropped.get_mut(counter) {
            *counter += 1;
        }
    }
}

/// Both directions at one time, with what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// From the stack to the program.
    pub to_user: Counters,
    /// What is queued for the program.
    pub to_user_queued: crate::Backlog,
    /// From the program to the stack.
    pub to_stack: Counters,
    /// What is queued for the stack.
    pub to_stack_queued: crate::Backlog,
}
