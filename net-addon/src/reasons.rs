//! The drop reasons as programs know them: a position in the statistics, and a name.
//!
//! The core and each mode declare their reasons; only here are they numbered. The positions are ABI: a new reason gets the next
//! free one and a line in `include/tun_tap.h`, or shares one that means the same to a program.

use tuntap_driver::{Counters, DropReason, MODE_REASONS};
use tuntap_tap::Reason as TapReason;
use tuntap_tun::Reason as TunReason;

macro_rules! names {
    ($($position:literal $name:literal,)*) => {
        /// The names, by position.
        pub const NAMES: &[&str] = &[$($name),*];

        /// Returns the name of the reason at a position. A table of names would need relocations.
        pub(crate) const fn name(position: usize) -> &'static str {
            match position {
                $($position => $name,)*
                _ => "",
            }
        }
    };
}

names! {
    0 "full",
    1 "no-program",
    2 "down",
    3 "bad-address",
    4 "answer-lost",
    5 "not-for-us",
    6 "malformed",
    7 "not-ip",
    8 "arp-malformed",
    9 "arp-announcement",
    10 "arp-reply",
    11 "neighbour-malformed",
    12 "duplicate-detection",
    13 "neighbour-advertisement",
    14 "superseded",
}

macro_rules! positions {
    ($list:ident: $reason:ident { $($variant:ident = $position:literal,)* }) => {
        const $list: &[(usize, usize)] = &[$(($reason::$variant as usize, $position),)*];
        // A reason without a position does not compile.
        const _: fn($reason) = |reason| match reason { $($reason::$variant)|* => {} };
    };
}

positions!(CORE: DropReason {
    Full = 0, NoProgram = 1, Down = 2, BadAddress = 3, AnswerLost = 4, Malformed = 6, Superseded = 14,
});

positions!(TAP: TapReason {
    NotForUs = 5, Malformed = 6,
});

positions!(TUN: TunReason {
    Malformed = 6, NotIp = 7,
    ArpMalformed = 8, ArpAnnouncement = 9, ArpReply = 10,
    NeighbourMalformed = 11, DuplicateDetection = 12, NeighbourAdvertisement = 13,
});

/// What is counted at a position, as indices in [`Counters::dropped_by_reason`]: a reason of the core's and one of the mode's.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    core: u8,
    mode: u8,
}

/// The places of a TAP's reasons, by position.
pub(crate) const TAP_PLACES: &[Place] = &places(TAP);
/// The places of a TUN's.
pub(crate) const TUN_PLACES: &[Place] = &places(TUN);

const fn places(mode: &[(usize, usize)]) -> [Place; NAMES.len()] {
    // No counter has this index.
    let mut places = [Place { core: u8::MAX, mode: u8::MAX }; NAMES.len()];
    let mut at = 0;
    while at < CORE.len() {
        let (number, position) = CORE[at];
        assert!(number < DropReason::COUNT, "the core has more reasons than it counts");
        places[position].core = number as u8;
        at += 1;
    }
    at = 0;
    while at < mode.len() {
        let (number, position) = mode[at];
        assert!(number < MODE_REASONS, "a mode has too many reasons");
        places[position].mode = (DropReason::COUNT + number) as u8;
        at += 1;
    }
    places
}

/// Returns how many packets were dropped for the reasons that are counted at a place.
#[inline(never)]
pub(crate) fn dropped(counters: &Counters, place: Place) -> u64 {
    let count = |index: u8| counters.dropped_by_reason().get(usize::from(index)).copied().unwrap_or(0);
    count(place.core) + count(place.mode)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::format;

    use super::*;

    #[test]
    fn each_position_has_one_name_of_its_own_and_reasons() {
        assert_eq!(NAMES.iter().collect::<BTreeSet<_>>().len(), NAMES.len());
        for (position, &expected) in NAMES.iter().enumerate() {
            assert_eq!(name(position), expected);
            assert!([CORE, TAP, TUN].into_iter().flatten().any(|&(_, other)| other == position), "{expected}");
        }
    }

    #[test]
    fn the_header_for_programs_has_the_same_positions() {
        let header = include_str!("../include/tun_tap.h");
        for (position, name) in NAMES.iter().enumerate() {
            let line = format!("    TUN_DROP_{} = {position},", name.to_uppercase().replace('-', "_"));
            assert!(header.lines().any(|it| it.starts_with(&line)), "tun_tap.h lacks \"{line}\"");
        }
    }
}
