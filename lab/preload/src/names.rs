//! What the program calls its interfaces, and what Haiku calls them.

use std::sync::{Mutex, PoisonError};

use haiku_system::Mode;

/// One interface under both its names.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    /// The name that the program asked for, such as `tun0` or `vpn`.
    pub(crate) linux: String,
    /// `tun/0`.
    pub(crate) haiku: String,
    /// What it carries.
    pub(crate) mode: Mode,
    /// The [`Open::id`](crate::open::Open::id) of the device.
    owner: usize,
}

static ALIASES: Mutex<Vec<Alias>> = Mutex::new(Vec::new());

/// Remembers an interface's names.
pub(crate) fn remember(owner: usize, linux: &str, haiku: &str, mode: Mode) {
    let alias = Alias { linux: linux.to_owned(), haiku: haiku.to_owned(), mode, owner };
    ALIASES.lock().unwrap_or_else(PoisonError::into_inner).push(alias);
}

/// Forgets the names of a device that is closed.
pub(crate) fn forget(owner: usize) {
    ALIASES.lock().unwrap_or_else(PoisonError::into_inner).retain(|alias| alias.owner != owner);
}

/// The interface that the program calls by this name.
pub(crate) fn find(linux: &str) -> Option<Alias> {
    ALIASES.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|alias| alias.linux == linux).cloned()
}

/// The names of a device.
pub(crate) fn of(owner: usize) -> Option<Alias> {
    ALIASES.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|alias| alias.owner == owner).cloned()
}

/// The text before the first zero.
pub(crate) fn text(name: &[u8; 16]) -> &str {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// A name with zeros behind it; one that is too long is cut.
pub(crate) fn padded(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    bytes
}

/// The unit that a name of Linux's asks for: 3 of `tun3`.
pub(crate) fn unit(mode: Mode, linux: &str) -> Option<usize> {
    let digits = linux.strip_prefix(mode.name())?;
    digits.parse().ok().filter(|unit| *unit < 256)
}

/// What the interface is called if the program leaves that to the system.
pub(crate) fn chosen(linux: &str, mode: Mode, haiku: &str) -> String {
    if !linux.is_empty() && !linux.contains('%') {
        return linux.to_owned();
    }
    let unit = haiku.rsplit('/').next().unwrap_or("0");
    match linux.split_once('%') {
        Some((prefix, _)) => format!("{prefix}{unit}"),
        None => format!("{mode}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_unit_it_wants_only_if_it_is_of_its_kind() {
        assert_eq!(unit(Mode::Tun, "tun3"), Some(3));
        assert_eq!(unit(Mode::Tap, "tun3"), None);
        assert_eq!(unit(Mode::Tun, "tun"), None);
        assert_eq!(unit(Mode::Tun, "tun999"), None);
    }

    #[test]
    fn a_name_that_is_left_open_becomes_the_unit() {
        assert_eq!(chosen("", Mode::Tap, "tap/2"), "tap2");
        assert_eq!(chosen("dns%d", Mode::Tun, "tun/1"), "dns1");
        assert_eq!(chosen("vpn", Mode::Tun, "tun/0"), "vpn");
        assert_eq!(text(&padded("a name that is much too long")), "a name that is ");
    }
}
