//! Files for the loader: any bytes.
//!
//! The oracle is `lab/loader/tests/loader/oracle.rs`, which also replays the corpus in the tests of the crate.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../lab/loader/tests/loader/oracle.rs"]
mod oracle;

fuzz_target!(|input: &[u8]| oracle::play(input));
