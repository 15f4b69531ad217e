//! The Ethernet header.

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddress;

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

#[cfg(test)]
mod tests {
    use zerocopy::FromBytes;

    use super::{EthernetHeader, ether_type};
    use crate::MacAddress;

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
}
