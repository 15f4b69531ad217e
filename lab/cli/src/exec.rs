//! `haiku-lab exec` and `haiku-lab attach`: any program over the driver's devices, and the console of the Haiku inside it.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;

use super::say;
use crate::preload;
use haiku_stack::Error;
use haiku_system::control::{self, Remote};

const EXEC_EXAMPLES: &str = "Examples:
  haiku-lab exec openvpn --dev tun --ifconfig-noexec ...
  HAIKU_LAB_SOCKET=/tmp/haiku.sock haiku-lab exec tincd -D ...
  HAIKU_LAB_SETTINGS='log debug' HAIKU_LAB_LOG=/tmp/haiku.log haiku-lab exec ...

The program finds an emulated Haiku behind /dev/net/tun, /dev/tun, /dev/tap, /dev/tun/N and /dev/tap/N.
HAIKU_LAB_SOCKET names a control socket for `haiku-lab attach`, HAIKU_LAB_SETTINGS holds the driver's settings,
HAIKU_LAB_LOG, HAIKU_LAB_PCAP and HAIKU_LAB_LEDGERS name files for Haiku's log, for every frame, and for what was not
given back at the end.";

const ATTACH_EXAMPLES: &str = "Examples:
  haiku-lab attach --socket /tmp/haiku.sock ifconfig tun/0 10.9.0.1 255.255.255.0 up
  HAIKU_LAB_SOCKET=/tmp/haiku.sock haiku-lab attach < commands.txt";

/// What `exec` may be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXEC_EXAMPLES)]
pub struct ExecArgs {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// What `attach` may be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = ATTACH_EXAMPLES)]
pub struct AttachArgs {
    /// The control socket; otherwise HAIKU_LAB_SOCKET names it
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// One line of the console; without it the lines of standard input, until one fails
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Becomes the program.
///
/// # Errors
/// The library is missing, or the program.
pub fn run(arguments: &ExecArgs) -> Result<(), Error> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Error::Usage("exec: which program?".to_owned()));
    };
    preload::exec(program, rest).map(|never| match never {})
}

/// Executes lines on the Haiku inside another process.
///
/// # Errors
/// If no Haiku listens on the socket, or a line failed.
pub fn attach(arguments: &AttachArgs, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), Error> {
    let named = arguments.socket.clone().or_else(|| std::env::var_os(control::SOCKET).map(PathBuf::from));
    let socket =
        named.ok_or_else(|| Error::Usage(format!("attach: --socket or {} must name a socket", control::SOCKET)))?;
    let mut remote = Remote::connect(&socket)?;
    if !arguments.command.is_empty() {
        return say(out, &remote.execute(&arguments.command.join(" "))?);
    }
    for line in input.lines() {
        let line = line.map_err(|error| Error::io("reading standard input", error))?;
        say(out, &remote.execute(&line)?)?;
    }
    Ok(())
}
