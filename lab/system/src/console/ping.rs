//! `ping`: the engine, with the options that people type.

use std::time::Duration;

use super::{Context, parse_address};
use crate::ping::{self, Options};
use haiku_stack::Error;
use haiku_stack::Family;

const USAGE: &str = "\
usage: ping [-4 | -6] [-q] [-c count] [-i seconds] [-s bytes] [-W milliseconds] address
Sends four echo requests a second apart, unless told otherwise. With -i 0 the next follows the reply.
";

/// How many requests without `-c`. Haiku's `ping` continues until it is interrupted, which does not suit a pipe.
const COUNT: u64 = 4;

/// A command line, read.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parsed {
    options: Options,
    quiet: bool,
}

fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::Usage(format!("ping: {why}")))
}

/// The command.
pub(super) fn run(context: &mut Context<'_>, command: &str, arguments: &[&str]) -> Result<(), Error> {
    if let ["--help" | "-h"] | [] = arguments {
        (context.out)(USAGE);
        return Ok(());
    }
    let family = (command == "ping6").then_some(Family::Inet6);
    let Parsed { options, quiet } = parse(family, arguments)?;
    let target = options.target;
    context.line(&format!("PING {target} ({target}): {} data bytes", options.size));
    let out = &mut *context.out;
    let report = ping::run(context.stack, &options, &mut |event| {
        if !quiet || !matches!(event, ping::Event::Reply { .. }) {
            out(&ping::line(target, event));
            out("\n");
        }
    })?;
    out("\n");
    out(&report.summary(target));
    if report.lost() == 0 {
        return Ok(());
    }
    Err(Error::Failed(format!("ping: {} of {} requests to {target} were not answered", report.lost(), report.sent)))
}

fn parse(mut family: Option<Family>, arguments: &[&str]) -> Result<Parsed, Error> {
    let mut options = Options::new(Family::Inet.unspecified(), COUNT);
    let mut quiet = false;
    let mut target = None;
    let mut words = arguments.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "-4" => family = Some(Family::Inet),
            "-6" => family = Some(Family::Inet6),
            "-q" => quiet = true,
            "-c" => options.count = number(word, words.next(), 1, u64::MAX)?,
            "-s" => options.size = number(word, words.next(), 0, ping::MAX_SIZE as u64)? as usize,
            "-W" => options.patience = Duration::from_millis(number(word, words.next(), 1, 3_600_000)?),
            "-i" => {
                let text = words.next().unwrap_or_default();
                let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                match seconds {
                    Some(seconds) => options.interval = seconds,
                    None => return refuse(format!("invalid timing interval: `{text}'")),
                }
            }
            _ if word.starts_with('-') || target.is_some() => {
                return Err(Error::Usage(format!("ping: \"{word}\" is not understood here\n{USAGE}")));
            }
            _ => target = Some(word),
        }
    }
    let Some(word) = target else { return Err(Error::Usage(USAGE.to_owned())) };
    match parse_address(family, word) {
        Some(address) => options.target = address,
        None => return refuse(format!("cannot resolve {word}: the lab knows addresses, not names")),
    }
    Ok(Parsed { options, quiet })
}

fn number(option: &str, word: Option<&str>, least: u64, most: u64) -> Result<u64, Error> {
    let word = word.unwrap_or_default();
    match word.parse().ok().filter(|number| (least..=most).contains(number)) {
        Some(number) => Ok(number),
        None => refuse(format!("option {option} needs a number from {least} to {most}, not `{word}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Parsed, Error> {
        parse(None, &line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn options_may_stand_anywhere() {
        let parsed = read("-c 3 10.9.0.2 -s 100 -i 0.2 -q").unwrap();
        assert!(parsed.quiet);
        let options = parsed.options;
        assert_eq!((options.count, options.size), (3, 100));
        assert_eq!(options.interval, Duration::from_millis(200));
        assert_eq!(options.target.to_string(), "10.9.0.2");
    }

    #[test]
    fn invalid_arguments_are_reported() {
        let complaint = |line: &str| read(line).unwrap_err().to_string();
        assert_eq!(
            complaint("-c 0 10.9.0.2"),
            format!("ping: option -c needs a number from 1 to {}, not `0'", u64::MAX)
        );
        assert_eq!(complaint("-i -1 10.9.0.2"), "ping: invalid timing interval: `-1'");
        assert_eq!(complaint("-4 fd00::1"), "ping: cannot resolve fd00::1: the lab knows addresses, not names");
        assert!(complaint("-c 3").starts_with("usage: ping"));
        assert!(complaint("10.9.0.2 10.9.0.3").contains("\"10.9.0.3\" is not understood"));
    }
}
