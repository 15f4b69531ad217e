//! `haiku-lab shell`: Haiku's own commands, typed or from a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::signals::Signals;
use super::{Global, say, settle};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;
use haiku_system::console::{Console, Flow};
use haiku_system::scenario;

const EXAMPLES: &str = "Examples:
  haiku-lab shell
  printf 'ifconfig tun/0 10.9.0.1 255.255.255.0 up\\nping -c 1 10.9.0.2\\n' | haiku-lab shell
  haiku-lab shell < commands.txt      stops nowhere, and exits with 1 if a line failed";

/// What `shell` may be told.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXAMPLES)]
pub struct ShellArgs {
    /// Start no program at the far side of tun/0 and tap/0; `far start tun` does it later
    #[arg(long)]
    pub alone: bool,
}

/// Runs the shell on standard input.
///
/// # Errors
/// A piped command that failed, or something that was not given back.
pub fn run(global: &Global, arguments: &ShellArgs) -> Result<(), Error> {
    let lab = global.boot()?;
    if !arguments.alone {
        for mode in Mode::ALL {
            lab.console().start_far(mode)?;
        }
    }
    let result = if io::stdin().is_terminal() {
        typed(lab.console(), arguments)
    } else {
        piped(lab.console(), &mut io::stdin().lock(), &mut io::stdout().lock(), &mut io::stderr().lock())
    };
    let ledgers = lab.shutdown();
    result.and(settle(&ledgers))
}

/// Reads lines from a terminal, with history.
fn typed(console: &Console, arguments: &ShellArgs) -> Result<(), Error> {
    let failed = |error: ReadlineError| Error::Failed(format!("reading the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let signals = Signals::catch().map_err(|error| Error::io("catching signals", error))?;
    let mut out = io::stdout();
    say(&mut out, &welcome(arguments))?;
    loop {
        match editor.readline("haiku> ") {
            Ok(line) => {
                let _ = editor.add_history_entry(&line);
                signals.reset();
                let mut print = |text: &str| {
                    let _ = say(&mut out, text);
                };
                match console.run(&line, &mut print, Some(signals.flag())) {
                    Ok(Flow::Continue) => {}
                    Ok(Flow::Exit) => return Ok(()),
                    Err(error) => eprintln!("{error}"),
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

fn welcome(arguments: &ShellArgs) -> String {
    let mut text =
        String::from("An emulated Haiku with the TUN/TAP driver. `help` lists the commands, `exit` leaves.\n");
    for mode in Mode::ALL.into_iter().filter(|_| !arguments.alone) {
        text += &format!(
            "A program has {} open and answers as {} and {}.\n",
            mode.node(0),
            scenario::peer(mode, Family::Inet),
            scenario::peer(mode, Family::Inet6)
        );
    }
    text + "Try: ifconfig tun/0 10.9.0.1 255.255.255.0 up\n"
}

/// Executes every line of a pipe. One that fails is reported with its number; the rest is executed all the same.
///
/// # Errors
/// How many lines failed.
pub fn piped(
    console: &Console,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> Result<(), Error> {
    let mut failures = 0;
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|error| Error::io("reading standard input", error))?;
        let mut written = Ok(());
        let mut print = |text: &str| {
            if written.is_ok() {
                written = say(out, text);
            }
        };
        match console.run(&line, &mut print, None) {
            Ok(Flow::Continue) => {}
            Ok(Flow::Exit) => break,
            Err(error) => {
                failures += 1;
                let _ = writeln!(complaints, "line {}: {error}", number + 1);
            }
        }
        written?;
    }
    match failures {
        0 => Ok(()),
        1 => Err(Error::Failed("a command failed".to_owned())),
        _ => Err(Error::Failed(format!("{failures} commands failed"))),
    }
}
