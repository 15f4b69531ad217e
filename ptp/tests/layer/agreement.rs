//! Agreement with smoltcp: each parses what the other emits, and where the two accept different input, the test lists the
//! difference.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket as TheirArp, ArpRepr, EthernetAddress, EthernetFrame, Icmpv6Packet, Icmpv6Repr, Ipv4Packet,
    Ipv6Packet, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};
use tuntap_ptp::arp::{Arp, ArpFrame, ArpPacket};
use tuntap_ptp::checksum::Sum;
use tuntap_ptp::ethernet::EthernetHeader;
use tuntap_ptp::groups::{group_of_ipv4, group_of_ipv6};
use tuntap_ptp::ipv4::{Ipv4Address, Ipv4Header};
use tuntap_ptp::ipv6::{self, Ipv6Address, Ipv6Header};
use tuntap_ptp::neighbour::{AdvertisementFrame, Solicitation};
use tuntap_ptp::{Answered, MacAddress, Reason, Verdict};
use zerocopy::{FromBytes, IntoBytes};

use crate::frames::*;

fn ipv4_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        8 => any::<[u8; 4]>().prop_map(Ipv4Addr::from),
        1 => Just(Ipv4Addr::UNSPECIFIED),
        1 => Just(Ipv4Addr::BROADCAST),
        1 => Just(OWN4),
    ]
}

fn ipv6_address() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        8 => any::<[u8; 16]>().prop_map(Ipv6Addr::from),
        1 => any::<[u8; 15]>().prop_map(|rest| Ipv6Addr::from(*[&[0xff], &rest[..]].concat().first_chunk::<16>().unwrap())),
        1 => Just(Ipv6Addr::UNSPECIFIED),
        1 => Just(OWN6),
    ]
}

fn unicast() -> impl Strategy<Value = [u8; 6]> {
    any::<[u8; 6]>().prop_map(|[first, rest @ ..]| *[&[first & 0xfe], &rest[..]].concat().first_chunk().unwrap())
}

fn arp_repr() -> impl Strategy<Value = ArpRepr> {
    let operation = prop_oneof![4 => 1..=2_u16, 1 => any::<u16>()];
    (operation, any::<[u8; 6]>(), ipv4_address(), any::<[u8; 6]>(), ipv4_address()).prop_map(
        |(operation, source_hardware, source, target_hardware, target)| ArpRepr::EthernetIpv4 {
            operation: ArpOperation::from(operation),
            source_hardware_addr: EthernetAddress(source_hardware),
            source_protocol_addr: source,
            target_hardware_addr: EthernetAddress(target_hardware),
            target_protocol_addr: target,
        },
    )
}

fn written(repr: &ArpRepr) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut TheirArp::new_unchecked(&mut bytes));
    bytes
}

proptest! {
    #[test]
    fn we_read_the_fields_of_arp_that_smoltcp_writes(repr in arp_repr()) {
        let bytes = written(&repr);
        let packet = ArpPacket::ref_from_bytes(&bytes).unwrap();
        let ArpRepr::EthernetIpv4 {
            operation, source_hardware_addr, source_protocol_addr, target_hardware_addr, target_protocol_addr,
        } = repr else { unreachable!() };
        prop_assert_eq!(packet.operation.get(), u16::from(operation));
        prop_assert_eq!(*packet.sender_hardware.as_bytes(), source_hardware_addr.0);
        prop_assert_eq!(packet.sender.0, source_protocol_addr.octets());
        prop_assert_eq!(*packet.target_hardware.as_bytes(), target_hardware_addr.0);
        prop_assert_eq!(packet.target.0, target_protocol_addr.octets());
    }

    /// Every packet that this crate parses, smoltcp parses. smoltcp also accepts operations that are neither request nor
    /// reply, senders at a group's link address, and requests from a group or for the unspecified address.
    #[test]
    fn we_accept_the_arp_that_smoltcp_accepts_with_some_exceptions(repr in arp_repr(), padding in 0..20_usize) {
        let mut bytes = written(&repr);
        bytes.resize(bytes.len() + padding, 0);
        let ArpRepr::EthernetIpv4 {
            operation, source_hardware_addr, source_protocol_addr: sender, target_protocol_addr: target, ..
        } = repr else { unreachable!() };
        let is_host = |address: Ipv4Addr| !address.is_multicast() && !address.is_broadcast();
        let excepted = !source_hardware_addr.is_unicast()
            || match operation {
                ArpOperation::Request => target.is_unspecified() || !is_host(sender),
                ArpOperation::Reply => false,
                ArpOperation::Unknown(_) => true,
            };
        prop_assert_eq!(ArpPacket::parse(&bytes).is_none(), excepted);
    }

    #[test]
    fn smoltcp_accepts_the_arp_that_we_accept(mut bytes in vec(any::<u8>(), 0..40), repr in arp_repr()) {
        // Random bytes are hardly ever ARP, so they are mixed with valid packets.
        let whole = written(&repr);
        let mixed = bytes.len().min(whole.len()) / 2 + 8;
        for (byte, good) in bytes.iter_mut().zip(whole).take(mixed) {
            *byte = good;
        }
        let ours = ArpPacket::parse(&bytes);
        let theirs = TheirArp::new_checked(&bytes[..]).and_then(|packet| ArpRepr::parse(&packet));
        prop_assert!(ours.is_none() || theirs.is_ok());
        prop_assert_eq!(matches!(ours, Some(Arp::Reply)) && theirs.is_err(), false);
    }

    #[test]
    fn smoltcp_reads_the_replies_that_we_write(
        sender in ipv4_address(), target in ipv4_address(), asker in unicast(), peer in unicast(),
    ) {
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(asker),
            source_protocol_addr: sender,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let packet = ArpPacket::read_from_bytes(&written(&request)).unwrap();
        let bytes = ArpFrame::unicast(packet.reply(MacAddress::from_bytes(peer))).to_bytes();
        let frame = EthernetFrame::new_checked(&bytes[..]).unwrap();
        prop_assert_eq!(frame.dst_addr(), EthernetAddress(asker));
        prop_assert_eq!(frame.src_addr(), EthernetAddress(peer));
        let reply = ArpRepr::parse(&TheirArp::new_checked(frame.payload()).unwrap()).unwrap();
        prop_assert_eq!(reply, ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: EthernetAddress(peer),
            source_protocol_addr: target,
            target_hardware_addr: EthernetAddress(asker),
            target_protocol_addr: sender,
        });
    }
}

/// A solicitation by smoltcp, in a frame by smoltcp.
fn solicitation(source: Ipv6Addr, target: Ipv6Addr, link: Option<[u8; 6]>) -> Vec<u8> {
    let destination = solicited_node(target);
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: target,
        lladdr: link.map(|address| RawHardwareAddress::from(EthernetAddress(address))),
    });
    let mut message = vec![0; repr.buffer_len()];
    repr.emit(
        &source,
        &destination,
        &mut Icmpv6Packet::new_unchecked(&mut message[..]),
        &ChecksumCapabilities::default(),
    );
    ethernet([0x33, 0x33, 0xff, 0, 0, 1], INTERFACE, 0x86dd, &ipv6(source, destination, 58, 255, &message))
}

/// The solicitation in a frame, as this crate parses it.
fn our_solicitation(frame: &[u8]) -> Option<Solicitation> {
    let (header, payload) = Ipv6Header::ref_from_prefix(&frame[14..]).unwrap();
    Solicitation::parse(header, &ipv6::Icmpv6::find(header, payload)?)
}

/// The solicitation in a frame, as smoltcp parses it.
fn their_solicitation(frame: &[u8]) -> Option<(Ipv6Addr, Option<RawHardwareAddress>)> {
    let packet = Ipv6Packet::new_checked(&frame[14..]).ok()?;
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    let checksums = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&packet.src_addr(), &packet.dst_addr(), &message, &checksums) {
        Ok(Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, lladdr })) => Some((target_addr, lladdr)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn we_read_the_solicitations_that_smoltcp_writes(
        source in ipv6_address(), target in ipv6_address(), link in option::of(unicast()),
    ) {
        let is_legal = !target.is_multicast()
            && !target.is_unspecified()
            && !source.is_multicast()
            && source != target
            && (!source.is_unspecified() || link.is_none());
        let expected = is_legal.then(|| Solicitation {
            source: Ipv6Address(source.octets()),
            target: Ipv6Address(target.octets()),
            link: link.map(MacAddress::from_bytes),
        });
        prop_assert_eq!(our_solicitation(&solicitation(source, target, link)), expected);
    }

    /// What both parse has the same meaning. What only smoltcp parses is illegal by RFC 4861, section 7.1.1, or has a
    /// source link address that is a group or not of Ethernet. What only this crate parses has truncated prefix or
    /// redirect options, which a receiver must ignore in a solicitation.
    #[test]
    fn smoltcp_accepts_the_solicitations_that_we_accept(
        options in vec((prop_oneof![1..=5_u8, Just(14), any::<u8>()], 0..=3_u8, any::<[u8; 24]>()), 0..3),
        cut in prop_oneof![3 => Just(0_usize), 1 => 0..8_usize],
        hop_limit in prop_oneof![4 => Just(255_u8), 1 => any::<u8>()],
        code in prop_oneof![4 => Just(0_u8), 1 => any::<u8>()],
    ) {
        let question = Icmpv6::bare_solicitation(OWN6, FAR6).with(|question| {
            question.hop_limit = hop_limit;
            question.code = code;
            for (kind, length, data) in options {
                let option = [&[kind, length], &data[..]].concat();
                question.body.extend(&option[..usize::from(length.max(1)) * 8]);
            }
            question.body.truncate(question.body.len() - cut);
        });
        let frame = question.frame();
        let ours = our_solicitation(&frame);
        let theirs = their_solicitation(&frame);
        match (ours, theirs) {
            (Some(ours), Some((target, link))) => {
                prop_assert_eq!(ours.target.0, target.octets());
                let link = link.map(|link| link.as_bytes().to_vec());
                prop_assert_eq!(ours.link.map(|link| link.as_bytes().to_vec()), link);
            }
            (Some(ours), None) => {
                let is_short = |kind, length, _| (kind == 3 && length < 4) || (kind == 4 && length < 6);
                prop_assert!(has_option(&question.body[20..], is_short), "only we accept {:?}", ours);
            }
            (None, Some((_, link))) => {
                let is_illegal = hop_limit != 255 || code != 0;
                // Of several source link addresses smoltcp takes the last, and this crate refuses if one of them is odd.
                let is_odd = |kind, length, first: u8| kind == 1 && (length != 1 || first & 1 == 1);
                prop_assert!(is_illegal || has_option(&question.body[20..], is_odd), "only smoltcp accepts {link:?}");
            }
            (None, None) => {}
        }
    }

    #[test]
    fn smoltcp_reads_the_advertisements_that_we_write(
        source in any::<[u8; 16]>(), target in any::<[u8; 16]>(), asker in unicast(), peer in unicast(),
    ) {
        let solicitation = Solicitation { source: Ipv6Address(source), target: Ipv6Address(target), link: None };
        let bytes =
            AdvertisementFrame::answer(&solicitation, MacAddress::from_bytes(asker), MacAddress::from_bytes(peer))
                .to_bytes();
        let frame = EthernetFrame::new_checked(&bytes[..]).unwrap();
        prop_assert_eq!(frame.dst_addr(), EthernetAddress(asker));
        prop_assert_eq!(frame.src_addr(), EthernetAddress(peer));
        let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
        prop_assert_eq!(packet.src_addr().octets(), target);
        prop_assert_eq!(packet.dst_addr().octets(), source);
        prop_assert_eq!(packet.hop_limit(), 255);
        let message = Icmpv6Packet::new_checked(packet.payload()).unwrap();
        let checksums = ChecksumCapabilities::default();
        let read = Icmpv6Repr::parse(&packet.src_addr(), &packet.dst_addr(), &message, &checksums).unwrap();
        prop_assert_eq!(read, Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
            flags: NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
            target_addr: Ipv6Addr::from(target),
            lladdr: Some(EthernetAddress(peer).into()),
        }));
    }

    #[test]
    fn our_checksum_is_smoltcps(
        source in any::<[u8; 16]>(), destination in any::<[u8; 16]>(), mut message in vec(any::<u8>(), 4..1500),
    ) {
        message[2..4].fill(0);
        let sum = Sum::new().with_icmpv6(Ipv6Address(source), Ipv6Address(destination), message.len() as u16);
        let ours = sum.with(&message).checksum();
        let mut packet = Icmpv6Packet::new_unchecked(&mut message);
        packet.fill_checksum(&Ipv6Addr::from(source), &Ipv6Addr::from(destination));
        prop_assert_eq!(ours, packet.checksum());
    }

    #[test]
    fn we_read_the_headers_that_smoltcp_writes(
        source4 in any::<[u8; 4]>(), destination4 in any::<[u8; 4]>(),
        source6 in any::<[u8; 16]>(), destination6 in any::<[u8; 16]>(),
        hop_limit in any::<u8>(), payload in vec(any::<u8>(), 0..50),
    ) {
        let bytes = ipv4(source4.into(), destination4.into(), hop_limit, &payload);
        let (header, rest) = Ipv4Header::ref_from_prefix(&bytes).unwrap();
        prop_assert!(header.is_sane());
        prop_assert_eq!((header.source.0, header.destination.0), (source4, destination4));
        prop_assert_eq!((header.time_to_live, header.protocol), (hop_limit, 17));
        prop_assert_eq!(usize::from(header.total_length.get()), bytes.len());
        prop_assert_eq!(header.checksum.get(), Ipv4Packet::new_checked(&bytes).unwrap().checksum());
        prop_assert_eq!(rest, &payload);

        let bytes = ipv6(source6.into(), destination6.into(), 17, hop_limit, &payload);
        let (header, rest) = Ipv6Header::ref_from_prefix(&bytes).unwrap();
        prop_assert!(header.is_sane());
        prop_assert_eq!((header.source.0, header.destination.0), (source6, destination6));
        prop_assert_eq!((header.hop_limit, header.next_header), (hop_limit, 17));
        prop_assert_eq!(usize::from(header.payload_length.get()), payload.len());
        prop_assert_eq!(rest, &payload);
    }

    #[test]
    fn we_read_and_write_the_link_header_as_smoltcp_does(to in any::<[u8; 6]>(), from in any::<[u8; 6]>(), ether_type in any::<u16>()) {
        let theirs = ethernet(to, from, ether_type, &[]);
        let ours = EthernetHeader::new(MacAddress::from_bytes(to), MacAddress::from_bytes(from), ether_type);
        prop_assert_eq!(ours.as_bytes(), &theirs);
        prop_assert_eq!(EthernetHeader::read_from_bytes(&theirs).unwrap(), ours);
        prop_assert_eq!(ours.to_bytes().to_vec(), theirs);
    }

    #[test]
    fn kinds_of_addresses_are_the_standard_librarys(four in ipv4_address(), six in ipv6_address()) {
        let ours = Ipv4Address(four.octets());
        prop_assert_eq!(ours.is_multicast(), four.is_multicast());
        prop_assert_eq!(ours.is_unspecified(), four.is_unspecified());
        prop_assert_eq!(ours.is_host(), !(four.is_multicast() || four.is_unspecified() || four.is_broadcast()));
        let ours = Ipv6Address(six.octets());
        prop_assert_eq!(ours.is_multicast(), six.is_multicast());
        prop_assert_eq!(ours.is_unspecified(), six.is_unspecified());
        prop_assert_eq!(ours.is_link_local(), six.is_unicast_link_local());
        let group = group_of_ipv4(Ipv4Address(four.octets()));
        prop_assert_eq!(group.is_some(), four.is_multicast() || four.is_broadcast());
        prop_assert!(group.is_none_or(MacAddress::is_multicast));
        let group = group_of_ipv6(ours);
        prop_assert_eq!(group.is_some(), six.is_multicast());
        prop_assert!(group.is_none_or(MacAddress::is_multicast));
    }

    #[test]
    fn every_host_but_the_asker_is_resolved(
        source4 in ipv4_address(), target4 in ipv4_address(), source6 in ipv6_address(), target6 in ipv6_address(),
    ) {
        let is_host = |address: Ipv4Addr| !address.is_multicast() && !address.is_broadcast();
        let expected = match (source4, target4) {
            (_, target) if target.is_unspecified() => Verdict::Drop(Reason::ArpMalformed),
            (source, _) if !is_host(source) => Verdict::Drop(Reason::ArpMalformed),
            (source, target) if source == target => Verdict::Drop(Reason::ArpAnnouncement),
            _ => Verdict::Answer(Answered::Arp),
        };
        prop_assert_eq!(verdict(&responder(), &arp_request(source4, target4)), expected);
        let expected = match (source6, target6) {
            (source, target) if source.is_multicast() || target.is_multicast() || target.is_unspecified() =>
                Verdict::Drop(Reason::NeighbourMalformed),
            (source, _) if source.is_unspecified() => Verdict::Drop(Reason::DuplicateDetection),
            (source, target) if source == target => Verdict::Drop(Reason::NeighbourMalformed),
            _ => Verdict::Answer(Answered::Neighbour),
        };
        let link = (!source6.is_unspecified()).then_some(INTERFACE);
        prop_assert_eq!(verdict(&responder(), &solicitation(source6, target6, link)), expected);
    }
}

/// Whether there is an option of which this is true by its kind, length and first byte of data.
fn has_option(mut options: &[u8], is_true: impl Fn(u8, u8, u8) -> bool) -> bool {
    while let &[kind, length, data, ..] = options {
        if is_true(kind, length, data) {
            return true;
        }
        options = options.get(usize::from(length.max(1)) * 8..).unwrap_or_default();
    }
    false
}
