//! The verdict on each kind of frame.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::wire::ArpOperation;
use tuntap_ptp::{Answered, HEAD_TO_USER, MacAddress, Reason, Reply, Responder, Verdict};

use crate::frames::*;

const STALE: [u8; 6] = [0x02, 0xde, 0xad, 0xde, 0xad, 0x01];

#[test]
fn ordinary_packets_are_delivered() {
    let responder = responder();
    assert_eq!(verdict(&responder, &ipv4_frame(OWN4, FAR4, 254)), Verdict::Deliver);
    assert_eq!(verdict(&responder, &ipv6_frame(OWN6, FAR6, 64)), Verdict::Deliver);
}

#[test]
fn groups_and_broadcasts_are_delivered() {
    let responder = responder();
    for destination in [[224, 0, 0, 251], [239, 255, 255, 250], [255, 255, 255, 255], [10, 8, 0, 255]] {
        let packet = ipv4(OWN4, Ipv4Addr::from(destination), 1, &[0; 8]);
        let frame = ethernet(BROADCAST, INTERFACE, 0x0800, &packet);
        assert_eq!(verdict(&responder, &frame), Verdict::Deliver);
    }
    for destination in ["ff02::fb", "ff0e::1234", "ff02::1"] {
        let packet = ipv6(LINK6, destination.parse().unwrap(), 17, 1, &[0; 8]);
        let frame = ethernet([0x33, 0x33, 0, 0, 0, 0xfb], INTERFACE, 0x86dd, &packet);
        assert_eq!(verdict(&responder, &frame), Verdict::Deliver);
    }
}

/// The stack may have kept the peer's link address of an earlier device.
#[test]
fn frames_for_a_stale_link_address_are_for_the_one_far_side_too() {
    let responder = responder();
    let packet = ethernet(STALE, INTERFACE, 0x0800, &ipv4(OWN4, FAR4, 64, &[]));
    assert_eq!(verdict(&responder, &packet), Verdict::Deliver);
    let question = Icmpv6::solicitation(OWN6, FAR6).unicast().with(|question| question.ethernet_to = STALE);
    assert_eq!(verdict(&responder, &question.frame()), Verdict::Answer(Answered::Neighbour));
}

#[test]
fn no_part_of_a_header_is_delivered() {
    let responder = responder();
    for (frame, whole) in [(ipv4_frame(OWN4, FAR4, 64), 34), (ipv6_frame(OWN6, FAR6, 64), 54)] {
        for length in 0..whole {
            let malformed = Verdict::Drop(Reason::Malformed);
            assert_eq!(verdict(&responder, &frame[..length]), malformed, "{length} bytes");
        }
        for length in whole..=frame.len() {
            assert_eq!(verdict(&responder, &frame[..length]), Verdict::Deliver, "{length} bytes");
        }
    }
}

#[test]
fn a_version_that_contradicts_the_type_of_the_frame_is_malformed() {
    let responder = responder();
    for first in 0..=u8::MAX {
        let mut frame = ipv4_frame(OWN4, FAR4, 64);
        frame[14] = first;
        let expected = if (0x45..=0x4f).contains(&first) { Verdict::Deliver } else { Verdict::Drop(Reason::Malformed) };
        assert_eq!(verdict(&responder, &frame), expected, "IPv4, first byte {first:#x}");
        let mut frame = ipv6_frame(OWN6, FAR6, 64);
        frame[14] = first;
        let expected = if first >> 4 == 6 { Verdict::Deliver } else { Verdict::Drop(Reason::Malformed) };
        assert_eq!(verdict(&responder, &frame), expected, "IPv6, first byte {first:#x}");
    }
}

#[test]
fn other_types_of_frames_are_not_ip() {
    let responder = responder();
    let packet = ipv4(OWN4, FAR4, 64, &[]);
    let types = (0..=u16::MAX).filter(|ether_type| ![0x0800, 0x0806, 0x86dd].contains(ether_type));
    for ether_type in types {
        let frame = ethernet(PEER, INTERFACE, ether_type, &packet);
        assert_eq!(verdict(&responder, &frame), Verdict::Drop(Reason::NotIp), "type {ether_type:#x}");
    }
}

#[test]
fn a_request_is_answered_with_the_peer() {
    let responder = responder();
    let (verdict, reply) = judge(&responder, &arp_request(OWN4, FAR4));
    assert_eq!(verdict, Verdict::Answer(Answered::Arp));
    let mut expected = arp(ArpOperation::Reply, FAR4, OWN4);
    expected[..6].copy_from_slice(&INTERFACE);
    expected[6..12].copy_from_slice(&PEER);
    expected[22..28].copy_from_slice(&PEER);
    expected[32..38].copy_from_slice(&INTERFACE);
    assert_eq!(reply, expected);
}

/// Without `IFF_BROADCAST`, which a TUN on Haiku must not set, the stack asks even for the subnet's broadcast address.
#[test]
fn requests_for_every_address_are_answered() {
    let responder = responder();
    let targets =
        [[10, 8, 0, 255], [192, 0, 2, 1], [1, 1, 1, 1], [127, 0, 0, 1], [224, 0, 0, 5], [240, 0, 0, 1], [255; 4]];
    for target in targets {
        let frame = arp_request(OWN4, Ipv4Addr::from(target));
        assert_eq!(verdict(&responder, &frame), Verdict::Answer(Answered::Arp), "{target:?}");
    }
}

#[test]
fn no_part_of_a_request_is_answered() {
    let responder = responder();
    let frame = arp_request(OWN4, FAR4);
    for length in 0..frame.len() {
        let reason = if length < 14 { Reason::Malformed } else { Reason::ArpMalformed };
        assert_eq!(verdict(&responder, &frame[..length]), Verdict::Drop(reason), "{length} bytes");
    }
    let padded = [frame, vec![0; 18]].concat();
    assert_eq!(verdict(&responder, &padded), Verdict::Answer(Answered::Arp));
}

#[test]
fn replies_and_unknown_operations_are_dropped() {
    let responder = responder();
    let reply = arp(ArpOperation::Reply, OWN4, FAR4);
    assert_eq!(verdict(&responder, &reply), Verdict::Drop(Reason::ArpReply));
    let reverse = arp(ArpOperation::Unknown(3), OWN4, FAR4);
    assert_eq!(verdict(&responder, &reverse), Verdict::Drop(Reason::ArpMalformed));
}

#[test]
fn solicitations_are_answered_with_the_peer() {
    let multicast = Icmpv6::solicitation(OWN6, FAR6);
    let bare = Icmpv6::bare_solicitation(OWN6, FAR6);
    for question in [multicast.clone(), multicast.unicast(), bare.clone(), bare.unicast()] {
        let (verdict, reply) = judge(&responder(), &question.frame());
        assert_eq!(verdict, Verdict::Answer(Answered::Neighbour));
        let body = [&[0xe0, 0, 0, 0], &FAR6.octets()[..], &[2, 1], &PEER].concat();
        let advertisement = Icmpv6::new(136, FAR6, OWN6, &body).with(|advertisement| {
            advertisement.ethernet_to = INTERFACE;
            advertisement.ethernet_from = PEER;
        });
        assert_eq!(reply, advertisement.frame());
    }
}

/// If the frame's source differs from the link address option, the answer goes to the address in the option.
#[test]
fn the_answer_goes_to_the_link_address_that_was_told() {
    let elsewhere = [0x02, 0x10, 0x20, 0x30, 0x40, 0x50];
    let question = Icmpv6::solicitation(OWN6, FAR6).with(|question| question.ethernet_from = elsewhere);
    let (_, reply) = judge(&responder(), &question.frame());
    assert_eq!(reply[..6], INTERFACE);
    let question = Icmpv6::bare_solicitation(OWN6, FAR6).with(|question| question.ethernet_from = elsewhere);
    let (_, reply) = judge(&responder(), &question.frame());
    assert_eq!(reply[..6], elsewhere);
    let question = Icmpv6::bare_solicitation(OWN6, FAR6).with(|question| question.ethernet_from = BROADCAST);
    assert_eq!(judge(&responder(), &question.frame()), (Verdict::Drop(Reason::NeighbourMalformed), vec![]));
}

#[test]
fn no_part_of_a_solicitation_is_answered() {
    let frame = Icmpv6::solicitation(OWN6, FAR6).frame();
    for length in 0..frame.len() {
        let expected = match length {
            0..54 => Verdict::Drop(Reason::Malformed),
            // The type of the message is missing.
            54 => Verdict::Deliver,
            _ => Verdict::Drop(Reason::NeighbourMalformed),
        };
        assert_eq!(verdict(&responder(), &frame[..length]), expected, "{length} bytes");
    }
    let padded = [frame, vec![0xee; 7]].concat();
    assert_eq!(verdict(&responder(), &padded), Verdict::Answer(Answered::Neighbour));
}

#[test]
fn a_solicitation_with_a_wrong_bit_is_not_answered() {
    let frame = Icmpv6::solicitation(OWN6, FAR6).frame();
    for bit in 18 * 8..frame.len() * 8 {
        // No checksum covers traffic class and flow label, the bytes before these.
        let mut frame = frame.clone();
        frame[bit / 8] ^= 0x80 >> (bit % 8);
        assert!(!matches!(verdict(&responder(), &frame), Verdict::Answer(_)), "bit {bit}");
    }
}

#[test]
fn a_solicitation_that_a_router_might_have_passed_is_malformed() {
    for hop_limit in 0..u8::MAX {
        let question = Icmpv6::solicitation(OWN6, FAR6).with(|question| question.hop_limit = hop_limit);
        assert_eq!(verdict(&responder(), &question.frame()), Verdict::Drop(Reason::NeighbourMalformed));
    }
}

#[test]
fn solicitations_that_break_a_rule_are_malformed() {
    let good = Icmpv6::solicitation(OWN6, FAR6);
    let group = "ff02::1:ff00:1".parse::<Ipv6Addr>().unwrap();
    let rules: [(&str, Icmpv6); 7] = [
        ("code", good.clone().with(|question| question.code = 1)),
        ("target a group", Icmpv6::solicitation(OWN6, group)),
        ("target unspecified", Icmpv6::solicitation(OWN6, Ipv6Addr::UNSPECIFIED)),
        ("source a group", Icmpv6::solicitation(group, FAR6)),
        ("option without a length", good.clone().with(|question| question.body.extend([14, 0, 0, 0, 0, 0, 0, 0]))),
        ("too short", good.clone().with(|question| question.body.truncate(19))),
        ("link address a group", good.clone().with(|question| question.body[22] |= 1)),
    ];
    for (rule, question) in rules {
        let expected = (Verdict::Drop(Reason::NeighbourMalformed), vec![]);
        assert_eq!(judge(&responder(), &question.frame()), expected, "{rule}");
    }
}

/// The head of a frame is bounded, so the checksum of a longer solicitation cannot be verified.
#[test]
fn a_solicitation_longer_than_the_head_is_malformed() {
    for options in 0..40 {
        let question = Icmpv6::solicitation(OWN6, FAR6)
            .with(|question| question.body.extend([14, 1, 1, 2, 3, 4, 5, 6].repeat(options)));
        let frame = question.frame();
        let expected = if frame.len() <= HEAD_TO_USER {
            Verdict::Answer(Answered::Neighbour)
        } else {
            Verdict::Drop(Reason::NeighbourMalformed)
        };
        assert_eq!(verdict(&responder(), &frame), expected, "{} bytes", frame.len());
        let mut reply = Reply::new();
        let whole = responder().classify_to_user(&frame, frame.len(), &mut reply);
        assert_eq!(whole, expected, "and not because more was handed over");
    }
}

#[test]
fn bytes_after_the_frame_are_ignored() {
    let frame = Icmpv6::solicitation(OWN6, FAR6).frame();
    let mut stale = frame.clone();
    stale.resize(HEAD_TO_USER, 0xee);
    for length in 0..=frame.len() {
        let mut reply = Reply::new();
        let expected = verdict(&responder(), &frame[..length]);
        assert_eq!(responder().classify_to_user(&stale, length, &mut reply), expected, "{length} bytes");
    }
}

#[test]
fn solicitations_behind_extension_headers_are_answered_but_not_in_fragments() {
    let options = |kind| (kind, vec![0, 0, 1, 4, 0, 0, 0, 0]);
    let good = Icmpv6::solicitation(OWN6, FAR6);
    let behind = good.clone().with(|question| question.extensions = vec![options(0), options(60)]);
    assert_eq!(verdict(&responder(), &behind.frame()), Verdict::Answer(Answered::Neighbour));
    let fragment = good.with(|question| question.extensions = vec![(44, vec![0; 8])]);
    assert_eq!(verdict(&responder(), &fragment.frame()), Verdict::Drop(Reason::NeighbourMalformed));
}

#[test]
fn neighbour_advertisements_stay_on_the_link() {
    let expected = Verdict::Drop(Reason::NeighbourAdvertisement);
    let message = Icmpv6::new(136, LINK6, "ff02::1".parse().unwrap(), &[0; 36]);
    assert_eq!(verdict(&responder(), &message.frame()), expected);
    let behind = message.clone().with(|message| message.extensions = vec![(0, vec![0, 0, 5, 2, 0, 0, 1, 0])]);
    assert_eq!(verdict(&responder(), &behind.frame()), expected);
    let short = message.with(|message| message.body.clear());
    assert_eq!(verdict(&responder(), &short.frame()), expected);
}

#[test]
fn router_discovery_redirects_and_multicast_listener_messages_are_delivered() {
    let router_alert = (0, vec![0, 0, 5, 2, 0, 0, 1, 0]);
    for message_type in [130, 131, 132, 133, 134, 137, 143] {
        let message = Icmpv6::new(message_type, LINK6, "ff02::2".parse().unwrap(), &[0; 36]);
        assert_eq!(verdict(&responder(), &message.frame()), Verdict::Deliver, "type {message_type}");
        let behind = message.with(|message| message.extensions = vec![router_alert.clone()]);
        assert_eq!(verdict(&responder(), &behind.frame()), Verdict::Deliver, "type {message_type}");
    }
}

#[test]
fn an_interface_without_an_ipv4_address_resolves() {
    // Haiku's ARP asks from 0.0.0.0 then.
    let (verdict, reply) = judge(&responder(), &arp_request(Ipv4Addr::UNSPECIFIED, FAR4));
    assert_eq!(verdict, Verdict::Answer(Answered::Arp));
    assert_eq!(reply[28..32], FAR4.octets());
    assert_eq!(reply[32..], [&INTERFACE[..], &[0; 4]].concat());
}

#[test]
fn an_address_that_moved_to_the_far_side_resolves_at_once() {
    let responder = responder();
    for frame in [arp_request(OWN4, FAR4), ipv4_frame(OWN4, FAR4, 255), Icmpv6::solicitation(OWN6, FAR6).frame()] {
        let _ = verdict(&responder, &frame);
    }
    assert_eq!(verdict(&responder, &arp_request(ALIAS4, OWN4)), Verdict::Answer(Answered::Arp));
    let question = Icmpv6::solicitation(ALIAS6, OWN6).frame();
    assert_eq!(verdict(&responder, &question), Verdict::Answer(Answered::Neighbour));
}

#[test]
fn every_other_icmpv6_message_is_delivered() {
    for message_type in (0..=u8::MAX).filter(|message_type| ![135, 136].contains(message_type)) {
        let message = Icmpv6::new(message_type, OWN6, FAR6, &[0; 40]);
        assert_eq!(verdict(&responder(), &message.frame()), Verdict::Deliver, "type {message_type}");
    }
}

#[test]
fn packets_with_extension_headers_are_delivered() {
    let responder = responder();
    for next in [0, 43, 44, 60] {
        // A chain that leads to UDP, one that leads behind the head, and one that leads nowhere.
        let chains: [&[u8]; 3] = [&[17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3], &[58, 200, 0, 8, 0, 0, 0, 0, 135], &[58]];
        for payload in chains {
            let frame = ethernet(PEER, INTERFACE, 0x86dd, &ipv6(OWN6, FAR6, next, 64, payload));
            assert_eq!(verdict(&responder, &frame), Verdict::Deliver, "next header {next}");
        }
    }
}

#[test]
fn a_reply_is_written_for_an_answer_only() {
    let responder = responder();
    let mut reply = Reply::new();
    let question = arp_request(OWN4, FAR4);
    assert_eq!(responder.classify_to_user(&question, question.len(), &mut reply), Verdict::Answer(Answered::Arp));
    let before = reply.bytes().to_vec();
    for frame in [arp_request(OWN4, OWN4), ipv4_frame(OWN4, FAR4, 64), vec![], vec![0; 14]] {
        let verdict = responder.classify_to_user(&frame, frame.len(), &mut reply);
        assert!(!matches!(verdict, Verdict::Answer(_)));
        assert_eq!(reply.bytes(), before);
    }
}

#[test]
fn a_new_link_address_of_the_interface_gives_a_new_peer() {
    let changed = MacAddress::from_bytes([0x02, 0, 0, 0, 0, 0x42]);
    assert_eq!(responder().peer(), MacAddress::from_bytes(PEER));
    let responder = Responder::new(changed);
    assert_eq!(responder.interface(), changed);
    assert_eq!(responder.peer(), changed.peer());
    let (_, reply) = judge(&responder, &arp_request(OWN4, FAR4));
    assert_eq!(reply[6..12], *changed.peer().as_bytes());
    let header = responder.classify_to_stack(&ipv4(FAR4, OWN4, 64, &[]), 20).unwrap();
    assert_eq!(header[..6], *changed.as_bytes());
}
