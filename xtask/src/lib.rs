//! The workshop of the project: builds, links, audits and packages the real add-on, and runs the tests.
//!
//! [`addon`] turns the workspace into the file that Haiku loads, with the help of [`toolchain`], [`linker`] and
//! [`stub`]; [`audit`] proves that it will load; [`dist`] packs it, with [`hpkg`] for Haiku's format, after
//! [`release`] has checked that versions and documents agree; [`testing`] runs everything that can be run
//! without a Haiku; [`plots`] draws what was measured on one; [`setup`] fetches what is missing. The command line is in `main.rs`.

pub mod addon;
pub mod audit;
pub mod dist;
pub mod hpkg;
pub mod linker;
pub mod names;
pub mod plots;
pub mod process;
pub mod project;
pub mod release;
pub mod setup;
pub mod stub;
pub mod table;
pub mod testing;
pub mod toolchain;
