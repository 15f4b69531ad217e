//! `bench`: what the device costs.

use std::io::Write;

use clap::Args;

use super::say;
use crate::bench::{self, Figure, Options};
use crate::error::Error;

const EXAMPLES: &str = "Examples:
  haiku-lab bench                                  all of it
  haiku-lab bench units --json
  haiku-lab bench instructions                     by valgrind, and so the same on a busy machine
  haiku-lab bench instructions --unchecked-memory  without the patterns in memory that find mistakes";

/// The arguments of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Only this one: units, depth, memory or instructions
    pub name: Option<String>,
    /// Neither fill nor check the emulated kernel's memory, which else is most of what a packet costs
    #[arg(long)]
    pub unchecked_memory: bool,
    /// Measure so many packets once and print nothing, for a tool that counts
    #[arg(long, hide = true)]
    pub packets: Option<u32>,
    /// As the floor
    #[arg(long, hide = true)]
    pub floor: bool,
    /// One JSON object a line, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Runs the benchmarks and prints a table, or JSON.
///
/// # Errors
/// As [`bench::run`].
pub fn run(arguments: &BenchArgs, out: &mut dyn Write) -> Result<(), Error> {
    let options = Options { name: arguments.name.clone(), unchecked_memory: arguments.unchecked_memory };
    if let Some(packets) = arguments.packets {
        return bench::once(&options, packets, arguments.floor);
    }
    if !arguments.json {
        say(out, &format!("{:<26} {:>12} {:>12}              {:>7}   {}\n", "", "device", "floor", "ratio", "goal"))?;
    }
    bench::run(&options, |figure| say(out, &if arguments.json { json(figure) } else { row(figure) }))
}

fn json(figure: &Figure) -> String {
    serde_json::to_string(figure).map_or_else(|error| format!("{error}\n"), |line| line + "\n")
}

fn row(figure: &Figure) -> String {
    let met = if figure.is_met() { "" } else { "  missed" };
    format!(
        "{:<26} {:>12.1} {:>12.1} {:<10} x {:>7.3}   <= {}{met}\n",
        figure.name, figure.value, figure.floor, figure.unit, figure.ratio, figure.goal
    )
}
