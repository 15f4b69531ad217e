//! The Haiku kernel add-on: where the device core meets the kernel.
//!
//! One file, two roles. As a driver it publishes the nodes that programs open ([`node`]); as a network device module it
//! makes the interfaces that the stack configures ([`interface`]). Both find the same units in [`units`], so either may
//! come first and either may go first. [`kernel`] is Haiku as the core wants it; all that is unsafe about this project
//! is in this crate, and most of it there.
#![no_std]

#[cfg(test)]
extern crate std;

mod debugger;
mod delivery;
pub mod exports;
mod inspect;
mod interface;
pub mod ioctl;
mod kernel;
mod log;
mod node;
mod owner;
mod roles;
mod routes;
mod settings;
mod shared;
mod stack;
mod status;
mod unit;
mod units;

/// The kernel's own panic, in the real add-on. Nothing calls it: the audit of the linked file looks for callers.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: the kernel's `panic` takes a format and its argument; both are constants here.
        unsafe { haiku_sys::panic(c"%s".as_ptr(), c"tun_tap: a Rust panic".as_ptr()) }
    }
}
