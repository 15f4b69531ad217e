//! The fuzzer's corpora, replayed. Every input that ever found something is among them.

use std::fs;
use std::path::{Path, PathBuf};

use tuntap_testkit::fuzz::{Bench, controls, hooks, packets};
use tuntap_testkit::watchdog::Watchdog;

/// The corpora are with the fuzz targets, which are a workspace of their own.
fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Plays every input of a corpus: all in one lab, as the fuzzer does.
fn replay(target: &str, play: fn(&Bench, &[u8])) {
    let directory = fs::read_dir(corpus(target)).expect("a corpus");
    let mut paths: Vec<_> = directory.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "a corpus of {} inputs", paths.len());
    let _watchdog = Watchdog::over(format!("the corpus of {target}"));
    let bench = Bench::new();
    for path in paths {
        println!("{}", path.display());
        play(&bench, &fs::read(&path).expect("an input"));
    }
    bench.end();
}

#[test]
fn packets_from_a_program() {
    replay("packets", packets::play);
}

#[test]
fn controls_in_any_order() {
    replay("controls", controls::play);
}

#[test]
fn hooks_in_any_order() {
    replay("hooks", hooks::play);
}

/// Inputs that no fuzzer has chosen.
fn at_random(play: fn(&Bench, &[u8])) {
    let _watchdog = Watchdog::over("random inputs");
    let bench = Bench::new();
    let mut state = 1u64;
    for round in 0..150 {
        let mut input = vec![0; 1 + round % 300];
        for byte in &mut input {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Low numbers choose what is known.
            *byte = if state >> 63 == 0 { (state >> 32) as u8 } else { (state >> 32) as u8 & 31 };
        }
        play(&bench, &input);
    }
    bench.end();
}

#[test]
fn random_inputs_find_nothing_wrong() {
    for play in [packets::play, controls::play, hooks::play] {
        at_random(play);
    }
}
