//! `linux` and `preload`: a client program over Linux's own TUN, and over ours through the library that is preloaded.

use std::process::Command;

use super::{Figure, Goal, Options, compare, unless_missing};
use crate::error::Error;
use crate::exec;
use crate::vpn::control;

const TRIPS: u32 = 5_000;
const PACKETS: u32 = 200_000;

/// What the client runs over.
#[derive(Clone, Copy, Debug)]
enum Over<'a> {
    /// The driver, through the library.
    Ours(&'a Options),
    /// Linux's own device.
    Linux,
}

/// Runs the client, and reads its answer.
fn client(over: Over<'_>, arguments: &[&str]) -> Result<f64, Error> {
    let mut command = Command::new(exec::program()?);
    command.arg("bench-client").args(arguments);
    match over {
        Over::Ours(options) => {
            // With one CPU its threads take none of Linux's, as with `vpn`.
            command.env(control::CPUS, "1");
            if options.unchecked_memory {
                command.env(control::MEMORY, "unchecked");
            }
            exec::preload(&mut command, &exec::library()?);
        }
        Over::Linux => {
            command.arg("--namespace");
        }
    }
    let output = command.output().map_err(|error| Error::io("running the client", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), text.trim().parse()) {
        (true, Ok(each)) => Ok(each),
        _ => Err(Error::Failed(format!("the client failed: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

/// Why the client cannot be run over ours.
fn missing_library() -> Option<String> {
    exec::library().err().map(|error| error.to_string())
}

/// Over ours against over Linux's: round trips, and packets one way.
pub(super) fn run(options: &Options) -> Result<Vec<Figure>, Error> {
    // SAFETY: no pointers.
    let is_root = unsafe { libc::geteuid() } == 0;
    let no_root = (!is_root).then(|| "the benchmark linux needs root, for a network namespace of its own".to_owned());
    if !unless_missing(options, no_root.or_else(missing_library))? {
        return Ok(Vec::new());
    }
    let (trips, packets) = (TRIPS.to_string(), PACKETS.to_string());
    let ours = |task, count| client(Over::Ours(options), &[task, count]);
    let linux = |task, count| client(Over::Linux, &[task, count]);
    Ok(vec![
        compare("linux/trip", "ns", Goal::AtMost(0.8), || ours("trips", &trips), || linux("trips", &trips))?,
        // The other way round: how many times as many packets a second.
        compare(
            "linux/packets",
            "ns/linux",
            Goal::AtLeast(2.0),
            || linux("packets", &packets),
            || ours("packets", &packets),
        )?,
        // With what Linux does not have. No goal, for it is not the same program.
        compare(
            "linux/batches of 32",
            "ns/linux",
            Goal::AtLeast(0.0),
            || linux("packets", &packets),
            || client(Over::Ours(options), &["batch", &packets, "--batch", "32"]),
        )?,
    ])
}

/// Packets a second in batches, against single writes of the same program.
pub(super) fn preload(options: &Options) -> Result<Vec<Figure>, Error> {
    if !unless_missing(options, missing_library())? {
        return Ok(Vec::new());
    }
    let packets = PACKETS.to_string();
    let mut figures = Vec::new();
    for count in [1_u32, 8, 32, 128] {
        let batch = count.to_string();
        let goal = if count == 32 { Goal::AtLeast(2.0) } else { Goal::AtLeast(0.0) };
        figures.push(compare(
            format!("preload/batch/{count}"),
            "ns/single",
            goal,
            || client(Over::Ours(options), &["packets", &packets]),
            || client(Over::Ours(options), &["batch", &packets, "--batch", &batch]),
        )?);
    }
    Ok(figures)
}
