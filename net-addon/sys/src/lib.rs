//! Haiku's kernel ABI in Rust, as far as a network driver meets it.
//!
//! C names are kept as Haiku's headers spell them, so that either can be read with the other open. Layouts and
//! figures are those of x86_64, where R1/beta5 and master agree; `tests/abi.rs` compares every one of them with
//! `abi/x86_64.json`, which was measured by compiling Haiku's own headers.
//!
//! Nothing here touches the inside of a lock: its layout changes with the kernel's debug level.
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
