//! `simulate`, from the outside: long enough to mean something, the same again for the same seed, and not blind.

use std::path::PathBuf;

use haiku_simulate::{Options, Report, Run, Steps};

/// How many steps there are, for a longer run.
const STEPS: &str = "HAIKU_LAB_SIMULATE_STEPS";

fn options(seed: u64, steps: u64) -> Options {
    let first = Run { seed, steps: Steps::Until(steps), lost_wakes: None };
    Options { program: PathBuf::from(env!("CARGO_BIN_EXE_haiku-lab")), first, time: None }
}

fn fine(options: &Options) -> Report {
    match haiku_simulate::run(options, |_| ()).expect("workers run") {
        Ok(report) => report,
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_device_does_as_its_model_does() {
    let steps = std::env::var(STEPS).ok().and_then(|steps| steps.parse().ok()).unwrap_or(100_000);
    // Runs of their own seeds: many beginnings find more than one long life.
    const RUN: u64 = 20_000;
    for seed in 0..steps / RUN {
        assert_eq!(fine(&options(seed, RUN)).steps, RUN);
    }
}

#[test]
fn a_seed_is_the_whole_of_a_run_and_another_one_is_another_run() {
    let first = fine(&options(7, 2000));
    assert_eq!(fine(&options(7, 2000)), first);
    assert_ne!(fine(&options(8, 2000)).hashes, first.hashes);
}

#[test]
fn lost_wakes_are_found_and_what_shows_them_is_short_and_shows_them_again() {
    for semaphore in ["tun_tap room", "tun_tap to user", "tun_tap to stack"] {
        let mut options = options(2, 20_000);
        options.first.lost_wakes = Some(semaphore.to_owned());
        let failure = haiku_simulate::run(&options, |_| ()).expect("workers run").expect_err("a wake is lost");
        assert!(failure.needed.len() <= 20, "{failure}");
        options.first.steps = Steps::Only(failure.needed.clone());
        let again = haiku_simulate::run(&options, |_| ()).expect("workers run").expect_err("a wake is lost");
        assert_eq!(again.what, failure.then, "{failure}");
    }
}
