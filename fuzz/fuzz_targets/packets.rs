//! What a program writes, from memory that may end too early.
//!
//! The oracle is `tests/testkit/src/fuzz/packets.rs`, with which `tests/tests/fuzz.rs` replays the corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tuntap_testkit::fuzz::{Bench, packets};

thread_local! {
    /// One lab for all inputs: each has to leave it as it was.
    static BENCH: Bench = Bench::new();
}

fuzz_target!(|input: &[u8]| BENCH.with(|bench| packets::play(bench, input)));
