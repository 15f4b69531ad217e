//! The oracles of the fuzz targets: how an input is run, and the invariants that must hold. The tests replay the corpora.
//!
//! A run has one thread and no call that waits, so the input determines it: [`packets`] is what a program writes,
//! [`controls`] its `ioctl`s, [`hooks`] the calls of programs and of the stack in any order. Frames from the stack are fuzzed
//! in `ptp`, and files for the loader in `lab/loader`.

pub mod controls;
pub mod hooks;
mod input;
pub mod packets;

use haiku_kernel::{Ledgers, recursive_lock};
use haiku_system::{Lab, LabOptions, Mode};

use crate::card::Card;

pub use input::Input;

/// Units of each mode.
pub const UNITS: usize = 2;
/// Bytes in a packet's node: fewer than Haiku's, so that packets are in pieces.
const NODE_SIZE: usize = 700;

/// A lab that inputs are played in, one after the other.
#[derive(Debug)]
pub struct Bench {
    lab: Lab,
    at_rest: Ledgers,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// Boots it, and has every node made.
    #[must_use]
    pub fn new() -> Self {
        let options = LabOptions { seed: Some(0), net_buffer_node_size: Some(NODE_SIZE), ..LabOptions::default() };
        let lab = Lab::boot(options).expect("a lab");
        for mode in Mode::ALL {
            for unit in 0..UNITS {
                drop(Card::new(&lab, &mode.interface(unit)));
            }
        }
        let at_rest = lab.kernel().ledgers();
        Self { lab, at_rest }
    }

    /// The lab.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// How many packets there are.
    #[must_use]
    pub fn packets(&self) -> usize {
        usize::try_from(self.lab.kernel().ledgers().packets).expect("no more packets are freed than were made")
    }

    /// Fails if an input has left something behind.
    pub fn check_rest(&self) {
        assert_eq!(self.lab.kernel().ledgers(), self.at_rest, "something was left behind");
    }

    /// Ends the lab.
    pub fn end(self) {
        let ledgers = self.lab.shutdown();
        assert!(ledgers.is_zero(), "something is left over:\n{ledgers}");
        assert_eq!(recursive_lock::recursions(), 0, "the driver uses recursive locks as mutexes");
    }
}
