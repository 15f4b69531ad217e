//! Priorities of threads. Linux schedules the threads of the lab, so that a priority is only kept.

use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicUsize, Ordering};

use haiku_sys::{B_NORMAL_PRIORITY, B_REAL_TIME_PRIORITY, thread_id};

use crate::panic::kpanic;
use crate::thread::{self, B_BAD_THREAD_ID};
use crate::{interrupts, schedule};

/// The priority that a thread begins with here.
pub const NORMAL: i32 = B_NORMAL_PRIORITY as i32;

thread_local! {
    static PRIORITY: Cell<i32> = const { Cell::new(NORMAL) };
    /// The priority that the thread has outside the kernel.
    static OWN: Cell<i32> = const { Cell::new(NORMAL) };
}

/// How often a priority was set to another value.
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// The calling thread's priority.
#[must_use]
pub fn get() -> i32 {
    PRIORITY.get()
}

/// Sets the calling thread's priority, as another thread may at any time.
pub fn set(priority: i32) {
    PRIORITY.set(priority);
    OWN.set(priority);
}

/// How often the driver has changed the priority of a thread, since the process began.
#[must_use]
pub fn changes() -> usize {
    CHANGES.load(Ordering::SeqCst)
}

/// Stops the kernel if the driver has changed the calling thread's priority and not back.
pub(crate) fn check_own(what: &str) {
    if get() != OWN.get() {
        kpanic!("{what} left its thread with priority {} instead of {}", get(), OWN.get());
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_find_thread(name: *const c_char) -> thread_id {
    if !name.is_null() {
        // SAFETY: a C string, as Haiku's function wants.
        kpanic!("find_thread({:?}): the lab knows only the calling thread", unsafe { CStr::from_ptr(name) });
    }
    thread::current()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_set_thread_priority(thread: thread_id, priority: i32) -> i32 {
    interrupts::check("set_thread_priority()");
    schedule::point("set_thread_priority");
    if thread != thread::current() {
        return B_BAD_THREAD_ID;
    }
    let before = PRIORITY.replace(priority.clamp(1, B_REAL_TIME_PRIORITY as i32));
    if before != get() {
        CHANGES.fetch_add(1, Ordering::SeqCst);
    }
    before
}
