//! The console: a line of text in, text out.
//!
//! The shell, the main job and every remote control of a Haiku use it. `ifconfig`, `route` and `ping` understand what Haiku's
//! understand and print its messages.

mod ifconfig;
mod ls;
mod ping;
mod route;

use std::net::IpAddr;
use std::sync::Arc;

use haiku_kernel::sync::Mutex;

use crate::far::{FarSide, Waiting};
use crate::mode::Mode;
use crate::scenario;
use haiku_stack::Error;
use haiku_stack::{Family, Stack, lock};

/// Whether a console continues after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// The line was `exit`.
    Exit,
}

/// The commands with a line of help each.
const HELP: &[(&str, &str)] = &[
    ("ifconfig [NAME [ADDRESS [MASK]] [OPTIONS]]", "show or configure interfaces; ifconfig --help tells more"),
    ("route [add|delete|get] [NAME] ...", "show or change routes; route --help tells more"),
    ("ping [-c COUNT] [-i SECONDS] [-s BYTES] ADDRESS", "send echo requests, four unless told otherwise"),
    ("ls [/dev/PATH]", "list what is below /dev"),
    ("far tun|tap", "start a program at the far side of the first unit"),
    ("kdl [COMMAND ...]", "run a command of the kernel debugger"),
    ("help", "show this"),
    ("exit", "leave"),
];

/// Everything that can be typed at an emulated Haiku.
pub struct Console {
    stack: Arc<Stack>,
    far: Mutex<Vec<FarSide>>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Console")
    }
}

/// One line's surroundings: the stack, and where its words go.
struct Context<'a> {
    stack: &'a Arc<Stack>,
    out: &'a mut dyn FnMut(&str),
}

impl Context<'_> {
    /// Prints a line.
    fn line(&mut self, text: &str) {
        (self.out)(text);
        (self.out)("\n");
    }
}

impl Console {
    /// A console of a stack.
    #[must_use]
    pub fn new(stack: Arc<Stack>) -> Self {
        Self { stack, far: Mutex::default() }
    }

    /// Executes a line and returns what it printed.
    ///
    /// # Errors
    /// What the command complained of; what it had printed before is lost.
    pub fn execute(&self, line: &str) -> Result<String, Error> {
        let mut text = String::new();
        self.run(line, &mut |words| text.push_str(words))?;
        Ok(text)
    }

    /// Executes a line; its words go to `out` as they come.
    pub fn run(&self, line: &str, out: &mut dyn FnMut(&str)) -> Result<Flow, Error> {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((command, arguments)) = words.split_first() else { return Ok(Flow::Continue) };
        let mut context = Context { stack: &self.stack, out };
        match *command {
            "ifconfig" => ifconfig::run(&mut context, arguments)?,
            "route" => route::run(&mut context, arguments)?,
            "ping" | "ping6" => ping::run(&mut context, command, arguments)?,
            "ls" => ls::run(&mut context, arguments)?,
            "kdl" => kdl(&mut context, arguments)?,
            "far" => self.start_far(far_mode(arguments)?)?,
            "help" | "?" => help(&mut context),
            "exit" | "quit" => return Ok(Flow::Exit),
            other => return Err(Error::Usage(format!("{other}: no such command; try help"))),
        }
        Ok(Flow::Continue)
    }

    /// Starts the far side of a mode's first unit, which runs until the console is closed.
    pub fn start_far(&self, mode: Mode) -> Result<(), Error> {
        let side = FarSide::start(scenario::far_side(mode, Waiting::Read))?;
        lock(&self.far).push(side);
        Ok(())
    }

    /// Ends the far sides that the console started.
    pub fn close(&self) {
        let far = std::mem::take(&mut *lock(&self.far));
        drop(far);
    }
}

fn far_mode(arguments: &[&str]) -> Result<Mode, Error> {
    let usage = || Error::Usage("usage: far tun|tap".to_owned());
    arguments.first().and_then(|mode| mode.parse().ok()).ok_or_else(usage)
}

fn help(context: &mut Context<'_>) {
    for (usage, what) in HELP {
        context.line(&format!("  {usage:<50} {what}"));
    }
}

fn kdl(context: &mut Context<'_>, arguments: &[&str]) -> Result<(), Error> {
    let Some((command, rest)) = arguments.split_first() else {
        for (name, help) in haiku_kernel::debugger::commands() {
            context.line(&format!("{name:<20} {help}"));
        }
        return Ok(());
    };
    let text = haiku_kernel::debugger::run(command, rest).map_err(|why| Error::Usage(format!("kdl: {why}")))?;
    (context.out)(&text);
    Ok(())
}

/// An address of the family, or of any if there is none.
fn parse_address(family: Option<Family>, word: &str) -> Option<IpAddr> {
    let address: IpAddr = word.parse().ok()?;
    family.is_none_or(|family| Family::of(address) == family).then_some(address)
}

/// An address for a table, or dashes.
fn show(address: Option<IpAddr>) -> String {
    match address.filter(|address| !address.is_unspecified()) {
        Some(address) => address.to_string(),
        None => "--".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_of_the_family_if_there_is_one() {
        assert!(parse_address(None, "fd00::1").is_some());
        assert!(parse_address(Some(Family::Inet), "fd00::1").is_none());
        assert!(parse_address(Some(Family::Inet), "tun/0").is_none());
        assert!(parse_address(Some(Family::Inet6), "64").is_none());
        assert_eq!(show(None), "--");
    }
}
