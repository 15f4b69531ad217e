//! One direction of a device: a bounded queue, those who wait for it, and its counters.
//!
//! Everything happens in [`Channel::with`]: a section of constant time under one lock, after which whoever can go on
//! is woken. Sections only change what is so; who is to be woken follows from that, in one place ([`State::settle`]).
//! So no section can forget a wake, none wakes a thread that would find nothing, and none wakes under the lock.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::limits::RUN;
use crate::{
    Backlog, Counters, Error, Event, Fifo, Interruptible, Kernel, Limits, Lock, Packet, Poll, Refusal, WaitPoint,
};

/// Which end of the queue a program has, and so what readiness means to it.
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

/// Whom to wake once the lock is let go.
#[derive(Default)]
struct Wakes {
    consumers: i32,
    producers: i32,
    ready: bool,
    trouble: bool,
}

/// What the lock guards. `mode` is the mode's own state, which only one direction needs.
pub(crate) struct State<K: Kernel, S> {
    pub(crate) queue: K::Fifo,
    pub(crate) packets: u32,
    pub(crate) bytes: usize,
    /// How often the queue was emptied because what was in it had become stale.
    pub(crate) purges: u32,
    limits: Limits,
    /// The longest frame that can come: there is room only if it would fit.
    longest: usize,
    end: ProgramEnd,
    /// The interface is up, whoever listens.
    pub(crate) up: bool,
    /// What whoever puts packets in is told.
    pub(crate) accepting: Result<(), Error>,
    /// What whoever takes packets out is told.
    pub(crate) serving: Result<(), Error>,
    /// How many are to be woken. Below zero: how many wakes are on their way to somebody who has left.
    waiting_consumers: i32,
    waiting_producers: i32,
    selecting: u32,
    pub(crate) counters: Counters,
    pub(crate) mode: S,
}

impl<K: Kernel, S> State<K, S> {
    /// Whether packets may be put in at all. One that may not is counted.
    pub(crate) fn admit(&mut self) -> Result<(), Error> {
        self.accepting.inspect_err(|_| self.counters.refuse(Refusal::Down))
    }

    /// Whether a packet of `bytes` may be put in.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.packets == 0
            || (self.packets < self.limits.packets && self.bytes.saturating_add(bytes) <= self.limits.bytes as usize)
    }

    /// Whether any packet may be put in, however long.
    pub(crate) fn has_room(&self) -> bool {
        self.accepting.is_ok() && self.fits(self.longest)
    }

    /// For how many packets there is room for sure, however long; no more than one section may move.
    fn room(&self) -> u32 {
        if !self.has_room() {
            return 0;
        }
        let packets = self.limits.packets.saturating_sub(self.packets).clamp(1, RUN);
        let bytes = (self.limits.bytes as usize).saturating_sub(self.bytes);
        if bytes >= self.longest.saturating_mul(packets as usize) {
            return packets;
        }
        u32::try_from(bytes.checked_div(self.longest).unwrap_or(1)).unwrap_or(packets).max(1)
    }

    /// Whether there is so much room that whoever waits for it may as well be woken: half the queue. Were it a single
    /// place, a writer that is faster than the reader would sleep and be woken once for each packet.
    fn has_slack(&self) -> bool {
        self.has_room()
            && (self.packets <= self.limits.packets / 2 && self.bytes <= self.limits.bytes as usize / 2
                || self.packets == 0)
    }

    /// Whether the program's call would not wait.
    #[inline(never)]
    fn is_ready(&self) -> bool {
        match self.end {
            ProgramEnd::Consumer => self.packets > 0 || self.serving.is_err(),
            ProgramEnd::Producer => self.has_room(),
        }
    }

    /// Puts a packet in. Its admission was checked by whoever calls.
    #[inline]
    pub(crate) fn put(&mut self, packet: K::Packet) {
        let bytes = packet.len();
        self.counters.accept(bytes);
        self.packets += 1;
        self.bytes += bytes;
        self.queue.push(packet);
    }

    /// Takes the packet that is next.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<K::Packet> {
        let packet = self.queue.pop()?;
        let bytes = packet.len();
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.counters.delivered += 1;
        self.counters.delivered_bytes += bytes as u64;
        Some(packet)
    }

    /// Empties the queue. The packets are to be dropped when the lock is let go, for that calls out.
    #[must_use]
    pub(crate) fn purge(&mut self) -> K::Fifo {
        self.counters.purged += u64::from(self.packets);
        self.purges = self.purges.wrapping_add(1);
        self.packets = 0;
        self.bytes = 0;
        core::mem::take(&mut self.queue)
    }

    /// Whether anybody may have to be woken or told: mostly not.
    #[inline]
    fn is_anyone_concerned(&self, was_serving: bool) -> bool {
        self.waiting_consumers | self.waiting_producers != 0
            || self.selecting != 0
            || was_serving != self.serving.is_ok()
    }

    /// Who can go on, now that things are as they are.
    #[inline(never)]
    fn settle(&mut self, was_ready: bool, was_serving: bool) -> Wakes {
        let mut wakes = Wakes::default();
        if self.waiting_consumers > 0 && (self.packets > 0 || self.serving.is_err()) {
            wakes.consumers = if self.serving.is_ok() { 1 } else { self.waiting_consumers };
            self.waiting_consumers -= wakes.consumers;
        }
        if self.waiting_producers > 0 && (self.accepting.is_err() || self.has_slack()) {
            wakes.producers = if self.accepting.is_ok() { 1 } else { self.waiting_producers };
            self.waiting_producers -= wakes.producers;
        }
        // Selects are told on the edge only: whoever registers later looks for himself.
        wakes.ready = self.selecting > 0 && !was_ready && self.is_ready();
        wakes.trouble = was_serving && self.serving.is_err();
        wakes
    }
}

/// One direction of a device. Each has cache lines of its own: its two ends are on two processors already, and need not
/// hinder those of the other direction.
#[repr(align(64))]
pub(crate) struct Channel<K: Kernel, S: Send> {
    state: K::Lock<State<K, S>>,
    /// For how many packets there was room when the lock was last let go, up to [`RUN`]: saves a full queue's writers an
    /// allocation.
    had_room: AtomicU32,
    end: ProgramEnd,
    consumers: K::WaitPoint,
    /// Where writers wait for room. The stack never waits, so the direction it feeds has none.
    producers: Option<K::WaitPoint>,
    poll: K::Poll,
}

impl<K: Kernel, S: Send> Channel<K, S> {
    /// A queue that a program takes packets out of.
    pub(crate) fn to_user(name: &'static CStr, longest: usize, mode: S) -> Result<Self, Error> {
        Self::new(ProgramEnd::Consumer, K::WaitPoint::new(name)?, None, longest, mode)
    }

    /// A queue that a program puts packets into.
    pub(crate) fn to_stack(name: &'static CStr, room: &'static CStr, longest: usize, mode: S) -> Result<Self, Error> {
        let producers = K::WaitPoint::new(room)?;
        Self::new(ProgramEnd::Producer, K::WaitPoint::new(name)?, Some(producers), longest, mode)
    }

    fn new(
        end: ProgramEnd,
        consumers: K::WaitPoint,
        producers: Option<K::WaitPoint>,
        longest: usize,
        mode: S,
    ) -> Result<Self, Error> {
        let state = State {
            queue: K::Fifo::default(),
            packets: 0,
            bytes: 0,
            purges: 0,
            limits: Limits::DEFAULT,
            longest,
            end,
            up: false,
            accepting: Err(Error::NetworkDown),
            serving: Ok(()),
            waiting_consumers: 0,
            waiting_producers: 0,
            selecting: 0,
            counters: Counters::ZERO,
            mode,
        };
        Ok(Self {
            state: K::Lock::new(state),
            had_room: AtomicU32::new(0),
            end,
            consumers,
            producers,
            poll: K::Poll::new(),
        })
    }

    /// Runs a section under the lock, then wakes whoever can go on.
    #[inline]
    pub(crate) fn with<R>(&self, section: impl FnOnce(&mut State<K, S>) -> R) -> R {
        let (result, wakes) = self.state.with(|state| {
            // Where nobody selects, nobody is to be told: whoever begins to in this section looks for himself.
            let was_ready = state.selecting == 0 || state.is_ready();
            let was_serving = state.serving.is_ok();
            let result = section(state);
            let wakes = state.is_anyone_concerned(was_serving).then(|| state.settle(was_ready, was_serving));
            if self.producers.is_some() {
                self.note_room(state);
            }
            (result, wakes)
        });
        if let Some(wakes) = wakes {
            self.wake(&wakes);
        }
        result
    }

    /// Leaves word of how much room there is.
    #[inline(never)]
    fn note_room(&self, state: &State<K, S>) {
        let room = state.room();
        if self.had_room.load(Ordering::Relaxed) != room {
            self.had_room.store(room, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn wake(&self, wakes: &Wakes) {
        if wakes.consumers > 0 {
            self.consumers.wake(wakes.consumers.unsigned_abs());
        }
        if let (1.., Some(producers)) = (wakes.producers, &self.producers) {
            producers.wake(wakes.producers.unsigned_abs());
        }
        if wakes.ready {
            self.poll.notify(self.end.event());
        }
        if wakes.trouble && self.end == ProgramEnd::Consumer {
            // Both: Haiku's select for writing waits for errors but not for hang-ups.
            self.poll.notify(Event::Error);
            self.poll.notify(Event::Disconnected);
        }
    }

    /// Takes the next packet, waiting for one if need be.
    pub(crate) fn pop(&self, wait: Wait) -> Result<K::Packet, Error> {
        self.when_filled(wait, |state| state.take())?.ok_or(Error::WouldBlock)
    }

    /// Runs a section as soon as there is a packet.
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

    /// Puts a packet in, if there is room.
    pub(crate) fn push(&self, packet: K::Packet) -> Result<(), Error> {
        let mut packet = Some(packet);
        self.when_room(Wait::No, |state| {
            if let Some(packet) = packet.take() {
                state.put(packet);
            }
        })
    }

    /// Puts in a packet of the device's own. Unlike a program's it goes whenever somebody takes packets out.
    pub(crate) fn offer(&self, packet: K::Packet) -> Result<(), Error> {
        let mut packet = Some(packet);
        self.with(|state| {
            state.serving?;
            match packet.take() {
                Some(fitting) if state.fits(fitting.len()) => state.put(fitting),
                unfitting => packet = unfitting,
            }
            Ok(())
        })?;
        // Dropped with the lock free, for that calls out.
        if packet.is_some() { Err(Error::QueueFull) } else { Ok(()) }
    }

    /// Returns when there is room, and for how many packets; or the reason why there will be none. A hint: the room may
    /// be gone again.
    pub(crate) fn await_room(&self, wait: Wait) -> Result<u32, Error> {
        match self.had_room.load(Ordering::Relaxed) {
            0 => self.when_room(wait, |_| ()).map(|()| 1),
            room => Ok(room),
        }
    }

    /// Runs a section as soon as there is room.
    pub(crate) fn when_room(&self, wait: Wait, mut section: impl FnMut(&mut State<K, S>)) -> Result<(), Error> {
        loop {
            let done = self.with(|state| {
                state.admit()?;
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

    /// Waits for the wake that the count of waiters promises. Whoever counts himself calls this, once.
    fn sleep(
        &self,
        point: &K::WaitPoint,
        interruptible: Interruptible,
        waiting: impl FnOnce(&mut State<K, S>) -> &mut i32,
    ) -> Result<(), Error> {
        let Err(error) = point.wait(interruptible) else { return Ok(()) };
        // A signal came first. If the count had us no longer, a wake is on its way to us: the count is below zero then, and
        // whoever waits next uses that wake up. It is not waited for here: somebody else may have used it up already.
        self.with(|state| *waiting(state) -= 1);
        Err(error)
    }

    /// Registers a select for the program's event on this queue; tells it at once if it holds already.
    pub(crate) fn select(&self, entry: &<K::Poll as Poll>::Entry) -> Result<(), Error> {
        let event = self.end.event();
        self.poll.add(entry, event)?;
        let ready = self.with(|state| {
            state.selecting += 1;
            state.is_ready()
        });
        if ready {
            K::Poll::notify_entry(entry, event);
        }
        Ok(())
    }

    /// Takes such a select out again.
    pub(crate) fn deselect(&self, entry: &<K::Poll as Poll>::Entry) {
        if self.poll.remove(entry, self.end.event()) {
            self.with(|state| state.selecting = state.selecting.saturating_sub(1));
        }
    }

    /// Registers a select for [`Event::Error`] or [`Event::Disconnected`]: they hold while nobody is served.
    pub(crate) fn select_trouble(&self, entry: &<K::Poll as Poll>::Entry, event: Event) -> Result<(), Error> {
        self.poll.add(entry, event)?;
        if self.with(|state| state.serving.is_err()) {
            K::Poll::notify_entry(entry, event);
        }
        Ok(())
    }

    /// Takes such a select out again.
    pub(crate) fn deselect_trouble(&self, entry: &<K::Poll as Poll>::Entry, event: Event) {
        self.poll.remove(entry, event);
    }

    /// What the queue holds.
    pub(crate) fn backlog(&self) -> Backlog {
        self.with(|state| state.backlog())
    }

    /// Looks at the state without waiting for the lock.
    pub(crate) fn glance<R>(&self, look: impl FnOnce(&State<K, S>) -> R) -> Option<R> {
        self.state.try_with(|state| look(state))
    }

    /// What the queue may hold.
    pub(crate) fn limits(&self) -> Limits {
        self.with(|state| state.limits)
    }

    /// Sets what the queue may hold; what is in it already stays.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.with(|state| state.limits = Limits { packets: limits.packets.max(1), bytes: limits.bytes });
    }

    /// Sets the longest frame that can come.
    pub(crate) fn set_longest(&self, longest: usize) {
        self.with(|state| state.longest = longest);
    }
}

impl<K: Kernel, S> State<K, S> {
    /// What the queue holds.
    pub(crate) fn backlog(&self) -> Backlog {
        let bytes = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        let next = u32::try_from(self.queue.front_length()).unwrap_or(u32::MAX);
        Backlog { packets: self.packets, bytes, next }
    }
}
