//! Labs to test in: booted in one line, ended with their ledgers looked at.

use std::ops::Deref;
use std::sync::mpsc;
use std::time::Duration;

use haiku_kernel::{recursive_lock, thread};
use haiku_stack::Family;
use haiku_system::{Lab, LabOptions, Ledgers, Mode, ping, scenario};

use haiku_sys::thread_id;

use crate::wait::{Place, blocked};
use crate::watchdog::{Watchdog, until};

/// How long a reply is waited for that is certain to come.
const PATIENCE: Duration = Duration::from_secs(50);

/// A lab that must end with nothing left over, and must end.
#[derive(Debug)]
pub struct Rig {
    lab: Lab,
    _watchdog: Watchdog,
}

impl Deref for Rig {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Rig {
    /// A lab as it comes. It waits for that of another test to end.
    #[must_use]
    pub fn boot() -> Self {
        Self::with(LabOptions::default())
    }

    /// A lab with these driver settings.
    #[must_use]
    pub fn with_settings(settings: &str) -> Self {
        Self::with(LabOptions { settings: vec![("tun_tap".into(), settings.into())], ..LabOptions::default() })
    }

    /// A lab with these options.
    #[must_use]
    pub fn with(options: LabOptions) -> Self {
        let lab = Lab::boot(options).expect("a lab");
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        Self { lab, _watchdog: Watchdog::over(name) }
    }

    /// The lab itself.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// What is alive at this moment.
    #[must_use]
    pub fn ledgers(&self) -> haiku_kernel::Ledgers {
        self.lab.kernel().ledgers()
    }

    /// Has another thread make a call that blocks, does something once it has, and returns what came of the call.
    pub fn while_blocked<R: Send>(
        &self,
        place: Place,
        call: impl FnOnce() -> R + Send,
        act: impl FnOnce(thread_id),
    ) -> R {
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let caller = scope.spawn(move || {
                let _ = tell.send(thread::current());
                call()
            });
            if let Ok(thread) = told.recv() {
                self.until_blocked(place, 1);
                act(thread);
            }
            caller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Returns once so many threads wait there, on all units together.
    pub fn until_blocked(&self, place: Place, threads: usize) {
        until(&format!("{threads} wait at {place:?}"), || match place {
            // From here on the driver knows of the wait, and its notices are kept until the thread looks.
            Place::Select => self.ledgers().selects >= threads as i64,
            _ => blocked(place) == threads,
        });
    }

    /// Ends the lab.
    pub fn end(self) {
        let ledgers = self.lab.shutdown();
        assert!(ledgers.is_zero(), "something is left over:\n{ledgers}");
        assert_eq!(recursive_lock::recursions(), 0, "the driver uses recursive locks as mutexes");
    }

    /// Ends the lab, and says what is left over.
    #[must_use]
    pub fn shutdown(self) -> Ledgers {
        self.lab.shutdown()
    }

    /// Pings, and says what came of it.
    #[must_use]
    pub fn ping_report(&self, options: &ping::Options) -> ping::Report {
        self.lab.ping(options).expect("a way to the target")
    }

    /// Pings the far side of a mode's first unit as fast as replies come, and fails unless all come.
    pub fn ping(&self, mode: Mode, family: Family, count: u64, size: usize) {
        let target = scenario::peer(mode, family);
        let options = ping::Options { size, patience: PATIENCE, ..ping::Options::flood(target, count) };
        let report = self.lab.ping(&options).expect("a way to the far side");
        let seen = (report.received, report.corrupt, report.duplicates, report.refused);
        assert_eq!(seen, (count, 0, 0, None), "{count} pings of {size} bytes to {target}");
    }
}
