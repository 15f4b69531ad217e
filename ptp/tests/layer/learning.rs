//! Whose address is whose: learned from what the interface sends, and unlearned when it was wrong.

use std::net::{Ipv4Addr, Ipv6Addr};

use tuntap_ptp::{Answered, MacAddress, Reason, Responder, Verdict};

use crate::frames::*;

const ARP: Verdict = Verdict::Answer(Answered::Arp);
const NEIGHBOUR: Verdict = Verdict::Answer(Answered::Neighbour);
const ARP_OWN: Verdict = Verdict::Drop(Reason::ArpOwn);
const NEIGHBOUR_OWN: Verdict = Verdict::Drop(Reason::NeighbourOwn);

/// Questions that a question may wait for its answer, if the address was once believed to be ours.
const PATIENCE: usize = 3;

fn ask4(responder: &mut Responder, sender: Ipv4Addr, target: Ipv4Addr) -> Verdict {
    verdict(responder, &arp_request(sender, target))
}

fn ask6(responder: &mut Responder, source: Ipv6Addr, target: Ipv6Addr) -> Verdict {
    verdict(responder, &Icmpv6::solicitation(source, target).frame())
}

#[test]
fn an_address_that_asked_is_ours() {
    let mut responder = responder();
    assert_eq!(ask4(&mut responder, OWN4, FAR4), ARP);
    assert_eq!(ask4(&mut responder, ALIAS4, OWN4), ARP_OWN);
    assert_eq!(ask6(&mut responder, OWN6, FAR6), NEIGHBOUR);
    assert_eq!(ask6(&mut responder, LINK6, OWN6), NEIGHBOUR_OWN);
}

#[test]
fn an_address_that_announced_itself_is_ours() {
    let mut responder = responder();
    assert_eq!(ask4(&mut responder, ALIAS4, ALIAS4), Verdict::Drop(Reason::ArpAnnouncement));
    assert_eq!(ask4(&mut responder, OWN4, ALIAS4), ARP_OWN);
}

#[test]
fn an_address_that_only_ever_sent_packets_is_ours() {
    let mut responder = responder();
    assert_eq!(verdict(&mut responder, &ipv4_frame(ALIAS4, FAR4, 254)), Verdict::Deliver);
    assert_eq!(ask4(&mut responder, OWN4, ALIAS4), ARP_OWN);
    assert_eq!(verdict(&mut responder, &ipv6_frame(ALIAS6, FAR6, 64)), Verdict::Deliver);
    assert_eq!(verdict(&mut responder, &ipv6_frame(LINK6, FAR6, 64)), Verdict::Deliver);
    assert_eq!(ask6(&mut responder, OWN6, ALIAS6), NEIGHBOUR_OWN);
    assert_eq!(ask6(&mut responder, OWN6, LINK6), NEIGHBOUR_OWN);
}

#[test]
fn several_addresses_in_turn_stay_ours() {
    let mut responder = responder();
    for _ in 0..1000 {
        for (source, other) in [(OWN4, ALIAS4), (ALIAS4, OWN4)] {
            assert_eq!(ask4(&mut responder, source, FAR4), ARP);
            assert_eq!(verdict(&mut responder, &ipv4_frame(source, FAR4, 254)), Verdict::Deliver);
            let _ = ask4(&mut responder, other, other);
            assert_eq!(ask4(&mut responder, source, other), ARP_OWN);
        }
    }
}

#[test]
fn a_question_for_an_address_that_is_being_checked_teaches_nothing() {
    let mut responder = responder();
    assert_eq!(ask4(&mut responder, Ipv4Addr::UNSPECIFIED, FAR4), Verdict::Drop(Reason::ArpProbe));
    assert_eq!(ask4(&mut responder, OWN4, FAR4), ARP);
    let probe = Icmpv6::bare_solicitation(Ipv6Addr::UNSPECIFIED, FAR6);
    assert_eq!(verdict(&mut responder, &probe.frame()), Verdict::Drop(Reason::DuplicateDetection));
    assert_eq!(ask6(&mut responder, OWN6, FAR6), NEIGHBOUR);
}

#[test]
fn a_sender_at_another_link_address_is_answered_but_teaches_nothing() {
    let mut responder = responder();
    let mut frame = arp_request(ALIAS4, FAR4);
    let elsewhere = [0x02, 9, 9, 9, 9, 9];
    frame[22..28].copy_from_slice(&elsewhere);
    let (verdict, reply) = judge(&mut responder, &frame);
    assert_eq!((verdict, &reply[..6]), (ARP, &elsewhere[..]));
    assert_eq!(ask4(&mut responder, OWN4, ALIAS4), ARP);
}

/// The VPN gave us another address, and the old one to somebody else.
#[test]
fn an_address_that_moved_to_the_far_side_is_answered_for_before_the_stack_gives_up() {
    let mut responder = responder();
    assert_eq!(ask4(&mut responder, FAR4, OWN4), ARP, "we had what is the far side's now");
    let verdicts: Vec<_> = (0..5).map(|_| ask4(&mut responder, OWN4, FAR4)).collect();
    assert_eq!(verdicts, [ARP_OWN, ARP_OWN, ARP_OWN, ARP, ARP], "Haiku asks five times");
    assert_eq!(ask6(&mut responder, FAR6, OWN6), NEIGHBOUR);
    let verdicts: Vec<_> = (0..5).map(|_| ask6(&mut responder, OWN6, FAR6)).collect();
    assert_eq!(verdicts, [NEIGHBOUR_OWN, NEIGHBOUR_OWN, NEIGHBOUR_OWN, NEIGHBOUR, NEIGHBOUR]);
}

#[test]
fn an_address_that_came_back_is_ours_again() {
    let mut responder = responder();
    assert_eq!(ask4(&mut responder, FAR4, OWN4), ARP);
    assert!((0..10).any(|_| ask4(&mut responder, OWN4, FAR4) == ARP));
    let _ = ask4(&mut responder, FAR4, FAR4);
    assert_eq!(ask4(&mut responder, OWN4, FAR4), ARP_OWN);
}

/// A stack that forwards for a LAN, one of whose hosts pretends to be the far side.
#[test]
fn a_liar_behind_the_stack_delays_a_peer_once_and_never_hides_it() {
    let mut responder = responder();
    let mut refused = [0, 0];
    for _ in 0..1000 {
        verdict(&mut responder, &ipv4_frame(FAR4, ALIAS4, 63));
        verdict(&mut responder, &ipv6_frame(FAR6, ALIAS6, 254));
        refused[0] += usize::from(ask4(&mut responder, OWN4, FAR4) != ARP);
        refused[1] += usize::from(ask6(&mut responder, OWN6, FAR6) != NEIGHBOUR);
    }
    assert_eq!(refused, [PATIENCE, PATIENCE]);
}

#[test]
fn a_lan_behind_the_stack_displaces_none_of_its_own_addresses() {
    let mut responder = responder();
    ask4(&mut responder, OWN4, FAR4);
    ask6(&mut responder, OWN6, FAR6);
    for host in 0..10_000_u16 {
        let [high, low] = host.to_be_bytes();
        verdict(&mut responder, &ipv4_frame(Ipv4Addr::new(192, 168, high, low), FAR4, 63));
        verdict(&mut responder, &ipv6_frame(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host + 1), FAR6, 63));
    }
    assert_eq!(ask4(&mut responder, ALIAS4, OWN4), ARP_OWN);
    assert_eq!(ask6(&mut responder, ALIAS6, OWN6), NEIGHBOUR_OWN);
}

#[test]
fn liars_without_number_delay_a_bounded_number_of_answers() {
    let mut responder = responder();
    let mut refused = 0;
    for round in 0..4 {
        for host in 0..=u8::MAX {
            let claimed = Ipv4Addr::new(172, 16, round, host);
            verdict(&mut responder, &ipv4_frame(claimed, FAR4, 63));
            refused += (0..10).filter(|_| ask4(&mut responder, OWN4, claimed) != ARP).count();
        }
    }
    assert_eq!(refused, 8 * PATIENCE);
}

/// A packet that no router can have passed on is as good as a question.
#[test]
fn packets_that_were_not_forwarded_settle_whose_their_source_is() {
    let mut responder = responder();
    for host in 1..=100 {
        verdict(&mut responder, &ipv4_frame(Ipv4Addr::new(192, 168, 0, host), FAR4, 63));
        verdict(&mut responder, &ipv6_frame(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()), FAR6, 63));
    }
    verdict(&mut responder, &ipv4_frame(ALIAS4, FAR4, 255));
    verdict(&mut responder, &ipv6_frame(ALIAS6, FAR6, 255));
    verdict(&mut responder, &ipv6_frame(LINK6, FAR6, 1));
    assert_eq!(ask4(&mut responder, OWN4, ALIAS4), ARP_OWN);
    assert_eq!(ask6(&mut responder, OWN6, ALIAS6), NEIGHBOUR_OWN);
    assert_eq!(ask6(&mut responder, OWN6, LINK6), NEIGHBOUR_OWN);
}

#[test]
fn addresses_that_no_host_has_teach_nothing() {
    let mut responder = responder();
    for source in [[0; 4], [224, 0, 0, 1], [255; 4]].map(Ipv4Addr::from) {
        assert_eq!(verdict(&mut responder, &ipv4_frame(source, FAR4, 255)), Verdict::Deliver);
    }
    assert_eq!(verdict(&mut responder, &ipv6_frame(Ipv6Addr::UNSPECIFIED, FAR6, 255)), Verdict::Deliver);
    assert_eq!(ask4(&mut responder, OWN4, Ipv4Addr::BROADCAST), ARP);
    assert_eq!(ask4(&mut responder, OWN4, Ipv4Addr::new(224, 0, 0, 1)), ARP);
}

#[test]
fn a_removed_interface_is_forgotten() {
    let mut responder = responder();
    ask4(&mut responder, OWN4, FAR4);
    ask6(&mut responder, OWN6, FAR6);
    verdict(&mut responder, &ipv4_frame(ALIAS4, FAR4, 64));
    responder.forget();
    assert_eq!(responder, crate::frames::responder());
    assert_eq!(ask4(&mut responder, FAR4, OWN4), ARP);
    assert_eq!(ask4(&mut responder, FAR4, ALIAS4), ARP);
    assert_eq!(ask6(&mut responder, FAR6, OWN6), NEIGHBOUR);
}

#[test]
fn a_new_link_address_does_not_change_what_is_ours() {
    let mut responder = responder();
    ask4(&mut responder, OWN4, FAR4);
    responder.set_interface(MacAddress::from_bytes([0x02, 0, 0, 0, 0, 0x42]));
    assert_eq!(ask4(&mut responder, ALIAS4, OWN4), ARP_OWN);
}
