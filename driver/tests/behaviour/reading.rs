//! From the stack to the program.

use tuntap_driver::{Blocking, DropReason, Error, Framing};

use crate::fake::{self, IPV4, IPV6, Rig, ToyTap, ToyTun, UNTOUCHED, User, frame, packet4, packet6};
use crate::{about_to_block, blocked, failed, three_readers};

fn rig() -> (Rig<ToyTun>, tuntap_driver::Descriptor) {
    Rig::running(Blocking::DontWait)
}

#[test]
fn an_empty_queue_would_block_and_is_never_the_end_of_the_file() {
    let (rig, descriptor) = rig();
    for _ in 0..3 {
        assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    }
    rig.send(&frame(IPV4, &packet4(1, 20))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(1, 20)));
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
}

#[test]
fn each_read_gets_one_packet_whole_and_in_order() {
    let (rig, descriptor) = rig();
    for mark in 0..5 {
        rig.send(&frame(IPV4, &packet4(mark, 20 + usize::from(mark)))).unwrap();
    }
    for mark in 0..5 {
        assert_eq!(rig.read(&descriptor), Ok(packet4(mark, 20 + usize::from(mark))));
    }
}

#[test]
fn every_size_up_to_the_mtu_passes_unchanged_and_nothing_is_written_beyond_it() {
    let (rig, descriptor) = rig();
    for length in 1..=1500 {
        rig.send(&frame(IPV6, &packet6(3, length))).unwrap();
        assert_eq!(rig.read(&descriptor), Ok(packet6(3, length)));
    }
}

#[test]
fn a_mode_that_strips_no_header_delivers_the_whole_frame() {
    let (rig, descriptor) = Rig::<ToyTap>::running(Blocking::DontWait);
    let frame = frame(IPV4, &packet4(1, 46));
    rig.send(&frame).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(frame));
}

#[test]
fn a_blocked_read_gets_the_packet_that_comes() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let reader = blocked(&rig, move |device| fake::read(device, &descriptor));
    rig.send(&frame(IPV4, &packet4(7, 40))).unwrap();
    assert_eq!(reader.result(), Ok(packet4(7, 40)));
}

#[test]
fn a_read_that_is_just_about_to_block_gets_the_packet_that_comes() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let read = about_to_block(
        &rig,
        move |device| fake::read(device, &descriptor),
        || rig.send(&frame(IPV4, &packet4(7, 40))).unwrap(),
    );
    assert_eq!(read, Ok(packet4(7, 40)));
}

#[test]
fn each_of_three_blocked_readers_gets_one_packet() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let readers = three_readers(&rig, descriptor);
    for mark in 0..3 {
        rig.send(&frame(IPV4, &packet4(mark, 30))).unwrap();
    }
    let mut got: Vec<_> = readers.into_iter().map(|reader| reader.result().unwrap()).collect();
    got.sort();
    assert_eq!(got, [packet4(0, 30), packet4(1, 30), packet4(2, 30)]);
}

#[test]
fn whether_a_read_waits_can_be_changed_on_the_open_descriptor() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    assert_eq!(descriptor.blocking(), Blocking::Wait);
    descriptor.set_blocking(Blocking::DontWait);
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    descriptor.set_blocking(Blocking::Wait);
    let reader = blocked(&rig, move |device| fake::read(device, &descriptor));
    rig.send(&frame(IPV4, &packet4(7, 40))).unwrap();
    assert_eq!(reader.result(), Ok(packet4(7, 40)));
}

#[test]
fn a_short_buffer_truncates_the_packet_and_counts_it() {
    let (rig, descriptor) = rig();
    rig.send(&frame(IPV4, &packet4(2, 100))).unwrap();
    rig.send(&frame(IPV4, &packet4(3, 100))).unwrap();
    let user = User::room(99);
    assert_eq!(rig.device.read(&descriptor, &user), Ok(99));
    assert_eq!(user.bytes(), packet4(2, 100)[..99]);
    assert_eq!(rig.device.statistics().to_user.truncated, 1);
    // The rest of it is gone: the next read gets the next packet.
    let user = User::room(100);
    assert_eq!(rig.device.read(&descriptor, &user), Ok(100));
    assert_eq!(user.bytes(), packet4(3, 100));
    assert_eq!(rig.device.statistics().to_user.truncated, 1);
    assert_eq!(rig.device.statistics().to_user.delivered, 2);
}

#[test]
fn an_empty_buffer_takes_no_packet() {
    let (rig, descriptor) = rig();
    assert_eq!(rig.device.read(&descriptor, &User::room(0)), Ok(0));
    rig.send(&frame(IPV4, &packet4(2, 20))).unwrap();
    assert_eq!(rig.device.read(&descriptor, &User::room(0)), Ok(0));
    assert_eq!(rig.read(&descriptor), Ok(packet4(2, 20)));
}

#[test]
fn packet_information_precedes_a_packet_and_marks_truncation() {
    let (rig, descriptor) = rig();
    descriptor.set_framing(Framing::PacketInformation);
    rig.send(&frame(IPV4, &packet4(1, 30))).unwrap();
    rig.send(&frame(IPV6, &packet6(2, 30))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok([&[0, 0, 0x08, 0x00][..], &packet4(1, 30)].concat()));
    let user = User::room(20);
    assert_eq!(rig.device.read(&descriptor, &user), Ok(20));
    let flags = 1_u16.to_ne_bytes();
    assert_eq!(user.bytes(), [&flags[..], &[0x86, 0xdd], &packet6(2, 30)[..16]].concat());
}

#[test]
fn an_address_family_stands_in_front_in_network_order() {
    let (rig, descriptor) = rig();
    descriptor.set_framing(Framing::AddressFamily);
    rig.send(&frame(IPV4, &packet4(1, 30))).unwrap();
    rig.send(&frame(IPV6, &packet6(2, 30))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok([&[0, 0, 0, 1][..], &packet4(1, 30)].concat()));
    assert_eq!(rig.read(&descriptor), Ok([&[0, 0, 0, 5][..], &packet6(2, 30)].concat()));
}

#[test]
fn a_buffer_for_just_the_framing_is_cut_and_never_the_end_of_the_file() {
    let (rig, descriptor) = rig();
    descriptor.set_framing(Framing::PacketInformation);
    rig.send(&frame(IPV4, &packet4(1, 30))).unwrap();
    assert_eq!(rig.device.read(&descriptor, &User::room(4)), Ok(4));
    assert_eq!(rig.device.statistics().to_user.truncated, 1);
}

#[test]
fn a_buffer_shorter_than_the_framing_is_refused_and_costs_no_packet() {
    let (rig, descriptor) = rig();
    descriptor.set_framing(Framing::PacketInformation);
    rig.send(&frame(IPV4, &packet4(1, 30))).unwrap();
    for length in 1..4 {
        let user = User::room(length);
        assert_eq!(rig.device.read(&descriptor, &user), Err(Error::Invalid));
        assert_eq!(user.bytes(), vec![UNTOUCHED; length]);
    }
    assert_eq!(rig.read(&descriptor), Ok([&[0, 0, 8, 0][..], &packet4(1, 30)].concat()));
}

#[test]
fn memory_that_is_not_there_costs_the_packet_which_is_counted_and_freed() {
    let (rig, descriptor) = rig();
    for (at, buffer) in [0..1, 39..40, 0..100].into_iter().enumerate() {
        rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
        let user = User::room(100).faulting(buffer);
        assert_eq!(rig.device.read(&descriptor, &user), Err(Error::BadAddress));
        let counters = rig.device.statistics().to_user;
        assert_eq!(counters.dropped(DropReason::BadAddress), at as u64 + 1);
        assert_eq!((counters.delivered, counters.delivered_bytes), (0, 0));
        rig.check_accounts();
    }
    // Where the packet does not reach, nothing needs to be.
    rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
    assert_eq!(rig.device.read(&descriptor, &User::room(100).faulting(40..100)), Ok(40));
}

#[test]
fn a_fault_in_the_framing_is_a_fault_too() {
    let (rig, descriptor) = rig();
    descriptor.set_framing(Framing::AddressFamily);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(rig.device.read(&descriptor, &User::room(100).faulting(3..4)), Err(Error::BadAddress));
    assert_eq!(rig.device.statistics().to_user.dropped(DropReason::BadAddress), 1);
}

#[test]
fn reading_allocates_nothing() {
    let (rig, descriptor) = rig();
    let before = rig.world.allocations();
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(1, 40)));
    assert_eq!(rig.world.allocations(), before);
}

#[test]
fn counters_say_packets_and_bytes_with_their_link_header() {
    let (rig, descriptor) = rig();
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    rig.send(&frame(IPV4, &packet4(2, 50))).unwrap();
    rig.read(&descriptor).unwrap();
    let statistics = rig.device.statistics();
    assert_eq!((statistics.to_user.accepted, statistics.to_user.accepted_bytes), (2, 54 + 64));
    assert_eq!((statistics.to_user.delivered, statistics.to_user.delivered_bytes), (1, 54));
    let queued = rig.device.readable();
    assert_eq!((queued.packets, queued.bytes, queued.next), (1, 64, 64));
    assert_eq!(statistics.to_user_queued, queued);
}
