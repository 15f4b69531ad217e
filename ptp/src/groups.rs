//! The Ethernet addresses of IP groups.

use crate::MacAddress;
use crate::ipv4::Ipv4Address;
use crate::ipv6::Ipv6Address;

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
    use super::{group_of_ipv4, group_of_ipv6};
    use crate::MacAddress;
    use crate::ipv4::Ipv4Address;
    use crate::ipv6::Ipv6Address;

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
