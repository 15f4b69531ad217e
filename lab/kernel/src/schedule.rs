//! The deterministic mode: one emulated thread runs at a time, a seed decides which, and time is virtual.
//!
//! A thread runs until it waits, ends, or reaches a [`point`] (a kernel call, a lock, a hook, a wake) where the generator
//! switches to another. Time stands still while any thread can run, and then jumps to the next deadline. If there is none,
//! no thread will ever run again: that is reported, with every waiter and its place. So a seed determines a run, and
//! [`Trace`] tells whether two runs were equal.
//!
//! Only the thread that started the kernel and those it [`spawn`](crate::thread::spawn)s take part. They must wait only
//! through the kernel ([`crate::sync`] has locks for code outside it): a thread that waits for Linux blocks all others.

use core::cell::Cell;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use haiku_sys::{bigtime_t, sem_id, thread_id};

use crate::futex;
use crate::guarded::Guarded;
use crate::panic::kpanic;
use crate::random;

/// How a kernel in the deterministic mode chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What every choice follows from.
    pub seed: u64,
}

/// What happened since the kernel was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Every event, in one number.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How often the turn went to another thread.
    pub switches: u64,
}

/// Where a thread waits, for the report.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A semaphore, and where its name is found.
    Semaphore(sem_id, fn(sem_id) -> String),
    Mutex,
    Lock(&'static str),
    Thread(thread_id),
    Snooze,
    StackLock,
    StackCondition,
    /// In a test of the waiting itself.
    #[cfg(test)]
    Test,
}

/// A thread that takes part. Its memory is never given back.
#[derive(Debug)]
pub(crate) struct Task {
    turn: AtomicU32,
    number: u32,
    name: String,
}

pub(crate) type TaskRef = &'static Task;

struct State {
    random: u64,
    /// A point gives the turn away once in so many times.
    every: u64,
    now: bigtime_t,
    made: u32,
    ready: Vec<TaskRef>,
    waiting: Vec<(TaskRef, Option<bigtime_t>, Place)>,
    /// Threads that run only if no other thread can.
    quiet: Vec<TaskRef>,
    trace: Trace,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// The virtual time of the start; not zero, so that a deadline of zero has passed.
const START: bigtime_t = 1_000_000;

thread_local! {
    static TASK: Cell<Option<TaskRef>> = const { Cell::new(None) };
}

/// The calling thread's task, if it takes part.
#[inline]
pub(crate) fn current() -> Option<TaskRef> {
    TASK.get()
}

/// The calling thread's number, if it takes part.
pub(crate) fn number() -> Option<u32> {
    current().map(|task| task.number)
}

/// Whether the calling thread is one of a kernel in the deterministic mode.
#[must_use]
pub fn is_deterministic() -> bool {
    current().is_some()
}

impl State {
    fn seed(&mut self, seed: u64) {
        self.random = seed ^ 0x7363_6865_6475_6c65;
        // Some faults need many changes of turn, some a thread that gets far before its first.
        self.every = [2, 4, 10, 40][self.random() as usize % 4];
    }

    fn random(&mut self) -> u64 {
        random::next(&mut self.random)
    }

    fn note(&mut self, task: TaskRef, what: &'static str) {
        let mut hash = self.trace.hash ^ u64::from(task.number) ^ self.now.cast_unsigned().rotate_left(32);
        for bytes in what.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        self.trace.hash = hash;
        self.trace.events += 1;
    }

    fn task(&mut self, name: &str) -> TaskRef {
        let number = self.made;
        self.made += 1;
        Box::leak(Box::new(Task { turn: AtomicU32::new(0), number, name: name.to_owned() }))
    }

    /// Chooses the next thread when the current one cannot go on. `None`: no thread can run, for ever.
    fn next(&mut self) -> Option<TaskRef> {
        if self.ready.is_empty() && !self.quiet.is_empty() {
            return Some(self.quiet.remove(0));
        }
        if self.ready.is_empty() {
            self.now = self.now.max(self.waiting.iter().filter_map(|(_, deadline, _)| *deadline).min()?);
            let now = self.now;
            let due = self.waiting.extract_if(.., |(_, deadline, _)| deadline.is_some_and(|time| time <= now));
            self.ready.extend(due.map(|(task, ..)| task));
        }
        let index = self.random() % self.ready.len() as u64;
        Some(self.ready.swap_remove(index as usize))
    }

    fn report(&self) -> String {
        let mut text = String::from("every thread waits, and no deadline will end that:");
        for (task, _, place) in &self.waiting {
            let place = match place {
                Place::Semaphore(id, name) => format!("for the semaphore \"{}\"", name(*id)),
                Place::Mutex => "for a mutex".to_owned(),
                Place::Lock(name) => format!("for the lock \"{name}\""),
                Place::Thread(id) => format!("for the end of thread {id}"),
                Place::Snooze => "in snooze()".to_owned(),
                Place::StackLock => "for a lock of the stack".to_owned(),
                Place::StackCondition => "for a condition of the stack".to_owned(),
                #[cfg(test)]
                Place::Test => "in a test".to_owned(),
            };
            let _ = write!(text, "\n  \"{}\" waits {place}", task.name);
        }
        text
    }
}

/// Starts the mode, with the calling thread as the one whose turn it is; its parker must learn of the task.
pub(crate) fn start(schedule: Schedule) -> TaskRef {
    let mut state = State {
        random: 0,
        every: 1,
        now: START,
        made: 0,
        ready: Vec::new(),
        waiting: Vec::new(),
        quiet: Vec::new(),
        trace: Trace::default(),
    };
    state.seed(schedule.seed);
    let task = state.task("main");
    *STATE.guarded() = Some(state);
    TASK.set(Some(task));
    task
}

/// Ends the mode, if the calling thread takes part, whose parker must then forget its task. Threads that still wait do so
/// for ever.
pub(crate) fn stop() -> bool {
    let was_on = TASK.take().is_some();
    if was_on {
        *STATE.guarded() = None;
    }
    was_on
}

/// Does something to the state, if the mode is still on.
fn with<R>(act: impl FnOnce(&mut State) -> R) -> Option<R> {
    STATE.guarded().as_mut().map(act)
}

/// A new task, ready to run. The thread must begin with [`Turn::take`].
pub(crate) fn make(name: &str) -> Option<Turn> {
    current()?;
    with(|state| {
        let task = state.task(name);
        state.ready.push(task);
        Turn(task)
    })
}

/// A thread's part in the mode, from its beginning to its end.
pub(crate) struct Turn(TaskRef);

impl Turn {
    /// Waits for the first turn.
    pub(crate) fn take(&self) {
        self.0.wait();
        TASK.set(Some(self.0));
    }
}

impl Drop for Turn {
    /// Gives the turn away for ever.
    fn drop(&mut self) {
        if TASK.take().is_none() {
            return;
        }
        let next = with(|state| {
            state.note(self.0, "end");
            state.next()
        });
        match next {
            Some(Some(next)) => next.give(),
            Some(None) => deadlock(),
            None => {}
        }
    }
}

impl Task {
    fn wait(&self) {
        while self.turn.swap(0, Ordering::SeqCst) == 0 {
            futex::wait(&self.turn, 0, None);
        }
    }

    fn give(&self) {
        self.turn.store(1, Ordering::SeqCst);
        futex::wake(&self.turn);
    }

    /// Gives the turn to another and waits to get it back.
    fn hand_to(&'static self, next: TaskRef) {
        if !core::ptr::eq(self, next) {
            next.give();
            self.wait();
        }
    }
}

/// A place where the turn may change.
#[inline]
pub fn point(what: &'static str) {
    if let Some(task) = current() {
        visit(task, what);
    }
}

#[inline(never)]
fn visit(task: TaskRef, what: &'static str) {
    let next = with(|state| {
        state.note(task, what);
        if state.ready.is_empty() || state.random() % state.every != 0 {
            return None;
        }
        state.trace.switches += 1;
        let index = state.random() % state.ready.len() as u64;
        Some(core::mem::replace(&mut state.ready[index as usize], task))
    });
    if let Some(Some(next)) = next {
        task.hand_to(next);
    }
}

fn leave(task: TaskRef, what: &'static str, put: impl FnOnce(&mut State)) {
    let next = with(|state| {
        state.note(task, what);
        put(state);
        state.trace.switches += 1;
        state.next()
    });
    match next {
        Some(Some(next)) => task.hand_to(next),
        Some(None) => deadlock(),
        // The kernel has ended, and this thread was left over.
        None => task.wait(),
    }
}

/// Waits until [`wake`] or the deadline.
pub(crate) fn block(task: TaskRef, deadline: Option<bigtime_t>, place: Place) {
    leave(task, "wait", |state| state.waiting.push((task, deadline, place)));
}

/// Lets a thread that waits run again.
pub(crate) fn wake(task: TaskRef) {
    with(|state| {
        if let Some(index) = state.waiting.iter().position(|(other, ..)| core::ptr::eq(*other, task)) {
            state.waiting.remove(index);
            state.ready.push(task);
        }
    });
}

#[cold]
fn deadlock() {
    let report = with(|state| state.report()).unwrap_or_default();
    kpanic!("{report}");
}

/// Waits until every other thread waits; does nothing outside the mode. Deadlines do not pass meanwhile.
pub fn quiesce() {
    if let Some(task) = current() {
        leave(task, "quiesce", |state| state.quiet.push(task));
    }
}

/// Lets all further choices follow from another seed, so that what follows is less a matter of what came before.
pub fn reseed(seed: u64) {
    with(|state| state.seed(seed));
}

/// The virtual time, for a thread that takes part.
pub(crate) fn now() -> Option<bigtime_t> {
    current()?;
    with(|state| state.now)
}

/// What happened so far; nothing outside the mode.
#[must_use]
pub fn trace() -> Trace {
    with(|state| state.trace).unwrap_or_default()
}

/// The present, which is virtual in the deterministic mode: for code outside the kernel that measures time.
#[must_use]
pub fn instant() -> Instant {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    match now() {
        None => Instant::now(),
        Some(now) => *ORIGIN.get_or_init(Instant::now) + Duration::from_micros(now.cast_unsigned()),
    }
}
