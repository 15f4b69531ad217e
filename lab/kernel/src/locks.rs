//! The kernel's own sleeping locks: they may be held while a driver's hook runs, and so wait like everything else.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;

use haiku_sys::{B_OK, thread_id};

use crate::guarded::Guarded;
use crate::interrupts;
use crate::panic::kpanic;
use crate::schedule::{self, Place};
use crate::thread::{ThreadRef, this};
use crate::wait::{Claim, Interruption};

const WRITER: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;
const READERS: u32 = WAITERS - 1;
const NO_OWNER: thread_id = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// A readers-writer lock that is first come, first served, and that its writer may take again, as Haiku's
/// `rw_lock` and `recursive_lock`.
#[derive(Debug)]
pub(crate) struct Lock {
    name: &'static str,
    state: AtomicU32,
    owner: AtomicI32,
    depth: AtomicU32,
    queue: Mutex<VecDeque<(ThreadRef, Kind)>>,
}

impl Lock {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            state: AtomicU32::new(0),
            owner: AtomicI32::new(NO_OWNER),
            depth: AtomicU32::new(0),
            queue: Mutex::new(VecDeque::new()),
        }
    }

    /// Shared access.
    #[inline]
    pub(crate) fn read(&self) -> ReadGuard<'_> {
        schedule::point("rw_lock_read_lock");
        let state = self.state.load(Ordering::Relaxed);
        let free = state & (WRITER | WAITERS) == 0;
        if !free || self.state.compare_exchange(state, state + 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.read_slowly();
        }
        ReadGuard(self)
    }

    #[cold]
    fn read_slowly(&self) {
        let this = this();
        if self.owner.load(Ordering::Relaxed) == this.id() {
            self.depth.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.wait(this, Kind::Read);
    }

    /// Exclusive access; again, for the thread that has it.
    pub(crate) fn write(&self) -> WriteGuard<'_> {
        interrupts::check("rw_lock_write_lock()");
        let this = this();
        if self.owner.load(Ordering::Relaxed) == this.id() {
            self.depth.fetch_add(1, Ordering::Relaxed);
        } else if self.state.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.owner.store(this.id(), Ordering::Relaxed);
        } else {
            self.wait(this, Kind::Write);
        }
        WriteGuard(self)
    }

    fn wait(&self, this: ThreadRef, kind: Kind) {
        {
            let mut queue = self.queue.guarded();
            let state = self.state.fetch_or(WAITERS, Ordering::SeqCst);
            let free = match kind {
                Kind::Read => state & WRITER == 0 && queue.is_empty(),
                Kind::Write => state & (WRITER | READERS) == 0 && queue.is_empty(),
            };
            if free {
                self.take(this, kind);
                self.state.fetch_and(!WAITERS, Ordering::SeqCst);
                return;
            }
            this.parker().prepare(Interruption::Never);
            queue.push_back((this, kind));
        }
        let status = this.parker().block(None, Place::Lock(self.name));
        if status != B_OK {
            kpanic!("waiting for the lock \"{}\" ended with {status:#x}", self.name);
        }
    }

    fn take(&self, thread: ThreadRef, kind: Kind) {
        match kind {
            Kind::Read => {
                self.state.fetch_add(1, Ordering::SeqCst);
            }
            Kind::Write => {
                self.state.fetch_or(WRITER, Ordering::SeqCst);
                self.owner.store(thread.id(), Ordering::Relaxed);
            }
        }
    }

    /// Hands the lock to the next waiters.
    #[cold]
    fn hand_over(&self) {
        let mut woken = Vec::new();
        {
            let mut queue = self.queue.guarded();
            while let Some(&(thread, kind)) = queue.front() {
                let state = self.state.load(Ordering::SeqCst);
                let free = state & WRITER == 0 && (kind == Kind::Read || state & READERS == 0);
                if !free {
                    break;
                }
                queue.pop_front();
                self.take(thread, kind);
                if thread.parker().claim(B_OK) == Claim::MustWake {
                    woken.push(thread);
                }
            }
            if queue.is_empty() {
                self.state.fetch_and(!WAITERS, Ordering::SeqCst);
            }
        }
        for thread in woken {
            thread.parker().wake();
        }
    }
}

/// Shared access until it is dropped.
pub(crate) struct ReadGuard<'a>(&'a Lock);

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        let lock = self.0;
        if lock.state.load(Ordering::Relaxed) & WRITER != 0 {
            // Only the writer itself can be reading now.
            lock.depth.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let before = lock.state.fetch_sub(1, Ordering::SeqCst);
        if before & WAITERS != 0 && before & READERS == 1 {
            lock.hand_over();
        }
    }
}

/// Exclusive access until it is dropped.
pub(crate) struct WriteGuard<'a>(&'a Lock);

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        let lock = self.0;
        if lock.depth.load(Ordering::Relaxed) > 0 {
            lock.depth.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        lock.owner.store(NO_OWNER, Ordering::Relaxed);
        let before = lock.state.fetch_and(!WRITER, Ordering::SeqCst);
        if before & WAITERS != 0 {
            lock.hand_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn readers_share_and_a_writer_excludes() {
        let lock = Arc::new(Lock::new("test"));
        let counter = Arc::new(Mutex::new((0_u64, 0_u64)));
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (lock, counter) = (Arc::clone(&lock), Arc::clone(&counter));
                std::thread::spawn(move || {
                    for round in 0..2000 {
                        if (worker + round) % 3 == 0 {
                            let _write = lock.write();
                            let mut pair = counter.lock().unwrap();
                            pair.0 += 1;
                            drop(pair);
                            std::thread::yield_now();
                            counter.lock().unwrap().1 += 1;
                        } else {
                            let _read = lock.read();
                            let pair = *counter.lock().unwrap();
                            assert_eq!(pair.0, pair.1);
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(lock.state.load(Ordering::SeqCst), 0);
        assert_eq!(counter.lock().unwrap().0, 2667);
    }

    #[test]
    fn the_writer_may_write_and_read_again() {
        let lock = Lock::new("test");
        let outer = lock.write();
        {
            let _inner = lock.write();
            let _read = lock.read();
        }
        assert_ne!(lock.state.load(Ordering::SeqCst), 0);
        drop(outer);
        assert_eq!(lock.state.load(Ordering::SeqCst), 0);
    }
}
