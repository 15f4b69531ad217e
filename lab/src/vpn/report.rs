//! What a run found, as JSON lines and as a table.

use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::control::Measured;
use super::plan::Side;
use super::transfer::Seen;
use crate::error::Error;
use crate::latency::{Figures, Latencies};
use crate::stack::Family;

/// The result of one direction and family, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The program.
    pub tool: &'static str,
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
}

impl Line {
    pub(super) fn new(options: &Options<'_>, side: Side, family: Family, measured: &Measured) -> Self {
        let mut times = Latencies::default();
        for &time in &measured.nanoseconds {
            times.push(Duration::from_nanos(time));
        }
        Self {
            tool: options.tool.name(),
            direction: side.direction(),
            mode: options.mode.name(),
            family: family.version(),
            size: options.size,
            sent: measured.sent,
            received: measured.received,
            lost: measured.sent - measured.received,
            rtt_us: times.figures(),
        }
    }

    fn row(&self) -> String {
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        format!(
            "{:<9} {:<4} {:<5} {:<17} {:>7} {:>9} {:>5}  {:>9} {:>9} {:>9} {:>9}\n",
            self.tool,
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

/// A TCP transfer, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Transfer {
    /// The program.
    pub tool: &'static str,
    /// `client_to_server` or `server_to_client`.
    pub direction: &'static str,
    /// `tun` or `tap`.
    pub mode: &'static str,
    /// Bytes of data.
    pub transfer_bytes: u64,
    /// Their checksum, which both ends found.
    pub checksum: String,
    /// From the first byte that was sent until the receiver's checksum had come back.
    pub seconds: f64,
    /// Data, in millions of bits a second.
    pub megabits_per_second: f64,
    /// The longest time between two pieces of data, at the receiver.
    pub longest_stall_ms: f64,
}

impl Transfer {
    pub(super) fn new(options: &Options<'_>, from: Side, receiver: &Seen, sender: &Seen) -> Self {
        let seconds = sender.nanoseconds as f64 / 1e9;
        Self {
            tool: options.tool.name(),
            direction: from.direction(),
            mode: options.mode.name(),
            transfer_bytes: receiver.bytes,
            checksum: format!("{:016x}", receiver.checksum),
            seconds,
            megabits_per_second: receiver.bytes as f64 * 8.0 / 1e6 / seconds.max(1e-9),
            longest_stall_ms: receiver.stall_nanoseconds as f64 / 1e6,
        }
    }
}

/// What a tunnel that carries nothing costs, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// The program.
    pub tool: &'static str,
    /// `tun` or `tap`.
    pub mode: &'static str,
    /// How long it was left alone.
    pub idle_seconds: f64,
    /// What the server used of one CPU, in per cent.
    pub server_cpu_percent: f64,
    /// What the client used.
    pub client_cpu_percent: f64,
}

impl Idle {
    pub(super) fn new(options: &Options<'_>, time: Duration, [server, client]: [Duration; 2]) -> Self {
        let percent = |used: Duration| used.as_secs_f64() * 100.0 / time.as_secs_f64().max(1e-9);
        Self {
            tool: options.tool.name(),
            mode: options.mode.name(),
            idle_seconds: time.as_secs_f64(),
            server_cpu_percent: percent(server),
            client_cpu_percent: percent(client),
        }
    }
}

/// One thing that a run found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// Round trips.
    Pings(Line),
    /// A TCP transfer.
    Transfer(Transfer),
    /// CPU time of an idle tunnel.
    Idle(Idle),
}

impl Record {
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
        match self {
            Self::Pings(line) => line.row(),
            Self::Transfer(transfer) => format!(
                "{:<9} {:<4} {:<5} {:<17} {} bytes in {:.2} s: {:.0} Mbit/s, longest stall {:.1} ms, checksum {}\n",
                transfer.tool,
                transfer.mode,
                "TCP",
                transfer.direction,
                transfer.transfer_bytes,
                transfer.seconds,
                transfer.megabits_per_second,
                transfer.longest_stall_ms,
                transfer.checksum
            ),
            Self::Idle(idle) => format!(
                "{:<9} {:<4} idle for {:.0} s: the server used {:.3} % of a CPU, the client {:.3} %\n",
                idle.tool, idle.mode, idle.idle_seconds, idle.server_cpu_percent, idle.client_cpu_percent
            ),
        }
    }
}

/// The table's head.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<9} {:<4} {:<5} {:<17} {:>7} {:>9} {:>5}  {:>9} {:>9} {:>9} {:>9}\n",
        "tool", "mode", "", "direction", "sent", "answered", "lost", "min µs", "median", "p99", "max"
    )
}
