//! Everybody's calls in any order, while calls of the kernel's fail.
//!
//! The judge is `tests/src/fuzz/hooks.rs`, with which `tests/tests/fuzz.rs` replays the corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tuntap_tests::fuzz::{Bench, hooks};

thread_local! {
    /// One lab for all inputs: each has to leave it as it was.
    static BENCH: Bench = Bench::new();
}

fuzz_target!(|input: &[u8]| BENCH.with(|bench| hooks::play(bench, input)));
