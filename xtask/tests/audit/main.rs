//! The audit on small add-ons: one without fault, and for every rule one that breaks just that rule.
//!
//! They are made with the C compiler that Rust needs anyway, linked as the real add-on is, and then patched.

mod broken;
mod made;
mod panics;
