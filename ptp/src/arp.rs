//! ARP for IPv4 on Ethernet (RFC 826): the packet, what one of them asks, and the reply.

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
    /// Who has the target address?
    pub const REQUEST: u16 = 1;
    /// The sender has.
    pub const REPLY: u16 = 2;
}

/// An ARP packet, as sent (RFC 826, "Packet format").
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ArpPacket {
    /// What kind of link it is.
    pub hardware_type: U16,
    /// What kind of address is asked for, as an Ethernet type.
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

/// What an ARP packet is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arp<'p> {
    /// Nobody asks, to see whether the address is free (RFC 5227, section 1.1, "ARP Probe").
    Probe,
    /// The sender tells the link its own address (RFC 5227, section 1.1, "ARP Announcement"; in a reply,
    /// RFC 5944, section 4.6).
    Announcement(&'p ArpPacket),
    /// The sender asks who has the target address.
    Request(&'p ArpPacket),
    /// The sender answers a question.
    Reply,
}

impl ArpPacket {
    /// What the payload of an ARP frame is about. Bytes behind the packet are padding.
    ///
    /// `None` means that it is not ARP for IPv4 on Ethernet, not whole, or that it names addresses that no
    /// host can have: a group as its sender, or no address as its target.
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
            operation::REPLY if announces => Some(Arp::Announcement(packet)),
            operation::REPLY => Some(Arp::Reply),
            operation::REQUEST if packet.target.is_unspecified() => None,
            operation::REQUEST if packet.sender.is_unspecified() => Some(Arp::Probe),
            operation::REQUEST if announces => Some(Arp::Announcement(packet)),
            operation::REQUEST if packet.sender.is_host() => Some(Arp::Request(packet)),
            _ => None,
        }
    }

    /// The answer to this request, by which `hardware` claims the target (RFC 826, "Packet reception").
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
    /// The frame that takes a packet from its sender's to its target's link address.
    #[must_use]
    pub fn unicast(packet: ArpPacket) -> Self {
        let (to, from) = (packet.target_hardware, packet.sender_hardware);
        Self { ethernet: EthernetHeader::new(to, from, ether_type::ARP), packet }
    }

    /// The frame as the bytes to send.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ARP_FRAME] {
        zerocopy::transmute!(self)
    }
}
