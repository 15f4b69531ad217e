//! Datagrams, ARP and neighbour discovery: packets that Haiku leaks when they are refused.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use super::{Harm, PATIENCE, Subject, until, while_blocked};
use haiku_stack::Family;

/// The link-layer address of the station at the other end.
const STATION: [u8; 6] = [0x02, 0x00, 0x00, 0x00, 0x00, 0x09];
const NEAR: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);
const FAR: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 9);

/// A packet from 10.1.0.1.
fn ipv4(destination: [u8; 4]) -> Vec<u8> {
    let header = Ipv4Repr {
        src_addr: [10, 1, 0, 1].into(),
        dst_addr: destination.into(),
        next_header: IpProtocol::Unknown(253),
        payload_len: 8,
        hop_limit: 64,
    };
    let mut bytes = vec![0; 28];
    header.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes
}

fn ipv6_header(source: Ipv6Addr, destination: Ipv6Addr, next_header: IpProtocol, payload_len: usize) -> Vec<u8> {
    let header = Ipv6Repr { src_addr: source, dst_addr: destination, next_header, payload_len, hop_limit: 255 };
    let mut bytes = vec![0; 40 + payload_len];
    header.emit(&mut Ipv6Packet::new_unchecked(&mut bytes[..]));
    bytes
}

/// A frame with a neighbour discovery message from the station.
fn discovery(subject: &dyn Subject, message: NdiscRepr<'_>) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let mut packet = ipv6_header(FAR, NEAR, IpProtocol::Icmpv6, message.buffer_len());
    let mut icmp = Icmpv6Packet::new_unchecked(&mut packet[40..]);
    message.emit(&FAR, &NEAR, &mut icmp, &ChecksumCapabilities::default());
    [&subject.mac()[..], &STATION, &0x86dd_u16.to_be_bytes(), &packet].concat()
}

/// The station's address in an option.
fn lladdr() -> Option<RawHardwareAddress> {
    Some(RawHardwareAddress::from(EthernetAddress(STATION)))
}

/// A frame with an ARP reply of the station's.
fn arp_reply(subject: &dyn Subject, own: [u8; 4]) -> Vec<u8> {
    let header = [&subject.mac()[..], &STATION, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]].concat();
    [&header[..], &STATION, &own, &subject.mac(), &[10, 1, 0, 1]].concat()
}

/// Waits for a frame that is a question for a neighbour.
fn asked(subject: &dyn Subject, is_question: impl Fn(&[u8]) -> bool) {
    while !is_question(&subject.delivered(PATIENCE).expect("a question for the neighbour")) {}
}

/// Hands in the answer of a neighbour while the driver is blocked, until the stack has sent what waited for it: the
/// cache is locked meanwhile.
fn answered(subject: &dyn Subject, neighbour: IpAddr, answer: &[u8]) {
    let stack = subject.lab().stack();
    let known = || {
        let neighbours = stack.neighbours(Family::of(neighbour));
        neighbours.iter().any(|one| one.address == neighbour && one.mac.is_some())
    };
    while_blocked(subject, 0, || {
        subject.give(answer);
        until("the neighbour is known", known);
    });
}

/// A program sends a datagram to a neighbour that is known.
pub(super) fn datagram(subject: &dyn Subject) -> Result<(), Harm> {
    subject.lab().stack().learn_neighbour([10, 1, 0, 9].into(), STATION);
    while_blocked(subject, 1, || subject.lab().send_ip(&ipv4([10, 1, 0, 9]))).map_err(Harm::Failed)
}

fn waiting_for_arp(subject: &dyn Subject, station: [u8; 4], packets: u64) {
    for _ in 0..packets {
        subject.lab().send_ip(&ipv4(station)).expect("a packet that waits");
    }
    asked(subject, |frame| frame[12..14] == [8, 6] && frame[38..42] == station);
    answered(subject, station.into(), &arp_reply(subject, station));
}

/// The answer comes that two packets wait for.
pub(super) fn packets_waiting_for_arp(subject: &dyn Subject) -> Result<(), Harm> {
    waiting_for_arp(subject, [10, 1, 0, 9], 2);
    Ok(())
}

/// The answer comes that a packet waits for which refers to its interface.
pub(super) fn packet_waiting_by_a_host_route(subject: &dyn Subject) -> Result<(), Harm> {
    subject.lab().route(&format!("add {} 10.7.0.9 host", subject.interface())).expect("a host route");
    waiting_for_arp(subject, [10, 7, 0, 9], 1);
    Ok(())
}

/// The advertisement comes that two packets wait for.
pub(super) fn packets_waiting_for_ndp(subject: &dyn Subject) -> Result<(), Harm> {
    for _ in 0..2 {
        let packet = ipv6_header(NEAR, FAR, IpProtocol::Unknown(253), 8);
        subject.lab().send_ip(&packet).expect("a packet that waits");
    }
    // One solicitation from the sender and one from the timer, which is due at once.
    for _ in 0..2 {
        asked(subject, |frame| frame[12..14] == [0x86, 0xdd] && frame.get(54) == Some(&135));
    }
    let flags = NdiscNeighborFlags::SOLICITED;
    let answer = NdiscRepr::NeighborAdvert { flags, target_addr: FAR, lladdr: lladdr() };
    answered(subject, FAR.into(), &discovery(subject, answer));
    Ok(())
}

/// A program sends to a neighbour that has to be asked for.
pub(super) fn first_solicitation(subject: &dyn Subject) -> Result<(), Harm> {
    let packet = ipv6_header(NEAR, FAR, IpProtocol::Unknown(253), 8);
    // What the caller hears is the matter of `datagram`.
    let _ = while_blocked(subject, 1, || subject.lab().send_ip(&packet));
    Ok(())
}

/// A neighbour checks whether Haiku is still there.
pub(super) fn advertisement(subject: &dyn Subject) -> Result<(), Harm> {
    let question = NdiscRepr::NeighborSolicit { target_addr: NEAR, lladdr: lladdr() };
    while_blocked(subject, 1, || subject.give(&discovery(subject, question)));
    Ok(())
}
