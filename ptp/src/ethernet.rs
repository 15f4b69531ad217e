//! The Ethernet header, and the mapping of IP multicast addresses to Ethernet ones.

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddress;
use crate::ipv4::Ipv4Address;
use crate::ipv6::Ipv6Address;

/// Length of an Ethernet header.
pub const ETHERNET_HEADER: usize = 14;

/// Values of [`EthernetHeader::ether_type`].
pub mod ether_type {
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// IPv6 (RFC 2464, section 3).
    pub const IPV6: u16 = 0x86dd;
}

/// An Ethernet header, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EthernetHeader {
    /// The destination: a station or a group.
    pub destination: MacAddress,
    /// The sender.
    pub source: MacAddress,
    /// The protocol of the payload: see [`ether_type`].
    pub ether_type: U16,
}

const _: () = assert!(size_of::<EthernetHeader>() == ETHERNET_HEADER);

impl EthernetHeader {
    /// Returns a header with these fields.
    #[must_use]
    pub const fn new(destination: MacAddress, source: MacAddress, ether_type: u16) -> Self {
        Self { destination, source, ether_type: U16::new(ether_type) }
    }

    /// Returns the header in wire format.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ETHERNET_HEADER] {
        zerocopy::transmute!(self)
    }
}

/// Returns the link address of an IPv4 group; `None` for the address of a single host.
///
/// Groups are mapped by RFC 1112, section 6.4 (`01:00:5e` and the low 23 bits); the limited broadcast address is the
/// link's broadcast address (RFC 894).
#[must_use]
#[inline]
pub fn group_of_ipv4(address: Ipv4Address) -> Option<MacAddress> {
    if address.is_multicast() {
        let Ipv4Address([_, second, third, fourth]) = address;
        Some(MacAddress::from_bytes([0x01, 0x00, 0x5e, second & 0x7f, third, fourth]))
    } else if address == Ipv4Address::BROADCAST {
        Some(MacAddress::BROADCAST)
    } else {
        None
    }
}

/// Returns the link address of an IPv6 group; `None` for the address of a single host.
///
/// Groups are mapped by RFC 2464, section 7 (`33:33` and the low 32 bits).
#[must_use]
#[inline]
pub fn group_of_ipv6(address: Ipv6Address) -> Option<MacAddress> {
    let Ipv6Address([.., thirteenth, fourteenth, fifteenth, sixteenth]) = address;
    address.is_multicast().then_some(MacAddress::from_bytes([0x33, 0x33, thirteenth, fourteenth, fifteenth, sixteenth]))
}

#[cfg(test)]
mod tests {
    use zerocopy::FromBytes;

    use super::{EthernetHeader, ether_type, group_of_ipv4, group_of_ipv6};
    use crate::MacAddress;
    use crate::ipv4::Ipv4Address;
    use crate::ipv6::Ipv6Address;

    const BYTES: [u8; 14] = [0x02, 0x11, 0x12, 0x13, 0x14, 0x15, 0x06, 0x21, 0x22, 0x23, 0x24, 0x25, 0x86, 0xdd];
    const TO: MacAddress = MacAddress::from_bytes([0x02, 0x11, 0x12, 0x13, 0x14, 0x15]);
    const FROM: MacAddress = MacAddress::from_bytes([0x06, 0x21, 0x22, 0x23, 0x24, 0x25]);

    #[test]
    fn deconstruct() {
        let (header, rest) = EthernetHeader::ref_from_prefix(&BYTES).unwrap();
        assert_eq!(header.destination, TO);
        assert_eq!(header.source, FROM);
        assert_eq!(header.ether_type.get(), ether_type::IPV6);
        assert_eq!(rest, []);
    }

    #[test]
    fn emit() {
        assert_eq!(EthernetHeader::new(TO, FROM, ether_type::IPV6).to_bytes(), BYTES);
    }

    #[test]
    fn no_part_of_a_header_is_one() {
        for length in 0..BYTES.len() {
            assert!(EthernetHeader::ref_from_prefix(&BYTES[..length]).is_err(), "{length} bytes");
        }
    }

    fn mac(bytes: [u8; 6]) -> Option<MacAddress> {
        Some(MacAddress::from_bytes(bytes))
    }

    #[test]
    fn an_ipv4_group_keeps_its_low_23_bits() {
        let group = |address| group_of_ipv4(Ipv4Address(address));
        assert_eq!(group([224, 0, 0, 251]), mac([0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb]));
        assert_eq!(group([239, 255, 255, 250]), mac([0x01, 0x00, 0x5e, 0x7f, 0xff, 0xfa]));
        assert_eq!(group([224, 128, 1, 2]), mac([0x01, 0x00, 0x5e, 0x00, 0x01, 0x02]));
    }

    #[test]
    fn ipv4_addresses_beside_the_groups_are_single_hosts() {
        for address in [[223, 255, 255, 255], [240, 0, 0, 0], [255, 255, 255, 254], [0, 0, 0, 0], [10, 0, 0, 255]] {
            assert_eq!(group_of_ipv4(Ipv4Address(address)), None);
        }
        assert_eq!(group_of_ipv4(Ipv4Address::BROADCAST), Some(MacAddress::BROADCAST));
    }

    #[test]
    fn an_ipv6_group_keeps_its_low_32_bits() {
        let mut group = [0xff; 16];
        assert_eq!(group_of_ipv6(Ipv6Address(group)), mac([0x33, 0x33, 0xff, 0xff, 0xff, 0xff]));
        group[12..].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(group_of_ipv6(Ipv6Address(group)), mac([0x33, 0x33, 1, 2, 3, 4]));
        group[0] = 0xfe;
        assert_eq!(group_of_ipv6(Ipv6Address(group)), None);
    }
}
