//! Readiness: what a program's `select` and `poll` are told.

use crate::{Backlog, Device, Error, Event, Kernel, Mode, Poll};

impl<M: Mode, K: Kernel> Device<M, K> {
    /// A select begins to wait for an event. If it holds already, it is told at once; later, when it begins to.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`].
    pub fn select(&self, entry: &<K::Poll as Poll>::Entry, event: Event) -> Result<(), Error> {
        match event {
            Event::Read => self.to_user.select(entry),
            Event::Write => self.to_stack.select(entry),
            Event::Error | Event::Disconnected => self.to_user.select_trouble(entry, event),
        }
    }

    /// It no longer waits.
    pub fn deselect(&self, entry: &<K::Poll as Poll>::Entry, event: Event) {
        match event {
            Event::Read => self.to_user.deselect(entry),
            Event::Write => self.to_stack.deselect(entry),
            Event::Error | Event::Disconnected => self.to_user.deselect_trouble(entry, event),
        }
    }

    /// What is queued for the program.
    #[must_use]
    pub fn readable(&self) -> Backlog {
        self.to_user.backlog()
    }
}
