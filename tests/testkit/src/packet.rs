//! Packets and frames to send, as a program or the stack would.

use std::net::{Ipv4Addr, Ipv6Addr};

use haiku_system::Mode;

/// Length of an Ethernet header.
pub const ETHERNET_HEADER: usize = 14;
/// The broadcast address of Ethernet.
pub const BROADCAST: [u8; 6] = [0xff; 6];
/// A station that is neither side of any link here.
pub const STRANGER: [u8; 6] = [0x02, 0, 0, 0x5e, 0x77, 0x77];
/// Ethernet's number for IPv4.
pub const ETHER_TYPE_IP: u16 = 0x0800;
/// Ethernet's number for ARP.
pub const ETHER_TYPE_ARP: u16 = 0x0806;
/// Ethernet's number for IPv6.
pub const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// The stack's address in packets made here.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The program's.
pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The stack's address in packets of IPv6.
pub const NEAR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x909, 0, 0, 0, 0, 0, 1);
/// The program's.
pub const FAR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x909, 0, 0, 0, 0, 0, 2);

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the program to the stack.
    ToStack,
    /// From the stack to the program.
    ToUser,
}

/// Bytes that depend on their place and on the packet's length, so that no part of a packet looks like another.
#[must_use]
pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + length) as u8 ^ (at >> 8) as u8).collect()
}

/// An IPv4 packet of `length` bytes in all, of UDP as far as there is room for its header.
#[must_use]
pub fn ipv4(way: Way, length: usize) -> Vec<u8> {
    let (from, to) = match way {
        Way::ToStack => (FAR, NEAR),
        Way::ToUser => (NEAR, FAR),
    };
    let total = u16::try_from(length).expect("IPv4 carries no more than 65535 bytes").to_be_bytes();
    let mut packet = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = !checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let rest = length.checked_sub(packet.len()).expect("room for an IPv4 header");
    packet.extend(udp(rest));
    packet
}

/// A ping of the program's for the stack: the first ICMP echo request, in an IPv4 packet of 60 bytes.
#[must_use]
pub fn echo_request() -> Vec<u8> {
    numbered_echo_request(1)
}

/// An ICMP echo request as [`echo_request`], with a sequence number of the caller's.
#[must_use]
pub fn numbered_echo_request(number: u16) -> Vec<u8> {
    let mut packet = ipv4(Way::ToStack, 60);
    let (header, message) = packet.split_at_mut(20);
    header[9..12].copy_from_slice(&[1, 0, 0]);
    let sum = !checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    message[..6].copy_from_slice(&[8, 0, 0, 0, 0x4c, 0x61]);
    message[6..8].copy_from_slice(&number.to_be_bytes());
    let sum = !checksum(message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// An IPv6 packet of `length` bytes in all.
#[must_use]
pub fn ipv6(way: Way, length: usize) -> Vec<u8> {
    let (from, to) = match way {
        Way::ToStack => (FAR6, NEAR6),
        Way::ToUser => (NEAR6, FAR6),
    };
    let rest = length.checked_sub(40).expect("room for an IPv6 header");
    let total = u16::try_from(rest).expect("IPv6 carries no more than 65535 bytes").to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, total[0], total[1], 17, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(udp(rest));
    packet
}

/// UDP of `length` bytes without a checksum: the header as far as it fits, then bytes that can be told apart.
fn udp(length: usize) -> Vec<u8> {
    let [high, low] = (length as u16).to_be_bytes();
    let mut bytes = vec![0x30, 0x39, 0x30, 0x39, high, low, 0, 0];
    bytes.truncate(length);
    bytes.extend(payload(length - bytes.len()));
    bytes
}

/// An Ethernet frame around a packet.
#[must_use]
pub fn frame(to: [u8; 6], from: [u8; 6], ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_HEADER + packet.len());
    frame.extend(to);
    frame.extend(from);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame
}

/// An IPv4 packet of `length` bytes as a mode's program reads or writes it, broadcast on a TAP's link.
#[must_use]
pub fn program_packet(mode: Mode, way: Way, length: usize) -> Vec<u8> {
    match mode {
        Mode::Tun => ipv4(way, length),
        Mode::Tap => {
            let inner = ipv4(way, length.checked_sub(ETHERNET_HEADER).expect("room for an Ethernet header"));
            frame(BROADCAST, STRANGER, ETHER_TYPE_IP, &inner)
        }
    }
}

/// A frame that the stack sends from an interface, and that a mode's program reads as `length` bytes.
#[must_use]
pub fn stack_frame(mode: Mode, from: [u8; 6], length: usize) -> Vec<u8> {
    let packet = program_packet(mode, Way::ToUser, length);
    match mode {
        Mode::Tun => frame(BROADCAST, from, ETHER_TYPE_IP, &packet),
        Mode::Tap => packet,
    }
}

/// The stack asks by ARP for the far side's link-layer address.
#[must_use]
pub fn arp_request(from: [u8; 6]) -> Vec<u8> {
    let mut question = vec![0, 1, 8, 0, 6, 4, 0, 1];
    question.extend(from);
    question.extend(NEAR.octets());
    question.extend([0; 6]);
    question.extend(FAR.octets());
    frame(BROADCAST, from, ETHER_TYPE_ARP, &question)
}

/// The Internet's checksum, not yet inverted.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_as_long_as_it_was_asked_to_be_and_says_so() {
        for length in [20, 21, 28, 100, 1500, 65535] {
            let packet = ipv4(Way::ToUser, length);
            assert_eq!(packet.len(), length);
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), length);
            assert_eq!(checksum(&packet[..20]), 0xffff);
        }
        assert_eq!(ipv6(Way::ToStack, 140).len(), 140);
        assert_eq!(ipv6(Way::ToStack, 140)[4..6], [0, 100]);
    }

    #[test]
    fn packets_of_different_lengths_share_no_payload() {
        assert_ne!(ipv4(Way::ToUser, 100)[28..100], ipv4(Way::ToUser, 101)[28..100]);
    }
}
