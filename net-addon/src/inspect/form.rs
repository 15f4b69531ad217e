//! The two nodes, and what each shows.

use core::ffi::CStr;

/// The node with the table.
pub(crate) const TABLE_NODE: &CStr = c"misc/tun_tap";
/// The node with a line for each unit.
pub(crate) const SHORT_NODE: &CStr = c"misc/tun_tap_short";

/// What a node shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Every counter of every unit, in a table for people.
    Table,
    /// A line for each unit.
    Short,
}

impl Form {
    /// Returns the form of the node at this path below /dev.
    pub(super) fn of(path: &[u8]) -> Option<Self> {
        if path == TABLE_NODE.to_bytes() {
            Some(Self::Table)
        } else if path == SHORT_NODE.to_bytes() {
            Some(Self::Short)
        } else {
            None
        }
    }
}
