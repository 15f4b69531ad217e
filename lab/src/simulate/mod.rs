//! The simulation: random programs, a random stack and failing kernel calls, against a model of the device.
//!
//! Every step is done to the emulated Haiku and to the [`model`], and every result, every statistic, what a poll would
//! say, the interface's flags and the ledgers are compared after it. One thread does it all, so a seed is the whole of a
//! run: a call that would wait does not, or finds a signal there already. What that means is that no two calls are ever
//! under way at one time. **Interleavings are not covered here at all**: the loom models and the shuttle schedules of
//! `driver/tests` are for those, and `soak` for real threads.
//!
//! A failing run is shrunk: steps are left out for as long as it still fails. Each step follows from the seed and its
//! number, so a seed and the numbers that are left replay it.

mod calls;
mod control;
mod frame;
mod interfaces;
mod model;
mod step;
mod world;

use std::fmt;
use std::time::{Duration, Instant};

use step::Planned;
pub(crate) use step::Random;
use world::World;

/// How often a failing run is tried again to make it shorter.
const ATTEMPTS: usize = 2000;

/// What to simulate.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The seed; of several runs, the first one's.
    pub seed: u64,
    /// Steps of a run.
    pub steps: u64,
    /// Runs are started until so much time has passed; one without.
    pub time: Option<Duration>,
    /// Only the steps of these numbers.
    pub only: Option<Vec<u64>>,
}

/// What was simulated without a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs, each from a boot to a shutdown.
    pub runs: u64,
    /// Steps of all of them.
    pub steps: u64,
}

/// A difference between the device and its model.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run's seed.
    pub seed: u64,
    /// The number of the step that went wrong; that of steps if it was the end.
    pub at: u64,
    /// What went wrong, at first.
    pub what: String,
    /// The numbers of the steps that are needed for it.
    pub needed: Vec<u64>,
    /// What goes wrong with those only.
    pub then: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, what, needed, then } = self;
        writeln!(f, "seed {seed}, step {at}: {what}")?;
        writeln!(f, "these steps are enough, and end with: {then}")?;
        for &number in needed {
            let Planned { step, fault } = Planned::of(*seed, number);
            write!(f, "{number:>10}  {step:?}")?;
            match fault {
                Some((kind, n)) => writeln!(f, ", {kind} number {n} fails")?,
                None => writeln!(f)?,
            }
        }
        let numbers: Vec<String> = needed.iter().map(u64::to_string).collect();
        write!(f, "again: haiku-lab simulate --seed {seed} --only {}", numbers.join(","))
    }
}

/// One run of these steps: which step went wrong, and how.
fn run_once(seed: u64, numbers: impl Iterator<Item = u64>) -> Result<u64, (u64, String)> {
    let mut world = World::new(seed).map_err(|what| (0, what))?;
    let (mut done, mut last) = (0, 0);
    for number in numbers {
        world.step(&Planned::of(seed, number)).map_err(|what| (number, what))?;
        (done, last) = (done + 1, number);
    }
    world.end().map_err(|what| (last + 1, what))?;
    Ok(done)
}

/// Leaves out steps for as long as it still fails: halves, quarters and so on, down to single ones. `fails` says at
/// which number.
fn reduce(mut numbers: Vec<u64>, mut fails: impl FnMut(&[u64]) -> Option<u64>) -> Vec<u64> {
    let mut attempts = 0;
    let mut size = numbers.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < numbers.len() && attempts < ATTEMPTS {
            attempts += 1;
            let mut fewer = numbers.clone();
            fewer.drain(from..(from + size).min(numbers.len()));
            match fails(&fewer) {
                None => from += size,
                Some(at) => {
                    fewer.retain(|&number| number <= at);
                    numbers = fewer;
                }
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    numbers
}

/// What is left of a failing run, and how that fails: with the same complaint, if in other figures.
fn shrink(seed: u64, numbers: Vec<u64>, what: String) -> (Vec<u64>, String) {
    let complaint = what.split(':').next().unwrap_or_default().to_owned();
    let mut then = what;
    let needed = reduce(numbers, |fewer| {
        let (at, what) = run_once(seed, fewer.iter().copied()).err()?;
        if !what.starts_with(&complaint) {
            return None;
        }
        then = what;
        Some(at)
    });
    (needed, then)
}

/// Runs the simulation, and tells of each run that begins.
///
/// # Errors
/// The first difference, shrunk.
pub fn run(options: &Options, mut begin: impl FnMut(u64)) -> Result<Report, Box<Failure>> {
    let start = Instant::now();
    let mut report = Report::default();
    loop {
        let seed = options.seed.wrapping_add(report.runs);
        begin(seed);
        let all: Box<dyn Iterator<Item = u64>> = match &options.only {
            Some(only) => Box::new(only.iter().copied()),
            None => Box::new(0..options.steps),
        };
        match run_once(seed, all) {
            Ok(steps) => report = Report { runs: report.runs + 1, steps: report.steps + steps },
            Err((at, what)) => {
                let numbers: Vec<u64> = match &options.only {
                    Some(only) => only.clone(),
                    None => (0..options.steps).take_while(|&number| number <= at).collect(),
                };
                let (needed, then) = shrink(seed, numbers, what.clone());
                return Err(Box::new(Failure { seed, at, what, needed, then }));
            }
        }
        if options.time.is_none_or(|time| start.elapsed() >= time) {
            return Ok(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many steps there are, for a longer run.
    const STEPS: &str = "HAIKU_LAB_SIMULATE_STEPS";

    #[test]
    fn the_device_does_as_its_model_does() {
        let steps = std::env::var(STEPS).ok().and_then(|steps| steps.parse().ok()).unwrap_or(100_000);
        // Runs of their own seeds: many beginnings find more than one long life.
        const RUN: u64 = 20_000;
        for seed in 0..steps / RUN {
            let options = Options { seed, steps: RUN, ..Options::default() };
            if let Err(failure) = run(&options, |_| ()) {
                panic!("{failure}");
            }
        }
    }

    #[test]
    fn a_seed_and_a_number_give_the_same_step_again() {
        for number in 0..1000 {
            assert_eq!(Planned::of(3, number), Planned::of(3, number));
        }
        assert!((0..1000).any(|number| Planned::of(3, number) != Planned::of(4, number)));
    }

    #[test]
    fn every_kind_of_step_and_every_kind_of_fault_comes_up() {
        let names = |text: String| text.split([' ', '(']).next().unwrap_or_default().to_owned();
        let planned = || (0..5000).map(|number| Planned::of(1, number));
        let steps: std::collections::BTreeSet<String> =
            planned().map(|planned| names(format!("{:?}", planned.step))).collect();
        assert_eq!(steps.len(), 25, "{steps:?}");
        let faults: std::collections::BTreeSet<_> = planned().filter_map(|planned| Some(planned.fault?.0)).collect();
        assert_eq!(faults.len(), 7, "{faults:?}");
    }

    #[test]
    fn a_failing_run_is_shrunk_to_what_it_needs() {
        let failing = |numbers: &[u64]| numbers.contains(&7) && numbers.contains(&70);
        let kept = reduce((0..100).collect(), |numbers| failing(numbers).then_some(u64::MAX));
        assert_eq!(kept, [7, 70]);
    }
}
