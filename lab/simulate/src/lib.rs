//! The simulation: random programs, a random stack and failing kernel calls, against a model of the device.
//!
//! Every step is done to the emulated Haiku and to the [`model`], and every result, every statistic, what a poll would
//! say, the interface's flags and the ledgers are compared after it. The kernel is in its
//! [deterministic mode](haiku_kernel::schedule): programs make calls on threads of their own, the stack's readers receive,
//! and whose turn it is at every call of the kernel follows from the seed, so that a seed is the whole of a run. After each
//! step the world runs until all of its threads wait. Calls at the same time have a set of possible outcomes, which
//! [`possible`] finds; the real outcome must be in it, and a thread that still waits must have a reason to.
//!
//! Runs are done by [workers](worker), processes of their own, so that a panic or a crash is a failure like any other. A
//! failing run is shrunk: steps are left out for as long as it still fails. Each step follows from the seed and its number,
//! so a seed and the numbers that are left replay it.

mod calls;
mod control;
mod interfaces;
mod model;
mod packet;
mod possible;
mod programs;
pub mod soak;
mod step;
mod together;
mod worker;
mod world;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use step::Planned;
pub(crate) use step::Random;
use worker::{Ended, Wrong};
pub use worker::{Run, Steps};

/// Steps of a run at most: many beginnings find more than one long life, and a failure is shrunk sooner.
const RUN: u64 = 50_000;

/// How often a failing run is tried again to make it shorter.
const ATTEMPTS: usize = 2000;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that a worker is: this one's command line.
    pub program: PathBuf,
    /// The first run, or all: more steps than 50,000 are made in several, each with the next seed.
    pub first: Run,
    /// Further runs are started until so much time has passed.
    pub time: Option<Duration>,
}

/// What was simulated without a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs, each from a boot to a shutdown.
    pub runs: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// Events of all of them: calls of the kernel and changes of turn.
    pub events: u64,
    /// Each run's events in one number.
    pub hashes: Vec<u64>,
}

/// A difference between the device and its model.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run.
    pub run: Run,
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
        let Self { run: Run { seed, lost_wakes, .. }, at, what, needed, then } = self;
        writeln!(f, "seed {seed}, step {at}: {what}")?;
        writeln!(f, "these steps are enough, and end with: {then}")?;
        for &number in needed {
            let Planned { step, fault } = Planned::of(*seed, number);
            write!(f, "{number:>10}  {step:?}")?;
            match fault {
                Some((kind, n)) => writeln!(f, ", {kind:?} number {n} fails")?,
                None => writeln!(f)?,
            }
        }
        let numbers: Vec<String> = needed.iter().map(u64::to_string).collect();
        write!(f, "again: haiku-lab simulate --seed {seed} --only {}", numbers.join(","))?;
        match lost_wakes {
            Some(semaphore) => write!(f, " --lose-wakes '{semaphore}'"),
            None => Ok(()),
        }
    }
}

/// Leaves out steps for as long as it still fails: halves, quarters and so on, down to single ones. `fails` says at
/// which number. Single ones are tried again until none of them can go.
fn reduce(mut numbers: Vec<u64>, mut fails: impl FnMut(&[u64]) -> Option<u64>) -> Vec<u64> {
    let mut attempts = 0;
    let mut size = numbers.len().div_ceil(2);
    while size > 0 {
        let (mut from, before) = (0, numbers.len());
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
        size = match size {
            1 if attempts >= ATTEMPTS || numbers.len() == before => 0,
            size => size.div_ceil(2),
        };
    }
    numbers
}

/// What a complaint is about, without the figures.
fn kind_of(what: &str) -> String {
    let line = what.lines().next().unwrap_or_default();
    let end = if line.starts_with("PANIC") { line.len() } else { line.find(':').unwrap_or(line.len()) };
    let words = line[..end].split(' ').filter(|word| !word.starts_with("0x"));
    words.map(|word| word.replace(|character: char| character.is_ascii_digit(), "")).collect::<Vec<_>>().join(" ")
}

impl Options {
    fn attempt(&self, run: &Run) -> io::Result<Ended> {
        run.supervise(&self.program)
    }

    /// What is left of a failing run, and how that fails: with the same complaint, if in other figures.
    fn shrink(&self, run: &Run, (at, what): Wrong) -> io::Result<Failure> {
        let kind = kind_of(&what);
        let (mut then, mut trouble) = (what.clone(), None);
        let all: Vec<u64> = run.steps.numbers().into_iter().filter(|&number| number <= at).collect();
        let again = self.attempt(&Run { steps: Steps::Only(all.clone()), ..run.clone() })?;
        if !again.is_err_and(|(_, what)| kind_of(&what) == kind) {
            // A seed is the whole of a run: this is no difference between the device and its model.
            let seed = run.seed;
            return Err(io::Error::other(format!("seed {seed}, step {at}: {what}\nwhich did not happen again")));
        }
        let needed = reduce(all, |fewer| {
            let attempt = Run { steps: Steps::Only(fewer.to_vec()), ..run.clone() };
            match self.attempt(&attempt) {
                Ok(Err((at, what))) if kind_of(&what) == kind => {
                    then = what;
                    Some(at)
                }
                Ok(_) => None,
                Err(error) => {
                    trouble = Some(error);
                    None
                }
            }
        });
        match trouble {
            Some(error) => Err(error),
            None => Ok(Failure { run: run.clone(), at, what, needed, then }),
        }
    }
}

/// Runs the simulation, and reports each run that begins.
///
/// # Errors
/// Workers that cannot be started. A difference, shrunk, is the inner error.
pub fn run(options: &Options, mut begin: impl FnMut(u64)) -> io::Result<Result<Report, Box<Failure>>> {
    let start = Instant::now();
    let mut report = Report::default();
    loop {
        let steps = match &options.first.steps {
            Steps::Until(all) if options.time.is_none() => Steps::Until((all - report.steps.min(*all)).min(RUN)),
            Steps::Until(all) => Steps::Until(RUN.min(*all)),
            only @ Steps::Only(_) => only.clone(),
        };
        let run = Run { seed: options.first.seed.wrapping_add(report.runs), steps, ..options.first.clone() };
        begin(run.seed);
        match options.attempt(&run)? {
            Ok((hash, events)) => {
                report.runs += 1;
                report.steps += run.steps.numbers().len() as u64;
                report.events += events;
                report.hashes.push(hash);
            }
            Err(wrong) => return Ok(Err(Box::new(options.shrink(&run, wrong)?))),
        }
        let done = match (options.time, &options.first.steps) {
            (Some(time), _) => start.elapsed() >= time,
            (None, Steps::Until(all)) => report.steps >= *all,
            (None, Steps::Only(_)) => true,
        };
        if done {
            return Ok(Ok(report));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(steps.len(), 28, "{steps:?}");
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
