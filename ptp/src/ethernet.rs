//! The Ethernet header, and how IP multicast addresses become Ethernet ones.

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
    /// The station or stations that the frame is for.
    pub destination: MacAddress,
    /// The station that sent it.
    pub source: MacAddress,
    /// What the payload is: see [`ether_type`].
    pub ether_type: U16,
}

const _: () = assert!(size_of::<EthernetHeader>() == ETHERNET_HEADER);

impl EthernetHeader {
    /// A header of these fields.
    #[must_use]
    pub const fn new(destination: MacAddress, source: MacAddress, ether_type: u16) -> Self {
        Self { destination, source, ether_type: U16::new(ether_type) }
    }

    /// The header as the bytes to send.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ETHERNET_HEADER] {
        zerocopy::transmute!(self)
    }
}

/// The link address for a packet to an IPv4 address on a link with a single neighbour.
///
/// Groups are mapped by RFC 1112, section 6.4 (`01:00:5e` and the low 23 bits); the limited broadcast
/// address is the link's broadcast address (RFC 894); everyone else is the neighbour.
#[must_use]
#[inline]
pub fn destination_for_ipv4(address: Ipv4Address, neighbour: MacAddress) -> MacAddress {
    let Ipv4Address([_, second, third, fourth]) = address;
    if address.is_multicast() {
        MacAddress::from_bytes([0x01, 0x00, 0x5e, second & 0x7f, third, fourth])
    } else if address == Ipv4Address::BROADCAST {
        MacAddress::BROADCAST
    } else {
        neighbour
    }
}

/// The link address for a packet to an IPv6 address on a link with a single neighbour.
///
/// Groups are mapped by RFC 2464, section 7 (`33:33` and the low 32 bits).
#[must_use]
#[inline]
pub fn destination_for_ipv6(address: Ipv6Address, neighbour: MacAddress) -> MacAddress {
    if address.is_multicast() {
        let [.., thirteenth, fourteenth, fifteenth, sixteenth] = address.0;
        MacAddress::from_bytes([0x33, 0x33, thirteenth, fourteenth, fifteenth, sixteenth])
    } else {
        neighbour
    }
}
