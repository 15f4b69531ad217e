//! `bench`: what the device costs.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Global, say};
use crate::bench::{self, Figure, Goal, Options, client};
use crate::error::Error;

const EXAMPLES: &str = "Examples:
  haiku-lab bench                                  all of it
  haiku-lab bench core --json
  haiku-lab bench core --unchecked-memory          without the patterns in memory that find mistakes
  haiku-lab bench instructions                     by valgrind, and so the same on a busy machine
  haiku-lab bench preload                          batches of a program with the library in front
  haiku-lab bench linux                            such a program against Linux's own TUN (root)
  haiku-lab bench --plot pictures                  the same, and pictures
  haiku-lab --addon target/haiku/tun_tap bench real";

/// The arguments of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Only this one: core, wake, select, flood, batch, units, depth, memory, real, instructions,
    /// preload or linux
    pub name: Option<String>,
    /// Neither fill nor check the emulated kernel's memory, which else is most of what a packet costs
    #[arg(long)]
    pub unchecked_memory: bool,
    /// Draw SVG pictures in this folder: round trips, and cost against packet size and number of devices
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
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
pub fn run(global: &Global, arguments: &BenchArgs, out: &mut dyn Write) -> Result<(), Error> {
    let options = Options {
        name: arguments.name.clone(),
        addon: global.addon.clone(),
        unchecked_memory: arguments.unchecked_memory,
    };
    if let Some(packets) = arguments.packets {
        return bench::once(&options, packets, arguments.floor);
    }
    if !arguments.json {
        say(out, &format!("{:<26} {:>12} {:>12}              {:>7}   {}\n", "", "device", "floor", "ratio", "goal"))?;
    }
    bench::run(&options, |figure| say(out, &if arguments.json { json(figure) } else { row(figure) }))?;
    if let Some(folder) = &arguments.plot {
        for picture in bench::plot(&options, folder)? {
            eprintln!("drawn: {}", picture.display());
        }
    }
    Ok(())
}

/// The arguments of the program that `bench linux` and `bench preload` start.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// What it does: trips, packets or batch
    pub task: client::Task,
    /// How often
    pub count: u32,
    /// Packets in a batch
    #[arg(long, default_value_t = 1)]
    pub batch: u32,
    /// In a network namespace of its own
    #[arg(long)]
    pub namespace: bool,
}

/// Does it, and prints the nanoseconds that each took.
///
/// # Errors
/// As [`client::run`].
pub fn client(arguments: &ClientArgs, out: &mut dyn Write) -> Result<(), Error> {
    let each = client::run(arguments.task, arguments.count, arguments.batch, arguments.namespace)?;
    say(out, &format!("{each}\n"))
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
        "{:<26} {:>12.1} {:>12.1} {:<10} x {:>7.3}   {sign} {bound}{met}\n",
        figure.name, figure.value, figure.floor, figure.unit, figure.ratio
    )
}
