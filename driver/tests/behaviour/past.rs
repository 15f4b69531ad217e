//! The named past: a test for each fault of the two earlier drivers, by its name. Those that are of Haiku's side of the
//! driver are in `tests/tests/e2e/past.rs`, and those that are a matter of the moment are tried at every moment in
//! `loom_models`; `docs/reliability.md` lists all.

use tuntap_driver::{Blocking, Error, Event, Limits};

use crate::fake::{self, Entry, INTERFACE, IPV4, Rig, ToyTun, User, frame, packet4};
use crate::{about_to_block, blocked, failed};

const ONE: Limits = Limits { packets: 1, bytes: 1 << 20 };

fn rig() -> (Rig<ToyTun>, tuntap_driver::Descriptor) {
    Rig::running(Blocking::DontWait)
}

/// The queue was TCP's, of bytes: two packets could be read as one.
#[test]
fn merged_packets() {
    let (rig, descriptor) = rig();
    for mark in 0..3 {
        rig.send(&frame(IPV4, &packet4(mark, 30))).unwrap();
        rig.write(&descriptor, &packet4(mark, 30)).unwrap();
    }
    for mark in 0..3 {
        assert_eq!(rig.read(&descriptor), Ok(packet4(mark, 30)));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(mark, 30))));
    }
}

/// Adding a packet did not notify the waiters in select: they slept until their timeout.
#[test]
fn select_without_notification() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    let entry = Entry::new();
    for event in [Event::Read, Event::Write] {
        rig.device.select(entry.sync(), event);
        assert_eq!(entry.told(event), 0);
    }
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!((entry.told(Event::Read), entry.told(Event::Write)), (1, 0));
    rig.receive().unwrap();
    assert_eq!((entry.told(Event::Read), entry.told(Event::Write)), (0, 1));
    for event in [Event::Read, Event::Write] {
        rig.device.deselect(entry.sync(), event);
    }
}

/// The reader looked under one lock and slept under another: a packet that came in between did not wake it.
#[test]
fn lost_wake_up_in_wait() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    let read = about_to_block(
        &rig,
        move |device| fake::read(device, &descriptor),
        || rig.send(&frame(IPV4, &packet4(1, 40))).unwrap(),
    );
    assert_eq!(read, Ok(packet4(1, 40)));
}

/// A read that found nothing and would not wait returned 0, which is the end of the file.
#[test]
fn wrong_end_of_file() {
    let (rig, descriptor) = rig();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    rig.send(&frame(IPV4, &[])).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock, "nor does a frame without a packet become one");
    rig.device.close();
    assert_eq!(failed(rig.read(&descriptor)), Error::Closed, "nor a close");
    rig.device.free();
}

/// Writing was always said to be possible, and then failed.
#[test]
fn false_write_readiness() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(Limits { packets: 3, bytes: 1 << 20 });
    let ready = || {
        let entry = Entry::new();
        rig.device.select(entry.sync(), Event::Write);
        rig.device.deselect(entry.sync(), Event::Write);
        entry.told(Event::Write) > 0
    };
    for mark in 0..3 {
        assert!(ready());
        assert_eq!(rig.write(&descriptor, &packet4(mark, 1500)), Ok(1500));
    }
    assert!(!ready());
    assert_eq!(rig.write(&descriptor, &packet4(3, 1500)), Err(Error::WouldBlock));
    rig.device.down();
    assert!(!ready(), "nor is an interface that is down");
}

/// The queues were never emptied: the next opener of the unit read packets for the previous one.
#[test]
fn stale_packets_for_a_new_opener() {
    let (rig, _) = rig();
    for mark in 0..3 {
        rig.send(&frame(IPV4, &packet4(mark, 40))).unwrap();
    }
    rig.close_and_free();
    let next = rig.device.open(Blocking::DontWait).unwrap();
    assert_eq!(failed(rig.read(&next)), Error::WouldBlock);
}

/// A write of any length was allocated and copied before it was refused.
#[test]
fn allocation_before_refusal() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    let before = rig.world.allocations();
    assert_eq!(rig.write(&descriptor, &vec![0x45; 1 << 20]), Err(Error::TooLong));
    assert_eq!(rig.write(&descriptor, &[0x15; 40]), Err(Error::Invalid));
    assert_eq!(rig.write(&descriptor, &packet4(2, 40)), Err(Error::WouldBlock));
    rig.device.down();
    assert_eq!(rig.write(&descriptor, &packet4(2, 40)), Err(Error::NetworkDown));
    assert_eq!(rig.world.allocations(), before);
}

/// A copy that failed left its buffer behind.
#[test]
fn leak_on_a_faulting_buffer() {
    let (rig, descriptor) = rig();
    for fault in [0..1, 50..51, 99..100] {
        let memory = User::holding(&packet4(1, 100)).faulting(fault.clone());
        assert_eq!(rig.device.write(&descriptor, &memory), Err(Error::BadAddress));
        rig.send(&frame(IPV4, &packet4(1, 100))).unwrap();
        let memory = User::room(100).faulting(fault);
        assert_eq!(rig.device.read(&descriptor, &memory), Err(Error::BadAddress));
        assert_eq!(rig.world.packets(), 0, "a packet was left behind");
    }
}

/// An interface that was deleted under an open descriptor was used after it was freed.
#[test]
fn delete_while_open() {
    let rig = Rig::<ToyTun>::new();
    let attachment = rig.device.attach();
    rig.device.up(INTERFACE);
    let descriptor = rig.device.open(Blocking::Wait).unwrap();
    let reader = blocked(&rig, move |device| (fake::read(device, &descriptor), descriptor));
    rig.device.detach(attachment);
    let (read, descriptor) = reader.result();
    assert_eq!(failed(read), Error::Gone);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Gone));
    assert!(!rig.device.is_idle(), "the unit lives as long as its descriptor");
    rig.device.attach();
    rig.device.up(INTERFACE);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Ok(40));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 40))));
}

/// A reader of the stack's that was just about to wait was not woken by `down`, and `ifconfig` waited for it for ever.
#[test]
fn down_that_misses_its_reader() {
    let (rig, _) = rig();
    let received = about_to_block(&rig, |device| device.receive().err(), || rig.device.down());
    assert_eq!(received, Some(Error::NetworkDown));
}
