//! `far`: the programs at the far side of the first units.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Context;
use crate::far::{FarSide, Waiting};
use crate::mode::Mode;
use crate::scenario;
use haiku_stack::Error;
use haiku_stack::Family;

const USAGE: &str = "usage: far [start tun|tap [read|poll|select] | stop tun|tap]";

fn usage<T>() -> Result<T, Error> {
    Err(Error::Usage(USAGE.to_owned()))
}

/// The command.
pub(super) fn run(
    context: &mut Context<'_>,
    sides: &mut HashMap<Mode, FarSide>,
    arguments: &[&str],
) -> Result<(), Error> {
    match *arguments {
        [] => {
            list(context, sides);
            Ok(())
        }
        ["start", mode] => start(sides, mode, "read"),
        ["start", mode, waiting] => start(sides, mode, waiting),
        ["stop", mode] => {
            let Ok(mode) = mode.parse::<Mode>() else { return usage() };
            match sides.remove(&mode) {
                Some(side) => side.stop().map(drop),
                None => Err(Error::Usage(format!("far: nothing runs on {}", mode.node(0)))),
            }
        }
        _ => usage(),
    }
}

fn start(sides: &mut HashMap<Mode, FarSide>, mode: &str, waiting: &str) -> Result<(), Error> {
    let (Ok(mode), Ok(waiting)) = (mode.parse::<Mode>(), waiting.parse::<Waiting>()) else {
        return usage();
    };
    match sides.entry(mode) {
        Entry::Occupied(_) => Err(Error::Usage(format!("far: a program runs on {} already", mode.node(0)))),
        Entry::Vacant(place) => {
            place.insert(FarSide::start(scenario::far_side(mode, waiting))?);
            Ok(())
        }
    }
}

fn list(context: &mut Context<'_>, sides: &HashMap<Mode, FarSide>) {
    for mode in Mode::ALL {
        let Some(side) = sides.get(&mode) else { continue };
        let traffic = side.traffic();
        context.line(&format!(
            "{}  answers as {} and {}; read {} packets, wrote {}, waited {} times",
            mode.node(0),
            scenario::peer(mode, Family::Inet),
            scenario::peer(mode, Family::Inet6),
            traffic.read,
            traffic.written,
            traffic.waits
        ));
    }
}
