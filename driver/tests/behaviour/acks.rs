//! Acknowledgements that a later one supersedes while they wait for the program.

use tuntap_driver::{Blocking, Descriptor, DropReason, Error, Event, Limits, Mode};

use crate::fake::{
    ACK, ECE, Entry, FIN, IPV4, IPV6, Rig, TIMESTAMPS, Tcp, ToyTap, ToyTun, User, frame, packet4, read, send,
};
use crate::{blocked, failed};

/// A device in whose queue one other packet waits: the first packet of a queue is not looked at.
fn busy<M: Mode>() -> (Rig<M>, Descriptor) {
    let (rig, descriptor) = Rig::<M>::running(Blocking::DontWait);
    rig.send(&frame(IPV4, &packet4(1, 30))).unwrap();
    (rig, descriptor)
}

/// Sends segments, then reads what the program gets of them.
#[track_caller]
fn pass(segments: &[Tcp]) -> Vec<Vec<u8>> {
    let (rig, descriptor) = busy::<ToyTun>();
    for segment in segments {
        rig.send(&segment.frame()).unwrap();
    }
    assert_eq!(rig.read(&descriptor), Ok(packet4(1, 30)));
    let got: Vec<_> = std::iter::from_fn(|| rig.read(&descriptor).ok()).collect();
    let superseded = rig.device.statistics().to_user.dropped(DropReason::Superseded);
    assert_eq!(got.len() as u64 + superseded, segments.len() as u64);
    got
}

/// Whether the second of two segments takes the place of the first.
#[track_caller]
fn supersedes(first: Tcp, second: Tcp) -> bool {
    let got = pass(&[first, second]);
    assert_eq!(*got.last().unwrap(), second.packet());
    got.len() == 1
}

fn packets(segments: &[Tcp]) -> Vec<Vec<u8>> {
    segments.iter().map(Tcp::packet).collect()
}

fn a_later_one_takes_the_place<M: Mode>() {
    let (rig, descriptor) = busy::<M>();
    let (first, other) = (Tcp::ack(1, 100), frame(IPV4, &packet4(2, 40)));
    rig.send(&first.frame()).unwrap();
    rig.send(&other).unwrap();
    let before = rig.device.readable();
    for acknowledgement in [200, 300, 400] {
        rig.send(&Tcp::ack(1, acknowledgement).frame()).unwrap();
        assert_eq!(rig.device.readable(), before);
        rig.check_accounts();
    }
    rig.read(&descriptor).unwrap();
    let next = rig.device.readable().next as usize - M::LINK.hidden_header;
    let visible = |frame: &[u8]| frame[M::LINK.hidden_header..].to_vec();
    let read = rig.read(&descriptor).unwrap();
    assert_eq!((read.len(), read), (next, visible(&Tcp::ack(1, 400).frame())));
    assert_eq!(rig.read(&descriptor), Ok(visible(&other)));
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.accepted, counters.delivered, counters.dropped(DropReason::Superseded)), (6, 3, 3));
    assert_eq!(counters.accepted_bytes - counters.delivered_bytes, 3 * first.frame().len() as u64);
    assert_eq!(rig.world.packets(), 0);
}

#[test]
fn a_later_acknowledgement_takes_the_place_of_the_one_that_waits() {
    a_later_one_takes_the_place::<ToyTun>();
    a_later_one_takes_the_place::<ToyTap>();
}

#[test]
fn at_most_the_first_and_the_last_of_many_are_kept_for_a_slow_reader() {
    let (rig, descriptor) = busy::<ToyTun>();
    for acknowledgement in 0..1000 {
        rig.send(&Tcp::ack(1, acknowledgement).frame()).unwrap();
        assert!(rig.world.packets() <= 3, "{} packets are alive", rig.world.packets());
    }
    rig.read(&descriptor).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(Tcp::ack(1, 999).packet()));
}

#[test]
fn a_steady_stream_never_keeps_a_slow_reader_from_the_flows_acknowledgements() {
    let (rig, descriptor) = busy::<ToyTun>();
    rig.read(&descriptor).unwrap();
    for round in 0..20_u32 {
        rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
        for step in 0..10 {
            rig.send(&Tcp::ack(1, round * 10 + step).frame()).unwrap();
            rig.send(&Tcp::ack(2, round * 10 + step).frame()).unwrap();
        }
        let got = [(); 3].map(|()| rig.read(&descriptor).unwrap());
        let last = |port| Tcp::ack(port, round * 10 + 9).packet();
        assert_eq!(got, [packet4(2, 40), last(1), last(2)]);
    }
}

#[test]
fn a_packet_that_finds_the_queue_empty_is_left_alone() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    for acknowledgement in [100, 200, 300] {
        rig.send(&Tcp::ack(1, acknowledgement).frame()).unwrap();
    }
    assert_eq!(rig.read(&descriptor), Ok(Tcp::ack(1, 100).packet()));
    assert_eq!(rig.read(&descriptor), Ok(Tcp::ack(1, 300).packet()));
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
}

#[test]
fn duplicate_acknowledgements_all_arrive() {
    let duplicates = [Tcp::ack(1, 100), Tcp::ack(1, 100), Tcp::ack(1, 100), Tcp::ack(1, 100), Tcp::ack(1, 200)];
    assert_eq!(pass(&duplicates), packets(&duplicates));
    // Also those of one that took another's place.
    let later = [Tcp::ack(1, 50), Tcp::ack(1, 100), Tcp::ack(1, 100), Tcp::ack(1, 200), Tcp::ack(1, 300)];
    assert_eq!(pass(&later), packets(&[later[1], later[2], later[4]]));
}

#[test]
fn an_update_of_the_window_is_no_duplicate() {
    let update = |acknowledgement, window| Tcp { window, ..Tcp::ack(1, acknowledgement) };
    assert!(supersedes(update(100, 5000), update(100, 6000)));
    assert!(supersedes(update(100, 5000), update(100, 0)));
    assert!(!supersedes(update(200, 5000), update(100, 6000)));
    let sent = [update(100, 5000), update(100, 6000), update(100, 6000), update(100, 7000)];
    assert_eq!(pass(&sent), packets(&sent[1..]));
}

#[test]
fn an_older_acknowledgement_supersedes_none() {
    assert!(!supersedes(Tcp::ack(1, 200), Tcp::ack(1, 100)));
}

#[test]
fn acknowledgement_numbers_wrap_around() {
    assert!(supersedes(Tcp::ack(1, u32::MAX - 5), Tcp::ack(1, 10)));
    assert!(!supersedes(Tcp::ack(1, 10), Tcp::ack(1, u32::MAX - 5)));
    assert!(supersedes(Tcp::ack(1, 0), Tcp::ack(1, i32::MAX as u32)));
    assert!(!supersedes(Tcp::ack(1, 0), Tcp::ack(1, 1 << 31)));
}

#[test]
fn flows_are_told_apart_by_their_addresses_and_ports() {
    let six = |acknowledgement| Tcp { ether_type: IPV6, ..Tcp::ack(1, acknowledgement) };
    assert!(supersedes(Tcp::ack(1, 100), Tcp::ack(1, 200)));
    assert!(supersedes(six(100), six(200)));
    assert!(!supersedes(Tcp::ack(1, 100), Tcp::ack(2, 200)));
    assert!(!supersedes(Tcp::ack(1, 100), Tcp { source: 9, ..Tcp::ack(1, 200) }));
    assert!(!supersedes(six(100), Tcp { source: 9, ..six(200) }));
    assert!(!supersedes(six(100), Tcp::ack(1, 200)));
}

#[test]
fn timestamps_are_the_only_options_of_one_that_is_superseded() {
    let with = |options, acknowledgement| Tcp { options, ..Tcp::ack(1, acknowledgement) };
    assert!(supersedes(with(&TIMESTAMPS, 100), with(&TIMESTAMPS, 200)));
    let six = |acknowledgement| Tcp { ether_type: IPV6, ..with(&TIMESTAMPS, acknowledgement) };
    assert!(supersedes(six(100), six(200)));
    // The length would change under a program that asked for it.
    assert!(!supersedes(with(&TIMESTAMPS, 100), with(&[], 200)));
    const SACK: [u8; 12] = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    const BOTH: [u8; 24] = [1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    for options in [&SACK[..], &BOTH, &[1, 1, 1, 0], &[8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 1]] {
        assert!(!supersedes(with(options, 100), with(options, 200)), "{options:?}");
    }
}

#[test]
fn only_pure_acknowledgements_are_superseded_and_supersede() {
    let pure = Tcp::ack(1, 100);
    for bit in (0..8).filter(|bit| 1 << bit != pure.flags) {
        let marked = |acknowledgement| Tcp { flags: pure.flags | 1 << bit, ..Tcp::ack(1, acknowledgement) };
        assert!(!supersedes(marked(100), Tcp::ack(1, 200)), "flag {bit}");
        assert!(!supersedes(pure, marked(200)), "flag {bit}");
    }
    assert!(!supersedes(Tcp { flags: 0, ..pure }, Tcp { flags: 0, ..Tcp::ack(1, 200) }));
    let data = |acknowledgement| Tcp { payload: b"data", ..Tcp::ack(1, acknowledgement) };
    assert!(!supersedes(data(100), Tcp::ack(1, 200)));
    assert!(!supersedes(pure, data(200)));
    // Its sender has sent something in between.
    assert!(!supersedes(pure, Tcp { sequence: pure.sequence + 1, ..Tcp::ack(1, 200) }));
}

/// Sends two acknowledgements whose frames were changed alike. Whether both arrive.
#[track_caller]
fn both_arrive(six: bool, change: impl Fn(&mut Vec<u8>)) -> bool {
    let (rig, descriptor) = busy::<ToyTun>();
    for acknowledgement in [100, 200] {
        let ether_type = if six { IPV6 } else { IPV4 };
        let mut frame = Tcp { ether_type, ..Tcp::ack(1, acknowledgement) }.frame();
        change(&mut frame);
        rig.send(&frame).unwrap();
    }
    (0..3).all(|_| rig.read(&descriptor).is_ok())
}

#[test]
fn frames_that_are_not_what_their_headers_say_are_left_alone() {
    assert!(!both_arrive(false, |_| ()) && !both_arrive(true, |_| ()));
    assert!(both_arrive(false, |frame| frame.push(0)), "padding");
    assert!(both_arrive(true, |frame| frame.push(0)), "padding");
    assert!(both_arrive(false, |frame| frame[14] = 0x46), "IPv4 options");
    assert!(both_arrive(false, |frame| frame[20] |= 0x20), "a first fragment");
    assert!(both_arrive(false, |frame| frame[21] = 1), "a later fragment");
    assert!(both_arrive(false, |frame| frame[23] = 17), "UDP");
    assert!(both_arrive(true, |frame| frame[20] = 0), "an extension header");
    assert!(both_arrive(true, |frame| frame[14] = 0x40), "another version");
    assert!(both_arrive(false, |frame| frame[46] |= 1), "a reserved flag");
    assert!(both_arrive(false, |frame| frame[46] = 0x60), "options beyond the end");
    assert!(both_arrive(false, |frame| frame[46] = 0x80), "options beyond the end");
    for length in 15..54 {
        assert!(both_arrive(false, |frame| frame.truncate(length)), "{length} bytes of IPv4");
    }
    for length in 15..74 {
        assert!(both_arrive(true, |frame| frame.truncate(length)), "{length} bytes of IPv6");
    }
}

#[test]
fn none_overtakes_another_segment_of_its_flow() {
    let between = [
        Tcp { payload: b"data", ..Tcp::ack(1, 100) },
        Tcp { flags: ACK | ECE, ..Tcp::ack(1, 150) },
        Tcp { flags: ACK | FIN, ..Tcp::ack(1, 150) },
    ];
    for segment in between {
        let sent = [Tcp::ack(1, 100), Tcp::ack(1, 120), segment, Tcp::ack(1, 200), Tcp::ack(1, 300)];
        assert_eq!(pass(&sent), packets(&[sent[1], segment, sent[4]]), "{segment:?}");
    }
    // Other flows' segments are no obstacle.
    let sent = [Tcp::ack(1, 100), Tcp { payload: b"data", ..Tcp::ack(2, 100) }, Tcp::ack(1, 200)];
    assert_eq!(pass(&sent), packets(&[sent[2], sent[1]]));
}

#[test]
fn sixteen_flows_are_followed_and_more_lose_nothing() {
    let acks = |ports: std::ops::Range<u16>, acknowledgement| ports.map(move |port| Tcp::ack(port, acknowledgement));
    let sent: Vec<_> = acks(0..16, 100).chain(acks(0..16, 200)).collect();
    assert_eq!(pass(&sent), packets(&acks(0..16, 200).collect::<Vec<_>>()));
    let sent: Vec<_> = acks(0..40, 100).chain(acks(0..40, 200)).collect();
    let kept: Vec<_> = acks(0..16, 200).chain(acks(16..40, 100)).chain(acks(16..40, 200)).collect();
    assert_eq!(pass(&sent), packets(&kept));
}

#[test]
fn a_flow_whose_acknowledgements_were_read_makes_place_for_another() {
    let (rig, descriptor) = busy::<ToyTun>();
    let send = |port, acknowledgement| rig.send(&Tcp::ack(port, acknowledgement).frame()).unwrap();
    (0..16).for_each(|port| send(port, 100));
    send(16, 100);
    // The other packet, and the acknowledgement of port 0.
    rig.read(&descriptor).unwrap();
    rig.read(&descriptor).unwrap();
    send(17, 100);
    for port in [16, 17, 0, 1] {
        send(port, 200);
    }
    let got: Vec<_> = std::iter::from_fn(|| rig.read(&descriptor).ok()).collect();
    let kept = [Tcp::ack(1, 200)].into_iter().chain((2..17).map(|port| Tcp::ack(port, 100)));
    let kept: Vec<_> = kept.chain([17, 16, 0].map(|port| Tcp::ack(port, 200))).collect();
    assert_eq!(got, packets(&kept));
}

#[test]
fn a_full_queue_still_takes_one_that_supersedes() {
    let (rig, descriptor) = busy::<ToyTun>();
    rig.device.set_to_user_limits(Limits { packets: 2, bytes: 1 << 20 });
    rig.send(&Tcp::ack(1, 100).frame()).unwrap();
    assert_eq!(rig.send(&Tcp::ack(2, 100).frame()), Err(DropReason::Full));
    assert_eq!(rig.send(&Tcp::ack(1, 200).frame()), Ok(()));
    rig.read(&descriptor).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(Tcp::ack(1, 200).packet()));
    // One that was dropped is not in the way of those behind it.
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.dropped(DropReason::Full), counters.dropped(DropReason::Superseded)), (1, 1));
}

#[test]
fn one_that_comes_while_the_interface_is_down_is_dropped_as_down() {
    let (rig, descriptor) = busy::<ToyTun>();
    rig.send(&Tcp::ack(1, 100).frame()).unwrap();
    rig.device.down();
    assert_eq!(rig.send(&Tcp::ack(1, 200).frame()), Err(DropReason::Down));
    rig.read(&descriptor).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(Tcp::ack(1, 100).packet()));
}

/// A queue with two packets in it, each of which has superseded two.
fn layered() -> (Rig<ToyTun>, Descriptor) {
    let (rig, descriptor) = busy::<ToyTun>();
    for acknowledgement in [100, 200, 300] {
        rig.send(&Tcp::ack(1, acknowledgement).frame()).unwrap();
        rig.send(&Tcp::ack(2, acknowledgement).frame()).unwrap();
    }
    assert_eq!((rig.device.readable().packets, rig.world.packets()), (3, 5));
    (rig, descriptor)
}

#[test]
fn whatever_empties_the_queue_frees_both() {
    let emptied = |empty: fn(&Rig<ToyTun>)| {
        let (rig, _descriptor) = layered();
        empty(&rig);
        assert_eq!(rig.world.packets(), 0);
        assert_eq!(rig.device.statistics().to_user.purged, 3);
        rig.check_accounts();
    };
    emptied(|rig| rig.close_and_free());
    emptied(|rig| {
        rig.device.attach();
    });
    emptied(|rig| {
        let attachment = rig.device.attach();
        rig.device.detach(attachment);
    });
    // So does the end of the device: the rig checks it.
    drop(layered());
}

#[test]
fn nothing_is_remembered_of_a_queue_that_was_emptied() {
    let (rig, descriptor) = layered();
    rig.device.attach();
    rig.device.up(crate::fake::INTERFACE);
    rig.send(&frame(IPV4, &packet4(3, 30))).unwrap();
    rig.send(&Tcp::ack(2, 400).frame()).unwrap();
    rig.send(&frame(IPV4, &packet4(4, 30))).unwrap();
    rig.send(&Tcp::ack(1, 400).frame()).unwrap();
    let got = [(); 4].map(|()| rig.read(&descriptor).unwrap());
    assert_eq!(got, [packet4(3, 30), Tcp::ack(2, 400).packet(), packet4(4, 30), Tcp::ack(1, 400).packet()]);
}

/// One record of a batch.
fn record(packet: &[u8]) -> Vec<u8> {
    let mut record = [&(packet.len() as u32).to_ne_bytes()[..], packet].concat();
    record.resize(record.len().next_multiple_of(4), crate::fake::UNTOUCHED);
    record
}

#[test]
fn a_batch_gets_the_later_ones() {
    let (rig, descriptor) = layered();
    let user = User::room(300);
    let batch = rig.device.read_batch(&descriptor, &user, 10).unwrap();
    let expected = [packet4(1, 30), Tcp::ack(1, 300).packet(), Tcp::ack(2, 300).packet()];
    assert_eq!(
        (batch.packets, user.bytes()[..batch.bytes].to_vec()),
        (3, expected.map(|packet| record(&packet)).concat())
    );
    assert_eq!(rig.world.packets(), 0);
}

#[test]
fn what_a_failed_batch_puts_back_is_superseded_as_before() {
    let (rig, descriptor) = layered();
    let user = User::room(300).faulting(0..1);
    assert_eq!(rig.device.read_batch(&descriptor, &user, 10), Err(Error::BadAddress));
    assert_eq!((rig.device.readable().packets, rig.world.packets()), (2, 2));
    rig.send(&Tcp::ack(1, 400).frame()).unwrap();
    rig.send(&Tcp::ack(2, 250).frame()).unwrap();
    let got = [(); 3].map(|()| rig.read(&descriptor).unwrap());
    assert_eq!(got, [Tcp::ack(1, 400), Tcp::ack(2, 300), Tcp::ack(2, 250)].map(|segment| segment.packet()));
}

#[test]
fn what_a_failed_batch_puts_back_does_not_let_a_later_one_pass_what_was_queued_meanwhile() {
    // Not pure: duplicate acknowledgements say with it what arrived out of order.
    let other = Tcp { options: &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2], ..Tcp::ack(1, 100) };
    let (rig, descriptor) = busy::<ToyTun>();
    rig.send(&Tcp::ack(1, 100).frame()).unwrap();
    let device = rig.share();
    let user = User::room(300).faulting(0..1).meanwhile(move || send(&device, &other.frame()).unwrap());
    assert_eq!(rig.device.read_batch(&descriptor, &user, 10), Err(Error::BadAddress));
    rig.send(&Tcp::ack(1, 200).frame()).unwrap();
    let got = [(); 3].map(|()| rig.read(&descriptor).unwrap());
    assert_eq!(got.to_vec(), packets(&[Tcp::ack(1, 100), other, Tcp::ack(1, 200)]));
}

#[test]
fn a_fault_under_a_read_costs_the_later_one() {
    let (rig, descriptor) = layered();
    rig.read(&descriptor).unwrap();
    assert_eq!(rig.device.read(&descriptor, &User::room(100).faulting(0..1)), Err(Error::BadAddress));
    assert_eq!(rig.read(&descriptor), Ok(Tcp::ack(2, 300).packet()));
    assert_eq!(rig.world.packets(), 0);
}

#[test]
fn a_select_and_a_blocked_reader_are_told_of_the_first_only() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let watch = Entry::new();
    rig.device.select(watch.sync(), Event::Read);
    let reader = blocked(&rig, move |device| [(); 3].map(|()| read(device, &descriptor)));
    let first = Tcp::ack(1, 100).frame();
    send(&rig.device, &first).unwrap();
    assert_eq!(watch.told(Event::Read), 1);
    for acknowledgement in [200, 300] {
        send(&rig.device, &Tcp::ack(1, acknowledgement).frame()).unwrap();
    }
    // Whichever of them were superseded, the last arrives.
    rig.send(&frame(IPV4, &packet4(2, 30))).unwrap();
    rig.send(&frame(IPV4, &packet4(3, 30))).unwrap();
    let got = reader.result().map(Result::unwrap);
    assert!(got.contains(&Tcp::ack(1, 300).packet()));
    rig.device.deselect(watch.sync(), Event::Read);
}
