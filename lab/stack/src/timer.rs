//! The stack's timer thread: what ARP, neighbour discovery and retransmissions wait on.
//!
//! No reply ever waits for it. A request that is due at once wakes it at once, and on Haiku too it is this thread,
//! not the one that wanted to send, that hands resolution requests to the driver.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use haiku_kernel::schedule::instant;
use haiku_kernel::sync::{Condvar, Mutex};

use super::fifo::lock;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A neighbour's next request, or the end of its entry.
    Neighbour(IpAddr),
    /// The IP stack of an interface, which wants to send again.
    Host(u32),
    /// The reader of an interface, which has not returned.
    Reader(u32),
}

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<Key, Instant>,
    stopped: bool,
}

/// All timers of the stack.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
    changed: Condvar,
}

impl Timers {
    /// Makes `key` due after `delay`, whenever it was due before.
    pub(crate) fn set(&self, key: Key, delay: Duration) {
        let mut state = lock(&self.state);
        let at = instant() + delay;
        // The waiting thread needs a wake only if nothing is due before.
        let is_first = state.due.iter().all(|(other, due)| *other == key || at < *due);
        let was = state.due.insert(key, at);
        if is_first && was.is_none_or(|was| at < was) {
            self.changed.notify_one();
        }
    }

    /// Makes `key` not due.
    pub(crate) fn cancel(&self, key: Key) {
        lock(&self.state).due.remove(&key);
    }

    /// Ends [`Timers::run`].
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        state.due.clear();
        self.changed.notify_one();
    }

    /// Calls `fire` for everything that falls due, until the timers are stopped.
    pub(crate) fn run(&self, fire: impl Fn(Key)) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let now = instant();
            let Some((key, at)) = state.due.iter().min_by_key(|(_, at)| **at).map(|(key, at)| (*key, *at)) else {
                state = self.changed.wait(state);
                continue;
            };
            if at > now {
                state = self.changed.wait_timeout(state, at - now);
                continue;
            }
            state.due.remove(&key);
            drop(state);
            fire(key);
            state = lock(&self.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_is_due_first_fires_first_and_what_is_cancelled_never_does() {
        let timers = Timers::default();
        timers.set(Key::Host(2), Duration::from_millis(2));
        timers.set(Key::Host(1), Duration::ZERO);
        timers.set(Key::Host(3), Duration::from_millis(1));
        timers.cancel(Key::Host(3));
        let (fired, order) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| timers.run(|key| fired.send(key).unwrap()));
            assert_eq!(order.recv().unwrap(), Key::Host(1));
            assert_eq!(order.recv().unwrap(), Key::Host(2));
            timers.stop();
        });
        assert!(order.try_recv().is_err());
    }
}
