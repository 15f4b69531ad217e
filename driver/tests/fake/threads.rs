//! The scheduler of the tests on this machine's own threads. Who waits a minute is taken for lost: a lost wake fails,
//! and does not hang.

use std::sync::{LockResult, MutexGuard};
use std::time::Duration;

pub(crate) use std::sync::Mutex;
pub(crate) use std::{thread, thread_local};

/// How long nothing on a machine in good health takes.
pub(crate) const LOST: Duration = Duration::from_secs(60);

/// The standard condition variable, with a time limit for every wait.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the standard one's signature, and the other schedulers'")]
    pub(crate) fn wait<'g, T>(&self, guard: MutexGuard<'g, T>) -> LockResult<MutexGuard<'g, T>> {
        let (guard, end) = self.0.wait_timeout(guard, LOST).expect("no thread that held the lock has failed");
        assert!(!end.timed_out(), "a wake was lost, or never sent");
        Ok(guard)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
