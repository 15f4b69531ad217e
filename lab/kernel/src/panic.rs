//! What ends a real kernel ends this process, with the words that the real one would have printed.

use core::fmt;
use std::sync::OnceLock;

static CONTEXT: OnceLock<fn() -> String> = OnceLock::new();

/// Adds a description of the current activity, from this function, to every panic. The first function stays.
pub fn describe_panics(context: fn() -> String) {
    let _ = CONTEXT.set(context);
}

/// Prints a kernel panic and aborts the process.
///
/// It writes to the descriptor itself: the test harness's capture would lose the message with the process.
#[cold]
pub(crate) fn kernel_panic(message: fmt::Arguments<'_>) -> ! {
    let thread = std::thread::current();
    let context = CONTEXT.get().map(|context| format!("  {}\n", context())).unwrap_or_default();
    let text = format!("PANIC: {message}\n  in thread \"{}\"\n{context}", thread.name().unwrap_or("unnamed"));
    // SAFETY: the pointer and the length are those of a live string.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        let trace = format!("{}\n", std::backtrace::Backtrace::force_capture());
        // SAFETY: as above.
        unsafe { libc::write(libc::STDERR_FILENO, trace.as_ptr().cast(), trace.len()) };
    }
    std::process::abort();
}

/// [`kernel_panic`] with a format string.
macro_rules! kpanic {
    ($($argument:tt)*) => {
        $crate::panic::kernel_panic(format_args!($($argument)*))
    };
}
pub(crate) use kpanic;
