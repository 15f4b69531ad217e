//! `soak`: everything at once, for as long as you like.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use clap::Args;

use super::say;
use haiku_simulate::soak::{self, Options, View};
use haiku_stack::Error;
use haiku_system::statistics::Direction;

/// How often a line is written.
const LINE: Duration = Duration::from_secs(10);

/// The arguments of `soak`.
#[derive(Args, Clone, Debug)]
pub struct SoakArgs {
    /// For so many minutes
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub minutes: f64,
    /// So many units of each mode
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub units: usize,
    /// Where the choices of all threads come from; without one, the clock
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Soaks.
///
/// # Errors
/// A packet that is unaccounted for, memory that grows, something that was not given back.
pub fn run(arguments: &SoakArgs, out: &mut dyn Write) -> Result<(), Error> {
    let time = Duration::try_from_secs_f64(arguments.minutes * 60.0)
        .map_err(|error| Error::Usage(format!("soak: --minutes: {error}")))?;
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64);
    let seed = arguments.seed.unwrap_or_else(clock);
    say(out, &format!("seed {seed}\n"))?;
    let mut last = (Duration::ZERO, [0; 3]);
    let report = soak::run(&Options { time, units: arguments.units, seed }, |view| {
        if view.elapsed - last.0 < LINE {
            return Ok(());
        }
        let counts = [&view.counts.read, &view.counts.written, &view.counts.sent].map(get);
        let seconds = (view.elapsed - last.0).as_secs_f64();
        let rates = [0, 1, 2].map(|at| (counts[at] - last.1[at]) as f64 / seconds);
        last = (view.elapsed, counts);
        say(out, &picture(view, rates))
    })?;
    say(out, &format!("{report}\n"))?;
    let failed = || Error::Failed(format!("the soak with seed {seed} failed"));
    if report.is_clean() { Ok(()) } else { Err(failed()) }
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// What a view looks like.
fn picture(view: &View, [read, written, sent]: [f64; 3]) -> String {
    let counts = &view.counts;
    let mut text =
        format!("{:.0} s: read {read:.0}/s, written {written:.0}/s, sent {sent:.0}/s", view.elapsed.as_secs_f64());
    let _ = write!(
        text,
        "; {} opens, {} kills, {} ups and downs, {} deletes",
        get(&counts.opens),
        get(&counts.kills),
        get(&counts.switched),
        get(&counts.deleted)
    );
    let lines = [("to user", &view.now.to_user), ("to stack", &view.now.to_stack)];
    for (name, line) in lines {
        let _ = write!(text, "; {name}: {} queued{}", line.queued, drops(line));
    }
    let (memory, packets) = (view.memory.heap_bytes, view.memory.packets);
    let _ = writeln!(text, "; memory: {memory} bytes of the driver's, {packets} packets");
    text
}

fn drops(line: &Direction) -> String {
    let all = [("purged", line.purged)].into_iter().chain(line.dropped.iter().copied());
    all.filter(|(_, count)| *count > 0).fold(String::new(), |mut text, (name, count)| {
        let _ = write!(text, ", {name} {count}");
        text
    })
}
