//! What a packet costs: sections of the lock, allocations, wakes, cache lines.

use tuntap_driver::{Batch, Blocking, Descriptor, Device, Limits};

use crate::blocked;
use crate::fake::{Fake, IPV4, Rig, ToyTap, ToyTun, User, frame, packet4, read};

fn rig() -> (Rig<ToyTun>, Descriptor) {
    Rig::running(Blocking::DontWait)
}

/// How many sections of a spinning lock a call takes.
fn sections<R>(rig: &Rig<ToyTun>, call: impl FnOnce() -> R) -> usize {
    let before = rig.world.sections();
    call();
    rig.world.sections() - before
}

#[test]
fn a_packet_costs_one_section_on_either_end_of_either_direction() {
    let (rig, descriptor) = rig();
    for length in [20, 1400] {
        assert_eq!(sections(&rig, || rig.write(&descriptor, &packet4(1, length)).unwrap()), 1);
        assert_eq!(sections(&rig, || rig.receive().unwrap()), 1);
        assert_eq!(sections(&rig, || rig.send(&frame(IPV4, &packet4(1, length))).unwrap()), 1);
        assert_eq!(sections(&rig, || rig.read(&descriptor).unwrap()), 1);
    }
}

/// The records of so many packets of 20 bytes.
fn records(packets: usize) -> Vec<u8> {
    [&20_u32.to_ne_bytes()[..], &packet4(1, 20)].concat().repeat(packets)
}

#[test]
fn a_batch_costs_one_section_for_sixteen_packets() {
    let (rig, descriptor) = rig();
    for (packets, runs) in [(1, 1), (16, 1), (17, 2), (32, 2), (128, 8)] {
        let user = User::holding(&records(packets));
        let written = || assert_eq!(rig.device.write_batch(&descriptor, &user, 200).unwrap().packets, packets as u32);
        assert_eq!(sections(&rig, written), runs, "{packets} written");
        for _ in 0..packets {
            rig.receive().unwrap();
            rig.send(&frame(IPV4, &packet4(1, 20))).unwrap();
        }
        let user = User::room(24 * packets);
        let read =
            || assert_eq!(rig.device.read_batch(&descriptor, &user, packets as u32).unwrap().packets, packets as u32);
        assert_eq!(sections(&rig, read), runs, "{packets} read");
    }
}

#[test]
fn a_packet_costs_the_allocation_of_its_buffer_and_no_other() {
    let (rig, descriptor) = rig();
    for length in [1, 40, 1500] {
        let before = rig.world.allocations();
        rig.write(&descriptor, &packet4(1, length)).unwrap();
        assert_eq!(rig.world.allocations() - before, 1, "{length} bytes written");
        rig.receive().unwrap();
        rig.send(&frame(IPV4, &packet4(1, length))).unwrap();
        rig.read(&descriptor).unwrap();
        assert_eq!(rig.world.allocations() - before, 1, "{length} bytes sent and read");
    }
}

#[test]
fn a_thread_that_does_not_wait_is_not_woken() {
    let (rig, descriptor) = rig();
    for _ in 0..40 {
        rig.write(&descriptor, &packet4(1, 20)).unwrap();
        rig.send(&frame(IPV4, &packet4(1, 20))).unwrap();
    }
    for _ in 0..40 {
        rig.receive().unwrap();
        rig.read(&descriptor).unwrap();
    }
    assert_eq!(rig.world.wakes(), 0);
}

#[test]
fn a_reader_is_woken_once_however_much_comes() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let reader = blocked(&rig, move |device| read(device, &descriptor));
    for mark in 0..3 {
        rig.send(&frame(IPV4, &packet4(mark, 20))).unwrap();
    }
    assert_eq!(reader.result(), Ok(packet4(0, 20)));
    assert_eq!(rig.world.wakes(), 1);
}

#[test]
fn a_run_of_a_batch_wakes_the_stack_once() {
    let (rig, descriptor) = rig();
    let receiver = blocked(&rig, |device| (0..16).all(|_| device.receive().is_ok()));
    assert_eq!(rig.device.write_batch(&descriptor, &User::holding(&records(16)), 16).unwrap().packets, 16);
    assert!(receiver.result());
    assert_eq!(rig.world.wakes(), 1);
}

#[test]
fn a_writer_that_waits_is_woken_when_half_of_the_queue_is_free() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(Limits { packets: 40, bytes: 1 << 20 });
    let user = User::holding(&records(50));
    let writer = blocked(&rig, move |device| device.write_batch(&descriptor, &user, 50));
    for taken in 1..20 {
        rig.receive().unwrap();
        assert_eq!(rig.world.wakes(), 0, "woken when {taken} of 40 were taken");
        assert_eq!(rig.world.sleepers(), 1);
    }
    rig.receive().unwrap();
    assert_eq!(writer.result(), Ok(Batch { packets: 50, bytes: 50 * 24 }));
    assert_eq!(rig.world.wakes(), 1);
}

#[test]
fn the_directions_share_no_cache_line() {
    assert_eq!(align_of::<Device<ToyTun, Fake>>() % 64, 0);
    assert_eq!(align_of::<Device<ToyTap, Fake>>() % 64, 0);
}
