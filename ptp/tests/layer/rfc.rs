//! Sentences of the RFCs that the layer follows, each in a test of its own.

use std::net::Ipv6Addr;

use smoltcp::wire::ArpOperation;
use tuntap_ptp::{Answered, Reason, Verdict};

use crate::frames::*;

const MALFORMED: Verdict = Verdict::Drop(Reason::NeighbourMalformed);

fn solicitation() -> Icmpv6 {
    Icmpv6::solicitation(OWN6, FAR6)
}

fn judged(question: &Icmpv6) -> Verdict {
    verdict(&responder(), &question.frame())
}

/// "Swap hardware and protocol fields, putting the local hardware and protocol addresses in the sender fields.
/// Set the ar$op field to ares_op$REPLY."
#[test]
fn rfc826_packet_reception_swaps_the_fields_of_a_request() {
    let request = arp_request(OWN4, FAR4);
    let (_, reply) = judge(&responder(), &request);
    assert_eq!(reply[20..22], [0, 2]);
    assert_eq!(reply[22..32], [&PEER[..], &FAR4.octets()].concat());
    assert_eq!(reply[32..42], request[22..32]);
}

/// "Send the packet to the (new) target hardware address on the same hardware on which the request was received."
#[test]
fn rfc826_packet_reception_sends_the_reply_to_the_asker_alone() {
    let (_, reply) = judge(&responder(), &arp_request(OWN4, FAR4));
    assert_eq!(reply[..6], INTERFACE);
}

/// "?Is the opcode ares_op$REQUEST? (NOW look at the opcode!!)"
#[test]
fn rfc826_packet_reception_answers_nothing_but_requests() {
    for operation in [0, 2, 3, 4, 8, 9, 256] {
        let frame = arp(ArpOperation::from(operation), OWN4, FAR4);
        assert!(matches!(verdict(&responder(), &frame), Verdict::Drop(_)), "operation {operation}");
    }
}

/// "An ARP Announcement is identical to the ARP Probe described above, except that now the sender and target IP
/// addresses are both set to the host's newly selected IPv4 address."
#[test]
fn rfc5227_2_3_an_announcement_is_not_answered() {
    let responder = responder();
    for _ in 0..2 {
        let announcement = arp_request(OWN4, OWN4);
        assert_eq!(judge(&responder, &announcement), (Verdict::Drop(Reason::ArpAnnouncement), vec![]));
    }
}

/// "The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have been forwarded by a
/// router."
#[test]
fn rfc4861_7_1_1_the_hop_limit_is_255() {
    assert_eq!(judged(&solicitation()), Verdict::Answer(Answered::Neighbour));
    assert_eq!(judged(&solicitation().with(|question| question.hop_limit = 254)), MALFORMED);
    assert_eq!(judged(&solicitation().with(|question| question.hop_limit = 0)), MALFORMED);
}

/// "ICMP Checksum is valid."
#[test]
fn rfc4861_7_1_1_the_checksum_is_valid() {
    for byte in 56..58 {
        for bit in 0..8 {
            let mut frame = solicitation().frame();
            frame[byte] ^= 1 << bit;
            assert_eq!(verdict(&responder(), &frame), MALFORMED);
        }
    }
}

/// "ICMP Code is 0."
#[test]
fn rfc4861_7_1_1_the_code_is_0() {
    for code in 1..=u8::MAX {
        assert_eq!(judged(&solicitation().with(|question| question.code = code)), MALFORMED);
    }
}

/// "ICMP length (derived from the IP length) is 24 or more octets."
#[test]
fn rfc4861_7_1_1_the_length_is_24_or_more() {
    for length in 0..20 {
        assert_eq!(judged(&solicitation().with(|question| question.body.truncate(length))), MALFORMED);
    }
    let exact = solicitation().with(|question| question.body.truncate(20));
    assert_eq!(judged(&exact), Verdict::Answer(Answered::Neighbour));
}

/// "Target Address is not a multicast address."
#[test]
fn rfc4861_7_1_1_the_target_is_no_group() {
    for target in ["ff02::1", "ff0e::1234", "ff02::1:ff00:1"] {
        assert_eq!(judged(&Icmpv6::solicitation(OWN6, target.parse().unwrap())), MALFORMED);
    }
}

/// "All included options have a length that is greater than zero."
#[test]
fn rfc4861_7_1_1_every_option_has_a_length() {
    for kind in 0..=u8::MAX {
        let question = solicitation().with(|question| question.body.extend([kind, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(judged(&question), MALFORMED);
    }
}

/// "If the IP source address is the unspecified address, the IP destination address is a solicited-node multicast
/// address."
#[test]
fn rfc4861_7_1_1_an_unspecified_source_may_only_ask_the_solicited_node_group() {
    let probe = Icmpv6::bare_solicitation(Ipv6Addr::UNSPECIFIED, OWN6);
    assert_eq!(judged(&probe), Verdict::Drop(Reason::DuplicateDetection));
    assert_eq!(judged(&probe.clone().unicast()), MALFORMED);
    assert_eq!(judged(&probe.with(|probe| probe.destination = "ff02::1".parse().unwrap())), MALFORMED);
}

/// "If the IP source address is the unspecified address, there is no source link-layer address option in the
/// message."
#[test]
fn rfc4861_7_1_1_an_unspecified_source_has_no_link_address() {
    assert_eq!(judged(&Icmpv6::solicitation(Ipv6Addr::UNSPECIFIED, OWN6)), MALFORMED);
}

/// "The contents of the Reserved field, and of any unrecognized options, MUST be ignored."
#[test]
fn rfc4861_7_1_1_reserved_bits_and_unknown_options_are_ignored() {
    let reserved = solicitation().with(|question| question.body[..4].fill(0xff));
    assert_eq!(judged(&reserved), Verdict::Answer(Answered::Neighbour));
    for kind in (0..=u8::MAX).filter(|&kind| kind != 1) {
        let option = [kind, 2, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
        let question = solicitation().with(|question| question.body.extend(option));
        assert_eq!(judged(&question), Verdict::Answer(Answered::Neighbour), "option {kind}");
    }
}

/// "The contents of any defined options that are not specified to be used with Neighbor Solicitation messages MUST
/// be ignored and the packet processed as normal."
#[test]
fn rfc4861_7_1_1_options_of_other_messages_are_ignored() {
    let others: [&[u8]; 4] =
        [&[2, 1, 9, 9, 9, 9, 9, 9], &[3, 4], &[4, 1, 0, 0, 0, 0, 0, 0], &[5, 1, 0, 0, 0, 0, 5, 220]];
    for option in others {
        let mut option = option.to_vec();
        option.resize(usize::from(option[1]) * 8, 0);
        let question = solicitation().with(|question| question.body.extend(option));
        let (verdict, reply) = judge(&responder(), &question.frame());
        assert_eq!(verdict, Verdict::Answer(Answered::Neighbour));
        assert_eq!(reply[..6], INTERFACE);
    }
}

/// "The Target Address of the advertisement is copied from the Target Address of the solicitation."
#[test]
fn rfc4861_7_2_4_the_target_is_copied() {
    let (_, reply) = judge(&responder(), &solicitation().frame());
    assert_eq!(reply[62..78], FAR6.octets());
}

/// "If the solicitation's IP Destination Address is a multicast address, the Target Link-Layer option MUST be
/// included in the advertisement."
#[test]
fn rfc4861_7_2_4_the_link_address_is_told_always() {
    for question in [solicitation(), solicitation().unicast()] {
        let (_, reply) = judge(&responder(), &question.frame());
        assert_eq!(reply[78..], [&[2, 1], &PEER[..]].concat());
    }
}

/// "Otherwise, the node MUST set the Solicited flag to one and unicast the advertisement to the Source Address of
/// the solicitation."
#[test]
fn rfc4861_7_2_4_the_answer_is_solicited_and_unicast() {
    let (_, reply) = judge(&responder(), &solicitation().frame());
    assert_eq!(reply[58] & 0x40, 0x40);
    assert_eq!(reply[..6], INTERFACE);
    assert_eq!(reply[38..54], OWN6.octets());
}

/// "In those cases where the IsRouter flag changes from TRUE to FALSE as a result of this update, the node MUST
/// remove that router from the Default Router List": so the flag is always set.
#[test]
fn rfc4861_7_2_5_a_router_behind_the_program_stays_one() {
    let (_, reply) = judge(&responder(), &solicitation().frame());
    assert_eq!(reply[58] & 0x80, 0x80);
}

/// "If the Override flag is set ... the link-layer address in the Target Link-Layer Address option MUST be inserted
/// in the cache": so an entry of an earlier device is corrected.
#[test]
fn rfc4861_7_2_5_the_answer_overrides_what_was_known() {
    let (_, reply) = judge(&responder(), &solicitation().frame());
    assert_eq!(reply[58] & 0x20, 0x20);
}

/// "If the source address of the Neighbor Solicitation is the unspecified address, the solicitation is from a node
/// performing Duplicate Address Detection."
#[test]
fn rfc4862_5_4_3_duplicate_detection_finds_no_duplicate() {
    let responder = responder();
    for address in [OWN6, LINK6, FAR6] {
        let probe = Icmpv6::bare_solicitation(Ipv6Addr::UNSPECIFIED, address).frame();
        assert_eq!(judge(&responder, &probe), (Verdict::Drop(Reason::DuplicateDetection), vec![]));
    }
}

/// RFC 7527, section 4.1: detection sends a nonce, to recognize its own solicitation when it is looped back.
#[test]
fn rfc7527_4_1_duplicate_detection_may_carry_a_nonce() {
    let probe = Icmpv6::bare_solicitation(Ipv6Addr::UNSPECIFIED, OWN6)
        .with(|probe| probe.body.extend([14, 1, 1, 2, 3, 4, 5, 6]));
    assert_eq!(judged(&probe), Verdict::Drop(Reason::DuplicateDetection));
}

/// "Nodes MUST silently ignore the following Neighbor Discovery ... messages if the packets carrying them include
/// an IPv6 Fragmentation Header."
#[test]
fn rfc6980_5_a_fragmented_solicitation_is_ignored() {
    let fragment = solicitation().with(|question| question.extensions = vec![(44, vec![0; 8])]);
    assert_eq!(judged(&fragment), MALFORMED);
}

/// "An IP host group address is mapped to an Ethernet multicast address by placing the low-order 23-bits of the IP
/// address into the low-order 23 bits of the Ethernet multicast address 01-00-5E-00-00-00 (hex)."
#[test]
fn rfc1112_6_4_groups_are_mapped_by_their_low_23_bits() {
    let header = |address: [u8; 4]| responder().classify_to_stack(&ipv4(FAR4, address.into(), 1, &[]), 20).unwrap();
    assert_eq!(header([224, 0, 0, 1])[..6], [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01]);
    assert_eq!(header([239, 255, 255, 255])[..6], [0x01, 0x00, 0x5e, 0x7f, 0xff, 0xff]);
    assert_eq!(header([225, 128, 0, 1])[..6], header([238, 0, 0, 1])[..6]);
}

/// "An IPv6 packet with a multicast destination address DST, consisting of the sixteen octets DST[1] through
/// DST[16], is transmitted to the Ethernet multicast address whose first two octets are the value 3333 hexadecimal
/// and whose last four octets are the last four octets of DST."
#[test]
fn rfc2464_7_groups_are_mapped_by_their_last_four_octets() {
    let to = "ff05:1:2:3:4:5:a1b2:c3d4".parse().unwrap();
    let header = responder().classify_to_stack(&ipv6(FAR6, to, 17, 1, &[]), 40).unwrap();
    assert_eq!(header[..6], [0x33, 0x33, 0xa1, 0xb2, 0xc3, 0xd4]);
}

/// "The Ethernet header contains the Destination and Source Ethernet addresses and the Ethernet type code, which
/// must contain the value 86DD hexadecimal."
#[test]
fn rfc2464_3_the_type_of_ipv6_is_86dd() {
    let header = responder().classify_to_stack(&ipv6(FAR6, OWN6, 17, 64, &[]), 40).unwrap();
    assert_eq!(header[12..], [0x86, 0xdd]);
    let wrong = ethernet(PEER, INTERFACE, 0x0800, &ipv6(OWN6, FAR6, 17, 64, &[]));
    assert_eq!(verdict(&responder(), &wrong), Verdict::Drop(Reason::Malformed));
}
