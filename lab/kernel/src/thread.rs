//! Threads: of the kernel, of the team, and any other of the process that makes a call.

use haiku_sys::{bigtime_t, status_t, thread_id};

/// `spawn_kernel_thread` and `resume_thread`: the thread runs at once.
pub fn spawn(name: &str, priority: i32, entry: impl FnOnce() -> status_t + Send + 'static) -> thread_id {
    let _ = (name, priority, entry);
    todo!("spawn")
}

/// `wait_for_thread`: what the thread returned.
pub fn wait_for(id: thread_id) -> Result<status_t, status_t> {
    let _ = id;
    todo!("wait_for")
}

/// `find_thread(NULL)`: the caller.
#[must_use]
pub fn current() -> thread_id {
    todo!("current")
}

/// Sends a signal: an interruptible wait of the thread ends with `B_INTERRUPTED`, this one or the next. The signal
/// stays pending until the thread returns from its system call; a kernel thread keeps it.
pub fn signal(id: thread_id) -> Result<(), status_t> {
    let _ = id;
    todo!("signal")
}

/// `snooze`, in microseconds.
pub fn snooze(microseconds: bigtime_t) -> status_t {
    let _ = microseconds;
    todo!("snooze")
}

/// `system_time`: microseconds since some moment.
#[must_use]
pub fn system_time() -> bigtime_t {
    todo!("system_time")
}
