//! Link addresses, and how the far side's is derived.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct MacAddress([u8; 6]);

/// The bit of the first octet that marks a group address (IEEE 802, 8.2).
const GROUP: u8 = 0x01;
/// The bit of the first octet that marks a locally administered address.
const LOCALLY_ADMINISTERED: u8 = 0x02;

impl MacAddress {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Returns the address with these octets, in wire order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns the octets, in wire order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Whether this is a group address; the broadcast address is one.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & GROUP != 0
    }

    /// Whether this is the broadcast address.
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether this is the address of a single station.
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast()
    }

    /// Returns the address of the far side of a link whose near side has this address.
    ///
    /// It is always a unicast, locally administered address and never the near side's own. The two differ in a bit in the
    /// middle, because the last octets number the devices: the far side of one must not be the near side of the next.
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

#[cfg(test)]
mod tests {
    use std::format;

    use super::MacAddress;

    const NEAR: MacAddress = MacAddress::from_bytes([0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]);

    #[test]
    fn the_group_bit_tells_one_station_from_many() {
        assert!(NEAR.is_unicast());
        assert!(!NEAR.is_multicast());
        let group = MacAddress::from_bytes([0x33, 0x33, 0, 0, 0, 1]);
        assert!(group.is_multicast());
        assert!(!group.is_unicast());
        assert!(!group.is_broadcast());
        assert!(MacAddress::BROADCAST.is_broadcast());
        assert!(MacAddress::BROADCAST.is_multicast());
    }

    #[test]
    fn the_peer_differs_from_the_interface_in_a_middle_bit() {
        assert_eq!(NEAR.peer(), MacAddress::from_bytes([0x02, 0x00, 0x5e, 0x90, 0x00, 0x01]));
        assert_ne!(NEAR.peer(), NEAR);
    }

    #[test]
    fn the_peer_is_one_locally_administered_station_whatever_the_interface_is() {
        for first in 0..=u8::MAX {
            let near = MacAddress::from_bytes([first, 0xff, 0xff, 0xff, 0xff, 0xff]);
            let [far, ..] = *near.peer().as_bytes();
            assert_eq!(far & 0x03, 0x02, "peer of {near}");
            assert_ne!(near.peer(), near);
        }
    }

    #[test]
    fn the_peer_of_one_device_is_not_the_interface_of_another() {
        let devices = (0..=u8::MAX).map(|last| MacAddress::from_bytes([0x02, 0, 0x5e, 0x10, 0, last]));
        for far in devices.clone().map(MacAddress::peer) {
            assert!(devices.clone().all(|near| near != far));
        }
    }

    #[test]
    fn the_text_is_hexadecimal_with_colons() {
        assert_eq!(format!("{NEAR}"), "02:00:5e:10:00:01");
        assert_eq!(format!("{NEAR:?}"), "02:00:5e:10:00:01");
    }
}
