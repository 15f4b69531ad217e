//! Calls of programs and of the stack in any order, while kernel calls fail.
//!
//! The oracle is `tests/testkit/src/fuzz/hooks.rs`, with which `tests/tests/fuzz.rs` replays the corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tuntap_testkit::fuzz::{Bench, hooks};

thread_local! {
    /// One lab for all inputs: each has to leave it as it was.
    static BENCH: Bench = Bench::new();
}

fuzz_target!(|input: &[u8]| BENCH.with(|bench| hooks::play(bench, input)));
