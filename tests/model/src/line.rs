//! One direction: a queue and its counters.

use std::collections::VecDeque;
use std::rc::Rc;

use tuntap_driver::Limits;

/// How many drop reasons a model can count.
pub const REASONS: usize = 16;

/// What became of a direction's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the driver's counters")]
pub struct Books {
    pub accepted: u64,
    pub accepted_bytes: u64,
    pub delivered: u64,
    pub delivered_bytes: u64,
    pub answered: u64,
    pub purged: u64,
    pub truncated: u64,
    /// By reason; the user of the model numbers them.
    pub dropped: [u64; REASONS],
}

/// One direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The frames that wait.
    pub queue: VecDeque<Rc<[u8]>>,
    /// How many of them there may be.
    pub limits: Limits,
    /// The counters.
    pub books: Books,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { queue: VecDeque::new(), limits: Limits::DEFAULT, books: Books::default() }
    }

    /// Bytes of the frames that wait.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.iter().map(|frame| frame.len()).sum()
    }

    pub(crate) fn fits(&self) -> bool {
        let Limits { packets, bytes } = self.limits;
        self.queue.is_empty() || (self.queue.len() < packets as usize && self.queued_bytes() < bytes as usize)
    }

    /// Whether at most half of the queue is in use.
    pub(crate) fn is_half_free(&self) -> bool {
        let Limits { packets, bytes } = self.limits;
        self.queue.len() <= packets as usize / 2 && self.queued_bytes() <= bytes as usize / 2
    }

    pub(crate) fn accept(&mut self, length: usize) {
        self.books.accepted += 1;
        self.books.accepted_bytes += length as u64;
    }

    pub(crate) fn put(&mut self, frame: &[u8]) {
        self.accept(frame.len());
        self.queue.push_back(frame.into());
    }

    pub(crate) fn take(&mut self) -> Option<Rc<[u8]>> {
        let frame = self.queue.pop_front()?;
        self.books.delivered += 1;
        self.books.delivered_bytes += frame.len() as u64;
        Some(frame)
    }

    pub(crate) fn purge(&mut self) {
        self.books.purged += self.queue.len() as u64;
        self.queue.clear();
    }
}
