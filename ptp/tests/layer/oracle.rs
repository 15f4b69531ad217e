//! The invariants of the responder: the oracle of the fuzzer and of its corpus.
//!
//! An input is a list of records, each an operation byte, a length byte, and that many bytes. Requests and replies are
//! parsed by smoltcp and checksums are computed here, independently of the crate. The fuzz target includes this file.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv6ExtHeader, Ipv6Packet, NdiscNeighborFlags, NdiscRepr,
};
use tuntap_ptp::{
    Answered, HEAD_TO_STACK, HEAD_TO_USER, MacAddress, PacketError, REPLY_MAX, Reason, Reply, Responder, SHORT_HEAD,
    Verdict, is_data,
};

/// The stack sends these bytes as a frame.
pub(crate) const FRAME: u8 = 0;
/// The same, with the checksum of an ICMPv6 message corrected first, because a fuzzer does not guess one.
pub(crate) const REPAIRED_FRAME: u8 = 1;
/// A program writes these bytes as a packet.
pub(crate) const PACKET: u8 = 2;
/// The interface gets another link address.
pub(crate) const INTERFACE: u8 = 3;

/// How many addresses of an input are requested at its end.
const ADDRESSES: usize = 8;

/// Replays an input, and panics if the responder breaks an invariant.
pub(crate) fn play(input: &[u8]) {
    let mut responder = Responder::new(MacAddress::from_bytes([0x02, 0xa0, 0, 0, 0, 7]));
    let mut addresses = Addresses::default();
    for (action, bytes) in records(input) {
        match action {
            FRAME => judge(&responder, bytes, &mut addresses),
            REPAIRED_FRAME => judge(&responder, &repaired(bytes), &mut addresses),
            PACKET => write(&responder, bytes),
            _ => {
                if let Some(address) = bytes.first_chunk() {
                    responder = Responder::new(MacAddress::from_bytes(*address));
                }
            }
        }
    }
    for address in addresses.ipv4.into_iter().take(ADDRESSES) {
        assert!(is_answered(&responder, &arp_request(address)), "{address} stays unknown");
    }
    for address in addresses.ipv6.into_iter().take(ADDRESSES) {
        assert!(is_answered(&responder, &solicitation(address)), "{address} stays unknown");
    }
}

/// The records of an input. The last one may be truncated.
fn records(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[action, length], rest) = input.split_first_chunk()?;
        let (bytes, rest) = rest.split_at(usize::from(length).min(rest.len()));
        input = rest;
        Some((action % 4, bytes))
    })
}

/// Addresses that occur in an input.
#[derive(Default)]
struct Addresses {
    ipv4: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
}

impl Addresses {
    fn saw_ipv4(&mut self, address: Ipv4Addr) {
        if !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast() {
            self.ipv4.push(address);
        }
    }

    fn saw_ipv6(&mut self, address: Ipv6Addr) {
        if !address.is_unspecified() && !address.is_multicast() {
            self.ipv6.push(address);
        }
    }
}

/// Has the responder classify a frame, and checks the verdict.
fn judge(responder: &Responder, bytes: &[u8], addresses: &mut Addresses) {
    let mut reply = Reply::new();
    let head = &bytes[..bytes.len().min(HEAD_TO_USER)];
    let verdict = responder.classify_to_user(head, bytes.len(), &mut reply);

    // IPv4 is told from the rest by the short head, and IPv6 unless it may be address resolution.
    let is_data = is_data(&bytes[..bytes.len().min(SHORT_HEAD)], bytes.len());
    let may_be_otherwise =
        EthernetFrame::new_checked(bytes).map_or(true, |frame| frame.ethertype() != EthernetProtocol::Ipv4);
    assert!(if is_data { verdict == Verdict::Deliver } else { verdict != Verdict::Deliver || may_be_otherwise });

    let mut second = Reply::new();
    let whole = responder.classify_to_user(bytes, bytes.len(), &mut second);
    assert_eq!(whole, verdict, "more than the head was read");
    assert_eq!(second.bytes(), reply.bytes());

    let ether_type = EthernetFrame::new_checked(bytes).map(|frame| frame.ethertype());
    match verdict {
        Verdict::Deliver => {
            let version = bytes[14] >> 4;
            assert!(matches!((ether_type, version), (Ok(EthernetProtocol::Ipv4), 4) | (Ok(EthernetProtocol::Ipv6), 6)));
        }
        Verdict::Answer(Answered::Arp) => arp_is_right(responder, bytes, reply.bytes(), addresses),
        Verdict::Answer(Answered::Neighbour) => neighbour_is_right(responder, bytes, reply.bytes(), addresses),
        Verdict::Drop(reason) => {
            assert_eq!(reason == Reason::NotIp, is_foreign(ether_type), "{reason:?}");
            if ether_type == Ok(EthernetProtocol::Arp) {
                let is_arp = matches!(reason, Reason::ArpMalformed | Reason::ArpAnnouncement | Reason::ArpReply);
                assert!(is_arp, "{reason:?}");
            }
        }
    }
    if !matches!(verdict, Verdict::Answer(_)) {
        assert!(reply.is_empty());
    }
    if verdict == Verdict::Deliver && bytes[14] >> 4 == 4 {
        addresses.saw_ipv4(Ipv4Addr::from(*bytes[26..].first_chunk().unwrap()));
    } else if verdict == Verdict::Deliver {
        addresses.saw_ipv6(Ipv6Addr::from(*bytes[22..].first_chunk::<16>().unwrap()));
    }
}

fn is_foreign(ether_type: Result<EthernetProtocol, smoltcp::wire::Error>) -> bool {
    matches!(ether_type, Ok(EthernetProtocol::Unknown(_)))
}

/// Checks the reply to an ARP request.
fn arp_is_right(responder: &Responder, bytes: &[u8], reply: &[u8], addresses: &mut Addresses) {
    let read = |bytes: &[u8]| {
        let frame = EthernetFrame::new_checked(bytes).unwrap();
        assert_eq!(frame.ethertype(), EthernetProtocol::Arp);
        let packet = ArpPacket::new_checked(frame.payload()).unwrap();
        (frame.src_addr(), frame.dst_addr(), ArpRepr::parse(&packet).unwrap())
    };
    let (
        _,
        _,
        ArpRepr::EthernetIpv4 { operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, .. },
    ) = read(bytes)
    else {
        unreachable!("smoltcp knows no other ARP");
    };
    assert_eq!(operation, ArpOperation::Request);
    assert_ne!(source_protocol_addr, target_protocol_addr);
    assert!(!target_protocol_addr.is_unspecified());
    let peer = EthernetAddress(*responder.peer().as_bytes());
    let expected = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: peer,
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    assert_eq!(read(reply), (peer, source_hardware_addr, expected));
    assert!(source_hardware_addr.is_unicast());
    assert_eq!(reply.len(), 42);
    addresses.saw_ipv4(source_protocol_addr);
    addresses.saw_ipv4(target_protocol_addr);
}

/// Checks the advertisement that answers a solicitation.
fn neighbour_is_right(responder: &Responder, bytes: &[u8], reply: &[u8], addresses: &mut Addresses) {
    let asked = EthernetFrame::new_checked(bytes).unwrap();
    let packet = Ipv6Packet::new_checked(asked.payload()).unwrap();
    let message = message(&packet).unwrap();
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    assert_eq!(packet.hop_limit(), 255);
    assert_eq!(sum(source, destination, message), 0xffff);
    assert_eq!(message[..2], [135, 0]);
    let target = Ipv6Addr::from(*message[8..].first_chunk::<16>().unwrap());
    let link = source_link(&message[24..]);
    assert!(!target.is_multicast() && !target.is_unspecified());
    assert!(!source.is_multicast() && !source.is_unspecified() && source != target);

    assert_eq!(reply.len(), REPLY_MAX);
    let frame = EthernetFrame::new_checked(reply).unwrap();
    let peer = EthernetAddress(*responder.peer().as_bytes());
    assert_eq!(frame.dst_addr(), link.unwrap_or(asked.src_addr()));
    assert!(frame.dst_addr().is_unicast());
    assert_eq!(frame.src_addr(), peer);
    assert_eq!(frame.ethertype(), EthernetProtocol::Ipv6);
    let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
    assert_eq!((packet.version(), packet.hop_limit(), packet.next_header()), (6, 255, IpProtocol::Icmpv6));
    assert_eq!((packet.src_addr(), packet.dst_addr()), (target, source));
    assert_eq!(packet.total_len(), frame.payload().len());
    assert_eq!(sum(target, source, packet.payload()), 0xffff);
    let expected = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: target,
        lladdr: Some(peer.into()),
    };
    let message = Icmpv6Packet::new_checked(packet.payload()).unwrap();
    let read = Icmpv6Repr::parse(&target, &source, &message, &ChecksumCapabilities::default());
    assert_eq!(read, Ok(Icmpv6Repr::Ndisc(expected)));
    addresses.saw_ipv6(source);
    addresses.saw_ipv6(target);
}

/// The last source link address among the options of a solicitation. They are parsed here, because smoltcp refuses a
/// solicitation with options that do not belong in one.
fn source_link(mut options: &[u8]) -> Option<EthernetAddress> {
    let mut link = None;
    while let [kind, length, ..] = options {
        let (option, rest) = options.split_at(usize::from(*length) * 8);
        if *kind == 1 {
            assert_eq!(option.len(), 8);
            link = Some(EthernetAddress::from_bytes(&option[2..]));
        }
        assert_ne!(*length, 0);
        options = rest;
    }
    assert_eq!(options, []);
    link
}

/// The ICMPv6 message in a packet, after any extension headers except a fragment header.
fn message<'p>(packet: &Ipv6Packet<&'p [u8]>) -> Option<&'p [u8]> {
    let mut payload = packet.payload();
    let mut next = packet.next_header();
    while next != IpProtocol::Icmpv6 {
        if !matches!(next, IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts) {
            return None;
        }
        let header = Ipv6ExtHeader::new_checked(payload).ok()?;
        next = header.next_header();
        payload = payload.get((usize::from(header.header_len()) + 1) * 8..)?;
    }
    Some(payload)
}

/// The internet checksum over an ICMPv6 message and its pseudo-header, not yet inverted.
fn sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let bytes = [&source.octets()[..], &destination.octets(), &length, &[0, 0, 0, 58], message].concat();
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The frame with a correct checksum in its ICMPv6 message, if there is one.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut repaired = bytes.to_vec();
    let found = EthernetFrame::new_checked(bytes).ok().and_then(|frame| {
        let packet = Ipv6Packet::new_checked(&bytes[14..]).ok()?;
        let message = message(&packet).filter(|_| frame.ethertype() == EthernetProtocol::Ipv6)?;
        let start = message.as_ptr() as usize - bytes.as_ptr() as usize;
        let mut zeroed = message.to_vec();
        zeroed.get_mut(2..4)?.fill(0);
        Some((start + 2, !sum(packet.src_addr(), packet.dst_addr(), &zeroed)))
    });
    if let Some((at, checksum)) = found {
        repaired[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    repaired
}

/// Gets a link header for a packet, and checks it.
fn write(responder: &Responder, bytes: &[u8]) {
    let head = &bytes[..bytes.len().min(HEAD_TO_STACK)];
    let header = responder.classify_to_stack(head, bytes.len());
    assert_eq!(responder.classify_to_stack(bytes, bytes.len()), header, "more than the head was read");
    let stated = |at: usize| bytes.get(at..at + 2).map(|field| usize::from(u16::from_be_bytes([field[0], field[1]])));
    let is_cut = match bytes.first().map(|first| first >> 4) {
        Some(4) => stated(2).is_some_and(|length| length > bytes.len()),
        Some(6) => stated(4).is_some_and(|length| length + 40 > bytes.len()),
        _ => false,
    };
    if is_cut {
        return assert_eq!(header, Err(PacketError::Short));
    }
    let (destination_is_group, ether_type) = match bytes {
        [] => return assert_eq!(header, Err(PacketError::Short)),
        [first, ..] if first >> 4 == 4 => match bytes.get(16..20) {
            Some(to) => ((224..240).contains(&to[0]) || to == [255; 4], 0x0800_u16),
            None => return assert_eq!(header, Err(PacketError::Short)),
        },
        [first, ..] if first >> 4 == 6 => match bytes.get(24..40) {
            Some(to) => (to[0] == 0xff, 0x86dd),
            None => return assert_eq!(header, Err(PacketError::Short)),
        },
        _ => return assert_eq!(header, Err(PacketError::Version)),
    };
    let header = header.unwrap();
    assert_eq!(header[6..12], *responder.peer().as_bytes());
    assert_eq!(header[12..], ether_type.to_be_bytes());
    if destination_is_group {
        assert_eq!(header[0] & 1, 1);
    } else {
        assert_eq!(header[..6], *responder.interface().as_bytes());
    }
}

/// Whether a request is answered.
fn is_answered(responder: &Responder, question: &[u8]) -> bool {
    let mut reply = Reply::new();
    matches!(responder.classify_to_user(question, question.len(), &mut reply), Verdict::Answer(_))
}

/// A request from an address that an input is unlikely to ask for.
fn arp_request(target: Ipv4Addr) -> Vec<u8> {
    let asker = Ipv4Addr::from(u32::from(target) ^ 1);
    let asker = if asker.is_unspecified() || asker.is_broadcast() { Ipv4Addr::new(10, 0, 0, 1) } else { asker };
    let start = [&[0xff; 6], &[0x02, 0, 0, 0, 0, 1][..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    [&start, &[0x02, 0, 0, 0, 0, 1][..], &asker.octets(), &[0; 6], &target.octets()].concat()
}

fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let asker = Ipv6Addr::from(u128::from(target) ^ 1 << 64);
    let asker = if asker.is_unspecified() { Ipv6Addr::LOCALHOST } else { asker };
    let ethernet = [&[0x33, 0x33, 0xff, 0, 0, 1], &[0x02, 0, 0, 0, 0, 1][..], &[0x86, 0xdd]].concat();
    let ipv6 = [&[0x60, 0, 0, 0, 0, 24, 58, 255], &asker.octets()[..], &target.octets()].concat();
    let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &target.octets()[..]].concat();
    repaired(&[ethernet, ipv6, message].concat())
}
