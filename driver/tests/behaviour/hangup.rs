//! The interface is removed under an open descriptor.

use tuntap_driver::{Attachment, Blocking, Descriptor, Error, Event, Limits};

use crate::fake::{self, Entry, INTERFACE, IPV4, Rig, ToyTun, User, frame, packet4};
use crate::{about_to_block, blocked, failed};

fn rig(blocking: Blocking) -> (Rig<ToyTun>, Descriptor, Attachment) {
    let rig = Rig::new();
    let attachment = rig.device.attach();
    rig.device.up(INTERFACE);
    let descriptor = rig.device.open(blocking).unwrap();
    (rig, descriptor, attachment)
}

#[test]
fn a_lost_interface_is_reported_once_to_reads_and_once_to_writes() {
    let (rig, descriptor, attachment) = rig(Blocking::DontWait);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    rig.device.detach(attachment);
    assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Gone));
    // Then it waits for an interface as a fresh open does.
    for _ in 0..3 {
        assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
        assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    }
    rig.device.attach();
    rig.device.up(INTERFACE);
    rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(2, 40)));
    assert_eq!(rig.write(&descriptor, &packet4(3, 40)), Ok(40));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(3, 40))));
}

#[test]
fn a_lost_interface_is_reported_once_to_batches() {
    let (rig, descriptor, attachment) = rig(Blocking::DontWait);
    rig.device.detach(attachment);
    let records = || User::holding(&[&40_u32.to_ne_bytes()[..], &packet4(1, 40)].concat());
    let read = |rig: &Rig<ToyTun>| rig.device.read_batch(&descriptor, &User::room(100), 1).err();
    let write = |rig: &Rig<ToyTun>| rig.device.write_batch(&descriptor, &records(), 1).err();
    assert_eq!((read(&rig), write(&rig)), (Some(Error::Gone), Some(Error::Gone)));
    assert_eq!((read(&rig), write(&rig)), (Some(Error::WouldBlock), Some(Error::NetworkDown)));
}

#[test]
fn an_interface_that_comes_up_replaces_a_loss_that_was_not_reported() {
    let (rig, descriptor, attachment) = rig(Blocking::DontWait);
    rig.device.detach(attachment);
    rig.device.attach();
    rig.device.up(INTERFACE);
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Ok(40));
    rig.device.down();
}

#[test]
fn each_loss_is_reported() {
    let (rig, descriptor, attachment) = rig(Blocking::DontWait);
    rig.device.detach(attachment);
    assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
    let second = rig.device.attach();
    rig.device.up(INTERFACE);
    rig.device.detach(second);
    assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
}

#[test]
fn a_new_opener_after_the_interface_is_gone_waits_for_the_next() {
    let (rig, _, attachment) = rig(Blocking::Wait);
    rig.device.detach(attachment);
    rig.close_and_free();
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
}

#[test]
fn removal_wakes_blocked_readers() {
    let (rig, descriptor, attachment) = rig(Blocking::Wait);
    let reader = blocked(&rig, move |device| fake::read(device, &descriptor));
    rig.device.detach(attachment);
    assert_eq!(failed(reader.result()), Error::Gone);
}

#[test]
fn removal_wakes_a_reader_that_is_just_about_to_block() {
    let (rig, descriptor, attachment) = rig(Blocking::Wait);
    let read = about_to_block(&rig, move |device| fake::read(device, &descriptor), || rig.device.detach(attachment));
    assert_eq!(failed(read), Error::Gone);
}

#[test]
fn down_and_removal_wake_blocked_writers() {
    for removal in [false, true] {
        let (rig, descriptor, attachment) = rig(Blocking::Wait);
        rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 0 });
        rig.write(&descriptor, &packet4(0, 40)).unwrap();
        let writer = blocked(&rig, move |device| device.write(&descriptor, &User::holding(&packet4(1, 40))));
        if removal {
            rig.device.detach(attachment);
            assert_eq!(writer.result(), Err(Error::Gone));
        } else {
            rig.device.down();
            assert_eq!(writer.result(), Err(Error::NetworkDown));
        }
    }
}

#[test]
fn a_closed_descriptor_is_closed_whether_or_not_its_interface_is_gone() {
    let (rig, descriptor, attachment) = rig(Blocking::Wait);
    rig.device.detach(attachment);
    rig.device.close();
    assert_eq!(failed(rig.read(&descriptor)), Error::Closed);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Closed));
    rig.device.free();
}

#[test]
fn a_removal_between_close_and_free_is_not_the_next_openers_affair() {
    let (rig, _, attachment) = rig(Blocking::Wait);
    rig.device.close();
    rig.device.detach(attachment);
    rig.device.free();
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
}

#[test]
fn hang_up_holds_from_removal_until_an_interface_is_up_again() {
    let (rig, _, attachment) = rig(Blocking::Wait);
    let device = &rig.device;
    let early = Entry::new();
    device.select(early.sync(), Event::Disconnected);
    assert_eq!(early.told(Event::Disconnected), 0);
    device.detach(attachment);
    assert_eq!(early.told(Event::Disconnected), 1);
    let late = Entry::new();
    device.select(late.sync(), Event::Disconnected);
    assert_eq!(late.told(Event::Disconnected), 1);
    device.deselect(late.sync(), Event::Disconnected);
    device.attach();
    device.up(INTERFACE);
    device.select(late.sync(), Event::Disconnected);
    assert_eq!(late.told(Event::Disconnected), 0);
    device.deselect(early.sync(), Event::Disconnected);
    device.deselect(late.sync(), Event::Disconnected);
}

#[test]
fn hang_up_ends_with_the_first_call_that_reports_it() {
    for reads in [true, false] {
        let (rig, descriptor, attachment) = rig(Blocking::DontWait);
        rig.device.detach(attachment);
        let holds = |event| {
            let entry = Entry::new();
            rig.device.select(entry.sync(), event);
            rig.device.deselect(entry.sync(), event);
            entry.told(event) > 0
        };
        assert!(holds(Event::Disconnected) && holds(Event::Error) && holds(Event::Read));
        if reads {
            assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
        } else {
            assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::Gone));
        }
        assert!(!holds(Event::Disconnected) && !holds(Event::Error) && !holds(Event::Write));
        assert_eq!(holds(Event::Read), !reads, "a read that has yet to report the loss would not wait");
    }
}

#[test]
fn hang_up_is_told_on_close() {
    let (rig, _, _) = rig(Blocking::Wait);
    let entry = Entry::new();
    rig.device.select(entry.sync(), Event::Disconnected);
    rig.device.close();
    assert_eq!(entry.told(Event::Disconnected), 1);
    rig.device.deselect(entry.sync(), Event::Disconnected);
    rig.device.free();
}

#[test]
fn a_select_for_reading_is_notified_of_the_removal() {
    let (rig, _, attachment) = rig(Blocking::Wait);
    let entry = Entry::new();
    rig.device.select(entry.sync(), Event::Read);
    rig.device.detach(attachment);
    assert_eq!(entry.told(Event::Read), 1);
    rig.device.deselect(entry.sync(), Event::Read);
}

#[test]
fn a_select_for_writing_is_notified_of_the_removal_as_an_error() {
    // Haiku's select for writing waits for Write and Error, not for Disconnected: without Error it would wait on,
    // though a write fails at once.
    let (rig, _, attachment) = rig(Blocking::Wait);
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 0 });
    let (early, late) = (Entry::new(), Entry::new());
    rig.device.select(early.sync(), Event::Error);
    assert_eq!(early.told(Event::Error), 0);
    rig.device.detach(attachment);
    assert_eq!(early.told(Event::Error), 1);
    rig.device.select(late.sync(), Event::Error);
    assert_eq!(late.told(Event::Error), 1);
    rig.device.deselect(early.sync(), Event::Error);
    rig.device.deselect(late.sync(), Event::Error);
    rig.device.attach();
    rig.device.up(INTERFACE);
    rig.device.select(late.sync(), Event::Error);
    assert_eq!(late.told(Event::Error), 0);
    rig.device.deselect(late.sync(), Event::Error);
}

/// Probes an interface that does not exist: Haiku makes it, reads its state, and removes it.
fn look(rig: &Rig<ToyTun>) {
    let attachment = rig.device.attach();
    rig.device.detach(attachment);
}

#[test]
fn probing_an_interface_does_not_hang_up_its_opener() {
    let rig = Rig::new();
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    let entry = Entry::new();
    for event in [Event::Read, Event::Error, Event::Disconnected] {
        rig.device.select(entry.sync(), event);
    }
    look(&rig);
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    for event in [Event::Read, Event::Error, Event::Disconnected] {
        assert_eq!(entry.told(event), 0, "{event:?}");
        rig.device.deselect(entry.sync(), event);
    }
}

#[test]
fn who_merely_looks_at_an_interface_does_not_hide_that_another_is_gone() {
    let (rig, descriptor, attachment) = rig(Blocking::Wait);
    rig.device.detach(attachment);
    look(&rig);
    assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
}

#[test]
fn the_loss_of_an_interface_that_was_up_is_reported_although_its_successor_never_came_up() {
    let (rig, descriptor, predecessor) = rig(Blocking::Wait);
    let successor = rig.device.attach();
    rig.device.detach(predecessor);
    rig.device.detach(successor);
    assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
}
