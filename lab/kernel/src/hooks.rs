//! Calls from the kernel into an add-on, with what must hold when they return.

use crate::panic::kpanic;
use crate::{interrupts, recursive_lock, schedule};

/// Calls a hook. It must return with interrupts enabled and with as many locks held as before: on Haiku the next thread
/// that takes such a lock would wait for ever, and the next that sleeps would stop the machine.
#[inline]
pub(crate) fn call<R>(name: &'static str, hook: impl FnOnce() -> R) -> R {
    let held = recursive_lock::held();
    schedule::point(name);
    let result = hook();
    if !interrupts::are_enabled() {
        kpanic!("the hook {name} returned with interrupts disabled");
    }
    if recursive_lock::held() != held {
        kpanic!("the hook {name} was called with {held} lock(s) held and returned with {}", recursive_lock::held());
    }
    result
}
