//! What the lock of a [`Channel`](crate::channel::Channel) guards: a bounded queue, its counters, and who waits.
//!
//! Sections only change this state. [`State::settle`] alone decides whom to wake when a section is over, so that none can
//! forget a wake, and none wakes a thread that would find nothing.

use crate::{Backlog, Counters, Error, Event, Fifo, Kernel, Limits, Packet};

/// Which end of the queue the program has, and so what readiness means to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramEnd {
    /// It takes packets out: ready when there is one.
    Consumer,
    /// It puts packets in: ready when there is room.
    Producer,
}

impl ProgramEnd {
    pub(crate) const fn event(self) -> Event {
        match self {
            Self::Consumer => Event::Read,
            Self::Producer => Event::Write,
        }
    }
}

/// Waiters and selects to wake after the lock is released. One word, because every packet makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wakes(u64);

impl Wakes {
    pub(crate) const NONE: Self = Self(0);
    /// The program's event holds.
    pub(crate) const READY: u64 = 1 << 32;
    /// The program's end is disconnected.
    pub(crate) const HANG_UP: u64 = 1 << 33;

    /// Sets how many consumers to wake. Returns how many that are.
    fn wake_consumers(&mut self, count: i32) -> i32 {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        self.0 |= u64::from(count);
        i32::from(count)
    }

    /// Sets how many producers to wake. Returns how many that are.
    fn wake_producers(&mut self, count: i32) -> i32 {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        self.0 |= u64::from(count) << 16;
        i32::from(count)
    }

    pub(crate) const fn consumers(self) -> u32 {
        self.0 as u16 as u32
    }

    pub(crate) const fn producers(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    fn set(&mut self, flag: u64, on: bool) {
        self.0 |= if on { flag } else { 0 };
    }

    pub(crate) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
}

/// What the lock guards. `side` is the state that only one of the directions has.
pub(crate) struct State<K: Kernel, S> {
    pub(crate) queue: K::Fifo,
    pub(crate) packets: u32,
    pub(crate) bytes: usize,
    /// How often the queue was purged.
    pub(crate) purges: u32,
    pub(crate) limits: Limits,
    /// The error for producers. The direction to the program takes every packet and ignores it.
    pub(crate) accepting: Result<(), Error>,
    /// The error for consumers.
    pub(crate) serving: Result<(), Error>,
    /// The program's end is disconnected: its descriptor was closed, or it lost its interface and no call has said so yet.
    pub(crate) hung_up: bool,
    /// Waiters to wake. Below zero: wakes on their way to waiters that a signal has ended.
    pub(crate) waiting_consumers: i32,
    pub(crate) waiting_producers: i32,
    pub(crate) counters: Counters,
    pub(crate) side: S,
}

/// The state that only one of the directions has, as far as the queue asks it.
pub(crate) trait Side<K: Kernel>: Send + Sized {
    /// Which end the program has.
    const END: ProgramEnd;

    /// Sees that the packet at the front is taken. Returns the one that is delivered in its place, of the same length, if
    /// there is one.
    #[inline]
    fn taken(&mut self) -> Option<K::Packet> {
        None
    }

    /// Returns how many packets were taken, less those that were put back.
    #[inline]
    fn taken_so_far(&self) -> u64 {
        0
    }

    /// Sees that so many packets are put back to the front. `is_unchanged` is whether none was taken or queued since they were
    /// taken.
    fn put_back(&mut self, packets: u32, is_unchanged: bool) {
        let _ = (packets, is_unchanged);
    }

    /// Sees that the queue is emptied. Adds the packets that it holds itself to `stale`.
    fn purge(&mut self, _: &mut K::Fifo) {}
}

impl<K: Kernel, S: Side<K>> State<K, S> {
    /// Whether the queue is below its limits, and so takes a packet of any length.
    pub(crate) fn fits(&self) -> bool {
        self.packets == 0 || (self.packets < self.limits.packets && self.bytes < self.limits.bytes as usize)
    }

    /// Whether a producer's packet is taken now.
    pub(crate) fn has_room(&self) -> bool {
        self.accepting.is_ok() && self.fits()
    }

    /// Whether the queue is at most half full, the threshold for waking writers. If they were woken as soon as there is any room, a
    /// writer that is faster than the reader thread would sleep and be woken once for each packet.
    fn has_slack(&self) -> bool {
        self.has_room()
            && (self.packets <= self.limits.packets / 2 && self.bytes <= self.limits.bytes as usize / 2
                || self.packets == 0)
    }

    /// Whether the program's call would return at once.
    #[inline(never)]
    pub(crate) fn is_ready(&self) -> bool {
        match S::END {
            ProgramEnd::Consumer => self.packets > 0 || self.serving.is_err(),
            ProgramEnd::Producer => self.has_room(),
        }
    }

    /// Accepts a packet and queues it. The caller has checked that there is room.
    #[inline]
    pub(crate) fn put(&mut self, packet: K::Packet) {
        let bytes = packet.len();
        self.counters.accept(bytes);
        self.packets += 1;
        self.bytes += bytes;
        self.queue.push(packet);
    }

    /// Takes the next packet. If another is delivered in its place, it is `superseded`, which the caller drops outside the
    /// lock, because that calls the kernel.
    #[inline]
    pub(crate) fn take(&mut self, superseded: &mut Option<K::Packet>) -> Option<K::Packet> {
        let packet = self.queue.pop()?;
        let bytes = packet.len();
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.counters.deliver(bytes);
        let Some(newer) = self.side.taken() else { return Some(packet) };
        *superseded = Some(packet);
        Some(newer)
    }

    /// Empties the queue. The caller drops the packets outside the lock, because that calls the kernel.
    #[must_use]
    pub(crate) fn purge(&mut self) -> K::Fifo {
        self.counters.purged += u64::from(self.packets);
        self.purges = self.purges.wrapping_add(1);
        self.packets = 0;
        self.bytes = 0;
        let mut stale = core::mem::take(&mut self.queue);
        self.side.purge(&mut stale);
        stale
    }

    /// Whether a waiting consumer can go on.
    #[inline]
    fn can_wake_consumers(&self) -> bool {
        self.waiting_consumers > 0 && (self.packets > 0 || self.serving.is_err())
    }

    /// Whether there may be a waiter to wake or a select to notify.
    #[inline]
    pub(crate) fn has_listeners(&self, is_awaited: bool, was_hung_up: bool) -> bool {
        self.can_wake_consumers() || self.waiting_producers > 0 || is_awaited || (self.hung_up && !was_hung_up)
    }

    /// Computes which waiters to wake.
    #[inline(never)]
    pub(crate) fn settle(&mut self, was_ready: bool, was_hung_up: bool) -> Wakes {
        let mut wakes = Wakes::NONE;
        if self.can_wake_consumers() {
            let count = if self.serving.is_ok() { 1 } else { self.waiting_consumers };
            self.waiting_consumers -= wakes.wake_consumers(count);
        }
        if self.waiting_producers > 0 && (self.accepting.is_err() || self.has_slack()) {
            let count = if self.accepting.is_ok() { 1 } else { self.waiting_producers };
            self.waiting_producers -= wakes.wake_producers(count);
        }
        // Selects are notified on the edge only: a later registration looks at the state itself.
        wakes.set(Wakes::READY, !was_ready && self.is_ready());
        wakes.set(Wakes::HANG_UP, self.hung_up && !was_hung_up);
        wakes
    }

    /// What the queue holds.
    pub(crate) fn backlog(&self) -> Backlog {
        let bytes = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        let next = u32::try_from(self.queue.front_length()).unwrap_or(u32::MAX);
        Backlog { packets: self.packets, bytes, next }
    }
}
