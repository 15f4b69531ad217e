//! `haiku-lab vpn`: a VPN program over the driver's devices, at both ends.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::say;
use super::signals::Signals;
use crate::error::Error;
use crate::mode::Mode;
use crate::vpn::plan::Keys;
use crate::vpn::tools::{self, Tool};
use crate::vpn::{self, Options, report};

const EXAMPLES: &str = "Examples:
  haiku-lab vpn --tool openvpn                       TLS, 100 pings each way over IPv4 and IPv6
  haiku-lab vpn --tool openvpn --mode tap --count 10000 --json
  haiku-lab vpn --tool openvpn --transfer 268435456 --idle 10
                                                     256 MiB over TCP each way, and what an idle tunnel costs
  haiku-lab vpn --list                               the tools, and how to install them";

/// The name of a tool.
fn tool(name: &str) -> Result<String, String> {
    tools::named(name).map(|tool| tool.name().to_owned())
}

/// What `vpn` may be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct VpnArgs {
    /// The program; it must be installed
    #[arg(long, value_name = "NAME", value_parser = tool, required_unless_present = "list")]
    pub tool: Option<String>,
    /// The kind of device; otherwise tun, or what the program is able to carry
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// How the two sides of OpenVPN know each other
    #[arg(long, value_enum, default_value = "tls")]
    pub keys: Keys,
    /// Echo requests in each direction, over each version of IP
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Bytes of data in each request, each compared on its return
    #[arg(long, value_name = "BYTES", default_value_t = 56)]
    pub size: usize,
    /// Then send so many bytes over TCP each way, checksummed
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub transfer: Option<u64>,
    /// Then leave the tunnel alone for so long, and say what CPU time that took
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub idle: Option<u64>,
    /// Print one JSON object a line, and nothing else
    #[arg(long)]
    pub json: bool,
    /// List the tools
    #[arg(long)]
    pub list: bool,
}

/// Runs a tool.
///
/// # Errors
/// It is not there, or failed, with its log; or a request without a reply.
pub fn run(arguments: &VpnArgs, out: &mut dyn Write) -> Result<(), Error> {
    let Some(name) = arguments.tool.as_deref().filter(|_| !arguments.list) else { return list(out) };
    let tool = tools::named(name).map_err(Error::Usage)?;
    let signals = Signals::catch().map_err(|error| Error::io("catching signals", error))?;
    let able = Mode::ALL.into_iter().find(|mode| tool.supports(*mode).is_ok());
    let options = Options {
        tool,
        mode: arguments.mode.or(able).unwrap_or(Mode::Tun),
        keys: arguments.keys,
        count: arguments.count,
        size: arguments.size,
        transfer: arguments.transfer,
        idle: arguments.idle.map(Duration::from_secs),
        stop: Some(signals.flag()),
    };
    if !arguments.json {
        say(out, &report::head())?;
    }
    vpn::run(&options, &mut |record| say(out, &if arguments.json { record.json()? } else { record.row() }))
}

/// Says which tools there are, and which cannot be served.
fn list(out: &mut dyn Write) -> Result<(), Error> {
    for tool in tools::ALL {
        say(out, &about(tool))?;
    }
    for (name, reason) in tools::UNSERVED {
        say(out, &format!("{name:<14} not served: {reason}\n"))?;
    }
    Ok(())
}

fn about(tool: &dyn Tool) -> String {
    let modes: Vec<&str> = Mode::ALL.into_iter().filter(|mode| tool.supports(*mode).is_ok()).map(Mode::name).collect();
    let state = match vpn::missing(tool).is_empty() {
        true => "installed".to_owned(),
        false => format!("not installed: apt-get install {}", tool.package()),
    };
    format!("{:<14} {:<8} {state}\n", tool.name(), modes.join(" "))
}
