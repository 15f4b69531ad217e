//! Waiting for what is certain to come, by looking at the emulated kernel's own state.

use haiku_kernel::sem;

/// Where a thread can wait for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `read` waits for a packet.
    Read,
    /// `write` waits for room.
    Write,
    /// The stack's reader waits for a packet.
    Receive,
    /// `poll` or `select` waits.
    Select,
}

impl Place {
    /// The name of the driver's semaphores.
    const fn semaphores(self) -> &'static str {
        match self {
            Self::Read => "tun_tap to user",
            Self::Write => "tun_tap room",
            Self::Receive => "tun_tap to stack",
            Self::Select => "",
        }
    }
}

/// How many threads wait at the driver's semaphores for that, on all units together.
#[must_use]
pub fn blocked(place: Place) -> usize {
    let semaphores = sem::live();
    let counts = semaphores.iter().filter(|(_, name, _)| name == place.semaphores()).map(|&(_, _, count)| count);
    counts.map(|count| usize::try_from(-count).unwrap_or(0)).sum()
}
