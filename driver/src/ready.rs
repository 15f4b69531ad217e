//! Readiness: what a program's `select` and `poll` report.

use crate::{Backlog, Device, Error, Event, Kernel, Mode, Poll};

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Registers a select for an event. Notifies it at once if the event holds already (level-triggered).
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`].
    pub fn select(&self, entry: &<K::Poll as Poll>::Entry, event: Event) -> Result<(), Error> {
        match event {
            Event::Read => self.to_user.select(entry),
            Event::Write => self.to_stack.select(entry),
            Event::Error | Event::Disconnected => self.to_user.select_hang_up(entry, event),
        }
    }

    /// Unregisters a select.
    pub fn deselect(&self, entry: &<K::Poll as Poll>::Entry, event: Event) {
        match event {
            Event::Read => self.to_user.deselect(entry),
            Event::Write => self.to_stack.deselect(entry),
            Event::Error | Event::Disconnected => self.to_user.deselect_hang_up(entry, event),
        }
    }

    /// What is queued for the program.
    #[must_use]
    pub fn readable(&self) -> Backlog {
        self.to_user.backlog()
    }
}
