//! Open, close and free.

use tuntap_driver::{Blocking, DropReason, Error, Limits, WaitPoints};

use crate::fake::{self, Fake, INTERFACE, IPV4, Rig, ToyTun, User, World, frame, packet4};
use crate::{about_to_block, blocked, failed, three_readers};

#[test]
fn a_unit_has_one_opener_until_it_is_freed() {
    let rig = Rig::<ToyTun>::new();
    assert!(rig.device.is_idle());
    rig.device.open(Blocking::Wait).unwrap();
    assert!(!rig.device.is_idle());
    assert_eq!(rig.device.open(Blocking::Wait).unwrap_err(), Error::Busy);
    // Another thread may still be inside a call of the closed descriptor.
    rig.device.close();
    assert!(!rig.device.is_idle());
    assert_eq!(rig.device.open(Blocking::Wait).unwrap_err(), Error::Busy);
    rig.device.free();
    assert!(rig.device.is_idle());
    rig.device.open(Blocking::DontWait).unwrap();
    rig.close_and_free();
}

#[test]
fn whether_calls_wait_belongs_to_the_open_and_not_to_the_device() {
    let rig = Rig::<ToyTun>::new();
    let first = rig.device.open(Blocking::DontWait).unwrap();
    assert_eq!(first.blocking(), Blocking::DontWait);
    rig.close_and_free();
    let second = rig.device.open(Blocking::Wait).unwrap();
    assert_eq!((first.blocking(), second.blocking()), (Blocking::DontWait, Blocking::Wait));
    rig.close_and_free();
}

#[test]
fn close_wakes_blocked_readers() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let readers = three_readers(&rig, descriptor);
    rig.device.close();
    for reader in readers {
        assert_eq!(failed(reader.result()), Error::Closed);
    }
    rig.device.free();
}

#[test]
fn close_wakes_a_reader_that_is_just_about_to_block() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let read = about_to_block(&rig, move |device| fake::read(device, &descriptor), || rig.device.close());
    assert_eq!(failed(read), Error::Closed);
    rig.device.free();
}

#[test]
fn close_wakes_blocked_writers_whose_packets_are_not_sent() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 0 });
    rig.write(&descriptor, &packet4(0, 40)).unwrap();
    let descriptor = std::sync::Arc::new(descriptor);
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let descriptor = descriptor.clone();
            blocked(&rig, move |device| device.write(&descriptor, &User::holding(&packet4(1, 40))))
        })
        .collect();
    rig.device.close();
    for writer in writers {
        assert_eq!(writer.result(), Err(Error::Closed));
    }
    rig.device.free();
    assert_eq!(rig.device.statistics().to_stack.accepted, 1);
}

#[test]
fn what_was_written_before_close_still_arrives() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    rig.close_and_free();
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 40))));
}

#[test]
fn a_closed_descriptor_fails_every_call_until_it_is_freed() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.close();
    assert_eq!(failed(rig.read(&descriptor)), Error::Closed);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Closed));
    rig.device.free();
}

#[test]
fn a_new_opener_gets_no_packets_of_the_previous_one() {
    let (rig, first) = Rig::<ToyTun>::running(Blocking::DontWait);
    for mark in 0..3 {
        rig.send(&frame(IPV4, &packet4(mark, 40))).unwrap();
    }
    assert_eq!(rig.read(&first), Ok(packet4(0, 40)));
    rig.device.close();
    assert_eq!(rig.send(&frame(IPV4, &packet4(3, 40))), Err(DropReason::NoProgram));
    rig.device.free();
    assert_eq!(rig.send(&frame(IPV4, &packet4(4, 40))), Err(DropReason::NoProgram));
    assert_eq!(rig.device.statistics().to_user.purged, 2);
    let second = rig.device.open(Blocking::DontWait).unwrap();
    assert_eq!(failed(rig.read(&second)), Error::WouldBlock);
    rig.send(&frame(IPV4, &packet4(5, 40))).unwrap();
    assert_eq!(rig.read(&second), Ok(packet4(5, 40)));
}

#[test]
fn a_frame_is_dropped_while_no_program_has_the_unit_open() {
    let rig = Rig::<ToyTun>::new();
    rig.device.attach();
    rig.device.up(INTERFACE);
    assert_eq!(rig.send(&frame(IPV4, &packet4(1, 40))), Err(DropReason::NoProgram));
    assert_eq!(rig.world.packets(), 0, "the frame was freed");
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.accepted, counters.dropped(DropReason::NoProgram)), (1, 1));
}

#[test]
fn the_link_works_while_a_program_has_the_unit_open_and_does_not_say_otherwise() {
    let rig = Rig::<ToyTun>::new();
    assert!(!rig.device.has_link());
    rig.device.open(Blocking::Wait).unwrap();
    assert!(rig.device.has_link());
    rig.device.set_carrier(false);
    assert!(!rig.device.has_link());
    rig.device.set_carrier(true);
    assert!(rig.device.has_link());
    rig.device.set_carrier(false);
    rig.device.close();
    assert!(!rig.device.has_link());
    rig.device.free();
    // What one opener said of the link is not held against the next.
    rig.device.open(Blocking::Wait).unwrap();
    assert!(rig.device.has_link());
    rig.close_and_free();
}

#[test]
fn a_device_that_gets_no_semaphores_is_not_made_and_leaks_nothing() {
    let world = World::new();
    let before = world.allocations();
    drop(WaitPoints::<Fake>::new().unwrap());
    let allocations = world.allocations() - before;
    assert_eq!(allocations, 3);
    for n in 0..allocations {
        world.fail_allocation(n as i64);
        assert_eq!(WaitPoints::<Fake>::new().err(), Some(Error::NoMemory));
    }
}
