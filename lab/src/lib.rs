//! A Haiku on Linux: its kernel calls emulated, smoltcp as its IP stack, and the command line.

pub mod error;
pub mod pcap;
mod phy;
pub mod stack;

pub use error::{Error, strerror};
