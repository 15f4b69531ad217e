//! What a run found, as JSON lines and as a table.

use serde::Serialize;

use super::Options;
use super::control::Measured;
use super::plan::{Side, System};
use crate::error::Error;
use crate::latency::{Figures, Latencies};
use crate::stack::Family;

/// The result of one direction and family, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The program.
    pub tool: &'static str,
    /// Whose device: `haiku` or `linux`.
    pub system: &'static str,
    /// `client_to_server` or `server_to_client`.
    pub direction: &'static str,
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
    #[serde(skip)]
    times: Latencies,
}

impl Line {
    pub(super) fn new(options: &Options<'_>, system: System, side: Side, family: Family) -> Self {
        Self {
            tool: options.tool.name(),
            system: system.name(),
            direction: side.direction(),
            mode: options.mode.name(),
            family: family.version(),
            size: options.size,
            sent: 0,
            received: 0,
            lost: 0,
            rtt_us: Figures::default(),
            times: Latencies::default(),
        }
    }

    pub(super) fn add(&mut self, measured: &Measured) {
        self.sent += measured.sent;
        self.received += measured.received;
        for &time in &measured.nanoseconds {
            self.times.push(std::time::Duration::from_nanos(time));
        }
    }

    pub(super) fn finish(&mut self) {
        self.lost = self.sent - self.received;
        self.rtt_us = self.times.figures();
    }

    /// As JSON, with the end of the line.
    ///
    /// # Errors
    /// None in practice.
    pub fn json(&self) -> Result<String, Error> {
        let text = serde_json::to_string(self).map_err(|error| Error::Failed(format!("writing JSON: {error}")))?;
        Ok(text + "\n")
    }

    /// As a line of a table.
    #[must_use]
    pub fn row(&self) -> String {
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        format!(
            "{:<9} {:<6} {:<4} {:<5} {:<17} {:>7} {:>9} {:>5}  {:>9} {:>9} {:>9} {:>9}\n",
            self.tool,
            self.system,
            self.mode,
            if self.family == 4 { "IPv4" } else { "IPv6" },
            self.direction,
            self.sent,
            self.received,
            self.lost,
            show(self.rtt_us.min),
            show(self.rtt_us.p50),
            show(self.rtt_us.p99),
            show(self.rtt_us.max)
        )
    }
}

/// The table's head.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<9} {:<6} {:<4} {:<5} {:<17} {:>7} {:>9} {:>5}  {:>9} {:>9} {:>9} {:>9}\n",
        "tool", "system", "mode", "", "direction", "sent", "answered", "lost", "min µs", "median", "p99", "max"
    )
}

/// How Haiku's figures compare with Linux's, direction by direction.
#[must_use]
pub fn ratios(lines: &[Line]) -> String {
    let mut text = String::from("Haiku's round trips as a multiple of Linux's:\n");
    for haiku in lines.iter().filter(|line| line.system == System::Haiku.name()) {
        let same = |line: &&Line| {
            line.system == System::Linux.name() && line.direction == haiku.direction && line.family == haiku.family
        };
        let Some(linux) = lines.iter().find(same) else { continue };
        let ratio = |ours: Option<f64>, theirs: Option<f64>| match (ours, theirs) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        };
        text += &format!(
            "  IPv{} {:<17} median {:>5}  p99 {:>5}\n",
            haiku.family,
            haiku.direction,
            ratio(haiku.rtt_us.p50, linux.rtt_us.p50),
            ratio(haiku.rtt_us.p99, linux.rtt_us.p99)
        );
    }
    text
}
