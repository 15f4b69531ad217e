//! `bench`: what the device costs.

use std::io::Write;

use clap::Args;

use super::{Global, say};
use crate::bench::{self, Figure, Goal, Options};
use crate::error::Error;

const EXAMPLES: &str = "Examples:
  haiku-lab bench                                  all of it
  haiku-lab bench core --json
  haiku-lab --addon target/haiku/tun_tap bench real";

/// The arguments of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Only this one: core, wake, select, flood, batch, units, depth, memory or real
    pub name: Option<String>,
    /// One JSON object a line, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Runs the benchmarks and prints a table, or JSON.
///
/// # Errors
/// As [`bench::run`].
pub fn run(global: &Global, arguments: &BenchArgs, out: &mut dyn Write) -> Result<(), Error> {
    let options = Options { name: arguments.name.clone(), addon: global.addon.clone() };
    if !arguments.json {
        say(out, &format!("{:<16} {:>12} {:>12}          {:>7}   {}\n", "", "device", "floor", "ratio", "goal"))?;
    }
    bench::run(&options, |figure| say(out, &if arguments.json { json(figure) } else { row(figure) }))
}

fn json(figure: &Figure) -> String {
    serde_json::to_string(figure).map_or_else(|error| format!("{error}\n"), |line| line + "\n")
}

fn row(figure: &Figure) -> String {
    let (sign, bound) = match figure.goal {
        Goal::AtMost(most) => ("<=", most),
        Goal::AtLeast(least) => (">=", least),
    };
    let met = if figure.goal.is_met(figure.ratio) { "" } else { "  missed" };
    format!(
        "{:<16} {:>12.1} {:>12.1} {:<6} x {:>7.3}   {sign} {bound}{met}\n",
        figure.name, figure.value, figure.floor, figure.unit, figure.ratio
    )
}
