//! Everything that can go wrong, as one flat list.

/// Why a call failed. The edge turns each into one of the kernel's errors, by a `match` without a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It would have to wait, and was told not to.
    WouldBlock,
    /// A signal ended the wait.
    Interrupted,
    /// The descriptor was closed meanwhile.
    Closed,
    /// The interface of this descriptor was deleted. Reported once for each direction.
    Gone,
    /// The interface is down.
    NetworkDown,
    /// Somebody else has it.
    Busy,
    /// The packet is no packet: empty, shorter than its header, or of no known version.
    Invalid,
    /// The packet is longer than 65,535 bytes of IP.
    TooLong,
    /// No memory, or no semaphore.
    NoMemory,
    /// The program's memory is not where it said.
    BadAddress,
}
