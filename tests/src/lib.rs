//! End-to-end tests: one file per family of behaviour, and one suite for two kernels.
//!
//! [`suite`] holds what a program can observe of a TUN or TAP as a list of cases that run against Linux's own device
//! and against ours; `docs/compatibility.md` is what comes of it. The rest serves the tests below `tests/`.

pub mod card;
pub mod fuzz;
pub mod image;
pub mod names;
pub mod packet;
pub mod program;
pub mod rig;
pub mod suite;
pub mod wait;
pub mod watchdog;
