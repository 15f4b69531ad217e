//! The Haiku kernel add-on: connects the device core to the kernel.
//!
//! One file, two roles. As a driver it publishes the nodes that programs open ([`hooks`]); as a network device module it
//! makes the interfaces that the stack configures ([`interface`]). Both find the same units in [`units`], so either role
//! may start or stop first. [`kernel`] wraps Haiku's kernel calls, and [`haiku`] gives them to the core. All unsafe code of
//! the product is in this crate, most of it in [`kernel`].
#![no_std]

#[cfg(test)]
extern crate std;

mod debugger;
mod delivery;
pub mod exports;
mod haiku;
mod hooks;
mod inspect;
mod interface;
pub mod ioctl;
mod kernel;
mod log;
mod node;
mod open;
mod owner;
pub mod reasons;
mod rescan;
mod roles;
mod routes;
mod settings;
mod shared;
mod stack;
mod status;
mod unit;
mod units;

/// Calls the kernel's own panic, in the real add-on. It is unreachable: the audit of the linked file looks for callers.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: the kernel's `panic` takes a format and its argument; both are constants here.
        unsafe { haiku_sys::panic(c"%s".as_ptr(), c"tun_tap: a Rust panic".as_ptr()) }
    }
}
