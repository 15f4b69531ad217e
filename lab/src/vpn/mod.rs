//! `haiku-lab vpn`: VPN programs that nobody here wrote, over the driver's devices.
//!
//! A [`tools::Tool`] knows one program. A [`session::Session`] is its two sides with a tunnel between them, each with a
//! Haiku of its own inside, which [`control`] reaches.

pub mod control;
pub mod plan;
pub mod process;
pub mod report;
pub mod session;
pub mod tools;
pub mod transfer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::plan::{Keys, Side};
use self::report::{Idle, Line, Record, Transfer};
use self::session::{Session, Setup};
use self::tools::Tool;
use crate::error::Error;
use crate::mode::Mode;

/// What a run is.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The program.
    pub tool: &'static dyn Tool,
    /// What the device carries.
    pub mode: Mode,
    /// How the sides know each other.
    pub keys: Keys,
    /// Requests in each direction and family.
    pub count: u64,
    /// Bytes of data in each.
    pub size: usize,
    /// Bytes of a TCP transfer in each direction, after the pings.
    pub transfer: Option<u64>,
    /// How long the tunnel is left alone, to see what CPU time that takes.
    pub idle: Option<Duration>,
    /// Ends the run early.
    pub stop: Option<&'a AtomicBool>,
}

/// The tools' programs that are not installed.
#[must_use]
pub fn missing(tool: &dyn Tool) -> Vec<&'static str> {
    tool.programs().iter().copied().filter(|program| process::find(program).is_none()).collect()
}

/// Runs a tool and measures. Each record is handed to `on_record` when it is complete.
///
/// # Errors
/// The tool is not there or cannot carry this; it failed, with its log; or something was not given back.
pub fn run(options: &Options<'_>, on_record: &mut dyn FnMut(&Record) -> Result<(), Error>) -> Result<(), Error> {
    let tool = options.tool;
    tool.supports(options.mode).map_err(|why| Error::Failed(format!("{}: {why}", tool.name())))?;
    let missing = missing(tool);
    if !missing.is_empty() {
        return Err(Error::Failed(format!(
            "{} is not installed (no {}); on Debian: apt-get install {}",
            tool.name(),
            missing.join(", "),
            tool.package()
        )));
    }
    let folder = tempfile::Builder::new()
        .prefix("haiku-vpn-")
        .tempdir()
        .map_err(|error| Error::io("making a folder for the tools' files", error))?;
    let setup = Setup { tool, mode: options.mode, keys: options.keys, folder: folder.path() };
    let mut session = Session::start(&setup)?;
    std::thread::sleep(tool.settling());
    let measured = measure(options, &mut session, on_record).and_then(|lost| {
        transfer(options, &mut session, on_record)?;
        idle(options, &mut session, on_record)?;
        Ok(lost)
    });
    let ended = session.end();
    let lost = measured?;
    ended?;
    if lost > 0 {
        return Err(Error::Failed(format!("{}: {lost} echo requests were not answered", tool.name())));
    }
    Ok(())
}

/// Measures every direction and family; returns how many replies did not come.
fn measure(
    options: &Options<'_>,
    session: &mut Session,
    on_record: &mut dyn FnMut(&Record) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut lost = 0;
    for side in [Side::Client, Side::Server] {
        for &family in options.tool.families(options.mode) {
            if options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Err(Error::Failed("interrupted".to_owned()));
            }
            let measured = session.measure(side, family, options.count, options.size);
            let line = Line::new(options, side, family, &measured.map_err(|error| session.explain(&error))?);
            lost += line.lost;
            on_record(&Record::Pings(line))?;
        }
    }
    Ok(lost)
}

/// Has each side send so many bytes to the other.
fn transfer(
    options: &Options<'_>,
    session: &mut Session,
    on_record: &mut dyn FnMut(&Record) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(bytes) = options.transfer else { return Ok(()) };
    for side in [Side::Client, Side::Server] {
        let (receiver, sender) = session.transfer(side, bytes).map_err(|error| session.explain(&error))?;
        on_record(&Record::Transfer(Transfer::new(options, side, &receiver, &sender)))?;
    }
    Ok(())
}

/// Leaves the tunnel alone and says what CPU time that took.
fn idle(
    options: &Options<'_>,
    session: &mut Session,
    on_record: &mut dyn FnMut(&Record) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(time) = options.idle else { return Ok(()) };
    let used = session.idle(time).map_err(|error| session.explain(&error))?;
    on_record(&Record::Idle(Idle::new(options, time, used)))
}
