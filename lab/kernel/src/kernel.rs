//! The one kernel of the process: its start, its end and what is in between.

use core::fmt;
use std::sync::{Condvar, Mutex};
use std::thread::ThreadId;

use haiku_sys::status_t;

use crate::guarded::Guarded;
use crate::{
    AddOn, FaultPlan, Ledgers, Schedule, creds, debugger, devfs, fault, heap, image, ledger, legacy, log, modules,
    net_buffer, random, schedule, sem, settings, syscalls, thread, user,
};

/// What a kernel is started with.
#[derive(Default)]
pub struct Options {
    /// Driver settings: the text of `settings/kernel/drivers/NAME` by name.
    pub settings: Vec<(String, String)>,
    /// Which call is to fail.
    pub faults: FaultPlan,
    /// Where lines of `dprintf` go, besides being collected.
    pub log: Option<log::Sink>,
    /// The seed of `secure_random_value`; random without one.
    pub seed: Option<u64>,
    /// Bytes in a packet's node; Haiku's 2048 without one. Small ones split packets at awkward places.
    pub net_buffer_node_size: Option<usize>,
    /// The deterministic mode; without it threads and time are Linux's.
    pub schedule: Option<Schedule>,
}

/// Why no kernel could be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The process's addresses cannot be told from the flipped ones that stand for user memory.
    #[error(
        "the process has memory at {0:#x}, where emulated user memory is; build it as a position independent executable"
    )]
    AddressLayout(usize),
    /// The node size for packets leaves no room for data, or is larger than Haiku could have it.
    #[error("packets cannot be made of nodes of {0} bytes; choose {min} to {max}", min = net_buffer::MIN_NODE_SIZE, max = net_buffer::MAX_NODE_SIZE)]
    NodeSize(usize),
    /// The thread has started a kernel already, and it still runs.
    #[error("this thread has a kernel running; shut it down before starting another")]
    Twice,
}

/// Which thread has started the kernel that runs.
static RUNNING: Mutex<Option<ThreadId>> = Mutex::new(None);
static ENDED: Condvar = Condvar::new();

/// A running kernel. There is one in the process at a time; `boot` on another thread waits for this one to end.
pub struct Kernel {
    ended: bool,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("ledgers", &self.ledgers()).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Starts a kernel, after the one that another thread runs now, if any.
    pub fn boot(options: Options) -> Result<Self, BootError> {
        user::settle().map_err(BootError::AddressLayout)?;
        let node_size = options.net_buffer_node_size.unwrap_or(net_buffer::HAIKU_NODE_SIZE);
        if !(net_buffer::MIN_NODE_SIZE..=net_buffer::MAX_NODE_SIZE).contains(&node_size) {
            return Err(BootError::NodeSize(node_size));
        }
        {
            let this = std::thread::current().id();
            let mut running = RUNNING.guarded();
            while let Some(owner) = *running {
                if owner == this {
                    return Err(BootError::Twice);
                }
                running = ENDED.wait(running).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            *running = Some(this);
        }
        fault::arm(FaultPlan::Off);
        sem::reset();
        net_buffer::reset(node_size);
        log::reset(options.log);
        random::seed(options.seed);
        settings::reset(options.settings);
        debugger::reset();
        crate::smp::set_processors(1);
        creds::set_euid(0);
        creds::set_egid(0);
        creds::set_supplementary_group(creds::NO_GROUP);
        creds::set_team_name(Some(creds::TEAM_NAME));
        image::reset();
        modules::reset();
        devfs::reset();
        legacy::reset();
        syscalls::reset();
        ledger::reset();
        fault::lose_wakes("");
        fault::arm(options.faults);
        if let Some(schedule) = options.schedule {
            thread::this().parker().belong_to(Some(schedule::start(schedule)));
        }
        Ok(Self { ended: false })
    }

    /// Puts an add-on's file at `network/devices/NAME` of the user's non-packaged add-ons and, if it is a driver,
    /// links it into `drivers/dev` and probes it as at boot. An error is the driver's own, from loading it; the file
    /// stays where it is.
    pub fn install(&self, name: &str, add_on: impl AddOn + 'static) -> Result<(), status_t> {
        image::add_file(name, Box::new(add_on));
        legacy::probe(name)
    }

    /// What is alive at this moment.
    #[must_use]
    pub fn ledgers(&self) -> Ledgers {
        Ledgers::now()
    }

    /// Closes the team's descriptors, unloads drivers and modules, and says what was not
    /// given back.
    #[must_use]
    pub fn shutdown(mut self) -> Ledgers {
        self.end()
    }

    fn end(&mut self) -> Ledgers {
        self.ended = true;
        fault::arm(FaultPlan::Off);
        syscalls::close_all();
        legacy::unload_all();
        modules::unload_kept();
        heap::flush();
        net_buffer::flush();
        let ledgers = Ledgers::now();
        if schedule::stop() {
            thread::this().parker().belong_to(None);
        }
        *RUNNING.guarded() = None;
        ENDED.notify_one();
        ledgers
    }
}

impl Drop for Kernel {
    /// Shuts the kernel down, if that was not done yet.
    ///
    /// # Panics
    /// If something was not given back, unless the thread panics already.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let ledgers = self.end();
        if !ledgers.is_zero() && !std::thread::panicking() {
            panic!("the kernel ended with ledgers that are not zero:\n{ledgers}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_kernel_ends_with_zero_ledgers() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!(kernel.shutdown(), Ledgers::default());
    }

    #[test]
    fn a_second_kernel_of_the_same_thread_is_refused() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!(Kernel::boot(Options::default()).unwrap_err(), BootError::Twice);
        drop(kernel);
    }

    #[test]
    fn a_node_without_room_for_data_is_refused() {
        let options = Options { net_buffer_node_size: Some(net_buffer::MIN_NODE_SIZE - 1), ..Options::default() };
        assert_eq!(Kernel::boot(options).unwrap_err(), BootError::NodeSize(net_buffer::MIN_NODE_SIZE - 1));
    }

    #[test]
    #[should_panic(expected = "ledgers that are not zero")]
    fn a_leak_is_reported_by_drop() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        sem::create(0, "leaked").unwrap();
        drop(kernel);
    }

    #[test]
    fn a_leak_of_one_kernel_is_not_the_next_ones() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        let id = sem::create(0, "leaked").unwrap();
        assert_eq!(kernel.shutdown().semaphores, 1);
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert!(!sem::live().iter().any(|&(live, _, _)| live == id));
        assert!(kernel.shutdown().is_zero());
    }
}
