//! The system log: the lines of `dprintf`, and where `kprintf` goes.

use core::ffi::{CStr, c_char};
use std::sync::Mutex;

use crate::guarded::Guarded;
use crate::interrupts;
use crate::panic::kpanic;

/// How many lines are kept; older ones are forgotten.
const KEPT: usize = 100_000;

/// Where lines go, besides being collected.
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

struct Log {
    lines: Vec<String>,
    partial: String,
    sink: Option<Sink>,
}

static LOG: Mutex<Log> = Mutex::new(Log { lines: Vec::new(), partial: String::new(), sink: None });

/// The lines logged since the kernel started, the latest 100,000 at most.
#[must_use]
pub fn lines() -> Vec<String> {
    LOG.guarded().lines.clone()
}

/// Starts an empty log.
pub(crate) fn reset(sink: Option<Sink>) {
    *LOG.guarded() = Log { lines: Vec::new(), partial: String::new(), sink };
}

/// Logs a line of the kernel's own.
pub(crate) fn line(text: &str) {
    write(&format!("{text}\n"));
}

fn write(text: &str) {
    let log = &mut *LOG.guarded();
    log.partial.push_str(text);
    while let Some(end) = log.partial.find('\n') {
        let rest = log.partial.split_off(end + 1);
        let mut line = std::mem::replace(&mut log.partial, rest);
        line.truncate(end);
        if let Some(sink) = &log.sink {
            sink(&line);
        }
        if log.lines.len() == KEPT {
            log.lines.drain(..KEPT / 2);
        }
        log.lines.push(line);
    }
}

/// The text of a call with `"%s"` and one string; any other format is shown as it is.
///
/// # Safety
/// `format` must be null or a C string; if it is `"%s"`, `string` must be null or one too.
pub(crate) unsafe fn formatted(format: *const c_char, string: *const c_char) -> String {
    let text = |pointer: *const c_char| match pointer.is_null() {
        true => String::from("<NULL>"),
        // SAFETY: not null, and a C string by this function's contract.
        false => unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned(),
    };
    let format = text(format);
    if format == "%s" { text(string) } else { format }
}

/// # Safety
/// Both are C strings, and `format` is `%s`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_panic(format: *const c_char, string: *const c_char) {
    // SAFETY: the caller passes "%s" and one string, as `haiku-sys` promises.
    let message = unsafe { formatted(format, string) };
    kpanic!("{message}");
}

/// # Safety
/// Both are C strings, and `format` is `%s`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_dprintf(format: *const c_char, string: *const c_char) {
    // Haiku's own dprintf would get through on a spinning lock; this project does not log under one.
    if !crate::debugger::is_running() {
        interrupts::check("dprintf()");
    }
    // SAFETY: the caller passes "%s" and one string, as `haiku-sys` promises.
    write(&unsafe { formatted(format, string) });
}

/// # Safety
/// Both are C strings, and `format` is `%s`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_kprintf(format: *const c_char, string: *const c_char) {
    // SAFETY: as for `dprintf`.
    let text = unsafe { formatted(format, string) };
    if !crate::debugger::print(&text) {
        // Outside the debugger the text goes to the debug output, which is the log here.
        write(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};
    use std::sync::Arc;

    fn dprintf(text: &CStr) {
        // SAFETY: two C strings.
        unsafe { haiku_dprintf(c"%s".as_ptr(), text.as_ptr()) };
    }

    #[test]
    fn dprintf_is_collected_by_line_and_shown_to_the_sink() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let log: Sink = Box::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        let kernel = Kernel::boot(Options { log: Some(log), ..Options::default() }).unwrap();
        dprintf(c"tun_tap: ");
        dprintf(c"100% up\nand ");
        dprintf(c"running\n");
        assert_eq!(lines(), ["tun_tap: 100% up", "and running"]);
        assert_eq!(*seen.lock().unwrap(), lines());
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn a_new_kernel_has_an_empty_log() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        dprintf(c"one\n");
        drop(kernel);
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!(lines(), Vec::<String>::new());
        drop(kernel);
    }

    #[test]
    fn outside_the_debugger_kprintf_goes_to_the_log() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        // SAFETY: "%s" and one string.
        unsafe { haiku_kprintf(c"%s".as_ptr(), c"hello\n".as_ptr()) };
        assert_eq!(lines(), ["hello"]);
        drop(kernel);
    }
}
