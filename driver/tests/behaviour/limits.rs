//! How much the queues hold.

use tuntap_driver::{Backlog, Blocking, Error, Limits, Mode};

use crate::fake::{self, IPV4, Rig, ToyTap, ToyTun, frame, packet4};

/// Fills the queue to the program with frames of `length` bytes; returns how many it took.
fn fill_to_user(rig: &Rig<ToyTun>, length: usize) -> u32 {
    let frame = frame(IPV4, &packet4(1, length - 14));
    (0..).find(|_| rig.send(&frame) == Err(Error::QueueFull)).unwrap()
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
fn a_full_queue_hands_the_frame_back_and_counts_it() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_user_limits(Limits { packets: 1, bytes: 1 << 20 });
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    let refused = frame(IPV4, &packet4(2, 40));
    let error = rig.device.send(fake::Packet::new(&refused)).unwrap_err();
    assert_eq!((error.error, error.packet.bytes()), (Error::QueueFull, &refused[..]));
    drop(error);
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.accepted, counters.refused_full, counters.refused_down), (1, 1, 0));
    assert_eq!(rig.read(&descriptor), Ok(packet4(1, 40)));
    rig.send(&frame(IPV4, &packet4(3, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 40)));
}

#[test]
fn bytes_are_limited_as_well_as_packets() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_user_limits(Limits { packets: 100, bytes: 1000 });
    assert_eq!(fill_to_user(&rig, 100), 10);
    // In the other direction there is room only if the longest packet would fit: writability is promised for any.
    rig.device.set_mtu(86).unwrap();
    rig.device.set_to_stack_limits(Limits { packets: 100, bytes: 1000 });
    assert_eq!(fill_to_stack(&rig, &descriptor, &packet4(1, 86)), 10);
    assert_eq!(rig.device.statistics().to_stack_queued, Backlog { packets: 10, bytes: 1000, next: 100 });
}

#[test]
fn one_packet_of_the_largest_size_always_fits() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_mtu(65535).unwrap();
    let none = Limits { packets: 0, bytes: 0 };
    rig.device.set_to_user_limits(none);
    rig.device.set_to_stack_limits(none);
    assert_eq!(rig.device.limits().0.packets, 1);
    assert_eq!(fill_to_user(&rig, 65535 + 14), 1);
    assert_eq!(fill_to_stack(&rig, &descriptor, &packet4(1, 65535)), 1);
}

#[test]
fn the_longest_frame_a_program_may_write_is_what_room_is_kept_for() {
    // Two frames with a tag do not fit, so the second must wait, though two without one would fit.
    let (rig, descriptor) = Rig::<ToyTap>::running(Blocking::DontWait);
    rig.device.set_to_stack_limits(Limits { packets: 100, bytes: 2 * 1518 - 1 });
    assert_eq!(fill_to_stack(&rig, &descriptor, &frame(IPV4, &packet4(1, 1504))), 1);
    rig.device.set_to_stack_limits(Limits { packets: 100, bytes: 2 * 1518 });
    assert_eq!(fill_to_stack(&rig, &descriptor, &frame(IPV4, &packet4(1, 1504))), 1);
    assert_eq!(rig.device.statistics().to_stack_queued.bytes, 2 * 1518);
    // The same after the MTU was set by name.
    rig.device.set_mtu(1000).unwrap();
    rig.device.down();
    rig.device.up();
    rig.device.set_to_stack_limits(Limits { packets: 100, bytes: 2 * 1018 - 1 });
    assert_eq!(fill_to_stack(&rig, &descriptor, &frame(IPV4, &packet4(1, 1004))), 1);
}

#[test]
fn lower_limits_keep_what_is_queued_and_refuse_what_comes() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    for mark in 0..4 {
        rig.send(&frame(IPV4, &packet4(mark, 40))).unwrap();
    }
    rig.device.set_to_user_limits(Limits { packets: 2, bytes: 1 << 20 });
    for mark in 0..3 {
        assert_eq!(rig.send(&frame(IPV4, &packet4(9, 40))), Err(Error::QueueFull));
        assert_eq!(rig.read(&descriptor), Ok(packet4(mark, 40)));
    }
    rig.send(&frame(IPV4, &packet4(5, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 40)));
    assert_eq!(rig.read(&descriptor), Ok(packet4(5, 40)));
}
