//! Where selects wait, and what each was told.

use std::sync::Arc;

use tuntap_driver::{Error, Event};

use crate::fake::Task;
use crate::sync::{Condvar, Mutex};

/// The selects that wait on a device. Dropped, it must have none left.
pub(crate) struct Pool(Mutex<Vec<(Entry, Event)>>);

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
        self.0.lock().unwrap().push((entry.clone(), event));
        Ok(())
    }

    fn remove(&self, entry: &Entry, event: Event) -> bool {
        Task::current().must_not_spin("taking a select out");
        let mut entries = self.0.lock().unwrap();
        let at = entries.iter().position(|(one, of)| one.is(entry) && *of == event);
        at.map(|at| entries.swap_remove(at)).is_some()
    }

    fn notify_entry(entry: &Entry, event: Event) {
        Task::current().must_not_spin("telling a select");
        entry.tell(event);
    }

    fn notify(&self, event: Event) {
        Task::current().must_not_spin("telling selects");
        for (entry, of) in &*self.0.lock().unwrap() {
            if *of == event {
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
