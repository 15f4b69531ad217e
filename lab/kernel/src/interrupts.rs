//! The interrupt flag of the CPU a thread runs on: here, a flag of the thread.

use core::cell::Cell;

use haiku_sys::cpu_status;

use crate::panic::kpanic;
use crate::schedule;

/// The interrupt bit of the flags register, which is what `disable_interrupts` returns on x86_64.
const ENABLED_FLAG: cpu_status = 0x200;

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// Whether the calling thread has interrupts enabled.
#[must_use]
pub fn are_enabled() -> bool {
    ENABLED.get()
}

/// Stops the process, as the kernel stops itself, if `call` is made with interrupts disabled: it may sleep, fault,
/// allocate or call out. So every such call is a place where the turn may change.
#[inline]
pub(crate) fn check(call: &'static str) {
    if !ENABLED.get() {
        disabled(call);
    }
    schedule::point(call);
}

#[cold]
fn disabled(call: &str) -> ! {
    kpanic!("{call}: called with interrupts disabled");
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_disable_interrupts() -> cpu_status {
    // What follows is short and must not be interrupted: what comes between such sections is what may come between.
    ENABLED.with(|enabled| {
        if enabled.get() {
            schedule::point("disable_interrupts");
        }
        if enabled.replace(false) { ENABLED_FLAG } else { 0 }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_restore_interrupts(status: cpu_status) {
    let enable = status & ENABLED_FLAG != 0;
    if !ENABLED.replace(enable) && enable {
        schedule::point("restore_interrupts");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_sections_end_with_the_outermost() {
        let outer = haiku_disable_interrupts();
        let inner = haiku_disable_interrupts();
        assert_eq!((outer, inner), (0x200, 0));
        haiku_restore_interrupts(inner);
        assert!(!are_enabled());
        haiku_restore_interrupts(outer);
        assert!(are_enabled());
    }

    #[test]
    fn the_flag_is_the_threads_own() {
        let state = haiku_disable_interrupts();
        std::thread::spawn(|| assert!(are_enabled())).join().unwrap();
        haiku_restore_interrupts(state);
    }
}
