//! `haiku-lab ping`: a chosen number of echo requests over each chosen mode and family, and the figures.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::{Global, say, settle};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Figures;
use haiku_system::Lab;
use haiku_system::Mode;
use haiku_system::far::Waiting;
use haiku_system::ping::{self, Event, Options, Report};
use haiku_system::scenario;

const EXAMPLES: &str = "Examples:
  haiku-lab ping                                     ten over each mode and family
  haiku-lab ping --mode tun --family 6 --size 1400
  haiku-lab ping --count 100000 --interval 0 --json  full speed, for another program to read";

/// Both, if the word is `all`, or the one that it names.
fn some<T>(word: &str, all: [T; 2], name: impl Fn(&T) -> String) -> Result<Chosen<T>, String> {
    let [first, second] = all.each_ref().map(name);
    let chosen: Vec<T> = all
        .into_iter()
        .zip([&first, &second])
        .filter(|(_, name)| word == "all" || *name == word)
        .map(|(one, _)| one)
        .collect();
    if chosen.is_empty() { Err(format!("expected {first}, {second} or all")) } else { Ok(Chosen(chosen)) }
}

/// What was chosen of two.
#[derive(Clone, Debug)]
pub struct Chosen<T>(Vec<T>);

fn modes(word: &str) -> Result<Chosen<Mode>, String> {
    some(word, Mode::ALL, Mode::to_string)
}

fn families(word: &str) -> Result<Chosen<Family>, String> {
    some(word, Family::ALL, |family| family.version().to_string())
}

/// Seconds, with fractions.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 0.2 or 0".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What `ping` may be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PingArgs {
    /// The kind of device
    #[arg(long, value_name = "tun|tap", default_value = "all", value_parser = modes)]
    pub mode: Chosen<Mode>,
    /// The version of IP
    #[arg(long, value_name = "4|6", default_value = "all", value_parser = families)]
    pub family: Chosen<Family>,
    /// Echo requests over each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Seconds between two requests; with 0 the next follows the reply
    #[arg(long, value_name = "SECONDS", default_value = "0.1", value_parser = seconds)]
    pub interval: Duration,
    /// Bytes of data in each request, each compared on its return
    #[arg(long, value_name = "BYTES", default_value_t = 56)]
    pub size: usize,
    /// How the program at the far side waits for packets
    #[arg(long, value_name = "read|poll|select", default_value = "read")]
    pub waiting: Waiting,
    /// Print one JSON object a line, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Pings over everything chosen.
///
/// # Errors
/// A command that failed, a request without a reply, or something that was not given back.
pub fn run(global: &Global, arguments: &PingArgs, out: &mut dyn Write) -> Result<(), Error> {
    let lab = global.boot()?;
    let mut lost = 0;
    for &mode in &arguments.mode.0 {
        lab.configure(mode)?;
        let far = lab.far(mode, arguments.waiting)?;
        for &family in &arguments.family.0 {
            lost += one(&lab, arguments, mode, family, out)?;
        }
        far.stop()?;
    }
    settle(&lab.shutdown())?;
    if lost > 0 {
        return Err(Error::Failed(format!("{lost} echo requests were not answered")));
    }
    Ok(())
}

/// Pings over one mode and family; returns how many were lost.
fn one(lab: &Lab, arguments: &PingArgs, mode: Mode, family: Family, out: &mut dyn Write) -> Result<u64, Error> {
    let target = scenario::peer(mode, family);
    let options =
        Options { interval: arguments.interval, size: arguments.size, ..Options::new(target, arguments.count) };
    let mut trouble = Vec::new();
    let report = ping::run(lab.stack(), &options, &mut |event| {
        if !matches!(event, Event::Reply { .. }) && trouble.len() < 3 {
            trouble.push(ping::line(target, event));
        }
    })?;
    for line in trouble {
        eprintln!("haiku-lab: {}: {line}", mode.interface(0));
    }
    say(out, &if arguments.json { json(mode, family, &options, &report) } else { text(mode, family, &report) })?;
    Ok(report.lost())
}

/// The result as a line of JSON; times are in microseconds.
fn json(mode: Mode, family: Family, options: &Options, report: &Report) -> String {
    let Figures { min, p50, p99, max } = Figures::of(&report.times);
    let line = serde_json::json!({
        "mode": mode.name(), "family": family.version(), "size": options.size, "sent": report.sent,
        "received": report.received, "lost": report.lost(),
        "rtt_us": { "min": min, "p50": p50, "p99": p99, "max": max },
    });
    format!("{line}\n")
}

fn text(mode: Mode, family: Family, report: &Report) -> String {
    let [min, median, p99, max] = super::figures(report);
    format!(
        "{} {}: {} sent, {} received, {} lost; round trip min {min} median {median} p99 {p99} max {max} µs\n",
        mode.interface(0),
        family.label(),
        report.sent,
        report.received,
        report.lost(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_seconds() {
        assert_eq!(seconds("0.2"), Ok(Duration::from_millis(200)));
        assert!(seconds("-1").is_err());
        assert!(seconds("soon").is_err());
    }
}
