//! `haiku-lab vpn`: VPN programs as Debian ships them, over the driver's devices at both ends.
//!
//! A [`tools::Tool`] is what is known of one program. A [`session::Session`] is its two sides with a tunnel between them, each with a
//! Haiku of its own inside, which the [control socket](haiku_system::control) reaches.

pub mod plan;
pub mod process;
pub mod session;
pub mod tools;

use std::io::Write;

use clap::Args;
use haiku_stack::Error;
use haiku_system::Mode;

use self::plan::{Keys, Side};
use self::session::{Session, Setup};
use self::tools::Tool;
use super::say;

const EXAMPLES: &str = "Examples:
  haiku-lab vpn --tool openvpn                       TLS, 100 pings each way over IPv4 and IPv6
  haiku-lab vpn --tool openvpn --mode tap --count 10000
  haiku-lab vpn --list                               the tools, and how to install them";

/// The name of a tool.
fn tool(name: &str) -> Result<String, String> {
    tools::named(name).map(|tool| tool.name.to_owned())
}

/// What `vpn` may be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct VpnArgs {
    /// The program; it must be installed
    #[arg(long, value_name = "NAME", value_parser = tool, required_unless_present = "list")]
    pub tool: Option<String>,
    /// The kind of device; otherwise tun, or what the program is able to carry
    #[arg(long, value_name = "tun|tap")]
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
    /// List the tools
    #[arg(long)]
    pub list: bool,
}

/// The tools' programs that are not installed.
#[must_use]
pub fn missing(tool: &Tool) -> Vec<&'static str> {
    tool.programs.iter().copied().filter(|program| process::find(program).is_none()).collect()
}

/// Runs a tool and pings across it.
///
/// # Errors
/// The tool is not there or cannot carry this; it failed, with its log; a request without a reply; or something was not
/// given back.
pub fn run(arguments: &VpnArgs, out: &mut dyn Write) -> Result<(), Error> {
    let Some(name) = arguments.tool.as_deref().filter(|_| !arguments.list) else { return list(out) };
    let tool = tools::named(name).map_err(Error::Usage)?;
    let mode = arguments.mode.or(tool.modes.first().copied()).unwrap_or(Mode::Tun);
    if !tool.modes.contains(&mode) {
        return Err(Error::Failed(format!("{name} cannot carry what a {mode} does")));
    }
    let missing = missing(tool);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let what = format!("{name} is not installed (no {missing}); on Debian: apt-get install {name}");
        return Err(Error::Failed(what));
    }
    let folder = tempfile::Builder::new()
        .prefix("haiku-vpn-")
        .tempdir()
        .map_err(|error| Error::io("making a folder for the tools' files", error))?;
    let mut session = Session::start(&Setup { tool, mode, keys: arguments.keys, folder: folder.path() })?;
    let lost = ping(arguments, mode, &mut session, out);
    let ended = session.end();
    let lost = lost?;
    ended?;
    if lost > 0 {
        return Err(Error::Failed(format!("{name}: {lost} echo requests were not answered")));
    }
    Ok(())
}

/// Pings in every direction and family; returns how many replies did not come.
fn ping(arguments: &VpnArgs, mode: Mode, session: &mut Session, out: &mut dyn Write) -> Result<u64, Error> {
    let mut lost = 0;
    for side in [Side::Client, Side::Server] {
        for &family in session.families() {
            let found = session.measure(side, family, arguments.count, arguments.size);
            let found = found.map_err(|error| session.explain(&error))?;
            lost += found.sent - found.received;
            let (other, label) = (side.other(), family.label());
            let (sent, received) = (found.sent, found.received);
            say(out, &format!("{mode} {label}, {side} to {other}: {sent} sent, {received} answered\n"))?;
        }
    }
    Ok(lost)
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

fn about(tool: &Tool) -> String {
    let modes: Vec<&str> = tool.modes.iter().copied().map(Mode::name).collect();
    let state = match missing(tool).is_empty() {
        true => "installed".to_owned(),
        false => format!("not installed: apt-get install {}", tool.name),
    };
    format!("{:<14} {:<8} {state}\n", tool.name, modes.join(" "))
}
