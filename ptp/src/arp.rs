//! ARP for IPv4 on Ethernet (RFC 826): the packet, its meaning, and the reply.

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddress;
use crate::ethernet::{ETHERNET_HEADER, EthernetHeader, ether_type};
use crate::ipv4::Ipv4Address;

/// Length of an ARP packet for IPv4 on Ethernet.
pub const ARP_PACKET: usize = 28;

/// The hardware type of Ethernet.
const ETHERNET: u16 = 1;

/// Values of [`ArpPacket::operation`].
pub mod operation {
    /// Asks for the link address of the target address.
    pub const REQUEST: u16 = 1;
    /// Tells the link address of the sender's address.
    pub const REPLY: u16 = 2;
}

/// An ARP packet, as sent (RFC 826, "Packet format").
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ArpPacket {
    /// The kind of link: 1 for Ethernet.
    pub hardware_type: U16,
    /// The kind of protocol address, as an Ethernet type.
    pub protocol_type: U16,
    /// Length of a link address.
    pub hardware_length: u8,
    /// Length of a protocol address.
    pub protocol_length: u8,
    /// See [`operation`].
    pub operation: U16,
    /// Link address of the sender.
    pub sender_hardware: MacAddress,
    /// Protocol address of the sender.
    pub sender: Ipv4Address,
    /// Link address of the target; means nothing in a request.
    pub target_hardware: MacAddress,
    /// Protocol address of the target.
    pub target: Ipv4Address,
}

const _: () = assert!(size_of::<ArpPacket>() == ARP_PACKET);

/// The meaning of an ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arp<'p> {
    /// The sender announces its own address (RFC 5227, section 1.1, "ARP Announcement"; in a reply, RFC 5944,
    /// section 4.6).
    Announcement,
    /// The sender asks for the link address of the target.
    ///
    /// A packet whose sender is `0.0.0.0` counts as a request, although an ARP probe (RFC 5227, section 1.1) has the same
    /// form: Haiku sends it when the interface has no IPv4 address, and never sends probes.
    Request(&'p ArpPacket),
    /// The sender answers a question.
    Reply,
}

impl ArpPacket {
    /// Parses the payload of an ARP frame. Bytes after the packet are padding.
    ///
    /// Returns `None` if the packet is not ARP for IPv4 on Ethernet, if it is truncated, or if it names an address that
    /// no host can have: a group as its sender, or the unspecified address as its target.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Arp<'_>> {
        let (packet, _padding) = Self::ref_from_prefix(payload).ok()?;
        let is_ipv4_on_ethernet = packet.hardware_type.get() == ETHERNET
            && packet.protocol_type.get() == ether_type::IPV4
            && packet.hardware_length == 6
            && packet.protocol_length == 4;
        if !is_ipv4_on_ethernet || !packet.sender_hardware.is_unicast() {
            return None;
        }
        let announces = packet.sender == packet.target && packet.sender.is_host();
        match packet.operation.get() {
            operation::REPLY if announces => Some(Arp::Announcement),
            operation::REPLY => Some(Arp::Reply),
            operation::REQUEST if packet.target.is_unspecified() => None,
            operation::REQUEST if announces => Some(Arp::Announcement),
            operation::REQUEST if packet.sender.is_host() || packet.sender.is_unspecified() => {
                Some(Arp::Request(packet))
            }
            _ => None,
        }
    }

    /// Returns the reply to this request, in which `hardware` claims the target (RFC 826, "Packet reception").
    #[must_use]
    pub fn reply(&self, hardware: MacAddress) -> Self {
        Self {
            hardware_type: U16::new(ETHERNET),
            protocol_type: U16::new(ether_type::IPV4),
            hardware_length: 6,
            protocol_length: 4,
            operation: U16::new(operation::REPLY),
            sender_hardware: hardware,
            sender: self.target,
            target_hardware: self.sender_hardware,
            target: self.sender,
        }
    }
}

/// An Ethernet frame that carries an ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ArpFrame {
    /// The link header.
    pub ethernet: EthernetHeader,
    /// The packet.
    pub packet: ArpPacket,
}

/// Length of an Ethernet frame that carries an ARP packet.
pub const ARP_FRAME: usize = ETHERNET_HEADER + ARP_PACKET;

const _: () = assert!(size_of::<ArpFrame>() == ARP_FRAME);

impl ArpFrame {
    /// Returns a frame from the packet's sender to its target.
    #[must_use]
    pub fn unicast(packet: ArpPacket) -> Self {
        let (to, from) = (packet.target_hardware, packet.sender_hardware);
        Self { ethernet: EthernetHeader::new(to, from, ether_type::ARP), packet }
    }

    /// Returns the frame in wire format.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ARP_FRAME] {
        zerocopy::transmute!(self)
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::network_endian::U16;
    use zerocopy::{FromBytes, IntoBytes};

    use super::{Arp, ArpFrame, ArpPacket, operation};
    use crate::MacAddress;
    use crate::ipv4::Ipv4Address;

    const BYTES: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, a request
        0x12, 0x22, 0x33, 0x44, 0x55, 0x66, 10, 8, 0, 2, // sender
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10, 8, 0, 1, // target
    ];
    const ASKER: MacAddress = MacAddress::from_bytes([0x12, 0x22, 0x33, 0x44, 0x55, 0x66]);
    const PEER: MacAddress = MacAddress::from_bytes([0x02, 0, 0, 0x80, 0, 1]);

    fn request() -> ArpPacket {
        ArpPacket::read_from_bytes(&BYTES).unwrap()
    }

    fn parse(packet: &ArpPacket) -> Option<Arp<'_>> {
        ArpPacket::parse(packet.as_bytes())
    }

    #[test]
    fn deconstruct() {
        let packet = request();
        assert_eq!(packet.hardware_type.get(), 1);
        assert_eq!(packet.protocol_type.get(), 0x0800);
        assert_eq!(packet.hardware_length, 6);
        assert_eq!(packet.protocol_length, 4);
        assert_eq!(packet.operation.get(), operation::REQUEST);
        assert_eq!(packet.sender_hardware, ASKER);
        assert_eq!(packet.sender, Ipv4Address([10, 8, 0, 2]));
        assert_eq!(packet.target_hardware, MacAddress::from_bytes([0; 6]));
        assert_eq!(packet.target, Ipv4Address([10, 8, 0, 1]));
    }

    #[test]
    fn construct() {
        let packet = ArpPacket {
            hardware_type: U16::new(1),
            protocol_type: U16::new(0x0800),
            hardware_length: 6,
            protocol_length: 4,
            operation: U16::new(1),
            sender_hardware: ASKER,
            sender: Ipv4Address([10, 8, 0, 2]),
            target_hardware: MacAddress::from_bytes([0; 6]),
            target: Ipv4Address([10, 8, 0, 1]),
        };
        assert_eq!(packet.as_bytes(), BYTES);
    }

    #[test]
    fn parse_a_request() {
        assert_eq!(ArpPacket::parse(&BYTES), Some(Arp::Request(&request())));
    }

    #[test]
    fn padding_after_the_packet_is_ignored() {
        let mut padded = [0xee; 46];
        padded[..28].copy_from_slice(&BYTES);
        assert_eq!(ArpPacket::parse(&padded), Some(Arp::Request(&request())));
    }

    #[test]
    fn a_truncated_packet_does_not_parse() {
        for length in 0..BYTES.len() {
            assert_eq!(ArpPacket::parse(&BYTES[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn emit_the_reply() {
        let frame = ArpFrame::unicast(request().reply(PEER)).to_bytes();
        assert_eq!(
            frame,
            [
                0x12, 0x22, 0x33, 0x44, 0x55, 0x66, 0x02, 0x00, 0x00, 0x80, 0x00, 0x01, 0x08,
                0x06, // to the asker
                0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, // Ethernet, IPv4, a reply
                0x02, 0x00, 0x00, 0x80, 0x00, 0x01, 10, 8, 0, 1, // the peer has the target
                0x12, 0x22, 0x33, 0x44, 0x55, 0x66, 10, 8, 0, 2,
            ]
        );
    }

    #[test]
    fn other_links_and_protocols_do_not_parse() {
        let request = request();
        assert_eq!(parse(&ArpPacket { hardware_type: U16::new(6), ..request }), None);
        assert_eq!(parse(&ArpPacket { protocol_type: U16::new(0x86dd), ..request }), None);
        assert_eq!(parse(&ArpPacket { hardware_length: 8, ..request }), None);
        assert_eq!(parse(&ArpPacket { protocol_length: 16, ..request }), None);
        for operation in [0, 3, 4, 8, 9, 0x0100, 0xffff] {
            assert_eq!(parse(&ArpPacket { operation: U16::new(operation), ..request }), None);
        }
    }

    #[test]
    fn a_sender_without_an_address_sends_a_request() {
        let request = ArpPacket { sender: Ipv4Address::UNSPECIFIED, ..request() };
        assert_eq!(parse(&request), Some(Arp::Request(&request)));
    }

    #[test]
    fn a_packet_whose_sender_is_its_target_is_an_announcement() {
        let request = ArpPacket { target: request().sender, ..request() };
        assert_eq!(parse(&request), Some(Arp::Announcement));
        let reply = ArpPacket { operation: U16::new(operation::REPLY), ..request };
        assert_eq!(parse(&reply), Some(Arp::Announcement));
    }

    #[test]
    fn a_reply_parses_with_any_addresses() {
        let reply = ArpPacket { operation: U16::new(operation::REPLY), ..request() };
        assert_eq!(parse(&reply), Some(Arp::Reply));
        let nonsense = ArpPacket { sender: Ipv4Address::BROADCAST, target: Ipv4Address::BROADCAST, ..reply };
        assert_eq!(parse(&nonsense), Some(Arp::Reply));
    }

    #[test]
    fn a_request_from_a_group_or_for_the_unspecified_address_does_not_parse() {
        let request = request();
        for sender in [[224, 0, 0, 1], [239, 1, 2, 3], [255, 255, 255, 255]] {
            let packet = ArpPacket { sender: Ipv4Address(sender), ..request };
            assert_eq!(parse(&packet), None);
            assert_eq!(parse(&ArpPacket { target: packet.sender, ..packet }), None);
        }
        assert_eq!(parse(&ArpPacket { target: Ipv4Address::UNSPECIFIED, ..request }), None);
        let unspecified = ArpPacket { sender: Ipv4Address::UNSPECIFIED, target: Ipv4Address::UNSPECIFIED, ..request };
        assert_eq!(parse(&unspecified), None);
        assert_eq!(parse(&ArpPacket { sender_hardware: MacAddress::BROADCAST, ..request }), None);
    }
}
