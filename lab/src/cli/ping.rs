//! `haiku-lab ping`: a chosen number of echo requests over each chosen mode and family, and the figures.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{Global, say, settle};
use crate::error::Error;
use crate::far::Waiting;
use crate::lab::Lab;
use crate::latency::Figures;
use crate::mode::Mode;
use crate::ping::{self, Event, Options, Report};
use crate::scenario;
use crate::stack::Family;

const EXAMPLES: &str = "Examples:
  haiku-lab ping                                     ten over each mode and family
  haiku-lab ping --mode tun --family 6 --size 1400
  haiku-lab ping --count 100000 --interval 0 --json  full speed, for another program to read";

/// Which modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Modes {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
    /// One after the other.
    All,
}

impl Modes {
    fn list(self) -> &'static [Mode] {
        match self {
            Self::Tun => &[Mode::Tun],
            Self::Tap => &[Mode::Tap],
            Self::All => &Mode::ALL,
        }
    }
}

/// Which families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Families {
    /// IPv4.
    #[value(name = "4")]
    Inet,
    /// IPv6.
    #[value(name = "6")]
    Inet6,
    /// One after the other.
    All,
}

impl Families {
    fn list(self) -> &'static [Family] {
        match self {
            Self::Inet => &[Family::Inet],
            Self::Inet6 => &[Family::Inet6],
            Self::All => &Family::ALL,
        }
    }
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
    #[arg(long, value_enum, default_value = "all")]
    pub mode: Modes,
    /// The version of IP
    #[arg(long, value_enum, default_value = "all")]
    pub family: Families,
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
    #[arg(long, value_enum, default_value = "read")]
    pub waiting: Waiting,
    /// Print one JSON object a line, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// The result of one mode and family, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// `tun` or `tap`.
    pub mode: &'static str,
    /// 4 or 6.
    pub family: u8,
    /// Bytes of data.
    pub size: usize,
    /// Requests.
    pub sent: u64,
    /// Right replies.
    pub received: u64,
    /// The difference.
    pub lost: u64,
    /// Round trips in microseconds.
    pub rtt_us: Figures,
}

impl Line {
    fn new(mode: Mode, family: Family, size: usize, report: &Report) -> Self {
        Self {
            mode: mode.name(),
            family: family.version(),
            size,
            sent: report.sent,
            received: report.received,
            lost: report.lost(),
            rtt_us: report.times.figures(),
        }
    }
}

/// Pings over everything chosen.
///
/// # Errors
/// A command that failed, a request without a reply, or something that was not given back.
pub fn run(global: &Global, arguments: &PingArgs, out: &mut dyn Write) -> Result<(), Error> {
    let lab = global.boot()?;
    let mut lost = 0;
    for &mode in arguments.mode.list() {
        lab.configure(mode)?;
        let far = lab.far(mode, arguments.waiting)?;
        for &family in arguments.family.list() {
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
    let bar = progress(arguments, &format!("{} {}", mode.interface(0), family.label()));
    let mut trouble = Vec::new();
    let report = ping::run(lab.stack(), &options, None, &mut |event| {
        bar.inc(1);
        if !matches!(event, Event::Reply { .. }) && trouble.len() < 3 {
            trouble.push(ping::line(target, event));
        }
    })?;
    bar.finish_and_clear();
    for line in trouble {
        eprintln!("haiku-lab: {}: {line}", mode.interface(0));
    }
    let line = Line::new(mode, family, arguments.size, &report);
    say(out, &if arguments.json { json(&line)? } else { text(mode, family, &line) })?;
    Ok(report.lost())
}

/// A bar on a terminal, and nothing anywhere else.
fn progress(arguments: &PingArgs, name: &str) -> ProgressBar {
    let shown = !arguments.json && std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(arguments.count), target);
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.with_prefix(name.to_owned())
}

fn json(line: &Line) -> Result<String, Error> {
    let text = serde_json::to_string(line).map_err(|error| Error::Failed(format!("writing JSON: {error}")))?;
    Ok(text + "\n")
}

fn text(mode: Mode, family: Family, line: &Line) -> String {
    let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    format!(
        "{} {}: {} sent, {} received, {} lost; round trip min {} median {} p99 {} max {} µs\n",
        mode.interface(0),
        family.label(),
        line.sent,
        line.received,
        line.lost,
        show(line.rtt_us.min),
        show(line.rtt_us.p50),
        show(line.rtt_us.p99),
        show(line.rtt_us.max)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_the_agreed_form() {
        let line = Line {
            mode: "tun",
            family: 4,
            size: 56,
            sent: 3,
            received: 3,
            lost: 0,
            rtt_us: Figures { min: Some(10.0), p50: Some(11.5), p99: Some(20.0), max: Some(20.0) },
        };
        assert_eq!(
            json(&line).unwrap(),
            "{\"mode\":\"tun\",\"family\":4,\"size\":56,\"sent\":3,\"received\":3,\"lost\":0,\
             \"rtt_us\":{\"min\":10.0,\"p50\":11.5,\"p99\":20.0,\"max\":20.0}}\n"
        );
    }

    #[test]
    fn an_interval_is_seconds() {
        assert_eq!(seconds("0.2"), Ok(Duration::from_millis(200)));
        assert!(seconds("-1").is_err());
        assert!(seconds("soon").is_err());
    }
}
