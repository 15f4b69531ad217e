//! Haiku's kernel ABI in Rust, as far as a network driver uses it.
//!
//! C names are kept as Haiku's headers spell them. Layouts and values are those of x86_64, where R1/beta5 and master agree;
//! `tests/abi.rs` compares each with `abi/x86_64.json`, which was measured by compiling Haiku's own headers.
//!
//! The structures mirror C: their pointers have no invariants of their own, and functions that dereference one say what it
//! must be. Locks are opaque, because their layout changes with the kernel's debug level.
#![no_std]
#![expect(non_camel_case_types, reason = "types are spelled as Haiku's headers spell them")]

mod calls;
mod constants;
mod device;
mod kernel;
mod net;
mod settings;
mod socket;
mod status;

pub use calls::*;
pub use constants::*;
pub use device::*;
pub use kernel::*;
pub use net::*;
pub use settings::*;
pub use socket::*;
pub use status::*;
