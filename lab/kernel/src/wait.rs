//! The one place where threads wait, and the clock they wait by.
//!
//! A thread announces that it is about to block, enters some queue, and blocks; the thread that takes it out of the queue
//! claims it with a status, and exactly one claim succeeds: release, deletion, signal or timeout. Everything that
//! waits (semaphores, recursive locks, the kernel's own locks, snoozing, waiting for a thread) comes through here. In the
//! [deterministic mode](crate::schedule) a thread that blocks gives its turn away, and the clock is that mode's.

use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use haiku_sys::{B_OK, B_TIMED_OUT, bigtime_t, status_t};

use crate::futex;
use crate::guarded::Guarded;
use crate::schedule::{self, Place, Task, TaskRef};

/// The thread is not waiting.
const RUNNING: u32 = 0;
/// It is about to block, or blocked.
const BLOCKED: u32 = 1;
/// It sleeps in a futex and must be woken there.
const PARKED: u32 = 2;
/// A signal ends the wait.
const BY_SIGNAL: u32 = 4;
/// A killing signal ends the wait.
const BY_KILL: u32 = 8;
/// It was claimed with `B_OK`. Every other claim leaves its status, which is negative, in the word.
const CLAIMED_OK: u32 = 16;

/// What may end a wait early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    Never,
    Signals,
    KillingSignals,
}

/// One thread's ability to wait.
#[derive(Debug)]
pub(crate) struct Parker {
    word: AtomicU32,
    /// The thread's part in the deterministic mode; null without one.
    task: AtomicPtr<Task>,
}

impl Parker {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(RUNNING), task: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Says which part the thread has in the deterministic mode.
    pub(crate) fn belong_to(&self, task: Option<TaskRef>) {
        let task = task.map_or(core::ptr::null_mut(), |task| core::ptr::from_ref(task).cast_mut());
        self.task.store(task, Ordering::SeqCst);
    }

    fn task(&self) -> Option<TaskRef> {
        // SAFETY: null or what `belong_to` stored: a task, and those are never given back.
        unsafe { self.task.load(Ordering::SeqCst).as_ref() }
    }

    /// Announces a wait: from now on the thread can be claimed.
    pub(crate) fn prepare(&self, by: Interruption) {
        let word = match by {
            Interruption::Never => BLOCKED,
            Interruption::Signals => BLOCKED | BY_SIGNAL | BY_KILL,
            Interruption::KillingSignals => BLOCKED | BY_KILL,
        };
        self.word.store(word, Ordering::SeqCst);
    }

    /// Whether the thread sleeps, or is about to with nothing left to do before it.
    fn is_asleep(&self) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        word & PARKED != 0 && !is_claimed(word)
    }

    /// Takes the announcement back; only for a thread that is in no queue yet.
    pub(crate) fn cancel(&self) {
        self.word.store(RUNNING, Ordering::SeqCst);
    }

    /// Whether the thread still waits and could be claimed.
    pub(crate) fn is_blocked(&self) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        word & BLOCKED != 0 && !is_claimed(word)
    }

    /// Ends the wait with a status, unless something else has ended it already. The caller must call
    /// [`Self::wake`] afterwards if it says so; it may first let go of its locks.
    pub(crate) fn claim(&self, status: status_t) -> Claim {
        self.claim_if(status, |_| true)
    }

    /// Ends the wait as a signal does, if the wait lets it.
    pub(crate) fn interrupt(&self, status: status_t, kill: bool) -> Claim {
        self.claim_if(status, |word| word & if kill { BY_KILL } else { BY_SIGNAL } != 0)
    }

    fn claim_if(&self, status: status_t, eligible: impl Fn(u32) -> bool) -> Claim {
        let claimed = if status == B_OK { CLAIMED_OK } else { status.cast_unsigned() };
        let mut word = self.word.load(Ordering::SeqCst);
        loop {
            if word == RUNNING || is_claimed(word) || !eligible(word) {
                return Claim::TooLate;
            }
            match self.word.compare_exchange_weak(word, claimed, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if word & PARKED != 0 => return Claim::MustWake,
                Ok(_) => return Claim::Done,
                Err(now) => word = now,
            }
        }
    }

    /// Wakes a thread that was claimed while it slept. Waking one that does not sleep does no harm.
    pub(crate) fn wake(&self) {
        match self.task() {
            Some(task) => schedule::wake(task),
            None => futex::wake(&self.word),
        }
    }

    /// Sleeps until claimed, or until `deadline` on the system clock, and returns the claim's status.
    pub(crate) fn block(&self, deadline: Option<bigtime_t>, place: Place) -> status_t {
        let mut word = self.word.load(Ordering::SeqCst);
        loop {
            if is_claimed(word) {
                self.word.store(RUNNING, Ordering::SeqCst);
                return if word == CLAIMED_OK { B_OK } else { word.cast_signed() };
            }
            let parked = word | PARKED;
            if word != parked
                && let Err(now) = self.word.compare_exchange(word, parked, Ordering::SeqCst, Ordering::SeqCst)
            {
                word = now;
                continue;
            }
            let in_time = match schedule::current() {
                Some(_) if deadline.is_some_and(|time| time <= now()) => false,
                Some(task) => {
                    schedule::block(task, deadline, place);
                    true
                }
                None => {
                    tell_watchers();
                    futex::wait(&self.word, parked, deadline)
                }
            };
            if !in_time {
                // The time is up, and this thread may claim itself.
                let _ = self.claim(B_TIMED_OUT);
            }
            word = self.word.load(Ordering::SeqCst);
        }
    }
}

/// How many threads watch others fall asleep.
static WATCHERS: AtomicU32 = AtomicU32::new(0);
static WATCH: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// Some thread falls asleep, or ended.
pub(crate) fn tell_watchers() {
    if WATCHERS.load(Ordering::SeqCst) != 0 {
        drop(WATCH.guarded());
        CHANGED.notify_all();
    }
}

/// Waits until the thread sleeps; false if `find` no longer finds it.
pub(crate) fn watch<'a>(find: impl Fn() -> Option<&'a Parker>) -> bool {
    if schedule::is_deterministic() {
        // Once no other thread can run, every thread that has not ended waits.
        schedule::quiesce();
        return find().is_some();
    }
    WATCHERS.fetch_add(1, Ordering::SeqCst);
    let mut guard = WATCH.guarded();
    let asleep = loop {
        match find() {
            None => break false,
            Some(parker) if parker.is_asleep() => break true,
            Some(_) => guard = CHANGED.wait(guard).unwrap_or_else(PoisonError::into_inner),
        }
    };
    WATCHERS.fetch_sub(1, Ordering::SeqCst);
    asleep
}

const fn is_claimed(word: u32) -> bool {
    word >= CLAIMED_OK
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Claim {
    /// The wait had ended, or cannot be ended this way.
    TooLate,
    /// The wait ends; the thread is still awake.
    Done,
    /// The wait ends; the thread sleeps and must be woken.
    MustWake,
}

/// `system_time`: microseconds on the monotonic clock, or on the virtual one.
pub(crate) fn now() -> bigtime_t {
    if let Some(now) = schedule::now() {
        return now;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists and the result is written to a live local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_system_time() -> bigtime_t {
    now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use haiku_sys::{B_BAD_SEM_ID, B_INTERRUPTED};
    use std::sync::Arc;

    #[test]
    fn the_first_claim_wins() {
        let parker = Parker::new();
        assert_eq!(parker.claim(B_OK), Claim::TooLate);
        parker.prepare(Interruption::Never);
        assert!(parker.is_blocked());
        assert_eq!(parker.interrupt(B_INTERRUPTED, false), Claim::TooLate);
        assert_eq!(parker.claim(B_BAD_SEM_ID), Claim::Done);
        assert!(!parker.is_blocked());
        assert_eq!(parker.claim(B_OK), Claim::TooLate);
        assert_eq!(parker.block(None, Place::Test), B_BAD_SEM_ID);
    }

    #[test]
    fn killing_signals_end_waits_that_other_signals_do_not() {
        let parker = Parker::new();
        parker.prepare(Interruption::KillingSignals);
        assert_eq!(parker.interrupt(B_INTERRUPTED, false), Claim::TooLate);
        assert_eq!(parker.interrupt(B_INTERRUPTED, true), Claim::Done);
        assert_eq!(parker.block(None, Place::Test), B_INTERRUPTED);
    }

    #[test]
    fn a_deadline_that_has_passed_ends_the_wait() {
        let parker = Parker::new();
        parker.prepare(Interruption::Never);
        assert_eq!(parker.block(Some(now()), Place::Test), B_TIMED_OUT);
    }

    #[test]
    fn a_sleeper_is_woken_by_its_claim() {
        let parker = Arc::new(Parker::new());
        parker.prepare(Interruption::Never);
        let sleeper = std::thread::spawn({
            let parker = Arc::clone(&parker);
            move || parker.block(None, Place::Test)
        });
        assert!(watch(|| Some(&*parker)));
        assert_eq!(parker.claim(B_OK), Claim::MustWake);
        parker.wake();
        assert_eq!(sleeper.join().unwrap(), B_OK);
    }
}
