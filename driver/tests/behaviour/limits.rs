//! How much the queues hold.

use tuntap_driver::{Backlog, Blocking, DropReason, Error, Limits, Mode};

use crate::fake::{IPV4, Rig, ToyTun, frame, packet4};

/// Fills the queue to the program with frames of `length` bytes; returns how many it took.
fn fill_to_user(rig: &Rig<ToyTun>, length: usize) -> u32 {
    let frame = frame(IPV4, &packet4(1, length - 14));
    (0..).find(|_| rig.send(&frame) == Err(DropReason::Full)).unwrap()
}

/// The same for the queue to the stack.
fn fill_to_stack<M: Mode>(rig: &Rig<M>, descriptor: &tuntap_driver::Descriptor, packet: &[u8]) -> u32 {
    (0..).find(|_| rig.write(descriptor, packet) == Err(Error::WouldBlock)).unwrap()
}

#[test]
fn the_defaults_are_512_packets_and_a_mebibyte_each_way() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let default = Limits { packets: 512, bytes: 1 << 20 };
    assert_eq!(rig.device.limits(), (default, default));
    assert_eq!(fill_to_user(&rig, 64), 512);
    assert_eq!(fill_to_stack(&rig, &descriptor, &packet4(1, 50)), 512);
}

#[test]
fn a_full_queue_drops_the_frame_and_counts_it() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_user_limits(Limits { packets: 1, bytes: 1 << 20 });
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(rig.send(&frame(IPV4, &packet4(2, 40))), Err(DropReason::Full));
    assert_eq!(rig.world.packets(), 1, "the frame was freed");
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.accepted, counters.dropped(DropReason::Full)), (2, 1));
    assert_eq!(rig.read(&descriptor), Ok(packet4(1, 40)));
    rig.send(&frame(IPV4, &packet4(3, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 40)));
}

#[test]
fn a_queue_takes_packets_while_it_holds_fewer_bytes_than_its_limit() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_user_limits(Limits { packets: 100, bytes: 1001 });
    assert_eq!(fill_to_user(&rig, 100), 11);
    rig.device.set_to_stack_limits(Limits { packets: 100, bytes: 1000 });
    assert_eq!(fill_to_stack(&rig, &descriptor, &packet4(1, 86)), 10);
    assert_eq!(rig.device.statistics().to_stack_queued, Backlog { packets: 10, bytes: 1000, next: 100 });
}

#[test]
fn one_packet_of_the_largest_size_always_fits() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let none = Limits { packets: 0, bytes: 0 };
    rig.device.set_to_user_limits(none);
    rig.device.set_to_stack_limits(none);
    assert_eq!(rig.device.limits().0.packets, 1);
    assert_eq!(fill_to_user(&rig, 65535 + 14), 1);
    assert_eq!(fill_to_stack(&rig, &descriptor, &packet4(1, 65535)), 1);
}

#[test]
fn lower_limits_keep_queued_packets_and_drop_new_ones() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    for mark in 0..4 {
        rig.send(&frame(IPV4, &packet4(mark, 40))).unwrap();
    }
    rig.device.set_to_user_limits(Limits { packets: 2, bytes: 1 << 20 });
    for mark in 0..3 {
        assert_eq!(rig.send(&frame(IPV4, &packet4(9, 40))), Err(DropReason::Full));
        assert_eq!(rig.read(&descriptor), Ok(packet4(mark, 40)));
    }
    rig.send(&frame(IPV4, &packet4(5, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 40)));
    assert_eq!(rig.read(&descriptor), Ok(packet4(5, 40)));
}
