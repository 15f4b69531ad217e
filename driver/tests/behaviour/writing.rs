//! From the program to the stack.

use tuntap_driver::{Blocking, Descriptor, Error, Framing, Limits};

use crate::fake::{
    INTERFACE, IPV4, IPV6, OWN, Reason, Rig, ToyTap, ToyTun, User, dropped_by_mode, frame, packet4, packet6,
};
use crate::{about_to_block, blocked, failed};

const ONE: Limits = Limits { packets: 1, bytes: 1 << 20 };

fn rig() -> (Rig<ToyTun>, Descriptor) {
    Rig::running(Blocking::DontWait)
}

#[test]
fn each_write_is_one_frame_whole_and_in_order() {
    let (rig, descriptor) = rig();
    for mark in 0..5 {
        assert_eq!(rig.write(&descriptor, &packet4(mark, 60)), Ok(60));
    }
    assert_eq!(rig.write(&descriptor, &packet6(5, 60)), Ok(60));
    let expected = |ether_type, packet: &[u8]| frame(ether_type, packet);
    for mark in 0..5 {
        assert_eq!(rig.receive(), Ok(expected(IPV4, &packet4(mark, 60))));
    }
    assert_eq!(rig.receive(), Ok(expected(IPV6, &packet6(5, 60))));
}

#[test]
fn every_size_up_to_the_mtu_passes_unchanged() {
    let (rig, descriptor) = rig();
    for length in 1..=1500 {
        assert_eq!(rig.write(&descriptor, &packet4(1, length)), Ok(length));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, length))));
    }
}

#[test]
fn the_classified_head_is_delivered_although_the_program_changes_it() {
    // The fake memory changes each byte as soon as it is fetched, and fails if one is fetched again.
    let (rig, descriptor) = rig();
    let user = User::holding(&packet4(1, 100));
    assert_eq!(rig.device.write(&descriptor, &user), Ok(100));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 100))));
    assert_ne!(user.bytes(), packet4(1, 100));
}

#[test]
fn an_invalid_packet_is_refused_and_leaves_nothing_behind() {
    let (rig, descriptor) = rig();
    assert_eq!(rig.write(&descriptor, &[]), Err(Error::Invalid));
    assert_eq!(rig.write(&descriptor, &[0x50; 40]), Err(Error::Invalid));
    let nowhere = User::holding(&packet4(0, 40)).faulting(0..1);
    assert_eq!(rig.device.write(&descriptor, &nowhere), Err(Error::BadAddress));
    let before = rig.world.allocations();
    assert_eq!(rig.write(&descriptor, &packet4(0, 65536)), Err(Error::TooLong));
    assert_eq!(rig.write(&descriptor, &vec![0x40; 1 << 20]), Err(Error::TooLong));
    assert_eq!(rig.world.allocations(), before);
    assert_eq!(rig.device.statistics().to_stack.accepted, 0);
}

#[test]
fn nothing_is_allocated_without_room_and_what_is_wrong_with_the_packet_comes_first() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 1 << 20 });
    rig.write(&descriptor, &packet4(0, 40)).unwrap();
    let before = rig.world.allocations();
    let wrong = |error| {
        assert_eq!(rig.write(&descriptor, &packet4(0, 40)), Err(error));
        assert_eq!(rig.write(&descriptor, &[0x50; 40]), Err(Error::Invalid));
        let nowhere = User::holding(&packet4(0, 40)).faulting(0..1);
        assert_eq!(rig.device.write(&descriptor, &nowhere), Err(Error::BadAddress));
    };
    wrong(Error::WouldBlock);
    rig.device.down();
    wrong(Error::NetworkDown);
    assert_eq!(rig.world.allocations(), before);
}

#[test]
fn a_frame_shorter_than_its_header_is_refused() {
    let (rig, descriptor) = Rig::<ToyTap>::running(Blocking::DontWait);
    let frame = frame(IPV4, &[]);
    assert_eq!(rig.write(&descriptor, &frame[..13]), Err(Error::Invalid));
    assert_eq!(rig.write(&descriptor, &frame), Ok(14));
    assert_eq!(rig.receive(), Ok(frame));
}

#[test]
fn a_frame_may_be_longer_than_its_packet_by_its_header_and_a_tag() {
    let (rig, descriptor) = Rig::<ToyTap>::running(Blocking::DontWait);
    let longest = frame(IPV4, &packet4(0, 65539));
    assert_eq!(rig.write(&descriptor, &longest), Ok(65553));
    assert_eq!(rig.receive(), Ok(longest));
    assert_eq!(rig.write(&descriptor, &frame(IPV4, &packet4(0, 65540))), Err(Error::TooLong));
}

#[test]
fn a_frame_for_another_station_is_dropped_and_the_program_not_told() {
    let (rig, descriptor) = Rig::<ToyTap>::running(Blocking::DontWait);
    let mut other = frame(IPV4, &packet4(0, 46));
    other[5] = 77;
    assert_eq!(rig.write(&descriptor, &other), Ok(60));
    let counters = rig.device.statistics().to_stack;
    assert_eq!((counters.accepted, dropped_by_mode(&counters, Reason::NotForUs)), (1, 1));
    assert_eq!(rig.device.statistics().to_stack_queued.packets, 0);
    rig.device.set_promiscuous(true);
    assert_eq!(rig.device.link().address, OWN);
    assert_eq!(rig.write(&descriptor, &other), Ok(60));
    assert_eq!(rig.receive(), Ok(other.clone()));
    rig.device.set_promiscuous(false);
    assert_eq!(rig.write(&descriptor, &other), Ok(60));
    assert_eq!(dropped_by_mode(&rig.device.statistics().to_stack, Reason::NotForUs), 2);
    rig.device.down();
    assert_eq!(rig.write(&descriptor, &other), Err(Error::NetworkDown));
    assert_eq!(rig.device.statistics().to_stack.accepted, 3, "a write that fails is not counted");
}

#[test]
fn framing_is_taken_off_and_counts_as_written() {
    let (rig, descriptor) = rig();
    for framing in [Framing::PacketInformation, Framing::AddressFamily] {
        descriptor.set_framing(framing);
        assert_eq!(descriptor.framing(), framing);
        let packet = packet4(1, 1500);
        assert_eq!(rig.write(&descriptor, &[&[0; 4][..], &packet].concat()), Ok(1504));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packet)));
        for short in 0..=4 {
            assert_eq!(rig.write(&descriptor, &[0; 4][..short]), Err(Error::Invalid));
        }
        assert_eq!(rig.write(&descriptor, &[&[0; 4][..], &packet4(1, 65536)].concat()), Err(Error::TooLong));
    }
}

#[test]
fn an_unmapped_buffer_leaks_nothing() {
    let (rig, descriptor) = rig();
    for fault in [0..1, 3..4, 4..5, 99..100] {
        let user = User::holding(&packet4(1, 100)).faulting(fault);
        assert_eq!(rig.device.write(&descriptor, &user), Err(Error::BadAddress));
        rig.check_accounts();
    }
    assert_eq!(rig.device.statistics().to_stack.accepted, 0);
}

#[test]
fn each_failing_allocation_is_reported_and_leaks_nothing() {
    let (rig, descriptor) = rig();
    let before = rig.world.allocations();
    rig.write(&descriptor, &packet4(1, 100)).unwrap();
    rig.receive().unwrap();
    let allocations = rig.world.allocations() - before;
    assert!(allocations > 0);
    for n in 0..allocations {
        rig.world.fail_allocation(n as i64);
        assert_eq!(rig.write(&descriptor, &packet4(1, 100)), Err(Error::NoMemory));
        rig.check_accounts();
    }
    rig.write(&descriptor, &packet4(2, 100)).unwrap();
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(2, 100))));
}

#[test]
fn a_full_queue_would_block_and_allocates_nothing() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 100)).unwrap();
    let before = rig.world.allocations();
    assert_eq!(rig.write(&descriptor, &packet4(2, 100)), Err(Error::WouldBlock));
    assert_eq!(rig.world.allocations(), before);
    rig.receive().unwrap();
    assert_eq!(rig.write(&descriptor, &packet4(3, 100)), Ok(100));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(3, 100))));
}

#[test]
fn a_blocked_write_goes_on_when_there_is_room() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 100)).unwrap();
    let writer = blocked(&rig, move |device| device.write(&descriptor, &User::holding(&packet4(2, 50))));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 100))));
    assert_eq!(writer.result(), Ok(50));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(2, 50))));
}

#[test]
fn a_write_that_is_about_to_block_continues_when_there_is_room() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 100)).unwrap();
    let written = about_to_block(
        &rig,
        move |device| device.write(&descriptor, &User::holding(&packet4(2, 50))),
        || drop(rig.receive().unwrap()),
    );
    assert_eq!(written, Ok(50));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(2, 50))));
}

#[test]
fn room_for_several_wakes_all_writers_that_wait_for_it() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(0, 100)).unwrap();
    let descriptor = std::sync::Arc::new(descriptor);
    let writers: Vec<_> = (1..4)
        .map(|mark| {
            let descriptor = descriptor.clone();
            blocked(&rig, move |device| device.write(&descriptor, &User::holding(&packet4(mark, 100))))
        })
        .collect();
    // One change makes room for all: each woken writer must wake the next.
    rig.device.set_to_stack_limits(Limits::DEFAULT);
    for writer in writers {
        assert_eq!(writer.result(), Ok(100));
    }
    assert_eq!(rig.device.statistics().to_stack_queued.packets, 4);
}

#[test]
fn a_blocked_receive_gets_the_frame_that_comes() {
    let (rig, descriptor) = rig();
    let receiver = blocked(&rig, |device| device.receive().map(|packet| packet.bytes().to_vec()));
    rig.write(&descriptor, &packet4(7, 40)).unwrap();
    assert_eq!(receiver.result(), Ok(frame(IPV4, &packet4(7, 40))));
}

#[test]
fn writing_to_an_interface_that_is_down_fails_at_once_even_if_it_may_wait() {
    let rig = Rig::<ToyTun>::new();
    let descriptor = rig.device.open(Blocking::Wait).unwrap();
    let before = rig.world.allocations();
    // Without an interface; with one that is not up; with one that was up.
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    rig.device.attach();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    rig.device.up(INTERFACE);
    rig.device.down();
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    assert_eq!(rig.world.allocations(), before);
    assert_eq!(rig.device.statistics().to_stack.accepted, 0);
    assert_eq!(failed(rig.receive()), Error::NetworkDown);
}
