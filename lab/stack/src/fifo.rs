//! The queue between an interface's reader and consumer threads: bounded in bytes, not in packets.

use haiku_kernel::sync::{Condvar, Mutex, MutexGuard};
use haiku_sys::{ENOBUFS, status_t};
use std::collections::VecDeque;

use super::buffer::Packet;

/// Locks a mutex.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Bytes that a receive queue holds at most.
pub(crate) const RECEIVE_QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// What waits in the queue.
#[derive(Debug)]
pub(crate) enum Item {
    /// A frame that the device received, without its link header.
    Received(Packet),
    /// A packet that the stack sent to one of its own addresses.
    Local(Packet),
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Self::Received(packet) | Self::Local(packet) => packet.len(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    closed: bool,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Fifo {
    state: Mutex<State>,
    arrived: Condvar,
    limit: usize,
}

impl Fifo {
    /// An empty queue for at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), limit }
    }

    /// Adds an item, or drops it and says `ENOBUFS`.
    pub(crate) fn enqueue(&self, item: Item) -> Result<(), status_t> {
        let mut state = lock(&self.state);
        let bytes = state.bytes + item.len();
        if state.closed || bytes > self.limit {
            return Err(ENOBUFS);
        }
        state.bytes = bytes;
        state.items.push_back(item);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next item; waits for one, and returns `None` once the queue is closed.
    pub(crate) fn dequeue(&self) -> Option<Item> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if let Some(item) = state.items.pop_front() {
                state.bytes -= item.len();
                return Some(item);
            }
            state = self.arrived.wait(state);
        }
    }

    /// Frees what waits and ends every `dequeue`.
    pub(crate) fn close(&self) {
        let items = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.bytes = 0;
            std::mem::take(&mut state.items)
        };
        self.arrived.notify_all();
        drop(items);
    }
}
