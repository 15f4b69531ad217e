//! One direction of a device: a bounded queue, its waiters, and its counters.
//!
//! Whatever a thread may wait for changes in [`Channel::with`]: a critical section of constant time, after which waiters are woken. Critical
//! sections only mutate state; [`State::settle`] alone decides whom to wake. So no section can forget a wake, none wakes a
//! thread that would find nothing, and none wakes under the lock.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::limits::ANSWERS;
use crate::selects::Selects;
use crate::{
    Backlog, Counters, Error, Event, Fifo, Interruptible, Kernel, Limits, Lock, Packet, SelectSync, WaitPoint,
};

/// Which end of the queue the program has, and so what readiness means to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramEnd {
    /// It takes packets out: ready when there is one.
    Consumer,
    /// It puts packets in: ready when there is room.
    Producer,
}

impl ProgramEnd {
    const fn event(self) -> Event {
        match self {
            Self::Consumer => Event::Read,
            Self::Producer => Event::Write,
        }
    }
}

/// Whether and how a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Until(Interruptible),
}

/// Waiters and selects to wake after the lock is released. One word, because every packet makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wakes(u64);

impl Wakes {
    const NONE: Self = Self(0);
    /// The program's event holds.
    const READY: u64 = 1 << 32;
    /// The program's end is disconnected.
    const HANG_UP: u64 = 1 << 33;

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

    const fn consumers(self) -> u32 {
        self.0 as u16 as u32
    }

    const fn producers(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    fn set(&mut self, flag: u64, on: bool) {
        self.0 |= if on { flag } else { 0 };
    }

    const fn has(self, flag: u64) -> bool {
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
    limits: Limits,
    /// The error for producers. The direction to the program takes every packet and ignores it.
    pub(crate) accepting: Result<(), Error>,
    /// The error for consumers.
    pub(crate) serving: Result<(), Error>,
    /// The program's end is disconnected: its descriptor was closed, or it lost its interface and no call has said so yet.
    pub(crate) hung_up: bool,
    /// Waiters to wake. Below zero: wakes on their way to waiters that a signal has ended.
    waiting_consumers: i32,
    waiting_producers: i32,
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
    fn is_ready(&self) -> bool {
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
    fn has_listeners(&self, is_awaited: bool, was_hung_up: bool) -> bool {
        self.can_wake_consumers() || self.waiting_producers > 0 || is_awaited || (self.hung_up && !was_hung_up)
    }

    /// Computes which waiters to wake.
    #[inline(never)]
    fn settle(&mut self, was_ready: bool, was_hung_up: bool) -> Wakes {
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
}

/// One direction of a device. Each has cache lines of its own, because the two ends of a direction are on two processors
/// already.
#[repr(align(64))]
pub(crate) struct Channel<K: Kernel, S: Side<K>> {
    state: K::Lock<State<K, S>>,
    /// Whether there was room when the lock was last released: spares the writers of a full queue an allocation.
    had_room: AtomicBool,
    consumers: K::WaitPoint,
    /// Where writers wait for room. The stack never waits, so the direction to the program has none.
    producers: Option<K::WaitPoint>,
    /// Whether the program's end was disconnected when the lock was last released.
    hung_up: AtomicBool,
    selects: Selects<K>,
}

impl<K: Kernel, S: Side<K>> Channel<K, S> {
    /// Makes the queue that a program takes packets out of, of a device without an opener and without an interface.
    #[inline]
    pub(crate) fn to_user(consumers: K::WaitPoint, side: S) -> Self {
        Self::new(consumers, None, Error::Closed, side)
    }

    /// Makes the queue that a program puts packets into, of such a device.
    #[inline]
    pub(crate) fn to_stack(consumers: K::WaitPoint, producers: K::WaitPoint, side: S) -> Self {
        Self::new(consumers, Some(producers), Error::NetworkDown, side)
    }

    #[inline]
    fn new(consumers: K::WaitPoint, producers: Option<K::WaitPoint>, not_serving: Error, side: S) -> Self {
        let hung_up = S::END == ProgramEnd::Consumer;
        let state = State {
            queue: K::Fifo::default(),
            packets: 0,
            bytes: 0,
            purges: 0,
            limits: Limits::DEFAULT,
            accepting: Err(Error::Closed),
            serving: Err(not_serving),
            hung_up,
            waiting_consumers: 0,
            waiting_producers: 0,
            counters: Counters::ZERO,
            side,
        };
        Self {
            state: K::Lock::new(state),
            had_room: AtomicBool::new(false),
            consumers,
            producers,
            hung_up: AtomicBool::new(hung_up),
            selects: Selects::new(S::END.event()),
        }
    }

    /// Runs a critical section, then wakes the waiters that can go on.
    #[inline]
    pub(crate) fn with<R>(&self, section: impl FnOnce(&mut State<K, S>) -> R) -> R {
        let (result, wakes) = self.state.with(|state| {
            let is_awaited = self.selects.is_awaited();
            // Without a select there is no edge to notify.
            let was_ready = !is_awaited || state.is_ready();
            let was_hung_up = state.hung_up;
            let result = section(state);
            if state.hung_up != was_hung_up {
                self.hung_up.store(state.hung_up, Ordering::Relaxed);
            }
            let wakes = if state.has_listeners(is_awaited, was_hung_up) {
                state.settle(was_ready, was_hung_up)
            } else {
                Wakes::NONE
            };
            if S::END == ProgramEnd::Producer {
                self.publish_room(state);
            }
            (result, wakes)
        });
        if wakes != Wakes::NONE {
            self.wake(wakes);
        }
        result
    }

    /// Looks at the state.
    #[inline]
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State<K, S>) -> R) -> R {
        self.state.with(|state| look(state))
    }

    /// Counts packets that do not enter or leave the queue. Wakes no waiter, because it changes nothing that one waits for.
    #[inline]
    pub(crate) fn count<R>(&self, section: impl FnOnce(&mut Counters, Result<(), Error>, &S) -> R) -> R {
        self.state.with(|state| section(&mut state.counters, state.accepting, &state.side))
    }

    /// Publishes whether there is room.
    #[inline]
    fn publish_room(&self, state: &State<K, S>) {
        let has_room = state.has_room();
        if self.had_room.load(Ordering::Relaxed) != has_room {
            self.had_room.store(has_room, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn wake(&self, wakes: Wakes) {
        if wakes.consumers() > 0 {
            self.consumers.wake(wakes.consumers());
        }
        if let (1.., Some(producers)) = (wakes.producers(), &self.producers) {
            producers.wake(wakes.producers());
        }
        if wakes.has(Wakes::READY) {
            self.selects.notify(S::END.event());
        }
        if wakes.has(Wakes::HANG_UP) {
            // Both, because Haiku's select for writing waits for errors but not for hang-ups.
            self.selects.notify(Event::Error);
            self.selects.notify(Event::Disconnected);
        }
    }

    /// Takes the next packet. Waits for one as `wait` says.
    pub(crate) fn pop(&self, wait: Wait) -> Result<K::Packet, Error> {
        let mut superseded = None;
        self.when_filled(wait, |state| state.take(&mut superseded))?.ok_or(Error::WouldBlock)
    }

    /// Runs a critical section as soon as there is a packet.
    pub(crate) fn when_filled<R>(
        &self,
        wait: Wait,
        mut section: impl FnMut(&mut State<K, S>) -> R,
    ) -> Result<R, Error> {
        loop {
            let found = self.with(|state| {
                state.serving?;
                if state.packets > 0 {
                    return Ok(Some(section(state)));
                }
                if wait == Wait::No {
                    return Err(Error::WouldBlock);
                }
                state.waiting_consumers += 1;
                Ok(None)
            })?;
            match (found, wait) {
                (Some(result), _) => return Ok(result),
                (None, Wait::No) => return Err(Error::WouldBlock),
                (None, Wait::Until(interruptible)) => {
                    self.sleep(&self.consumers, interruptible, |state| &mut state.waiting_consumers)?;
                }
            }
        }
    }

    /// Queues a packet, if there is room.
    pub(crate) fn push(&self, packet: K::Packet) -> Result<(), Error> {
        let mut packet = Some(packet);
        self.when_room(Wait::No, |state| {
            if let Some(packet) = packet.take() {
                state.put(packet);
            }
        })
    }

    /// Queues an answer of the device's own. It has [`ANSWERS`] places beyond the limit.
    ///
    /// # Errors
    ///
    /// The error for consumers, or [`Error::WouldBlock`] without a place.
    pub(crate) fn push_answer(&self, packet: K::Packet) -> Result<(), Error> {
        let mut packet = Some(packet);
        let queued = self.with(|state| {
            state.serving?;
            if state.packets >= state.limits.packets.saturating_add(ANSWERS) {
                return Err(Error::WouldBlock);
            }
            if let Some(packet) = packet.take() {
                state.put(packet);
            }
            Ok(())
        });
        // Freed outside the lock, because that calls the kernel.
        drop(packet);
        queued
    }

    /// Whether there was room when the lock was last released. A hint.
    #[inline]
    pub(crate) fn had_room(&self) -> bool {
        self.had_room.load(Ordering::Relaxed)
    }

    /// Returns when there is room, or the reason why there will be none. A hint: the room may be gone again.
    #[inline]
    pub(crate) fn await_room(&self, wait: Wait) -> Result<(), Error> {
        if self.had_room() { Ok(()) } else { self.when_room(wait, |_| ()) }
    }

    /// Runs a critical section as soon as there is room.
    pub(crate) fn when_room(&self, wait: Wait, mut section: impl FnMut(&mut State<K, S>)) -> Result<(), Error> {
        loop {
            let done = self.with(|state| {
                state.accepting?;
                if state.has_room() {
                    section(state);
                    return Ok(true);
                }
                if wait == Wait::No {
                    return Err(Error::WouldBlock);
                }
                state.waiting_producers += 1;
                Ok(false)
            })?;
            match (done, wait, &self.producers) {
                (true, ..) => return Ok(()),
                (false, Wait::Until(interruptible), Some(producers)) => {
                    self.sleep(producers, interruptible, |state| &mut state.waiting_producers)?;
                }
                (false, ..) => return Err(Error::WouldBlock),
            }
        }
    }

    /// Waits for one wake. The caller has counted itself as a waiter.
    fn sleep(
        &self,
        point: &K::WaitPoint,
        interruptible: Interruptible,
        waiting: impl FnOnce(&mut State<K, S>) -> &mut i32,
    ) -> Result<(), Error> {
        let Err(error) = point.wait(interruptible) else { return Ok(()) };
        // The signal won the race. If a wake is on its way to us, the count goes below zero, and the wake stays for the
        // next waiter. It is not awaited here, because another waiter may have taken it already.
        self.with(|state| *waiting(state) -= 1);
        Err(error)
    }

    /// Registers a select for the program's event on this queue. Notifies it at once if the event holds already.
    pub(crate) fn select(&self, sync: K::Select) {
        let event = S::END.event();
        self.selects.add(sync, event);
        let is_ready = match S::END {
            ProgramEnd::Consumer => self.look(|state| state.is_ready()),
            // If the hint is stale, the program's write returns the error.
            ProgramEnd::Producer => self.had_room() || self.look(|state| state.is_ready()),
        };
        if is_ready {
            sync.notify(event);
        }
    }

    /// Registers a select for [`Event::Error`] or [`Event::Disconnected`]. Notifies it at once after a hang-up.
    ///
    /// The flag is read without the channel's lock. A hang-up sets it before it notifies, and notifying takes the lock of
    /// the table: so either that finds this select, or this select, which was added later, finds the flag set.
    pub(crate) fn select_hang_up(&self, sync: K::Select, event: Event) {
        self.selects.add(sync, event);
        if self.hung_up.load(Ordering::Relaxed) {
            sync.notify(event);
        }
    }

    /// Unregisters a select. It is not notified of the event after this returns.
    pub(crate) fn deselect(&self, sync: K::Select, event: Event) {
        self.selects.remove(sync, event);
    }

    /// What the queue holds.
    pub(crate) fn backlog(&self) -> Backlog {
        self.look(|state| state.backlog())
    }

    /// Looks at the state without waiting for the lock.
    pub(crate) fn try_with<R>(&self, look: impl FnOnce(&State<K, S>) -> R) -> Option<R> {
        self.state.try_with(|state| look(state))
    }

    /// What the queue may hold.
    pub(crate) fn limits(&self) -> Limits {
        self.look(|state| state.limits)
    }

    /// Sets what the queue may hold. Queued packets stay.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.with(|state| state.limits = Limits { packets: limits.packets.max(1), bytes: limits.bytes });
    }
}

impl<K: Kernel, S: Side<K>> State<K, S> {
    /// What the queue holds.
    pub(crate) fn backlog(&self) -> Backlog {
        let bytes = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        let next = u32::try_from(self.queue.front_length()).unwrap_or(u32::MAX);
        Backlog { packets: self.packets, bytes, next }
    }
}
