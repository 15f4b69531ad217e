//! Readiness: what a program's `select` and `poll` report.

use crate::{Backlog, Device, Event, Kernel, Mode};

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Registers a select for an event. Notifies it at once if the event holds already (level-triggered).
    pub fn select(&self, sync: K::Select, event: Event) {
        match event {
            Event::Read => self.to_user.select(sync),
            Event::Write => self.to_stack.select(sync),
            Event::Error | Event::Disconnected => self.to_user.select_hang_up(sync, event),
        }
    }

    /// Unregisters a select. It is not notified of the event after this returns.
    pub fn deselect(&self, sync: K::Select, event: Event) {
        match event {
            Event::Read | Event::Error | Event::Disconnected => self.to_user.deselect(sync, event),
            Event::Write => self.to_stack.deselect(sync, event),
        }
    }

    /// What is queued for the program.
    #[must_use]
    pub fn readable(&self) -> Backlog {
        self.to_user.backlog()
    }
}
