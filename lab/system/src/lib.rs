//! A whole emulated Haiku: kernel, network stack and add-on, from boot to shutdown.
//!
//! [`Lab`] boots one, [`console`] is everything that can be typed at it, [`far`] the program at the other end of a
//! device, and [`control`] the socket by which other processes reach the console.

pub mod addon;
pub mod console;
pub mod control;
pub mod far;
mod latency;
mod mode;
pub mod ping;
pub mod scenario;
pub mod statistics;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use haiku_kernel::{Exports, FaultPlan, Kernel, Schedule};
use haiku_sys::status_t;

use crate::console::Console;
use crate::far::{FarSide, Waiting};
use haiku_stack::{Capture, Error, Leftovers, Stack, StackOptions};

pub use self::latency::{Figures, Latencies};
pub use self::mode::Mode;

/// Where lines of the system log go.
pub type LogSink = Box<dyn Fn(&str) + Send + Sync>;

/// What a lab is started with.
#[derive(Default)]
pub struct LabOptions {
    /// The add-on's file; without one, that of `HAIKU_LAB_ADDON`, or else the driver that is linked in.
    pub addon: Option<PathBuf>,
    /// An add-on made of functions of this process, in place of either.
    pub exports: Option<Exports>,
    /// A file to capture every frame in.
    pub pcap: Option<PathBuf>,
    /// Where the system log goes, besides being kept.
    pub log: Option<LogSink>,
    /// Driver settings: the text of `settings/kernel/drivers/NAME` by name.
    pub settings: Vec<(String, String)>,
    /// Which kernel call is to fail.
    pub faults: FaultPlan,
    /// The seed of the kernel's random numbers.
    pub seed: Option<u64>,
    /// Bytes in a packet's node.
    pub net_buffer_node_size: Option<usize>,
    /// The deterministic mode; without it threads and time are Linux's.
    pub schedule: Option<Schedule>,
    /// How long `ifconfig down` waits for a reader that the driver did not wake, before the process says so and
    /// aborts; zero waits as long as Haiku does. Ten seconds without a word.
    pub reader_patience: Option<Duration>,
}

/// How long `down` waits for a lost reader by default.
const READER_PATIENCE: Duration = Duration::from_secs(10);

/// A running Haiku. Dropping it shuts it down.
pub struct Lab {
    kernel: Option<Kernel>,
    stack: Arc<Stack>,
    console: Console,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lab({:?})", self.stack)
    }
}

/// What was not given back by the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledgers {
    /// What the kernel handed out.
    pub kernel: haiku_kernel::Ledgers,
    /// What the network stack handed out.
    pub stack: Leftovers,
}

impl Ledgers {
    /// Whether everything came back.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.kernel.is_zero() && self.stack.is_zero()
    }
}

impl fmt::Display for Ledgers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.kernel)?;
        writeln!(f, "{:<18} {:>10}", "interfaces", self.stack.interfaces)?;
        write!(f, "{:<18} {:>10}", "addresses", self.stack.addresses)
    }
}

impl Lab {
    /// Boots the kernel, starts the stack, installs the add-on and probes its drivers.
    ///
    /// # Errors
    /// A kernel that cannot boot, a file that is no add-on, or the driver's own refusal.
    pub fn boot(options: LabOptions) -> Result<Self, Error> {
        let capture = match &options.pcap {
            Some(path) => Some(Arc::new(
                Capture::create(path).map_err(|error| Error::io(format!("creating {}", path.display()), error))?,
            )),
            None => None,
        };
        let kernel = Kernel::boot(haiku_kernel::Options {
            settings: options.settings,
            faults: options.faults,
            log: options.log,
            seed: options.seed,
            net_buffer_node_size: options.net_buffer_node_size,
            schedule: options.schedule,
        })
        .map_err(|error| Error::Failed(error.to_string()))?;
        let patience = options.reader_patience.unwrap_or(READER_PATIENCE);
        let stack =
            Stack::start(StackOptions { capture, reader_patience: Some(patience).filter(|time| !time.is_zero()) });
        let lab = Self { kernel: Some(kernel), console: Console::new(Arc::clone(&stack)), stack };
        let file = options.addon.or_else(|| std::env::var_os(addon::VARIABLE).map(PathBuf::from));
        let installed = match (options.exports, file) {
            (Some(exports), _) => lab.kernel().install(addon::NAME, exports),
            (None, Some(path)) => lab.kernel().install(addon::NAME, addon::File::open(&path)?),
            (None, None) => lab.kernel().install(addon::NAME, addon::linked()),
        };
        installed.map_err(|status| Error::status(format!("loading the driver {}", addon::NAME), status))?;
        Ok(lab)
    }

    /// The emulated kernel.
    ///
    /// # Panics
    /// Never: the kernel is there until the lab is gone.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        self.kernel.as_ref().expect("the kernel lives as long as the lab")
    }

    /// The network stack.
    #[must_use]
    pub fn stack(&self) -> &Arc<Stack> {
        &self.stack
    }

    /// The console: every command of the shell.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// `ifconfig` with these arguments; returns what it printed.
    ///
    /// # Errors
    /// What Haiku's `ifconfig` would complain of.
    pub fn ifconfig(&self, arguments: &str) -> Result<String, Error> {
        self.console.execute(&format!("ifconfig {arguments}"))
    }

    /// `route` with these arguments; returns what it printed.
    ///
    /// # Errors
    /// What Haiku's `route` would complain of.
    pub fn route(&self, arguments: &str) -> Result<String, Error> {
        self.console.execute(&format!("route {arguments}"))
    }

    /// Configures a unit as the main job does, in `ifconfig`'s and `route`'s own words.
    ///
    /// # Errors
    /// The command that was refused.
    pub fn configure(&self, mode: Mode) -> Result<(), Error> {
        for command in scenario::commands(mode) {
            self.console.execute(&command)?;
        }
        Ok(())
    }

    /// Starts a far side on unit 0 with the main job's addresses.
    pub fn far(&self, mode: Mode, waiting: Waiting) -> Result<FarSide, Error> {
        FarSide::start(scenario::far_side(mode, waiting))
    }

    /// Pings.
    pub fn ping(&self, options: &ping::Options) -> Result<ping::Report, Error> {
        ping::run(&self.stack, options, &mut |_| ())
    }

    /// Pings as fast as the replies come.
    pub fn flood(&self, target: IpAddr, count: u64, size: usize) -> Result<ping::Report, Error> {
        self.ping(&ping::Options { size, ..ping::Options::flood(target, count) })
    }

    /// Sends a whole IP packet by the routing table.
    pub fn send_ip(&self, packet: &[u8]) -> Result<(), status_t> {
        self.stack.send_ip(packet)
    }

    /// Removes the interfaces, ends the stack, and unloads the add-on. Returns what was not released.
    #[must_use]
    pub fn shutdown(mut self) -> Ledgers {
        self.end()
    }

    fn end(&mut self) -> Ledgers {
        let Some(kernel) = self.kernel.take() else { return Ledgers::default() };
        self.console.close();
        let stack = self.stack.stop();
        Ledgers { kernel: kernel.shutdown(), stack }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.end();
    }
}
