//! `stats`: the packet counters of each interface, and the known neighbours.

use std::collections::HashMap;

use super::Context;
use crate::far::FarSide;
use crate::mode::Mode;
use crate::statistics::{self, Direction};
use haiku_stack::Error;
use haiku_stack::{Family, InterfaceInfo};

/// The command.
pub(super) fn run(context: &mut Context<'_>, sides: &HashMap<Mode, FarSide>, arguments: &[&str]) -> Result<(), Error> {
    let interfaces = context.stack.interfaces();
    let wanted: Vec<&InterfaceInfo> = match arguments {
        [] => interfaces.iter().collect(),
        [name] => interfaces.iter().filter(|interface| interface.name == *name).collect(),
        _ => return Err(Error::Usage("usage: stats [NAME]".to_owned())),
    };
    if let ([name], true) = (arguments, wanted.is_empty()) {
        return Err(Error::Usage(format!("stats: {name}: no such interface")));
    }
    for interface in wanted {
        let (receive, send) = (interface.statistics.receive, interface.statistics.send);
        context.line(&format!(
            "{}  stack: sent {} packets, {} bytes, {} dropped, {} errors; received {} packets, {} bytes, {} dropped, {} errors",
            interface.name,
            send.packets,
            send.bytes,
            send.dropped,
            send.errors,
            receive.packets,
            receive.bytes,
            receive.dropped,
            receive.errors
        ));
        let side = Mode::ALL.into_iter().find(|mode| mode.interface(0) == interface.name);
        if let Some(side) = side.and_then(|mode| sides.get(&mode)) {
            let device = statistics::device_statistics(side.fd())?;
            context.line(&direction("stack to program", &device.to_user));
            context.line(&direction("program to stack", &device.to_stack));
        }
    }
    for family in Family::ALL {
        for neighbour in context.stack.neighbours(family) {
            let mac =
                neighbour.mac.map_or_else(|| "-".to_owned(), |mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
            context.line(&format!("{:<28} {mac:<17} {}", neighbour.address.to_string(), neighbour.state));
        }
    }
    Ok(())
}

/// One direction of a device.
fn direction(name: &str, counts: &Direction) -> String {
    let mut text = format!(
        "  {name}: accepted {}, delivered {}, answered {}, purged {}, dropped {}, queued {}",
        counts.accepted,
        counts.delivered,
        counts.answered,
        counts.purged,
        counts.dropped_packets(),
        counts.queued
    );
    for (reason, count) in &counts.dropped {
        text += &format!("\n    {reason}: {count}");
    }
    text
}
