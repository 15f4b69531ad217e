//! Collects what is shown, unit by unit.

use core::fmt::Write;
use core::sync::atomic::Ordering;

use haiku_sys::team_id;
use tuntap_driver::Error;
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use super::form::Form;
use super::report::{self, Entry, Opener};
use super::team::TeamName;
use super::text::Text;
use crate::unit::{NO_TEAM, Unit};
use crate::units::Kind;

/// Writes down all units in this form. Each unit is seen at one moment, one after the other. May sleep.
///
/// # Errors
///
/// [`Error::NoMemory`].
pub(super) fn take(form: Form) -> Result<Text, Error> {
    let mut text = Text::new();
    write(form, &mut text).map_err(|_| Error::NoMemory)?;
    Ok(text)
}

fn write(form: Form, text: &mut Text) -> core::fmt::Result {
    match form {
        Form::Table => report::write_title(text)?,
        Form::Short => report::write_heading(text)?,
    }
    let units = write_units::<Tun>(form, text)? + write_units::<Tap>(form, text)?;
    if units == 0 && form == Form::Table {
        text.write_str("\nNo unit has an interface or is open.\n")?;
    }
    Ok(())
}

/// Writes down a mode's units. Returns how many there were.
fn write_units<M: Kind>(form: Form, text: &mut Text) -> Result<usize, core::fmt::Error> {
    let mut count = 0;
    let mut next = 0;
    while let Some(unit) = M::units().next(next) {
        write_entry(form, text, &entry(&unit))?;
        next = unit.number + 1;
        count += 1;
    }
    Ok(count)
}

#[inline(never)]
fn write_entry(form: Form, text: &mut Text, entry: &Entry) -> core::fmt::Result {
    match form {
        Form::Table => report::write_unit(text, entry),
        Form::Short => report::write_line(text, entry),
    }
}

fn entry<M: Kind>(unit: &Unit<M>) -> Entry {
    let overview = unit.overview();
    let opener = overview.open.then(|| opener(unit.opener.load(Ordering::Relaxed)));
    Entry { mode: M::NAME, dropped: M::DROPPED, number: unit.number, opener, overview }
}

#[inline(never)]
fn opener(team: team_id) -> Opener {
    match team {
        // The unit was opened just now, and its opener has yet to be noted.
        NO_TEAM => Opener::Unknown,
        team => Opener::Team(team, TeamName::of(team)),
    }
}
