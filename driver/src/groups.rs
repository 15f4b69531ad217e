//! The groups that an interface has joined.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::MacAddress;
use crate::link::to_word;

/// How many groups are recorded by their addresses. A host joins a few; one that joins more receives all groups, as from a
/// network card whose list is full.
const LISTED: usize = 32;

/// Where in an entry the number of joins stands.
const COUNT: u32 = 48;
const ONE: u64 = 1 << COUNT;
const ADDRESS: u64 = ONE - 1;

/// The multicast groups that an interface has joined. They are atomics without another lock, because every frame to a group
/// is looked up. The caller that changes them holds the device's mutex.
#[derive(Debug)]
pub struct Groups {
    /// The address in the low 48 bits, the number of joins above: two sockets may join the same group, and two IP groups may
    /// have the same link address. With zero joins the entry is free.
    entries: [AtomicU64; LISTED],
    /// Joins that found no place. While there are some, every group counts as joined.
    unlisted: AtomicU32,
}

impl Groups {
    /// No groups.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: [const { AtomicU64::new(0) }; LISTED], unlisted: AtomicU32::new(0) }
    }

    /// Whether a frame to that group is wanted.
    #[must_use]
    pub fn contains(&self, group: &MacAddress) -> bool {
        self.unlisted.load(Ordering::Relaxed) != 0 || self.find(to_word(*group)).is_some()
    }

    /// Counts one join more.
    pub(crate) fn join(&self, group: MacAddress) {
        let address = to_word(group);
        let free = || self.entries.iter().find(|entry| entry.load(Ordering::Relaxed) < ONE);
        match self.find(address).or_else(free) {
            Some(entry) => {
                let joins = entry.load(Ordering::Relaxed) & !ADDRESS;
                match joins.checked_add(ONE) {
                    Some(joins) => entry.store(joins | address, Ordering::Relaxed),
                    None => self.join_unlisted(),
                }
            }
            None => self.join_unlisted(),
        }
    }

    fn join_unlisted(&self) {
        self.unlisted.store(self.unlisted.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    /// Counts one join less.
    pub(crate) fn leave(&self, group: MacAddress) {
        match self.find(to_word(group)) {
            Some(entry) => entry.store(entry.load(Ordering::Relaxed) - ONE, Ordering::Relaxed),
            None => self.unlisted.store(self.unlisted.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed),
        }
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        self.entries.iter().for_each(|entry| entry.store(0, Ordering::Relaxed));
        self.unlisted.store(0, Ordering::Relaxed);
    }

    /// The entry of an address that was joined.
    fn find(&self, address: u64) -> Option<&AtomicU64> {
        self.entries.iter().find(|entry| {
            let entry = entry.load(Ordering::Relaxed);
            entry & ADDRESS == address && entry >= ONE
        })
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u8) -> MacAddress {
        [0x33, 0x33, 0, 0, 1, number]
    }

    #[test]
    fn a_group_is_joined_until_it_was_left_as_often() {
        let groups = Groups::new();
        assert!(!groups.contains(&group(1)));
        groups.join(group(1));
        groups.join(group(1));
        groups.join(group(2));
        groups.leave(group(1));
        assert!(groups.contains(&group(1)));
        groups.leave(group(1));
        assert!(!groups.contains(&group(1)));
        assert!(groups.contains(&group(2)));
    }

    #[test]
    fn a_group_that_was_never_joined_can_be_left_without_harm() {
        let groups = Groups::new();
        groups.leave(group(1));
        assert!(!groups.contains(&group(1)));
        groups.join(group(1));
        assert!(groups.contains(&group(1)));
    }

    #[test]
    fn all_groups_are_heard_while_there_are_more_than_can_be_listed() {
        let groups = Groups::new();
        let most = LISTED as u8;
        (0..most).for_each(|number| groups.join(group(number)));
        assert!(!groups.contains(&group(200)));
        groups.join(group(most));
        assert!(groups.contains(&group(200)));
        // A free entry does not end the overflow: the groups that did not fit are not recorded.
        groups.leave(group(3));
        assert!(groups.contains(&group(200)));
        groups.leave(group(most));
        assert!(!groups.contains(&group(200)));
        assert!(!groups.contains(&group(3)));
        assert!(groups.contains(&group(4)));
    }

    #[test]
    fn an_address_can_be_joined_more_often_than_an_entry_counts() {
        let groups = Groups::new();
        let often = 70_000;
        (0..often).for_each(|_| groups.join(group(1)));
        for left in 0..often {
            assert!(groups.contains(&group(1)), "left {left} of {often} times");
            groups.leave(group(1));
        }
        assert!(!groups.contains(&group(1)));
    }

    #[test]
    fn the_address_of_zeros_is_no_free_place() {
        let groups = Groups::new();
        assert!(!groups.contains(&[0; 6]));
        groups.join([0; 6]);
        assert!(groups.contains(&[0; 6]));
    }

    #[test]
    fn cleared_groups_are_none() {
        let groups = Groups::new();
        (0..100).for_each(|number| groups.join(group(number)));
        groups.clear();
        assert!(!(0..=255).any(|number| groups.contains(&group(number))));
    }
}
