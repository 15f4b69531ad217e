//! A bell: the event that a kernel thread with a queue waits for.

use std::sync::Mutex;

use crate::guarded::Guarded;
use crate::schedule::Place;
use crate::thread::{ThreadRef, this};
use crate::wait::{Claim, Interruption};

#[derive(Debug, Default)]
struct State {
    rung: bool,
    waiting: Vec<ThreadRef>,
}

/// An auto-reset event: ringing wakes the waiter; without a waiter, the next one does not wait. Ringing twice counts once.
#[derive(Debug, Default)]
pub struct Bell(Mutex<State>);

impl Bell {
    /// One that was not rung.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(State { rung: false, waiting: Vec::new() }))
    }

    /// Rings. The caller holds no lock that the waiter could need.
    pub fn ring(&self) {
        let next = {
            let mut state = self.0.guarded();
            state.rung = true;
            state.waiting.pop()
        };
        if let Some(thread) = next
            && thread.parker().claim(haiku_sys::B_OK) == Claim::MustWake
        {
            thread.parker().wake();
        }
    }

    /// Waits until it rings, or was rung before.
    pub fn wait(&self) {
        loop {
            let this = this();
            {
                let mut state = self.0.guarded();
                if std::mem::take(&mut state.rung) {
                    return;
                }
                this.parker().prepare(Interruption::Never);
                state.waiting.push(this);
            }
            this.parker().block(None, Place::StackCondition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_was_rung_is_not_waited_for() {
        let bell = Bell::new();
        bell.ring();
        bell.ring();
        bell.wait();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| bell.wait());
            bell.ring();
            waiter.join().unwrap();
        });
    }
}
