//! Waiting for what is certain to come, by looking at the emulated kernel's own state.

use haiku_kernel::sem;

use crate::watchdog::until;

/// Where a thread of the driver's can wait: the names of its semaphores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `read` waits for a packet.
    Read,
    /// `write` waits for room.
    Write,
    /// The stack's reader waits for a packet.
    Receive,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "tun_tap to user",
            Self::Write => "tun_tap room",
            Self::Receive => "tun_tap to stack",
        }
    }
}

/// How many threads wait there, on all units together.
#[must_use]
pub fn blocked(place: Place) -> usize {
    let semaphores = sem::live();
    let counts = semaphores.iter().filter(|(_, name, _)| name == place.name()).map(|&(_, _, count)| count);
    counts.map(|count| usize::try_from(-count).unwrap_or(0)).sum()
}

/// Returns once so many threads wait there.
pub fn until_blocked(place: Place, threads: usize) {
    until(&format!("{threads} wait at \"{}\"", place.name()), || blocked(place) == threads);
}
