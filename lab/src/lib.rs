//! A Haiku on Linux: its kernel calls emulated, smoltcp as its IP stack, and the command line.
//!
//! [`Lab`] is a whole Haiku with the driver in it; [`FarSide`](far::FarSide) is the program at the other end of a
//! device; [`Console`](console::Console) is everything that can be typed. [`ping`] and the modules below [`cli`] are
//! the commands, each callable from a test.

pub mod addon;
pub mod bench;
pub mod cli;
pub mod conformance;
pub mod console;
pub mod error;
pub mod exec;
pub mod far;
mod lab;
pub mod latency;
pub mod mode;
pub mod pcap;
mod phy;
pub mod ping;
pub mod scenario;
pub mod simulate;
pub mod soak;
pub mod stack;
pub mod statistics;
#[cfg(test)]
mod tests;
pub mod vpn;

pub use error::{Error, strerror};
pub use lab::{Lab, LabOptions, Ledgers, LogSink};
pub use mode::Mode;
