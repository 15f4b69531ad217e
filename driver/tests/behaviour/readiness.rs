//! Notifications of selects: at once if the event holds, later when it begins to hold.

use tuntap_driver::{Blocking, Error, Event, Limits};

use crate::fake::{Entry, INTERFACE, IPV4, Rig, ToyTun, frame, packet4};

const ONE: Limits = Limits { packets: 1, bytes: 1 << 20 };

#[test]
fn a_select_for_reading_is_notified_at_once_if_there_is_a_packet() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    // Level-triggered: each select is notified, until the packet is gone.
    for _ in 0..3 {
        let entry = Entry::new();
        rig.device.select(entry.sync(), Event::Read);
        assert_eq!(entry.told(Event::Read), 1);
        rig.device.deselect(entry.sync(), Event::Read);
    }
    rig.read(&descriptor).unwrap();
    let entry = Entry::new();
    rig.device.select(entry.sync(), Event::Read);
    assert_eq!(entry.told(Event::Read), 0);
    rig.device.deselect(entry.sync(), Event::Read);
}

#[test]
fn a_select_for_reading_is_notified_once_by_the_first_packet() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let entry = Entry::new();
    rig.device.select(entry.sync(), Event::Read);
    for _ in 0..2 {
        assert_eq!(entry.told(Event::Read), 0);
        rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
        assert_eq!(entry.told(Event::Read), 1);
        rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
        rig.read(&descriptor).unwrap();
        rig.read(&descriptor).unwrap();
    }
    assert_eq!((entry.told(Event::Read), entry.told(Event::Write)), (0, 0));
    rig.device.deselect(entry.sync(), Event::Read);
}

#[test]
fn all_waiting_selects_are_notified() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    let entries = [Entry::new(), Entry::new(), Entry::new()];
    for entry in &entries {
        rig.device.select(entry.sync(), Event::Read);
    }
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    for entry in &entries {
        assert_eq!(entry.told(Event::Read), 1);
        rig.device.deselect(entry.sync(), Event::Read);
    }
}

#[test]
fn a_deselected_select_is_not_notified_and_the_others_are() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let (out, stays) = (Entry::new(), Entry::new());
    rig.device.select(out.sync(), Event::Read);
    rig.device.select(stays.sync(), Event::Read);
    rig.device.deselect(out.sync(), Event::Read);
    // Deselecting twice, or without a registration, changes nothing.
    rig.device.deselect(out.sync(), Event::Read);
    rig.device.deselect(Entry::new().sync(), Event::Read);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!((out.told(Event::Read), stays.told(Event::Read)), (0, 1));
    rig.device.deselect(stays.sync(), Event::Read);
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
        rig.device.select(entry.sync(), Event::Write);
        rig.device.deselect(entry.sync(), Event::Write);
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
fn a_select_for_writing_is_notified_when_there_is_room() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_stack_limits(ONE);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    let entry = Entry::new();
    rig.device.select(entry.sync(), Event::Write);
    assert_eq!(entry.told(Event::Write), 0);
    rig.receive().unwrap();
    assert_eq!((entry.told(Event::Write), entry.told(Event::Read)), (1, 0));
    // By other ways than a frame that is taken, too.
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    rig.device.set_to_stack_limits(Limits::DEFAULT);
    assert_eq!(entry.told(Event::Write), 1);
    rig.device.deselect(entry.sync(), Event::Write);
}

#[test]
fn nothing_is_writable_while_the_interface_is_down() {
    let rig = Rig::<ToyTun>::new();
    let entry = Entry::new();
    rig.device.open(Blocking::Wait).unwrap();
    rig.device.select(entry.sync(), Event::Write);
    rig.device.attach();
    assert_eq!(entry.told(Event::Write), 0);
    rig.device.up(INTERFACE);
    assert_eq!(entry.told(Event::Write), 1);
    rig.device.down();
    rig.device.up(INTERFACE);
    assert_eq!(entry.told(Event::Write), 1);
    rig.device.deselect(entry.sync(), Event::Write);
}

#[test]
fn close_ends_a_select_for_reading() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    let entry = Entry::new();
    rig.device.select(entry.sync(), Event::Read);
    rig.device.close();
    assert_eq!(entry.told(Event::Read), 1);
    rig.device.deselect(entry.sync(), Event::Read);
    rig.device.free();
}

#[test]
fn a_select_without_a_free_slot_is_notified_at_once_and_takes_no_other_slot() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    let waiting: Vec<_> = (0..64).map(|_| Entry::new()).collect();
    for entry in &waiting {
        rig.device.select(entry.sync(), Event::Read);
        assert_eq!(entry.told(Event::Read), 0);
    }
    let spare = Entry::new();
    rig.device.select(spare.sync(), Event::Read);
    assert_eq!(spare.told(Event::Read), 1);
    for event in [Event::Error, Event::Disconnected] {
        rig.device.select(spare.sync(), event);
        assert_eq!(spare.told(event), 0, "nothing has gone wrong");
        rig.device.deselect(spare.sync(), event);
    }
    rig.device.deselect(spare.sync(), Event::Read);
    rig.device.deselect(waiting[7].sync(), Event::Read);
    rig.device.select(spare.sync(), Event::Read);
    assert_eq!(spare.told(Event::Read), 0);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(spare.told(Event::Read), 1);
    for (at, entry) in waiting.iter().enumerate() {
        assert_eq!(entry.told(Event::Read), u32::from(at != 7));
    }
}

#[test]
fn a_select_is_notified_of_an_event_until_it_is_deselected() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    let entry = Entry::new();
    for event in [Event::Read, Event::Error, Event::Disconnected] {
        rig.device.select(entry.sync(), event);
    }
    rig.device.deselect(entry.sync(), Event::Read);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(entry.told(Event::Read), 0);
    rig.device.deselect(entry.sync(), Event::Error);
    rig.device.close();
    assert_eq!((entry.told(Event::Error), entry.told(Event::Disconnected)), (0, 1));
    rig.device.free();
}

#[test]
fn registering_a_select_takes_one_lock_and_for_an_event_of_the_queue_a_second() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    let entry = Entry::new();
    let cost = |call: &dyn Fn()| {
        let before = (rig.world.sections(), rig.world.allocations());
        call();
        (rig.world.sections() - before.0, rig.world.allocations() - before.1)
    };
    for (event, sections) in [(Event::Read, 2), (Event::Write, 1), (Event::Error, 1), (Event::Disconnected, 1)] {
        assert_eq!(cost(&|| rig.device.select(entry.sync(), event)), (sections, 0), "{event:?}");
        assert_eq!(cost(&|| rig.device.deselect(entry.sync(), event)), (1, 0), "{event:?}");
    }
}
