//! `simulate`: random programs against a model of the device, reproducibly.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::say;
use crate::error::Error;
use crate::simulate::{self, Options};

const EXAMPLES: &str = "Examples:
  haiku-lab simulate                               100,000 steps of seed 0
  haiku-lab simulate --seed 7 --steps 1000000
  haiku-lab simulate --minutes 60                  seed after seed for an hour
  haiku-lab simulate --seed 7 --only 12,190,4711   a failure again, as it was printed";

/// The arguments of `simulate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Where the steps come from; of several runs, the first one's
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Steps of a run
    #[arg(long, default_value_t = 100_000)]
    pub steps: u64,
    /// Start runs with the seeds that follow until so many minutes have passed
    #[arg(long, value_name = "T")]
    pub minutes: Option<f64>,
    /// Only the steps of these numbers, as a failure prints them
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub only: Option<Vec<u64>>,
}

/// Runs the simulation.
///
/// # Errors
/// A difference between the device and its model, with the steps that lead to it; or a time that is none.
pub fn run(arguments: &SimulateArgs, out: &mut dyn Write) -> Result<(), Error> {
    let time = arguments.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0)).transpose();
    let time = time.map_err(|error| Error::Usage(format!("simulate: --minutes: {error}")))?;
    let options = Options { seed: arguments.seed, steps: arguments.steps, time, only: arguments.only.clone() };
    // Said before the run, for a panic of the emulated kernel ends the process there and then.
    let mut said = Ok(());
    let report = simulate::run(&options, |seed| said = say(out, &format!("seed {seed}\n")));
    said?;
    match report {
        Ok(report) => say(out, &format!("{} steps in {} runs, no difference\n", report.steps, report.runs)),
        Err(failure) => Err(Error::Failed(failure.to_string())),
    }
}
