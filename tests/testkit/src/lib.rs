//! What the tests share.
//!
//! [`program`] is a program that has a unit open, [`card`] an interface of the driver's that the test drives by hand,
//! [`fake_driver`] a driver for tests of the stack, [`rig`] a system that must end with empty ledgers. [`conformance`] is what
//! Haiku's stack requires of `send_data`, [`fuzz`] has the judges of the fuzz targets, and [`suite`] what a program can
//! observe of a TUN or TAP, as cases that run on Linux's own device and on ours; `docs/compatibility.md` is made of it.

pub mod card;
pub mod conformance;
pub mod fake_driver;
pub mod fuzz;
pub mod image;
pub mod linux_tun;
pub mod names;
pub mod packet;
pub mod program;
pub mod rig;
pub mod suite;
pub mod wait;
pub mod watchdog;
