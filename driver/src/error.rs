//! The errors of the core, as one flat list.

/// Why a call failed. The edge turns each into one of the kernel's errors, by a `match` without a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The call would have to wait, and must not.
    WouldBlock,
    /// A signal ended the wait.
    Interrupted,
    /// The descriptor was closed meanwhile.
    Closed,
    /// The interface of this descriptor was deleted. Reported once for each direction.
    Gone,
    /// The interface is down.
    NetworkDown,
    /// Another program has the unit open, or the interface is up.
    Busy,
    /// The packet is empty, shorter than its header states, or neither IPv4 nor IPv6; or a buffer or an argument is
    /// invalid.
    Invalid,
    /// The packet is longer than 65,535 bytes of IP.
    TooLong,
    /// No memory, or no semaphore.
    NoMemory,
    /// The program's memory is not mapped.
    BadAddress,
}
