//! Frames from a stack and packets from a program, in any order and of any form.
//!
//! The oracle is `ptp/tests/layer/oracle.rs`, which also replays the corpus in the tests of the crate.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "the names of the actions are for those who write inputs")]
#[path = "../../ptp/tests/layer/oracle.rs"]
mod oracle;

fuzz_target!(|input: &[u8]| oracle::play(input));
