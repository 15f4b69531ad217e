//! The command line: what may be typed, and what it starts.
//!
//! Each module is a command; [`vpn`] runs VPN programs as Debian ships them, [`preload`] puts an emulated Haiku into any.

pub mod exec;
pub mod main_job;
pub mod ping;
pub mod preload;
pub mod shell;
pub mod simulate;
pub mod soak;
#[cfg(test)]
mod tests;
pub mod vpn;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use haiku_stack::Error;
use haiku_system::{Figures, Lab, LabOptions, Ledgers, LogSink, ping::Report};

const ABOUT: &str = "A Haiku on Linux, with the TUN/TAP driver in it.

Without a command it does the main job: it boots the emulated Haiku, configures tun/0 and tap/0, pings across each \
over IPv4 and IPv6, and says what went where. No root is needed but for `vpn --tool iodine`.";

const EXAMPLES: &str = "Examples:
  haiku-lab                                        the main job
  haiku-lab ping --count 100000 --interval 0 --json
  haiku-lab shell
  echo 'ifconfig tun/0 10.9.0.1 255.255.255.0 up' | haiku-lab shell
  haiku-lab --addon target/haiku/tun_tap --pcap frames.pcap";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "haiku-lab", version, about = "A Haiku on Linux, with the TUN/TAP driver in it", long_about = ABOUT, after_help = EXAMPLES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command; without one, the main job.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that may stand before any command.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Load this add-on file, by Haiku's rules, instead of the driver that is linked in
    #[arg(long, value_name = "FILE", global = true)]
    pub addon: Option<PathBuf>,
    /// Capture every frame of every interface in this file, for Wireshark
    #[arg(long, value_name = "FILE", global = true)]
    pub pcap: Option<PathBuf>,
    /// Show Haiku's system log on standard error
    #[arg(long, global = true)]
    pub log: bool,
}

impl Global {
    /// What the lab is started with.
    #[must_use]
    pub fn options(&self) -> LabOptions {
        let log = self.log.then(|| -> LogSink { Box::new(|line| eprintln!("{}", line.trim_end())) });
        LabOptions { addon: self.addon.clone(), pcap: self.pcap.clone(), log, ..LabOptions::default() }
    }

    /// Boots a lab with these options.
    ///
    /// # Errors
    /// As [`Lab::boot`].
    pub fn boot(&self) -> Result<Lab, Error> {
        Lab::boot(self.options())
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ping across TUN and TAP, over IPv4 and IPv6, as often and as fast as you like
    Ping(ping::PingArgs),
    /// Type Haiku's ifconfig, route and ping yourself
    Shell,
    /// Hold the device against a model of it through random programs, stacks and faults, reproducibly
    Simulate(simulate::SimulateArgs),
    /// Traffic over many units while programs are killed and interfaces come and go; nothing may be lost or leak
    Soak(soak::SoakArgs),
    /// Run any program with an emulated Haiku in its process, behind /dev/net/tun, /dev/tun and /dev/tap
    Exec(exec::ExecArgs),
    /// Run OpenVPN, tinc and the like over the driver's devices at both ends, and ping across
    Vpn(vpn::VpnArgs),
    /// Speak to the Haiku inside another process
    Attach(exec::AttachArgs),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        None => main_job::run(&cli.global, &mut io::stdout().lock()),
        Some(Command::Ping(arguments)) => ping::run(&cli.global, arguments, &mut io::stdout().lock()),
        Some(Command::Shell) => shell::run(&cli.global),
        Some(Command::Simulate(arguments)) => simulate::run(arguments, &mut io::stdout().lock()),
        Some(Command::Soak(arguments)) => soak::run(arguments, &mut io::stdout().lock()),
        Some(Command::Vpn(arguments)) => vpn::run(arguments, &mut io::stdout().lock()),
        Some(Command::Exec(arguments)) => exec::run(arguments),
        Some(Command::Attach(arguments)) => exec::attach(arguments, &mut io::stdin().lock(), &mut io::stdout().lock()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output is gone, for example `head`. That is no failure.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haiku-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes text to the command's output.
fn say(out: &mut dyn Write, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Error::io("writing the output", error))
}

/// Shortest, median, 99 % and longest round trip in microseconds, for a table.
fn figures(report: &Report) -> [String; 4] {
    let Figures { min, p50, p99, max } = Figures::of(&report.times);
    [min, p50, p99, max].map(|value| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}")))
}

/// Checks that everything was released at the end of a run.
fn settle(ledgers: &Ledgers) -> Result<(), Error> {
    if ledgers.is_zero() {
        return Ok(());
    }
    Err(Error::Failed(format!("not everything was given back:\n{ledgers}")))
}

#[cfg(test)]
mod command_line {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_on_either_side_of_the_command() {
        let before = Cli::parse_from(["haiku-lab", "--addon", "a", "ping", "--count", "3"]);
        let after = Cli::parse_from(["haiku-lab", "ping", "--count", "3", "--addon", "a"]);
        assert_eq!(before.global.addon, after.global.addon);
        assert!(matches!(after.command, Some(Command::Ping(_))));
    }
}
