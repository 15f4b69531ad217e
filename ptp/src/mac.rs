//! Link addresses, and how the far side gets one.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct MacAddress([u8; 6]);

/// The bit of the first octet that marks a group address (IEEE 802, 8.2).
const GROUP: u8 = 0x01;
/// The bit of the first octet that marks an address that no manufacturer gave out.
const LOCALLY_ADMINISTERED: u8 = 0x02;

impl MacAddress {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address with these octets, in the order in which they are sent.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The octets, in the order in which they are sent.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Whether this names a group of stations; the broadcast address is one of these.
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & GROUP != 0
    }

    /// Whether this names every station.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        *self == Self::BROADCAST
    }

    /// Whether this names a single station.
    #[must_use]
    pub const fn is_unicast(&self) -> bool {
        !self.is_multicast()
    }

    /// The address of the far side of a link whose near side has this address.
    ///
    /// It is always a unicast, locally administered address and never the near side's own. One bit in the
    /// middle tells the two apart, rather than the last one: devices are numbered there, and the far side
    /// of one must not be the near side of the next.
    #[must_use]
    pub const fn peer(self) -> Self {
        let [first, second, third, fourth, fifth, sixth] = self.0;
        Self([(first | LOCALLY_ADMINISTERED) & !GROUP, second, third, fourth ^ 0x80, fifth, sixth])
    }
}

impl From<[u8; 6]> for MacAddress {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, fifth, sixth] = self.0;
        write!(f, "{first:02x}:{second:02x}:{third:02x}:{fourth:02x}:{fifth:02x}:{sixth:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
