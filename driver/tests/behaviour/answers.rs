//! Frames that the device answers itself, and frames that the mode drops.

use tuntap_driver::{Blocking, DropReason, Error, Limits};

use crate::fake::{ARP, INTERFACE, IPV4, OWN, Reason, Rig, ToyTap, ToyTun, dropped_by_mode, frame, packet4};
use crate::{blocked, failed};

fn answer() -> Vec<u8> {
    frame(ARP, &OWN)
}

#[test]
fn a_request_is_answered_inside_the_device() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    assert_eq!(rig.receive(), Ok(answer()));
    let statistics = rig.device.statistics();
    assert_eq!((statistics.to_user.accepted, statistics.to_user.answered), (1, 1));
    assert_eq!((statistics.to_stack.accepted, statistics.to_stack.delivered), (1, 1));
}

#[test]
fn an_answer_wakes_the_stacks_reader() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    let receiver = blocked(&rig, |device| device.receive().map(|packet| packet.bytes().to_vec()));
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(receiver.result(), Ok(answer()));
}

#[test]
fn a_request_is_answered_although_the_queue_to_the_program_is_full() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_user_limits(Limits { packets: 1, bytes: 0 });
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.receive(), Ok(answer()));
}

#[test]
fn a_queue_that_a_program_has_filled_takes_answers_in_places_of_their_own() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 0 });
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(rig.write(&descriptor, &packet4(2, 40)), Err(Error::WouldBlock));
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.device.statistics().to_user.answered, 1);
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 40))));
    assert_eq!(rig.receive(), Ok(answer()));
}

#[test]
fn an_answer_that_finds_no_place_is_dropped_and_counted_and_never_waits() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.set_to_stack_limits(Limits { packets: 1, bytes: 0 });
    for _ in 0..65 {
        rig.send(&frame(ARP, &[0; 28])).unwrap();
    }
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.answered, counters.dropped(DropReason::AnswerLost)), (65, 1));
    rig.check_accounts();
}

#[test]
fn an_answer_that_finds_no_memory_is_dropped_and_counted() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.world.fail_allocation(0);
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.device.statistics().to_user.dropped(DropReason::AnswerLost), 1);
    rig.check_accounts();
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.receive(), Ok(answer()));
}

#[test]
fn questions_are_answered_without_a_program() {
    // Haiku's ARP keeps every packet that waits for an answer, and its timer outlives the interface.
    let rig = Rig::<ToyTun>::new();
    rig.device.attach();
    rig.device.up(INTERFACE);
    assert_eq!(rig.send(&frame(ARP, &[0; 28])), Ok(()));
    assert_eq!(rig.send(&frame(IPV4, &[0; 28])), Err(DropReason::NoProgram));
    let statistics = rig.device.statistics();
    assert_eq!((statistics.to_user.accepted, statistics.to_user.answered), (2, 1));
    assert_eq!((statistics.to_user.dropped(DropReason::NoProgram), statistics.to_stack.accepted), (1, 1));
    rig.device.down();
    assert_eq!(rig.send(&frame(ARP, &[0; 28])), Err(DropReason::Down));
}

#[test]
fn what_the_mode_drops_is_counted_by_its_reason_and_freed() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.send(&frame(0x88cc, &[0; 46])).unwrap();
    rig.send(&frame(0x88cc, &[0; 46])).unwrap();
    rig.send(&frame(IPV4, &[])).unwrap();
    rig.send(&[]).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    let counters = rig.device.statistics().to_user;
    assert_eq!((counters.accepted, counters.all_dropped()), (4, 4));
    assert_eq!((dropped_by_mode(&counters, Reason::NotIp), dropped_by_mode(&counters, Reason::Malformed)), (2, 1));
    assert_eq!(counters.dropped(DropReason::Malformed), 1, "all of it was link header");
    rig.check_accounts();
}

#[test]
fn a_frame_without_bytes_for_the_program_is_dropped_in_every_mode() {
    // Delivered, it would make a read return 0, which is the end of the file.
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.send(&frame(IPV4, &[])).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    assert_eq!(rig.device.statistics().to_user.dropped(DropReason::Malformed), 1);
}

#[test]
fn a_frame_without_a_whole_header_is_dropped_by_a_mode_that_strips_no_header() {
    let (rig, descriptor) = Rig::<ToyTap>::running(Blocking::DontWait);
    rig.send(&[2; 13]).unwrap();
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    assert_eq!(dropped_by_mode(&rig.device.statistics().to_user, Reason::Malformed), 1);
}
