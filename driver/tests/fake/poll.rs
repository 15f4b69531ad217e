//! Where selects wait, and what each was told.

use std::sync::Arc;

use tuntap_driver::{Error, Event};

use crate::fake::Task;
use crate::sync::{Condvar, Mutex};

/// The selects that wait on a device, each with its events as bits. Dropped, it must have none left.
pub(crate) struct Pool(Mutex<Vec<(Entry, u8)>>);

const fn bit(event: Event) -> u8 {
    1 << event as u8
}

/// A select of a program's.
#[derive(Clone)]
pub(crate) struct Entry(Arc<Told>);

struct Told {
    /// How often it was told of each event.
    events: Mutex<[u32; 4]>,
    changed: Condvar,
}

impl Entry {
    /// A select that was told nothing yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Told { events: Mutex::new([0; 4]), changed: Condvar::new() }))
    }

    /// How often it was told of an event since it was last asked.
    pub(crate) fn told(&self, event: Event) -> u32 {
        std::mem::take(&mut self.0.events.lock().unwrap()[event as usize])
    }

    /// Waits until it is told of something.
    pub(crate) fn wait(&self) {
        let mut events = self.0.events.lock().unwrap();
        while *events == [0; 4] {
            events = self.0.changed.wait(events).unwrap();
        }
    }

    fn tell(&self, event: Event) {
        self.0.events.lock().unwrap()[event as usize] += 1;
        self.0.changed.notify_all();
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl tuntap_driver::Poll for Pool {
    type Entry = Entry;

    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn add(&self, entry: &Entry, event: Event) -> Result<(), Error> {
        let task = Task::current();
        task.must_not_spin("registering a select");
        task.world.allocate()?;
        let mut entries = self.0.lock().unwrap();
        match entries.iter_mut().find(|(one, _)| one.is(entry)) {
            Some((_, events)) => *events |= bit(event),
            None => entries.push((entry.clone(), bit(event))),
        }
        Ok(())
    }

    /// As Haiku does: says whether the select was there, for whatever event.
    fn remove(&self, entry: &Entry, event: Event) -> bool {
        Task::current().must_not_spin("taking a select out");
        let mut entries = self.0.lock().unwrap();
        let Some(at) = entries.iter().position(|(one, _)| one.is(entry)) else { return false };
        entries[at].1 &= !bit(event);
        if entries[at].1 == 0 {
            entries.swap_remove(at);
        }
        true
    }

    fn notify_entry(entry: &Entry, event: Event) {
        Task::current().must_not_spin("telling a select");
        entry.tell(event);
    }

    fn notify(&self, event: Event) {
        Task::current().must_not_spin("telling selects");
        for (entry, events) in &*self.0.lock().unwrap() {
            if events & bit(event) != 0 {
                entry.tell(event);
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.lock().unwrap().len(), 0, "a select was left behind");
        }
    }
}
