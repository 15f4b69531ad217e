//! `simulate`: random programs against a model of the device, reproducibly.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::say;
use haiku_simulate::{Options, Run, Steps};
use haiku_stack::Error;

const EXAMPLES: &str = "Examples:
  haiku-lab simulate                               100,000 steps, with seeds from 0 on
  haiku-lab simulate --seed 7 --steps 1000000
  haiku-lab simulate --minutes 60                  seed after seed for an hour
  haiku-lab simulate --seed 7 --only 12,190,4711   a failure again, as it was printed
  haiku-lab simulate --lose-wakes 'tun_tap room'   a planted fault, to see it found";

/// The default number of steps.
const STEPS: u64 = 100_000;

/// The arguments of `simulate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Where the steps and the turns of the threads come from; of several runs, the first one's
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// So many steps, in runs of 50000 at most; 100000 unless given
    #[arg(long)]
    pub steps: Option<u64>,
    /// Start runs with the seeds that follow until so many minutes have passed
    #[arg(long, value_name = "T")]
    pub minutes: Option<f64>,
    /// Only the steps of these numbers, as a failure prints them
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub only: Option<Vec<u64>>,
    /// Plant a fault: lose every wake by the semaphore of this name
    #[arg(long, value_name = "SEMAPHORE")]
    pub lose_wakes: Option<String>,
    /// Be the worker of one run, whose steps come on standard input unless their number is given
    #[arg(long, hide = true)]
    pub here: bool,
}

/// Runs the simulation.
///
/// # Errors
/// A difference between the device and its model, with the steps that lead to it; or an invalid time.
pub fn run(arguments: &SimulateArgs, out: &mut dyn Write) -> Result<(), Error> {
    let time = arguments.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0)).transpose();
    let time = time.map_err(|error| Error::Usage(format!("simulate: --minutes: {error}")))?;
    let steps = match (&arguments.only, arguments.steps, arguments.here) {
        (None, None, true) => Steps::read().map_err(|error| Error::io("reading the numbers of steps", error))?,
        (Some(numbers), ..) => Steps::Only(numbers.clone()),
        (None, steps, _) => Steps::Until(steps.unwrap_or(STEPS)),
    };
    let first = Run { seed: arguments.seed, steps, lost_wakes: arguments.lose_wakes.clone() };
    if arguments.here {
        first.perform(out);
    }
    let program = std::env::current_exe().map_err(|error| Error::io("finding this program", error))?;
    let mut said = Ok(());
    let report = haiku_simulate::run(&Options { program, first, time }, |seed| {
        said = say(out, &format!("seed {seed}\n"));
    });
    said?;
    match report.map_err(|error| Error::io("running a worker", error))? {
        Ok(report) => {
            let haiku_simulate::Report { runs, steps, events, .. } = report;
            say(out, &format!("{steps} steps in {runs} runs, {events} events, no difference\n"))
        }
        Err(failure) => Err(Error::Failed(failure.to_string())),
    }
}
