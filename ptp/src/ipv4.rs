//! IPv4, as far as a link needs it: addresses and the header.

use core::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ethernet::EthernetHeader;

/// An IPv4 address, as sent. Its default is the unspecified address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Ipv4Address(pub [u8; 4]);

impl Ipv4Address {
    /// `0.0.0.0`: this host, on this network.
    pub const UNSPECIFIED: Self = Self([0; 4]);
    /// `255.255.255.255`: every host on this link.
    pub const BROADCAST: Self = Self([0xff; 4]);

    /// Whether this is `0.0.0.0`.
    #[must_use]
    pub fn is_unspecified(self) -> bool {
        self == Self::UNSPECIFIED
    }

    /// Whether this names a group: `224.0.0.0/4`.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 0xf0 == 0xe0
    }

    /// Whether a host may have this address.
    #[must_use]
    pub fn is_host(self) -> bool {
        !self.is_unspecified() && !self.is_multicast() && self != Self::BROADCAST
    }
}

impl fmt::Debug for Ipv4Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&core::net::Ipv4Addr::from(self.0), f)
    }
}

/// The fixed part of an IPv4 header (RFC 791, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4Header {
    /// The version in the high half, the header's length in words of four bytes in the low half.
    pub version_and_length: u8,
    /// Type of service.
    pub service: u8,
    /// Length of the packet, this header included.
    pub total_length: U16,
    /// Identification: equal in all fragments of a packet.
    pub identification: U16,
    /// Flags and fragment offset.
    pub fragment: U16,
    /// Time to live.
    pub time_to_live: u8,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Checksum of the header.
    pub checksum: U16,
    /// Source address.
    pub source: Ipv4Address,
    /// Destination address.
    pub destination: Ipv4Address,
}

/// Length of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;

const _: () = assert!(size_of::<Ipv4Header>() == IPV4_HEADER);

impl Ipv4Header {
    /// Whether the version is 4 and the header as long as a header must be (RFC 1122, section 3.2.1.1).
    #[must_use]
    #[inline]
    pub const fn is_sane(&self) -> bool {
        matches!(self.version_and_length, 0x45..=0x4f)
    }
}

/// The start of a frame that carries an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4Frame {
    /// The link header.
    pub ethernet: EthernetHeader,
    /// The packet's header.
    pub ipv4: Ipv4Header,
}

#[cfg(test)]
mod tests {
    use std::format;

    use zerocopy::{FromBytes, IntoBytes};

    use super::{Ipv4Address, Ipv4Header};

    const BYTES: [u8; 20] =
        [0x45, 0x10, 0x00, 0x54, 0x12, 0x34, 0x40, 0x00, 0x3f, 0x11, 0xab, 0xcd, 10, 0, 0, 1, 192, 0, 2, 7];

    #[test]
    fn deconstruct_and_emit() {
        let (header, rest) = Ipv4Header::ref_from_prefix(&BYTES).unwrap();
        assert_eq!(header.version_and_length, 0x45);
        assert_eq!(header.service, 0x10);
        assert_eq!(header.total_length.get(), 84);
        assert_eq!(header.identification.get(), 0x1234);
        assert_eq!(header.fragment.get(), 0x4000);
        assert_eq!(header.time_to_live, 63);
        assert_eq!(header.protocol, 17);
        assert_eq!(header.checksum.get(), 0xabcd);
        assert_eq!(header.source, Ipv4Address([10, 0, 0, 1]));
        assert_eq!(header.destination, Ipv4Address([192, 0, 2, 7]));
        assert_eq!(rest, []);
        assert_eq!(header.as_bytes(), BYTES);
    }

    #[test]
    fn only_version_4_with_at_least_five_words_is_sane() {
        let (header, _) = Ipv4Header::read_from_prefix(&BYTES).unwrap();
        let sane = (0..=u8::MAX).filter(|&first| Ipv4Header { version_and_length: first, ..header }.is_sane());
        assert!(sane.eq(0x45..=0x4f));
    }

    #[test]
    fn groups_and_the_broadcast_address_are_no_hosts() {
        assert!(Ipv4Address([10, 0, 0, 1]).is_host());
        assert!(Ipv4Address([240, 0, 0, 1]).is_host());
        assert!(!Ipv4Address([224, 0, 0, 1]).is_host());
        assert!(!Ipv4Address([239, 255, 255, 255]).is_host());
        assert!(!Ipv4Address::BROADCAST.is_host());
        assert!(!Ipv4Address::UNSPECIFIED.is_host());
        assert!(Ipv4Address::default().is_unspecified());
        assert_eq!(format!("{:?}", Ipv4Address([10, 0, 0, 1])), "10.0.0.1");
    }
}
