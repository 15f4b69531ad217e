//! What selects are told: at once if the event holds, later when it begins to.

use tuntap_driver::{Blocking, Error, Event, Limits};

use crate::fake::{Entry, IPV4, Rig, ToyTun, frame, packet4};

const ONE: Limits = Limits { packets: 1, bytes: 1 << 20 };

#[test]
fn a_select_for_reading_is_told_at_once_if_there_is_a_packet() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    // Level: as often as somebody asks, until the packet is gone.
    for _ in 0..3 {
        let entry = Entry::new();
        rig.device.select(&entry, Event::Read).unwrap();
        assert_eq!(entry.told(Event::Read), 1);
        rig.device.deselect(&entry, Event::Read);
    }
    rig.read(&descriptor).unwrap();
    let entry = Entry::new();
    rig.device.select(&entry, Event::Read).unwrap();
    assert_eq!(entry.told(Event::Read), 0);
    rig.device.deselect(&entry, Event::Read);
}

#[test]
fn a_select_for_reading_is_told_when_the_first_packet_comes_and_once() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let entry = Entry::new();
    rig.device.select(&entry, Event::Read).unwrap();
    for _ in 0..2 {
        assert_eq!(entry.told(Event::Read), 0);
        rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
        assert_eq!(entry.told(Event::Read), 1);
        rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
        rig.read(&descriptor).unwrap();
        rig.read(&descriptor).unwrap();
    }
    assert_eq!((entry.told(Event::Read), entry.told(Event::Write)), (0, 0));
    rig.device.deselect(&entry, Event::Read);
}

#[test]
fn all_selects_that_wait_are_told() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    let entries = [Entry::new(), Entry::new(), Entry::new()];
    for entry in &entries {
        rig.device.select(entry, Event::Read).unwrap();
    }
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    for entry in &entries {
        assert_eq!(entry.told(Event::Read), 1);
        rig.device.deselect(entry, Event::Read);
    }
}

#[test]
fn one_that_was_taken_out_is_told_nothing_and_the_others_still_are() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let (out, stays) = (Entry::new(), Entry::new());
    rig.device.select(&out, Event::Read).unwrap();
    rig.device.select(&stays, Event::Read).unwrap();
    rig.device.deselect(&out, Event::Read);
    // Taken out twice, or never registered, is nothing to anybody.
    rig.device.deselect(&out, Event::Read);
    rig.device.deselect(&Entry::new(), Event::Read);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!((out.told(Event::Read), stays.told(Event::Read)), (0, 1));
    rig.device.deselect(&stays, Event::Read);
    rig.read(&descriptor).unwrap();
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!((out.told(Event::Read), stays.told(Event::Read)), (0, 0));
}

#[test]
fn writable_means_that_a_write_succeeds() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_stack_limits(Limits { packets: 100, bytes: 4 * 1514 + 1 });
    let mut written = 0;
    loop {
        let entry = Entry::new();
        rig.device.select(&entry, Event::Write).unwrap();
        rig.device.deselect(&entry, Event::Write);
        let longest = rig.write(&descriptor, &packet4(1, 1500));
        if entry.told(Event::Write) == 0 {
            assert_eq!(longest, Err(Error::WouldBlock));
            break;
        }
        assert_eq!(longest, Ok(1500));
        written += 1;
    }
    assert_eq!(written, 5);
}

#[test]
fn a_select_for_writing_is_told_when_there_is_room_again() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    let entry = Entry::new();
    rig.device.select(&entry, Event::Write).unwrap();
    assert_eq!(entry.told(Event::Write), 0);
    rig.receive().unwrap();
    assert_eq!((entry.told(Event::Write), entry.told(Event::Read)), (1, 0));
    // By other ways than a frame that is taken, too.
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    rig.device.set_to_stack_limits(Limits::DEFAULT);
    assert_eq!(entry.told(Event::Write), 1);
    rig.device.deselect(&entry, Event::Write);
}

#[test]
fn nothing_is_writable_while_the_interface_is_down() {
    let rig = Rig::<ToyTun>::new();
    let entry = Entry::new();
    rig.device.open(Blocking::Wait).unwrap();
    rig.device.select(&entry, Event::Write).unwrap();
    rig.device.attach();
    assert_eq!(entry.told(Event::Write), 0);
    rig.device.up();
    assert_eq!(entry.told(Event::Write), 1);
    rig.device.down();
    rig.device.up();
    assert_eq!(entry.told(Event::Write), 1);
    rig.device.deselect(&entry, Event::Write);
}

#[test]
fn close_ends_a_select_for_reading() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    let entry = Entry::new();
    rig.device.select(&entry, Event::Read).unwrap();
    rig.device.close();
    assert_eq!(entry.told(Event::Read), 1);
    rig.device.deselect(&entry, Event::Read);
    rig.device.free();
}

#[test]
fn a_select_that_finds_no_memory_is_not_registered() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    for event in [Event::Read, Event::Write, Event::Error, Event::Disconnected] {
        let entry = Entry::new();
        rig.world.fail_allocation(0);
        assert_eq!(rig.device.select(&entry, event), Err(Error::NoMemory));
        assert_eq!(entry.told(event), 0);
        rig.device.deselect(&entry, event);
    }
}
