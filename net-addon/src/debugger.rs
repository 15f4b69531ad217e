//! The kernel debugger's command `tun_tap`: lists the units and their counters.
//!
//! The debugger runs with the whole system stopped, perhaps inside a critical section of this driver, so nothing here waits
//! for a lock: a locked unit is listed as locked, and so is a locked table of units.

use core::ffi::{CStr, c_char, c_int};
use core::fmt::Write;
use core::sync::atomic::Ordering;

use haiku_sys as sys;
use tuntap_driver::Counters;
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::log::Line;
use crate::reasons::{self, Place};
use crate::unit::{NO_TEAM, Unit};
use crate::units::Kind;

const NAME: &CStr = c"tun_tap";

/// Adds the command.
pub(crate) fn start() {
    // SAFETY: static C strings and a function; `stop` removes the command before the add-on is unloaded.
    unsafe { sys::add_debugger_command(NAME.as_ptr(), Some(tun_tap), c"List the TUN and TAP units".as_ptr()) };
}

/// Removes the command.
pub(crate) fn stop() {
    // SAFETY: a static C string and the function that `start` added.
    unsafe { sys::remove_debugger_command(NAME.as_ptr(), Some(tun_tap)) };
}

/// # Safety
/// Has no requirements; the arguments are not used.
unsafe extern "C" fn tun_tap(_: c_int, _: *mut *mut c_char) -> c_int {
    units::<Tun>();
    units::<Tap>();
    0
}

fn units<M: Kind>() {
    if M::units().try_for_each(|unit| show(unit)).is_none() {
        print(format_args!("{}: the table of units is locked\n", M::NAME));
    }
}

fn show<M: Kind>(unit: &Unit<M>) {
    let number = unit.number;
    let Some(snapshot) = unit.device.try_snapshot() else {
        print(format_args!("{}/{number}: locked\n", M::NAME));
        return;
    };
    let (link, statistics) = (unit.device.link(), snapshot.statistics);
    let state = if snapshot.up { "up" } else { "down" };
    print(format_args!("{}/{number}: {state}, ", M::NAME));
    match (snapshot.open, unit.opener.load(Ordering::Relaxed)) {
        (false, _) => print(format_args!("not open")),
        (true, NO_TEAM) => print(format_args!("open")),
        (true, team) => print(format_args!("open by team {team}")),
    }
    let [a, b, c, d, e, f] = link.address;
    print(format_args!(", mtu {}, {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\n", link.mtu));
    direction("to user", &statistics.to_user, statistics.to_user_queued.packets, M::DROPPED);
    direction("to stack", &statistics.to_stack, statistics.to_stack_queued.packets, M::DROPPED);
}

fn direction(name: &str, counters: &Counters, queued: u32, places: &[Place]) {
    print(format_args!(
        "  {name}: accepted {}, delivered {}, answered {}, purged {}, queued {queued}\n",
        counters.accepted, counters.delivered, counters.answered, counters.purged
    ));
    if counters.truncated > 0 {
        print(format_args!("    truncated: {}\n", counters.truncated));
    }
    for (position, &place) in places.iter().enumerate() {
        let dropped = reasons::dropped(counters, place);
        if dropped > 0 {
            print(format_args!("    dropped, {}: {dropped}\n", reasons::name(position)));
        }
    }
}

fn print(text: core::fmt::Arguments<'_>) {
    let mut line = Line::new();
    // The only error is a truncated line.
    let _ = line.write_fmt(text);
    // SAFETY: the format takes one C string, and the line ends with a zero.
    unsafe { sys::kprintf(c"%s".as_ptr(), line.as_ptr()) };
}
