//! Signals: they end a wait, and do not consume another waiter's wake.

use std::sync::Arc;

use tuntap_driver::{Blocking, Descriptor, Error, Limits};

use crate::fake::{self, IPV4, Rig, ToyTun, User, frame, packet4};
use crate::{Call, blocked, failed, signal_wins};

fn reader(rig: &Rig<ToyTun>, descriptor: &Arc<Descriptor>) -> Call<Result<Vec<u8>, Error>> {
    let descriptor = Arc::clone(descriptor);
    blocked(rig, move |device| fake::read(device, &descriptor))
}

/// A reader that is held before it sleeps, so that it finds all that came meanwhile.
fn held_reader(rig: &Rig<ToyTun>, descriptor: &Arc<Descriptor>) -> Call<Result<Vec<u8>, Error>> {
    rig.world.hold();
    let (device, descriptor) = (rig.share(), Arc::clone(descriptor));
    let call = Call::start(&rig.world, move || fake::read(&device, &descriptor));
    rig.world.until_held(1);
    call
}

fn rig() -> (Rig<ToyTun>, Arc<Descriptor>) {
    let (rig, descriptor) = Rig::running(Blocking::Wait);
    (rig, Arc::new(descriptor))
}

#[test]
fn a_signal_ends_a_blocked_read_and_the_next_one_works() {
    let (rig, descriptor) = rig();
    let call = reader(&rig, &descriptor);
    call.task.signal();
    assert_eq!(failed(call.result()), Error::Interrupted);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(1, 40)));
    let call = reader(&rig, &descriptor);
    rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
    assert_eq!(call.result(), Ok(packet4(2, 40)));
}

#[test]
fn a_signal_ends_a_blocked_write_whose_packet_is_not_sent() {
    let (rig, descriptor) = rig();
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 0 });
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    let call = blocked(&rig, move |device| device.write(&descriptor, &User::holding(&packet4(2, 40))));
    call.task.signal();
    assert_eq!(call.result(), Err(Error::Interrupted));
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 40))));
    assert_eq!(rig.device.statistics().to_stack_queued.packets, 0);
}

#[test]
fn the_stacks_reader_cannot_be_interrupted() {
    let (rig, descriptor) = rig();
    let call = blocked(&rig, |device| device.receive().map(|packet| packet.bytes().to_vec()));
    call.task.signal();
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(call.result(), Ok(frame(IPV4, &packet4(1, 40))));
}

#[test]
fn a_signal_and_a_packet_together_lose_neither_the_packet_nor_the_wake() {
    for wins in [false, true] {
        let (rig, descriptor) = rig();
        signal_wins(&rig.world, wins);
        let call = held_reader(&rig, &descriptor);
        rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
        call.task.signal();
        rig.world.release();
        if wins {
            assert_eq!(failed(call.result()), Error::Interrupted);
            assert_eq!(rig.read(&descriptor), Ok(packet4(1, 40)));
        } else {
            assert_eq!(call.result(), Ok(packet4(1, 40)));
        }
        // A wake left over that no signal forestalled would be found when the device goes.
    }
}

#[test]
fn wakes_that_signals_forestall_do_not_pile_up() {
    let (rig, descriptor) = rig();
    signal_wins(&rig.world, true);
    let before = rig.world.wakes();
    for mark in 0..100 {
        let call = held_reader(&rig, &descriptor);
        rig.send(&frame(IPV4, &packet4(mark, 40))).unwrap();
        call.task.signal();
        rig.world.release();
        assert_eq!(failed(call.result()), Error::Interrupted);
        assert_eq!(rig.read(&descriptor), Ok(packet4(mark, 40)));
    }
    // The first wake is never consumed, because every reader is signalled; it stays for the others.
    assert_eq!(rig.world.wakes() - before, 1);
    let call = reader(&rig, &descriptor);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    assert_eq!(call.result(), Ok(packet4(1, 40)));
    // Whether the packet came before that reader slept again or after.
    assert!((1..=2).contains(&(rig.world.wakes() - before)));
}

#[test]
fn a_signal_for_one_reader_leaves_the_packet_to_the_other() {
    for wins in [false, true] {
        let (rig, descriptor) = rig();
        signal_wins(&rig.world, wins);
        let (first, second) = (reader(&rig, &descriptor), reader(&rig, &descriptor));
        first.task.signal();
        assert_eq!(failed(first.result()), Error::Interrupted);
        rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
        assert_eq!(second.result(), Ok(packet4(1, 40)));
    }
}

#[test]
fn a_signal_and_close_together_end_the_call_once() {
    for wins in [false, true] {
        let (rig, descriptor) = rig();
        signal_wins(&rig.world, wins);
        let call = held_reader(&rig, &descriptor);
        rig.device.close();
        call.task.signal();
        rig.world.release();
        assert_eq!(failed(call.result()), if wins { Error::Interrupted } else { Error::Closed });
        rig.device.free();
    }
}
