//! The fuzzer's corpus, replayed, and where it comes from.

use std::fs;
use std::path::PathBuf;

use crate::fixture::*;
use crate::oracle;

/// The corpus is with the fuzz target, which is a workspace of its own.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/loader")
}

#[test]
fn the_corpus_finds_nothing_wrong() {
    let _alone = alone();
    let mut paths: Vec<_> = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in &paths {
        println!("{}", path.display());
        oracle::play(&fs::read(path).unwrap());
    }
    assert!(paths.len() >= 10, "a corpus of {} inputs", paths.len());
}

/// Writes the file that the fuzzer starts from, after the fixture has changed.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_seed() {
    fs::create_dir_all(directory()).unwrap();
    fs::write(directory().join("good"), Addon::good().bytes()).unwrap();
}
