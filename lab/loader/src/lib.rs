//! Loads a Haiku kernel add-on into a Linux process, by the rules of Haiku's own loader and no laxer.
//!
//! [`load`] reads the file and returns an [`Image`], or a [`LoadError`] that names the [`Rule`] the file broke, what
//! Haiku's kernel would have done with it, and what to do about it. What the add-on imports is looked up in a
//! [`SymbolTable`], the stand-in for the kernel. Neighbours: `haiku-kernel` provides such a table; `cargo xtask audit`
//! checks the same rules, and more, on a file that is not loaded.
//!
//! Nothing is mapped executable until every rule has been checked, and nothing stays mapped when one is broken.
//! Where Haiku's loader would misread a damaged file and take the kernel down with it, this one refuses the file.

mod dynamic;
mod error;
mod image;
mod layout;
mod memory;
mod relocate;
mod staged;
mod symbols;

pub use error::{LoadError, OnHaiku, Rule};
pub use image::{Image, ImageSymbol, load, load_bytes};
pub use memory::mapped_bytes;
pub use symbols::{KernelSymbol, SymbolKind, SymbolTable};
