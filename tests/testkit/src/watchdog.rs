//! [`Watchdog`]: ends a test that hangs, with the name of what hung.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How long anything may take. Nothing here takes a hundredth of it; a loaded machine may need its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends the process if it is not dropped in time: a call that is never woken cannot be ended in any other way.
#[derive(Debug)]
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    /// Watches over `what` from now on.
    #[must_use]
    pub fn over(what: impl Into<String>) -> Self {
        let what = what.into();
        let (alive, gone) = mpsc::channel::<()>();
        let watch = move || {
            if gone.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{what} hung: nothing came of it in {} s", PATIENCE.as_secs());
                std::process::abort();
            }
        };
        std::thread::Builder::new().name("watchdog".into()).spawn(watch).expect("Linux has no more threads");
        Self { _alive: alive }
    }
}

/// Waits until a condition holds, and yields the processor to the threads that make it hold.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let _watchdog = Watchdog::over(format!("waiting until {what}"));
    while !so() {
        std::thread::yield_now();
    }
}
