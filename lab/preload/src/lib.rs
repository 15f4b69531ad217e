//! An emulated Haiku inside any Linux program, by `LD_PRELOAD`.
//!
//! A program that opens `/dev/net/tun`, `/dev/tun`, `/dev/tun/0` and the like opens the driver's node on a Haiku that
//! boots in its own process. [`hooks`] stand in front of libc's calls; [`hidden`] and [`table`] know which descriptors are
//! devices; an [`open::Open`] is one of them, and its [`mirror::Mirror`] is what the program's `select`, `poll` and `epoll` see:
//! a socket of Linux's that is ready exactly when the device is. All else passes through untouched.

// The hooks are only put in front of libc's calls where the library is used, not where its parts are tested.
#![cfg_attr(test, allow(dead_code, reason = "without the hooks most of it has no caller"))]

mod ending;
mod errno;
mod haiku;
mod hidden;
#[cfg(not(test))]
mod hooks;
mod interface;
mod mirror;
mod names;
mod open;
mod process;
mod real;
mod signals;
mod table;
