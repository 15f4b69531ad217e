//! The names of nodes and interfaces.

use crate::settings;
use crate::units::{Kind, UNITS};

/// The meaning of a node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// `tun/3`: this unit.
    Unit(usize),
    /// `tun`: the lowest unit without an opener.
    Clone,
}

impl Node {
    /// Parses a path below /dev, or an interface's name, as a node of a mode.
    pub(crate) fn parse<M: Kind>(name: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(M::NAME.as_bytes())?;
        if rest.is_empty() {
            return settings::current().clone_nodes.then_some(Self::Clone);
        }
        Self::number(rest.strip_prefix(b"/")?).map(Self::Unit)
    }

    /// Parses a unit's number: decimal, without leading zeros, so that no unit has two names.
    pub(crate) fn number(digits: &[u8]) -> Option<usize> {
        if digits.len() > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        let number = settings::decimal(digits)? as usize;
        (number < UNITS).then_some(number)
    }
}
