//! Haiku's kernel calls, emulated on Linux, so that the add-on runs unchanged inside a Linux process.
//!
//! [`Kernel::boot`] starts the one kernel of the process and [`Kernel::shutdown`] ends it with its [`Ledgers`].
//! The add-on reaches it through the C names of `haiku-sys` (here with the prefix `haiku_`); programs of the
//! emulated userland through [`syscalls`]; the network stack through [`modules`], [`thread`] and [`net_buffer`].
//! Where Haiku is awkward, so is this: what would panic there prints the same words and aborts here. Threads and time
//! are Linux's, unless a [`Schedule`] is given: then the kernel is [deterministic](schedule).

pub mod addon;
pub mod creds;
pub mod debugger;
pub mod devfs;
mod device;
pub mod fault;
mod fd;
mod futex;
mod guarded;
pub mod heap;
mod held;
mod hooks;
mod image;
pub mod interrupts;
mod kernel;
mod ledger;
mod legacy;
mod locks;
pub mod log;
pub mod modules;
pub mod net_buffer;
mod observe;
mod panic;
mod poll;
pub mod priority;
mod random;
pub mod recursive_lock;
pub mod schedule;
mod select;
pub mod sem;
pub mod settings;
pub mod smp;
mod symbols;
pub mod sync;
pub mod syscalls;
pub mod thread;
pub mod user;
mod wait;

pub use addon::{AddOn, Exports};
pub use fault::{Fault, FaultPlan};
pub use kernel::{BootError, Kernel, Options};
pub use ledger::Ledgers;
pub use panic::describe_panics;
pub use schedule::Schedule;
pub use symbols::{Symbol, SymbolKind, symbols};
