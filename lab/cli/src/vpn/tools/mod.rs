//! One adapter for each tool: its files, its command lines, and what it is able to carry.

mod fastd;
mod iodine;
mod n2n;
mod openvpn;
mod quicktun;
mod tinc;
mod vtun;

use std::time::Duration;

use super::plan::{Plan, Side};
use super::process::Launch;
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;

/// A VPN program.
pub trait Tool: Sync {
    /// Its name, as it is typed.
    fn name(&self) -> &'static str;

    /// Debian's package.
    fn package(&self) -> &'static str;

    /// The programs that must be there.
    fn programs(&self) -> &'static [&'static str];

    /// Why it cannot carry this, if it cannot.
    ///
    /// # Errors
    /// The reason.
    fn supports(&self, mode: Mode) -> Result<(), &'static str>;

    /// What it can carry.
    fn families(&self, _mode: Mode) -> &'static [Family] {
        &Family::ALL
    }

    /// How long it may take until packets flow.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Writes its keys and its configuration.
    ///
    /// # Errors
    /// Linux's, or those of the programs that make keys.
    fn prepare(&self, plan: &Plan) -> Result<(), Error>;

    /// A third process that both sides need.
    fn helper(&self, _plan: &Plan) -> Option<Launch> {
        None
    }

    /// The command line of a side. It must stay in the foreground.
    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error>;
}

/// All tools.
pub const ALL: [&dyn Tool; 7] =
    [&openvpn::OpenVpn, &tinc::Tinc, &n2n::N2n, &vtun::Vtun, &quicktun::QuickTun, &iodine::Iodine, &fastd::Fastd];

/// The programs that were looked at and cannot be served, with the reason.
pub const UNSERVED: [(&str, &str); 3] = [
    ("wireguard-go", "a Go program: it makes its system calls itself, where no library can stand in front of them"),
    ("nebula", "a Go program, as wireguard-go"),
    ("tailscale", "a Go program, as wireguard-go, and not in Debian"),
];

/// The tool of this name.
///
/// # Errors
/// If there is no such tool, or it cannot be run; with the reason.
pub fn named(name: &str) -> Result<&'static dyn Tool, String> {
    if let Some(tool) = ALL.into_iter().find(|tool| tool.name() == name) {
        return Ok(tool);
    }
    if let Some((_, reason)) = UNSERVED.iter().find(|(unserved, _)| *unserved == name) {
        return Err(format!("{name} cannot be served: {reason}"));
    }
    let names: Vec<&str> = ALL.iter().map(|tool| tool.name()).collect();
    Err(format!("there is no adapter for {name}; there are {}", names.join(", ")))
}
