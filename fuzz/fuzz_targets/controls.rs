//! What a program asks for by `ioctl`: any control with any argument.
//!
//! The oracle is `tests/testkit/src/fuzz/controls.rs`, with which `tests/tests/fuzz.rs` replays the corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tuntap_testkit::fuzz::{Bench, controls};

thread_local! {
    /// One lab for all inputs: each has to leave it as it was.
    static BENCH: Bench = Bench::new();
}

fuzz_target!(|input: &[u8]| BENCH.with(|bench| controls::play(bench, input)));
