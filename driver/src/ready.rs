//! Readiness: what a program's `select` and `poll` report.

use crate::selects::Selects;
use crate::{Backlog, Device, Event, Kernel, Mode, SelectSync};

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Registers a select for an event. Notifies it at once if the event holds already (level-triggered).
    ///
    /// Registers first and looks second, so that a change of the state between the two is not missed. A hang-up is looked at
    /// without a lock: it sets its flag before it notifies, and notifying takes the lock of the table. So either that finds
    /// this select, or this select, which was added later, finds the flag set.
    pub fn select(&self, sync: K::Select, event: Event) {
        self.selects(event).add(sync, event);
        let holds = match event {
            Event::Read => self.to_user.is_ready(),
            Event::Write => self.to_stack.is_ready(),
            Event::Error | Event::Disconnected => self.to_user.is_hung_up(),
        };
        if holds {
            sync.notify(event);
        }
    }

    /// Unregisters a select. It is not notified of the event after this returns.
    pub fn deselect(&self, sync: K::Select, event: Event) {
        self.selects(event).remove(sync, event);
    }

    /// Returns the table of the selects for an event.
    #[inline]
    fn selects(&self, event: Event) -> &Selects<K> {
        match event {
            Event::Read | Event::Error | Event::Disconnected => self.to_user.selects(),
            Event::Write => self.to_stack.selects(),
        }
    }

    /// What is queued for the program.
    #[must_use]
    pub fn readable(&self) -> Backlog {
        self.to_user.backlog()
    }
}
