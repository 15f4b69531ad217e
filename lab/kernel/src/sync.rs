//! A mutex and a condition variable for code of the emulated kernel that is written like a program: the stack's.
//!
//! Waiting for a condition goes through the kernel's one place where threads wait, so that the [deterministic
//! mode](crate::schedule) knows of it. The mutex is the standard library's, except in the deterministic mode.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{self, PoisonError, TryLockError};

use haiku_sys::{B_OK, bigtime_t};

use crate::guarded::Guarded;
use crate::schedule::{self, Place};
use crate::sem::Woken;
use crate::thread::{ThreadRef, this};
use crate::wait::{self, Interruption};

/// Threads that wait.
#[derive(Debug, Default)]
struct Queue {
    count: AtomicUsize,
    threads: sync::Mutex<Vec<ThreadRef>>,
}

impl Queue {
    const fn new() -> Self {
        Self { count: AtomicUsize::new(0), threads: sync::Mutex::new(Vec::new()) }
    }

    /// Enters the queue. The calling thread must block next.
    fn enter(&self) -> ThreadRef {
        let this = this();
        this.parker().prepare(Interruption::Never);
        self.threads.guarded().push(this);
        self.count.fetch_add(1, Ordering::SeqCst);
        this
    }

    fn leave(&self, thread: ThreadRef) {
        let mut threads = self.threads.guarded();
        if let Some(index) = threads.iter().position(|other| core::ptr::eq(*other, thread)) {
            threads.remove(index);
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn wake(&self, most: usize) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        // Threads are claimed under the lock: a thread that is still in the queue is in this wait and no other. They
        // are woken without it, because the woken thread may want the lock next.
        let (mut count, mut woken) = (0, Woken::default());
        let mut threads = self.threads.guarded();
        while count < most && !threads.is_empty() {
            let thread = threads.remove(0);
            self.count.fetch_sub(1, Ordering::SeqCst);
            // A thread whose time is up does not consume another one's wake.
            count += usize::from(woken.claim(thread, B_OK));
        }
        drop(threads);
        woken.wake();
    }
}

/// A mutex. It does not know of panics: a lab must be able to shut down after one.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    inner: sync::Mutex<T>,
    queue: Queue,
}

impl<T> Mutex<T> {
    /// A free mutex.
    pub const fn new(value: T) -> Self {
        Self { inner: sync::Mutex::new(value), queue: Queue::new() }
    }

    /// Waits for the mutex.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if !schedule::is_deterministic() {
            return self.guard(self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        }
        schedule::point("lock of the stack");
        loop {
            match self.inner.try_lock() {
                Ok(guard) => return self.guard(guard),
                Err(TryLockError::Poisoned(error)) => return self.guard(error.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    self.queue.enter().parker().block(None, Place::StackLock);
                }
            }
        }
    }

    const fn guard<'a>(&'a self, guard: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { guard: Some(guard), mutex: self }
    }
}

/// Access to what a mutex guards, until it is dropped.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    guard: Option<sync::MutexGuard<'a, T>>,
    mutex: &'a Mutex<T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("the guard is there until it is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("the guard is there until it is dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.guard = None;
        self.mutex.queue.wake(1);
    }
}

/// A condition variable.
#[derive(Debug, Default)]
pub struct Condvar {
    queue: Queue,
}

impl Condvar {
    /// Returns a condition variable without waiters.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: Queue::new() }
    }

    /// Waits to be notified.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_until(guard, None)
    }

    /// Waits to be notified, but no longer than this.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
        // Rounded up: the clock has no parts of a microsecond, and a wait of none would come again and again.
        let time = i64::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX);
        self.wait_until(guard, Some(wait::now().saturating_add(time)))
    }

    /// Waits while something is so, but no longer than this.
    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
        mut so: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let end = schedule::instant() + time;
        while so(&mut guard) {
            let left = end.saturating_duration_since(schedule::instant());
            if left.is_zero() {
                break;
            }
            guard = self.wait_timeout(guard, left);
        }
        guard
    }

    fn wait_until<'a, T>(&self, guard: MutexGuard<'a, T>, deadline: Option<bigtime_t>) -> MutexGuard<'a, T> {
        let this = self.queue.enter();
        let mutex = guard.mutex;
        drop(guard);
        // The thread that claims this one removes it from the queue.
        if this.parker().block(deadline, Place::StackCondition) != B_OK {
            self.queue.leave(this);
        }
        mutex.lock()
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.queue.wake(1);
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.queue.wake(usize::MAX);
    }
}
