//! `haiku-lab shell`: Haiku's own commands, typed or from a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{Global, say, settle};
use haiku_stack::Error;
use haiku_system::Mode;
use haiku_system::console::{Console, Flow};

const WELCOME: &str = "An emulated Haiku with the TUN/TAP driver. `help` lists the commands, `exit` leaves.
A program at the far side of tun/0 and of tap/0 answers pings.
Try: ifconfig tun/0 10.9.0.1 255.255.255.0 up
";

/// Runs the shell on standard input, with a prompt on a terminal.
///
/// # Errors
/// A piped command that failed, or something that was not given back.
pub fn run(global: &Global) -> Result<(), Error> {
    let lab = global.boot()?;
    for mode in Mode::ALL {
        lab.console().start_far(mode)?;
    }
    let typed = io::stdin().is_terminal();
    if typed {
        say(&mut io::stdout(), WELCOME)?;
    }
    let prompt = if typed { "haiku> " } else { "" };
    let result =
        lines(lab.console(), prompt, &mut io::stdin().lock(), &mut io::stdout().lock(), &mut io::stderr().lock());
    let ledgers = lab.shutdown();
    (if typed { Ok(()) } else { result }).and(settle(&ledgers))
}

/// Executes every line. One that fails is reported with its number; the rest is executed all the same.
///
/// # Errors
/// How many lines failed.
pub fn lines(
    console: &Console,
    prompt: &str,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> Result<(), Error> {
    let mut failures = 0;
    say(out, prompt)?;
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|error| Error::io("reading standard input", error))?;
        let mut written = Ok(());
        let mut print = |text: &str| {
            if written.is_ok() {
                written = say(out, text);
            }
        };
        match console.run(&line, &mut print) {
            Ok(Flow::Continue) => {}
            Ok(Flow::Exit) => break,
            Err(error) => {
                failures += 1;
                let _ = writeln!(complaints, "line {}: {error}", number + 1);
            }
        }
        written?;
        say(out, prompt)?;
    }
    match failures {
        0 => Ok(()),
        1 => Err(Error::Failed("a command failed".to_owned())),
        _ => Err(Error::Failed(format!("{failures} commands failed"))),
    }
}
