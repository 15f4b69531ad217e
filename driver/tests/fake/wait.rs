//! Where threads wait: a semaphore that minds what is left over.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use tuntap_driver::{Error, Interruptible};

use crate::fake::Task;
use crate::sync::{Condvar, Mutex};

/// A counting semaphore. When it is dropped, it must have no waiters, and no more unused wakes than waits that a signal ended.
pub(crate) struct WaitPoint {
    name: &'static CStr,
    semaphore: Arc<Semaphore>,
}

pub(super) struct Semaphore {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wakes: u32,
    waiting: u32,
    /// How many waits a signal has ended.
    interrupted: u32,
}

impl std::fmt::Debug for Semaphore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Semaphore")
    }
}

impl Semaphore {
    /// Makes the waiters check for signals.
    pub(super) fn rouse(&self) {
        let _state = self.state.lock().unwrap();
        self.changed.notify_all();
    }
}

impl tuntap_driver::WaitPoint for WaitPoint {
    fn new(name: &'static CStr) -> Result<Self, Error> {
        let task = Task::current();
        task.must_not_spin("making a semaphore");
        task.world.allocate()?;
        let semaphore = Semaphore { state: Mutex::new(State::default()), changed: Condvar::new() };
        Ok(Self { name, semaphore: Arc::new(semaphore) })
    }

    fn wait(&self, interruptible: Interruptible) -> Result<(), Error> {
        let task = Task::current();
        task.must_hold_nothing("waiting");
        task.world.about_to_sleep();
        let mut state = self.semaphore.state.lock().unwrap();
        state.waiting += 1;
        task.sleeps_at(Some(Arc::clone(&self.semaphore)));
        task.world.asleep();
        let result = loop {
            let signalled = interruptible == Interruptible::Yes && task.has_signal();
            if signalled && (state.wakes == 0 || task.world.signal_wins.load(SeqCst)) {
                task.take_signal();
                state.interrupted += 1;
                break Err(Error::Interrupted);
            }
            if let Some(left) = state.wakes.checked_sub(1) {
                state.wakes = left;
                break Ok(());
            }
            state = self.semaphore.changed.wait(state).unwrap();
        };
        task.world.awake();
        task.sleeps_at(None);
        state.waiting -= 1;
        result
    }

    fn wake(&self, count: u32) {
        Task::current().must_not_spin("waking");
        assert!(count > 0, "a kernel call that wakes no waiter");
        Task::current().world.woken();
        self.semaphore.state.lock().unwrap().wakes += count;
        self.semaphore.changed.notify_all();
    }
}

impl Drop for WaitPoint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let state = self.semaphore.state.lock().unwrap();
        assert_eq!(state.waiting, 0, "a thread waits at {:?}, which is being dropped", self.name);
        assert!(state.wakes <= state.interrupted, "a wake was left over at {:?}", self.name);
    }
}
