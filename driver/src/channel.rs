//! One direction of a device: its [queue](crate::queue) under a lock, and where threads wait for a change.
//!
//! Whatever a thread may wait for changes in [`Channel::with`]: a critical section of constant time, after which the waiters
//! that [`State::settle`] chose are woken. So none is woken under the lock.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::limits::ANSWERS;
use crate::queue::{ProgramEnd, Side, State, Wakes};
use crate::selects::Selects;
use crate::{Backlog, Counters, Error, Event, Interruptible, Kernel, Limits, Lock, WaitPoint};

/// Whether and how a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Until(Interruptible),
}

/// One direction of a device. Each has cache lines of its own, because the two ends of a direction are on two processors
/// already.
#[repr(align(64))]
pub(crate) struct Channel<K: Kernel, S: Side<K>> {
    state: K::Lock<State<K, S>>,
    /// Whether there was room when the lock was last released: spares the writers of a full queue an allocation.
    had_room: AtomicBool,
    /// Bytes in the queue to the program when the lock was last released.
    held: AtomicUsize,
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
            held: AtomicUsize::new(0),
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
            match S::END {
                ProgramEnd::Consumer => self.held.store(state.bytes, Ordering::Relaxed),
                ProgramEnd::Producer => self.publish_room(state),
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

    /// Returns how many bytes the queue to the program held when the lock was last released. A hint.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
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

    /// The selects that wait on this direction.
    #[inline]
    pub(crate) fn selects(&self) -> &Selects<K> {
        &self.selects
    }

    /// Whether the program's event on this queue holds.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        match S::END {
            ProgramEnd::Consumer => self.look(|state| state.is_ready()),
            // If the hint is stale, the program's write returns the error.
            ProgramEnd::Producer => self.had_room() || self.look(|state| state.is_ready()),
        }
    }

    /// Whether the program's end was disconnected when the lock was last released.
    #[inline]
    pub(crate) fn is_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Relaxed)
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
