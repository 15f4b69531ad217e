//! Haiku's kernel ABI in Rust: types, constants and calls, as the headers of R1/beta5 and master have them.
