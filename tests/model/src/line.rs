//! One direction: a queue and its counters.

use std::collections::VecDeque;
use std::rc::Rc;

use tuntap_driver::{Counters, Limits};

use crate::acks::{Acks, Segment};

/// How many drop reasons a model can count.
pub const REASONS: usize = 16;

/// One direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The frames that wait.
    pub queue: VecDeque<Rc<[u8]>>,
    /// How many of them there may be.
    pub limits: Limits,
    /// The counters, without those of drops.
    pub counters: Counters,
    /// The dropped packets by reason; the user of the model numbers them.
    pub dropped: [u64; REASONS],
    acks: Acks,
    /// How many frames were queued so far.
    queued: u64,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            limits: Limits::DEFAULT,
            counters: Counters::ZERO,
            dropped: [0; REASONS],
            acks: Acks::default(),
            queued: 0,
        }
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
        self.counters.accepted += 1;
        self.counters.accepted_bytes += length as u64;
    }

    pub(crate) fn put(&mut self, frame: &[u8]) {
        self.accept(frame.len());
        // The first frame of a queue is not looked at.
        if let Some(segment) = Segment::of(frame).filter(|_| !self.queue.is_empty()) {
            self.acks.note(segment, self.queued);
        }
        self.queue.push_back(frame.into());
        self.queued += 1;
    }

    /// Puts an acknowledgement in the place of one that it supersedes. Whether there was one.
    pub(crate) fn supersede(&mut self, frame: &[u8]) -> bool {
        let front = self.queued - self.queue.len() as u64;
        let place = Segment::of(frame).and_then(|segment| self.acks.place(segment, front));
        let place = place.and_then(|position| self.queue.get_mut(usize::try_from(position - front).ok()?));
        let superseded = place.map(|place| *place = frame.into()).is_some();
        if superseded {
            self.accept(frame.len());
        }
        superseded
    }

    pub(crate) fn take(&mut self) -> Option<Rc<[u8]>> {
        let frame = self.queue.pop_front()?;
        self.counters.delivered += 1;
        self.counters.delivered_bytes += frame.len() as u64;
        Some(frame)
    }

    pub(crate) fn purge(&mut self) {
        self.counters.purged += self.queue.len() as u64;
        self.queue.clear();
        self.acks.clear();
    }
}
