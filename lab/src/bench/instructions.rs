//! `instructions`: what a packet each way executes, counted by `valgrind --tool=callgrind`. The same on any machine,
//! however busy it is.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Figure, Options, core};
use crate::error::Error;
use crate::exec;
use crate::mode::Mode;

/// Packets in the shorter of two runs; the longer has twice as many, and what differs is theirs.
const PACKETS: u32 = 2_000;

/// Instructions of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    /// In the driver's own functions.
    driver: u64,
    /// In all.
    all: u64,
}

/// The driver's crates, as their functions are named.
const DRIVER: [&str; 5] = ["tuntap_driver", "tuntap_net_addon", "tuntap_ptp", "tuntap_tap", "tuntap_tun"];

/// Sums up a profile of callgrind's, with its names written out.
fn sum(profile: &str) -> Count {
    let (mut count, mut is_driver, mut is_inclusive) = (Count::default(), false, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            is_driver = DRIVER.iter().any(|name_of_crate| name.contains(name_of_crate));
        } else if line.starts_with("calls=") {
            // The line behind it has the cost of what was called, which is counted where it is spent.
            is_inclusive = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || first == '+' || first == '-' || first == '*')
        {
            let cost = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            if !std::mem::take(&mut is_inclusive) {
                count.all += cost;
                count.driver += if is_driver { cost } else { 0 };
            }
        }
    }
    count
}

/// Runs the device or the floor under valgrind.
fn counted(options: &Options, name: &str, packets: u32, as_floor: bool, folder: &Path) -> Result<Count, Error> {
    let profile = folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(exec::program()?).args(["bench", name, "--packets", &packets.to_string()]);
    command.args(as_floor.then_some("--floor"));
    command.args(options.unchecked_memory.then_some("--unchecked-memory"));
    let output = command.output().map_err(|error| Error::io("running valgrind", error))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Failed(format!("valgrind failed ({}): {}", output.status, errors.trim())));
    }
    let text = std::fs::read_to_string(&profile);
    Ok(sum(&text.map_err(|error| Error::io(format!("reading {}", profile.display()), error))?))
}

/// Instructions for one packet each way.
fn each(options: &Options, name: &str, as_floor: bool, folder: &Path) -> Result<(f64, f64), Error> {
    let once = counted(options, name, PACKETS, as_floor, folder)?;
    let twice = counted(options, name, 2 * PACKETS, as_floor, folder)?;
    let per_packet = |more: u64, less: u64| more.saturating_sub(less) as f64 / f64::from(PACKETS);
    Ok((per_packet(twice.driver, once.driver), per_packet(twice.all, once.all)))
}

/// All instructions against the floor's, and the driver's own against all.
pub(super) fn run(options: &Options) -> Result<Vec<Figure>, Error> {
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if valgrind.is_err() {
        let missing = "the benchmark instructions needs valgrind";
        if options.name.is_some() {
            return Err(Error::Failed(missing.to_owned()));
        }
        eprintln!("skipped: {missing}");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir().map_err(|error| Error::io("making a folder for profiles", error))?;
    let mut figures = Vec::new();
    for mode in Mode::ALL {
        for length in core::LENGTHS {
            let name = format!("{mode}/{length}");
            let (driver, all) = each(options, &name, false, folder.path())?;
            let (_, floor) = each(options, &name, true, folder.path())?;
            let figure = |name, value: f64, floor: f64, goal| Figure {
                name,
                value,
                unit: "instr",
                floor,
                ratio: value / floor,
                goal,
            };
            figures.push(figure(format!("instructions/{name}"), all, floor, 1.5));
            let own = format!("instructions/{name}/own");
            figures.push(figure(own, driver, all, 1.0));
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_is_counted_where_it_is_spent() {
        let profile = "version: 1\nevents: Ir\nfl=a\nfn=tuntap_driver::read\n10 5\ncfn=haiku_kernel::free\ncalls=2 30\n11 400\n12 1\n\
                       fn=haiku_kernel::free\n30 400\nsummary: 406\n";
        assert_eq!(sum(profile), Count { driver: 6, all: 406 });
    }
}
