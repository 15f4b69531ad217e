//! The control socket: the console of a Haiku inside another process, for `attach`, scripts and tests.
//!
//! A line of text in; back comes `ok` or `failed` with the number of bytes that follow, and the bytes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use haiku_stack::Error;

use crate::{Lab, ping};

/// The environment variable that names the control socket.
pub const SOCKET: &str = "HAIKU_LAB_SOCKET";
/// The environment variable that holds the driver's settings.
pub const SETTINGS: &str = "HAIKU_LAB_SETTINGS";
/// The environment variable that names a file to capture every frame in.
pub const PCAP: &str = "HAIKU_LAB_PCAP";
/// The environment variable that names a file for Haiku's system log.
pub const LOG: &str = "HAIKU_LAB_LOG";
/// The environment variable that names a file for the list of what the process has leaked when it ends.
pub const LEDGERS: &str = "HAIKU_LAB_LEDGERS";

/// The environment variable that holds the seed of the kernel's random numbers, and so of the interfaces' addresses: a
/// program that is started again finds the same Haiku.
pub const SEED: &str = "HAIKU_LAB_SEED";

/// What `measure` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Requests.
    pub sent: u64,
    /// Right replies.
    pub received: u64,
    /// Wrong ones, and ones that came twice.
    pub wrong: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.sent, self.received, self.wrong)
    }
}

impl FromStr for Measured {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut numbers = text.split(' ').map(|word| number("measure", word));
        let mut next =
            || numbers.next().unwrap_or_else(|| Err(Error::Failed(format!("measure: \"{text}\" is too short"))));
        Ok(Self { sent: next()?, received: next()?, wrong: next()? })
    }
}

/// Executes a line of the console, or `measure ADDRESS COUNT BYTES MICROSECONDS`: a ping whose result is a [`Measured`].
pub fn execute(lab: &Lab, line: &str) -> Result<String, Error> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["measure", target, count, size, interval] = *words.as_slice() else { return lab.console().execute(line) };
    let options = ping::Options {
        size: number("measure", size)?,
        interval: Duration::from_micros(number("measure", interval)?),
        patience: Duration::from_secs(5),
        ..ping::Options::new(number("measure", target)?, number("measure", count)?)
    };
    let report = lab.ping(&options)?;
    let wrong = report.corrupt + report.duplicates;
    Ok(Measured { sent: report.sent, received: report.received, wrong }.to_string())
}

fn number<T: FromStr>(what: &str, word: &str) -> Result<T, Error> {
    word.parse().map_err(|_| Error::Usage(format!("{what}: \"{word}\" is neither a number that fits nor an address")))
}

/// Serves a connection until it is closed.
pub fn serve(
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    execute: &mut dyn FnMut(&str) -> Result<String, Error>,
) -> io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (word, text) = match execute(line.trim()) {
            Ok(text) => ("ok", text),
            Err(error) => ("failed", error.to_string()),
        };
        output.write_all(format!("{word} {}\n{text}", text.len()).as_bytes())?;
        output.flush()?;
    }
}

/// A connection to a Haiku in another process.
#[derive(Debug)]
pub struct Remote {
    stream: BufReader<UnixStream>,
}

impl Remote {
    /// Connects.
    ///
    /// # Errors
    /// If no Haiku listens there.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        let stream = UnixStream::connect(socket).map_err(|error| {
            Error::io(
                format!("connecting to {}: does the program run, and has it opened its device?", socket.display()),
                error,
            )
        })?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Connects as soon as a Haiku listens.
    ///
    /// # Errors
    /// If none listened there for so long, or `alive` said that none will.
    pub fn await_listener(
        socket: &Path,
        patience: Duration,
        alive: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::connect(socket) {
                Ok(remote) => return Ok(remote),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => alive()?,
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Gives up on an answer that does not come for so long.
    pub fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        self.stream
            .get_ref()
            .set_read_timeout(Some(patience))
            .map_err(|error| Error::io("limiting the wait for an answer", error))
    }

    /// Executes a line there.
    ///
    /// # Errors
    /// The connection's, or what the command complained of.
    pub fn execute(&mut self, line: &str) -> Result<String, Error> {
        let failed = |error| Error::io(format!("executing \"{line}\" in the other process"), error);
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
        let mut head = String::new();
        self.stream.read_line(&mut head).map_err(failed)?;
        let ended = || failed(io::Error::new(io::ErrorKind::UnexpectedEof, "the process has ended"));
        let (word, length) = head.trim_end().split_once(' ').ok_or_else(ended)?;
        let length: u64 = length.parse().map_err(|_| ended())?;
        let mut text = String::new();
        self.stream.by_ref().take(length).read_to_string(&mut text).map_err(failed)?;
        match word {
            "ok" => Ok(text),
            _ => Err(Error::Failed(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_there_and_their_text_comes_back() {
        let (here, there) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            serve(&mut BufReader::new(&there), &mut &there, &mut |line| match line {
                "good" => Ok("several\nlines\n".to_owned()),
                _ => Err(Error::Usage(format!("{line}: no such command"))),
            })
        });
        let mut remote = Remote { stream: BufReader::new(here) };
        assert_eq!(remote.execute("good").unwrap(), "several\nlines\n");
        assert_eq!(remote.execute("bad").unwrap_err().to_string(), "bad: no such command");
        assert_eq!(remote.execute("good").unwrap(), "several\nlines\n");
        drop(remote);
        server.join().unwrap().unwrap();
    }

    #[test]
    fn a_measurement_survives_its_text() {
        let measured = Measured { sent: 3, received: 2, wrong: 1 };
        assert_eq!(measured.to_string().parse::<Measured>().unwrap(), measured);
        assert!("3 2".parse::<Measured>().is_err());
    }
}
