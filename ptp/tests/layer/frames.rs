//! Frames as a stack makes them, written by smoltcp.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Message,
    Icmpv6Packet, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr,
};
use tuntap_ptp::{HEAD_TO_USER, MacAddress, Reply, Responder, SHORT_HEAD, Verdict, is_data};

/// The interface of the stack.
pub(crate) const INTERFACE: [u8; 6] = [0x02, 0xa0, 0x00, 0x00, 0x00, 0x07];
/// The far side of its link.
pub(crate) const PEER: [u8; 6] = [0x02, 0xa0, 0x00, 0x80, 0x00, 0x07];
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

/// The stack's addresses, and one on the far side for each version.
pub(crate) const OWN4: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
pub(crate) const ALIAS4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub(crate) const FAR4: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
pub(crate) const OWN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const ALIAS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 2);
pub(crate) const LINK6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const FAR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

pub(crate) fn responder() -> Responder {
    Responder::new(MacAddress::from_bytes(INTERFACE))
}

/// Has the responder classify a frame as the core does: by its head, with a stale reply in the buffer.
pub(crate) fn judge(responder: &Responder, frame: &[u8]) -> (Verdict, Vec<u8>) {
    let mut reply = Reply::new();
    let head = &frame[..frame.len().min(HEAD_TO_USER)];
    let verdict = responder.classify_to_user(head, frame.len(), &mut reply);
    if is_data(&frame[..frame.len().min(SHORT_HEAD)], frame.len()) {
        assert_eq!(verdict, Verdict::Deliver, "the short head says so");
    }
    (verdict, reply.bytes().to_vec())
}

/// The verdict alone.
pub(crate) fn verdict(responder: &Responder, frame: &[u8]) -> Verdict {
    judge(responder, frame).0
}

pub(crate) fn ethernet(to: [u8; 6], from: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let repr = EthernetRepr {
        dst_addr: EthernetAddress(to),
        src_addr: EthernetAddress(from),
        ethertype: EthernetProtocol::from(ether_type),
    };
    let mut bytes = vec![0; 14 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    repr.emit(&mut frame);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

/// A broadcast ARP frame from the interface.
pub(crate) fn arp(operation: ArpOperation, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(INTERFACE),
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut packet));
    ethernet(BROADCAST, INTERFACE, 0x0806, &packet)
}

pub(crate) fn arp_request(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperation::Request, sender, target)
}

pub(crate) fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Udp,
        payload_len: payload.len(),
        hop_limit,
    };
    let mut bytes = vec![0; repr.buffer_len() + payload.len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    packet.payload_mut().copy_from_slice(payload);
    bytes
}

pub(crate) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::from(next),
        payload_len: payload.len(),
        hop_limit,
    };
    let mut bytes = vec![0; repr.buffer_len() + payload.len()];
    let mut packet = Ipv6Packet::new_unchecked(&mut bytes);
    repr.emit(&mut packet);
    packet.payload_mut().copy_from_slice(payload);
    bytes
}

/// A frame with an IPv4 packet from the interface to the far side.
pub(crate) fn ipv4_frame(source: Ipv4Addr, destination: Ipv4Addr, hop_limit: u8) -> Vec<u8> {
    ethernet(PEER, INTERFACE, 0x0800, &ipv4(source, destination, hop_limit, &[1, 2, 3, 4]))
}

/// A frame with an IPv6 packet (UDP) from the interface to the far side.
pub(crate) fn ipv6_frame(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8) -> Vec<u8> {
    ethernet(PEER, INTERFACE, 0x86dd, &ipv6(source, destination, 17, hop_limit, &[1, 2, 3, 4]))
}

/// The solicited-node multicast address of this address.
pub(crate) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let mut octets = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    octets[13..].copy_from_slice(&target.octets()[13..]);
    Ipv6Addr::from(octets)
}

/// An option with the link address of the sender.
pub(crate) fn source_link(address: [u8; 6]) -> Vec<u8> {
    [&[1, 1], &address[..]].concat()
}

/// An ICMPv6 message in a frame; every field can be set to a wrong value.
#[derive(Clone)]
pub(crate) struct Icmpv6 {
    pub(crate) ethernet_to: [u8; 6],
    pub(crate) ethernet_from: [u8; 6],
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
    /// Extension headers, each with its type; the types link them up.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) message_type: u8,
    pub(crate) code: u8,
    /// Everything after the checksum.
    pub(crate) body: Vec<u8>,
}

impl Icmpv6 {
    pub(crate) fn new(message_type: u8, source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> Self {
        Self {
            ethernet_to: PEER,
            ethernet_from: INTERFACE,
            source,
            destination,
            hop_limit: 255,
            extensions: Vec::new(),
            message_type,
            code: 0,
            body: body.to_vec(),
        }
    }

    /// The solicitation of `source` for `target` as a stack sends it first: to the group.
    pub(crate) fn solicitation(source: Ipv6Addr, target: Ipv6Addr) -> Self {
        let mut solicitation = Self::bare_solicitation(source, target);
        solicitation.body.extend(source_link(INTERFACE));
        solicitation
    }

    /// The same without the sender's link address.
    pub(crate) fn bare_solicitation(source: Ipv6Addr, target: Ipv6Addr) -> Self {
        let body = [&[0; 4], &target.octets()[..]].concat();
        let mut solicitation = Self::new(135, source, solicited_node(target), &body);
        let [.., third, second, first] = target.octets();
        solicitation.ethernet_to = [0x33, 0x33, 0xff, third, second, first];
        solicitation
    }

    /// The solicitation as unreachability detection sends it: to the target itself.
    pub(crate) fn unicast(mut self) -> Self {
        self.ethernet_to = PEER;
        self.destination = Ipv6Addr::from(<[u8; 16]>::try_from(&self.body[4..20]).unwrap());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut message = vec![0; 4 + self.body.len()];
        message[4..].copy_from_slice(&self.body);
        let mut icmpv6 = Icmpv6Packet::new_unchecked(&mut message);
        icmpv6.set_msg_type(Icmpv6Message::from(self.message_type));
        icmpv6.set_msg_code(self.code);
        icmpv6.fill_checksum(&self.source, &self.destination);
        let mut next = 58;
        let mut payload = message;
        for (kind, bytes) in self.extensions.iter().rev() {
            let mut header = bytes.clone();
            header[0] = next;
            payload.splice(0..0, header);
            next = *kind;
        }
        let packet = ipv6(self.source, self.destination, next, self.hop_limit, &payload);
        ethernet(self.ethernet_to, self.ethernet_from, 0x86dd, &packet)
    }
}
