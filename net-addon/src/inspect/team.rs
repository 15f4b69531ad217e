//! The names of teams.

use core::fmt::{self, Display, Formatter, Write};

use haiku_sys as sys;
use sys::{team_id, team_info};

/// A team's name, with anything that a terminal would act on replaced.
pub(super) struct TeamName {
    bytes: [u8; Self::LENGTH],
}

impl TeamName {
    const LENGTH: usize = 32;

    /// Asks the kernel for a team's name; `None` if the team has ended. May sleep.
    pub(super) fn of(team: team_id) -> Option<Self> {
        // SAFETY: integers only, for which zeros are a value.
        let mut info: team_info = unsafe { core::mem::zeroed() };
        // SAFETY: a place for all of it; called with no lock held.
        let status = unsafe { sys::_get_team_info(team, &raw mut info, size_of::<team_info>()) };
        (status == sys::B_OK).then(|| Self::new(info.name.map(|byte| byte as u8)))
    }

    pub(super) const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self { bytes }
    }
}

impl Display for TeamName {
    /// A program chooses its name: a line break in it would fake a line of the table, an escape sequence would command the
    /// reader's terminal.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let name = self.bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut show = |character: char| out.write_char(if character.is_control() { '?' } else { character });
        match core::str::from_utf8(name) {
            Ok(name) => name.chars().try_for_each(show),
            // It is no text, or was cut within a character.
            Err(_) => name.iter().try_for_each(|&byte| show(if byte.is_ascii() { byte.into() } else { '?' })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn shown(name: &[u8]) -> std::string::String {
        let mut bytes = [0; TeamName::LENGTH];
        bytes[..name.len()].copy_from_slice(name);
        TeamName::new(bytes).to_string()
    }

    #[test]
    fn a_name_ends_at_its_zero_and_may_fill_its_place() {
        assert_eq!(shown(b"openvpn"), "openvpn");
        assert_eq!(shown(&[b'a'; 32]), "a".repeat(32));
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn what_a_terminal_would_act_on_is_replaced() {
        assert_eq!(shown(b"a\nb\x1b[2J\x7f"), "a?b?[2J?");
        assert_eq!(shown("caf\u{e9} \u{9b}2J".as_bytes()), "caf\u{e9} ?2J");
        assert_eq!(shown(b"cut\n \xe2\x82"), "cut? ??");
    }
}
