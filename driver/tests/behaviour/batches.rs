//! Several packets in one call.

use tuntap_driver::{Batch, Blocking, Descriptor, DropReason, Error, Framing, Limits};

use crate::fake::{IPV4, IPV6, Rig, ToyTun, UNTOUCHED, User, frame, packet4, packet6};
use crate::{blocked, failed};

/// What padding is in a batch that a test makes.
const PADDING: u8 = 0x11;

fn rig() -> (Rig<ToyTun>, Descriptor) {
    Rig::running(Blocking::DontWait)
}

/// The records of these packets, padded with a byte each side leaves alone.
fn records(packets: &[&[u8]], padding: u8) -> Vec<u8> {
    let mut records = Vec::new();
    for packet in packets {
        records.extend_from_slice(&(packet.len() as u32).to_ne_bytes());
        records.extend_from_slice(packet);
        records.resize(records.len().next_multiple_of(4), padding);
    }
    records
}

fn write(rig: &Rig<ToyTun>, descriptor: &Descriptor, records: &[u8], most: u32) -> Result<(u32, usize), Error> {
    let batch = rig.device.write_batch(descriptor, &User::holding(records), most);
    batch.map(|Batch { packets, bytes }| (packets, bytes))
}

fn read(rig: &Rig<ToyTun>, descriptor: &Descriptor, user: &User, most: u32) -> Result<(u32, usize), Error> {
    let batch = rig.device.read_batch(descriptor, user, most);
    batch.map(|Batch { packets, bytes }| (packets, bytes))
}

#[test]
fn a_batch_is_read_whole_with_each_packet_behind_its_length() {
    let (rig, descriptor) = rig();
    let packets = [packet4(1, 21), packet6(2, 40), packet4(3, 1)];
    rig.send(&frame(IPV4, &packets[0])).unwrap();
    rig.send(&frame(IPV6, &packets[1])).unwrap();
    rig.send(&frame(IPV4, &packets[2])).unwrap();
    let expected = records(&[&packets[0], &packets[1], &packets[2]], UNTOUCHED);
    let user = User::room(500);
    assert_eq!(read(&rig, &descriptor, &user, 10), Ok((3, expected.len())));
    assert_eq!(user.first(expected.len()), expected);
    assert_eq!(rig.device.statistics().to_user.delivered, 3);
    assert_eq!(read(&rig, &descriptor, &user, 10), Err(Error::WouldBlock));
}

#[test]
fn a_batch_ends_before_a_packet_that_does_not_fit_and_loses_none() {
    let (rig, descriptor) = rig();
    for mark in 0..4 {
        rig.send(&frame(IPV4, &packet4(mark, 21))).unwrap();
    }
    // Two records take 28 bytes each; the padding of the last need not be there, but its last byte must.
    let user = User::room(28 + 25);
    assert_eq!(read(&rig, &descriptor, &user, 10), Ok((2, 53)));
    assert_eq!(user.bytes(), records(&[&packet4(0, 21), &packet4(1, 21)], UNTOUCHED)[..53]);
    assert_eq!(read(&rig, &descriptor, &User::room(28 + 24), 10), Ok((1, 28)));
    for length in 0..25 {
        let user = User::room(length);
        assert_eq!(read(&rig, &descriptor, &user, 10), Err(Error::Invalid));
        assert_eq!(user.first(0), []);
    }
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 21)));
    assert_eq!(rig.device.statistics().to_user.truncated, 0);
}

#[test]
fn a_batch_has_no_more_packets_than_asked_for() {
    let (rig, descriptor) = rig();
    for mark in 0..3 {
        rig.send(&frame(IPV4, &packet4(mark, 20))).unwrap();
    }
    assert_eq!(read(&rig, &descriptor, &User::room(500), 0), Ok((0, 0)));
    assert_eq!(read(&rig, &descriptor, &User::room(500), 2), Ok((2, 48)));
    assert_eq!(rig.read(&descriptor), Ok(packet4(2, 20)));
    let all = records(&[&packet4(0, 20), &packet4(1, 20), &packet4(2, 20)], PADDING);
    assert_eq!(write(&rig, &descriptor, &all, 0), Ok((0, 0)));
    assert_eq!(write(&rig, &descriptor, &all, 2), Ok((2, 48)));
    assert_eq!(rig.device.statistics().to_stack_queued.packets, 2);
}

#[test]
fn a_batch_waits_for_its_first_packet_and_for_no_other() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let user = User::room(500);
    let own = user.clone();
    let reader = blocked(&rig, move |device| device.read_batch(&descriptor, &own, 10));
    rig.send(&frame(IPV4, &packet4(1, 20))).unwrap();
    assert_eq!(reader.result(), Ok(Batch { packets: 1, bytes: 24 }));
    assert_eq!(user.first(24), records(&[&packet4(1, 20)], UNTOUCHED));
}

#[test]
fn framing_is_part_of_each_packet_and_of_its_length() {
    let (rig, descriptor) = rig();
    descriptor.set_framing(Framing::PacketInformation);
    rig.send(&frame(IPV4, &packet4(1, 20))).unwrap();
    rig.send(&frame(IPV6, &packet6(2, 21))).unwrap();
    let one = [&[0, 0, 8, 0][..], &packet4(1, 20)].concat();
    let two = [&[0, 0, 0x86, 0xdd][..], &packet6(2, 21)].concat();
    let user = User::room(200);
    let expected = records(&[&one, &two], UNTOUCHED);
    assert_eq!(read(&rig, &descriptor, &user, 10), Ok((2, expected.len())));
    assert_eq!(user.first(expected.len()), expected);
    assert_eq!(write(&rig, &descriptor, &expected, 10), Ok((2, expected.len())));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 20))));
    assert_eq!(rig.receive(), Ok(frame(IPV6, &packet6(2, 21))));
}

#[test]
fn a_fault_costs_the_packet_it_hits_and_those_before_it_are_read() {
    let (rig, descriptor) = rig();
    for mark in 0..4 {
        rig.send(&frame(IPV4, &packet4(mark, 20))).unwrap();
    }
    // In the packet of the second record, and in its length word.
    let user = User::room(500).faulting(30..31);
    assert_eq!(read(&rig, &descriptor, &user, 10), Ok((1, 24)));
    let user = User::room(500).faulting(2..3);
    assert_eq!(read(&rig, &descriptor, &user, 10), Err(Error::BadAddress));
    assert_eq!(rig.device.statistics().to_user.dropped(DropReason::BadAddress), 2);
    rig.check_accounts();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 20)));
}

#[test]
fn a_fault_keeps_the_packets_behind_it_in_order() {
    let (rig, descriptor) = rig();
    for mark in 0..5 {
        rig.send(&frame(IPV4, &packet4(mark, 20))).unwrap();
    }
    let bytes = rig.device.statistics().to_user_queued.bytes;
    let user = User::room(500).faulting(30..31);
    assert_eq!(read(&rig, &descriptor, &user, 10), Ok((1, 24)));
    let statistics = rig.device.statistics();
    assert_eq!(statistics.to_user_queued.packets, 3);
    assert_eq!(statistics.to_user_queued.bytes, bytes / 5 * 3);
    assert_eq!((statistics.to_user.delivered, statistics.to_user.delivered_bytes), (1, u64::from(bytes) / 5));
    rig.send(&frame(IPV4, &packet4(5, 20))).unwrap();
    for mark in [2, 3, 4, 5] {
        assert_eq!(rig.read(&descriptor), Ok(packet4(mark, 20)));
    }
}

#[test]
fn a_batch_of_many_is_read_and_written_whole_and_in_order() {
    let (rig, descriptor) = rig();
    let packets: Vec<_> = (0..100_u8).map(|mark| packet4(mark, 20 + usize::from(mark % 3))).collect();
    let all: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let whole = records(&all, UNTOUCHED);
    assert_eq!(write(&rig, &descriptor, &whole, 200), Ok((100, whole.len())));
    for packet in &packets {
        assert_eq!(rig.receive(), Ok(frame(IPV4, packet)));
        rig.send(&frame(IPV4, packet)).unwrap();
    }
    let user = User::room(whole.len());
    assert_eq!(read(&rig, &descriptor, &user, 200), Ok((100, whole.len())));
    assert_eq!(user.bytes(), whole);
}

#[test]
fn a_batch_is_written_whole_and_in_order_with_or_without_its_last_padding() {
    let (rig, descriptor) = rig();
    let packets = [packet4(1, 21), packet6(2, 40), packet4(3, 1)];
    let whole = records(&[&packets[0], &packets[1], &packets[2]], PADDING);
    for batch in [&whole[..], &whole[..whole.len() - 3]] {
        assert_eq!(write(&rig, &descriptor, batch, 10), Ok((3, batch.len())));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packets[0])));
        assert_eq!(rig.receive(), Ok(frame(IPV6, &packets[1])));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packets[2])));
    }
    assert_eq!(write(&rig, &descriptor, &[], 10), Ok((0, 0)));
}

#[test]
fn a_record_that_is_cut_off_is_refused_and_those_before_it_are_written() {
    let (rig, descriptor) = rig();
    let one = records(&[&packet4(1, 20)], PADDING);
    for cut in 1..one.len() {
        assert_eq!(write(&rig, &descriptor, &one[..cut], 10), Err(Error::Invalid), "cut at {cut}");
        let two = [&one[..], &one[..cut]].concat();
        assert_eq!(write(&rig, &descriptor, &two, 10), Ok((1, 24)), "cut at {cut}");
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 20))));
    }
    for length in [21_u32, u32::MAX - 3, u32::MAX] {
        let mut long = one.clone();
        long[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(write(&rig, &descriptor, &long, 10), Err(Error::Invalid));
    }
}

#[test]
fn an_invalid_packet_ends_the_batch() {
    let (rig, descriptor) = rig();
    for bad in [vec![], vec![0x50; 20], packet4(0, 65536)] {
        let error = if bad.len() > 65535 { Error::TooLong } else { Error::Invalid };
        assert_eq!(write(&rig, &descriptor, &records(&[&bad], PADDING), 10), Err(error));
        let batch = records(&[&packet4(1, 20), &bad, &packet4(2, 20)], PADDING);
        assert_eq!(write(&rig, &descriptor, &batch, 10), Ok((1, 24)));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 20))));
    }
    descriptor.set_framing(Framing::AddressFamily);
    for short in 0..=4 {
        assert_eq!(write(&rig, &descriptor, &records(&[&[0; 4][..short]], PADDING), 1), Err(Error::Invalid));
    }
}

#[test]
fn a_full_queue_ends_the_batch_if_the_descriptor_does_not_wait() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(Limits { packets: 2, bytes: 1 << 20 });
    let batch = records(&[&packet4(1, 20), &packet4(2, 20), &packet4(3, 20)], PADDING);
    assert_eq!(write(&rig, &descriptor, &batch, 10), Ok((2, 48)));
    assert_eq!(write(&rig, &descriptor, &batch, 10), Err(Error::WouldBlock));
}

#[test]
fn a_batch_waits_for_room_for_each_packet_and_reports_its_progress() {
    for close in [false, true] {
        let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
        rig.device.set_to_stack_limits(Limits { packets: 2, bytes: 1 << 20 });
        let batch = records(&[&packet4(1, 20), &packet4(2, 20), &packet4(3, 20)], PADDING);
        let writer = blocked(&rig, move |device| device.write_batch(&descriptor, &User::holding(&batch), 10));
        if close {
            rig.device.close();
            assert_eq!(writer.result(), Ok(Batch { packets: 2, bytes: 48 }));
            rig.device.free();
        } else {
            rig.receive().unwrap();
            assert_eq!(writer.result(), Ok(Batch { packets: 3, bytes: 72 }));
        }
    }
}

#[test]
fn a_packet_left_in_the_queue_wakes_another_waiting_reader() {
    // The woken reader cannot take the packet, so it must pass the wake on.
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let descriptor = std::sync::Arc::new(descriptor);
    let own = descriptor.clone();
    let first = blocked(&rig, move |device| device.read_batch(&own, &User::room(10), 1));
    let second = blocked(&rig, move |device| crate::fake::read(device, &descriptor));
    rig.send(&frame(IPV4, &packet4(1, 20))).unwrap();
    assert_eq!(second.result(), Ok(packet4(1, 20)));
    // Whether the first saw it depends on who came first; a second packet it sees for sure.
    rig.send(&frame(IPV4, &packet4(2, 20))).unwrap();
    assert_eq!(first.result(), Err(Error::Invalid));
    assert_eq!(rig.device.readable().packets, rig.device.statistics().to_user_queued.packets);
}

#[test]
fn a_batch_on_a_closed_descriptor_fails() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.close();
    assert_eq!(read(&rig, &descriptor, &User::room(100), 10), Err(Error::Closed));
    assert_eq!(write(&rig, &descriptor, &records(&[&packet4(1, 20)], PADDING), 10), Err(Error::Closed));
    assert_eq!(failed(rig.read(&descriptor)), Error::Closed);
    rig.device.free();
}
