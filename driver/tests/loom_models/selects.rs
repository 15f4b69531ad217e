//! Readiness: every select is notified, with any calls at the same time.

use tuntap_driver::{Blocking, Descriptor, Error, Event};

use crate::fake::{Entry, Shared, ToyTun, User, packet4, read};
use crate::{Stage, explore, join};

/// Selects until the descriptor can be read, and reads.
fn select_and_read(device: &Shared<ToyTun>, descriptor: &Descriptor) -> Vec<u8> {
    loop {
        let entry = Entry::new();
        device.select(entry.sync(), Event::Read);
        entry.wait();
        device.deselect(entry.sync(), Event::Read);
        match read(device, descriptor) {
            Ok(packet) => return packet,
            Err(error) => assert_eq!(error, Error::WouldBlock),
        }
    }
}

#[test]
fn a_select_for_reading_misses_no_packet() {
    explore(|| {
        let stage = Stage::new();
        stage.descriptor.set_blocking(Blocking::DontWait);
        let (one, two) = (stage.thread(select_and_read), stage.thread(select_and_read));
        stage.send(1).unwrap();
        stage.send(2).unwrap();
        let mut got = [join(one), join(two)];
        got.sort();
        assert_eq!(got, [packet4(1, 20), packet4(2, 20)]);
    });
}

#[test]
fn a_select_for_writing_misses_no_room() {
    explore(|| {
        let stage = Stage::full();
        let writer = stage.thread(|device, descriptor| {
            select_and_wait(device, Event::Write);
            // The only writer there is: room that it was told of is room that it has.
            descriptor.set_blocking(Blocking::DontWait);
            device.write(descriptor, &User::holding(&packet4(1, 20)))
        });
        assert_eq!(stage.receive(), Ok(0));
        assert_eq!(join(writer), Ok(20));
        assert_eq!(stage.receive(), Ok(1));
    });
}

/// Selects for an event until it is notified.
fn select_and_wait(device: &Shared<ToyTun>, event: Event) {
    let entry = Entry::new();
    device.select(entry.sync(), event);
    entry.wait();
    device.deselect(entry.sync(), event);
}

#[test]
fn a_select_misses_no_close() {
    explore(|| {
        let stage = Stage::new();
        let threads = [Event::Read, Event::Disconnected];
        let threads = threads.map(|event| stage.thread(move |device, _| select_and_wait(device, event)));
        stage.rig.device.close();
        threads.into_iter().for_each(join);
        stage.rig.device.free();
    });
}

#[test]
fn a_select_misses_no_removal() {
    explore(|| {
        let stage = Stage::new();
        let attachment = stage.rig.device.attach();
        let threads = [Event::Read, Event::Error];
        let threads = threads.map(|event| stage.thread(move |device, _| select_and_wait(device, event)));
        stage.rig.device.detach(attachment);
        threads.into_iter().for_each(join);
    });
}

#[test]
fn one_select_taken_out_takes_no_notification_from_another() {
    explore(|| {
        let stage = Stage::new();
        let waits = stage.thread(|device, descriptor| {
            descriptor.set_blocking(Blocking::DontWait);
            select_and_read(device, descriptor)
        });
        let leaves = stage.thread(|device, _| {
            let entry = Entry::new();
            device.select(entry.sync(), Event::Read);
            device.deselect(entry.sync(), Event::Read);
        });
        stage.send(1).unwrap();
        assert_eq!(join(waits), packet4(1, 20));
        join(leaves);
    });
}

/// The kernel frees a select as soon as `deselect` has returned: [`Entry`] panics if it is notified after that.
#[test]
fn a_select_is_not_notified_after_it_was_taken_out() {
    explore(|| {
        let stage = Stage::new();
        let leaves = stage.thread(|device, _| {
            let entry = Entry::new();
            device.select(entry.sync(), Event::Read);
            device.deselect(entry.sync(), Event::Read);
            drop(entry);
        });
        stage.send(1).unwrap();
        join(leaves);
    });
}

#[test]
fn a_select_is_not_notified_of_a_hang_up_after_it_was_taken_out() {
    explore(|| {
        let stage = Stage::new();
        let leaves = stage.thread(|device, _| {
            let entry = Entry::new();
            device.select(entry.sync(), Event::Disconnected);
            device.deselect(entry.sync(), Event::Disconnected);
            drop(entry);
        });
        stage.rig.device.close();
        join(leaves);
        stage.rig.device.free();
    });
}
