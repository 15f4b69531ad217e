//! Selects of programs, and what each was notified of.

use std::sync::Arc;

use tuntap_driver::{Event, SelectSync};

use crate::fake::Task;
use crate::sync::{Condvar, Mutex};

/// A select of a program's. Once dropped, it must not be notified.
pub(crate) struct Entry {
    sync: Sync,
    told: Arc<Told>,
}

/// What a select was told.
#[derive(Debug)]
pub(crate) struct Told {
    /// How often it was told of each event.
    events: Mutex<[u32; 4]>,
    changed: Condvar,
}

/// What the driver knows of a select: its number in the world, as it knows an address on Haiku.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sync(usize);

impl Entry {
    /// A select that was told nothing yet.
    pub(crate) fn new() -> Self {
        let told = Arc::new(Told { events: Mutex::new([0; 4]), changed: Condvar::new() });
        let task = Task::current();
        let mut selects = task.world.selects.lock().unwrap();
        selects.push(Some(Arc::clone(&told)));
        Self { sync: Sync(selects.len() - 1), told }
    }

    /// What the driver is given.
    pub(crate) fn sync(&self) -> Sync {
        self.sync
    }

    /// How often it was told of an event since it was last asked.
    pub(crate) fn told(&self, event: Event) -> u32 {
        std::mem::take(&mut self.told.events.lock().unwrap()[place(event)])
    }

    /// Waits until it is notified.
    pub(crate) fn wait(&self) {
        let mut events = self.told.events.lock().unwrap();
        while *events == [0; 4] {
            events = self.told.changed.wait(events).unwrap();
        }
    }
}

/// Where an event is counted.
fn place(event: Event) -> usize {
    (event as u8).trailing_zeros() as usize
}

impl Drop for Entry {
    fn drop(&mut self) {
        Task::current().world.selects.lock().unwrap()[self.sync.0] = None;
    }
}

impl SelectSync for Sync {
    fn notify(self, event: Event) {
        let task = Task::current();
        task.must_not_spin("notifying a select");
        let told = task.world.selects.lock().unwrap()[self.0].clone();
        let told = told.expect("a select that has ended is not notified");
        told.events.lock().unwrap()[place(event)] += 1;
        told.changed.notify_all();
    }
}
