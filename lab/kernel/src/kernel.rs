//! The one kernel of the process: its start, its end and what is in between.

use core::fmt;

use haiku_sys::status_t;

use crate::{AddOn, FaultPlan, Ledgers};

/// What a kernel is started with.
#[derive(Default)]
pub struct Options {
    /// Driver settings: the text of `settings/kernel/drivers/NAME` by name.
    pub settings: Vec<(String, String)>,
    /// Which call is to fail.
    pub faults: FaultPlan,
    /// Where lines of `dprintf` go, besides being collected.
    pub log: Option<Box<dyn Fn(&str) + Send + Sync>>,
    /// The seed of `secure_random_value`; random without one.
    pub seed: Option<u64>,
    /// Bytes in a packet's node; Haiku's 2048 without one. Small ones split packets at awkward places.
    pub net_buffer_node_size: Option<usize>,
}

/// Why no kernel could be started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootError {
    /// The process's addresses cannot be told from the flipped ones that stand for user memory.
    AddressLayout(usize),
    /// The node size for packets leaves no room for data.
    NodeSize(usize),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressLayout(address) => write!(
                f,
                "the process has memory at {address:#x}, where emulated user memory is; build it as a position independent executable"
            ),
            Self::NodeSize(size) => {
                write!(f, "packets cannot be made of nodes of {size} bytes; at least 104 are needed")
            }
        }
    }
}

impl std::error::Error for BootError {}

/// A running kernel. There is one in the process at a time; a second `boot` waits for the first to end.
#[derive(Debug)]
pub struct Kernel {
    _private: (),
}

impl Kernel {
    /// Starts a kernel, after the one that runs now, if any.
    pub fn boot(options: Options) -> Result<Self, BootError> {
        let _ = options;
        Ok(Self { _private: () })
    }

    /// Puts an add-on's file at `network/devices/NAME` and, if it is a driver, links it into `drivers/dev` and
    /// probes it as at boot. An error is the driver's own, from loading it; the file stays where it is.
    pub fn install(&self, name: &str, add_on: impl AddOn + 'static) -> Result<(), status_t> {
        let _ = (name, add_on);
        todo!("install")
    }

    /// Runs `hook` when the kernel shuts down, before anything is unloaded; the latest first.
    pub fn on_shutdown(&self, hook: impl FnOnce() + Send + 'static) {
        let _ = hook;
    }

    /// What is alive at this moment.
    #[must_use]
    pub fn ledgers(&self) -> Ledgers {
        Ledgers::default()
    }

    /// Runs the shutdown hooks, closes the descriptors, unloads the add-ons and says what was not given back.
    #[must_use]
    pub fn shutdown(self) -> Ledgers {
        Ledgers::default()
    }
}
