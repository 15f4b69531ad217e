//! The interface: attach, detach, up and down, its address and its MTU.

use tuntap_driver::{Blocking, Descriptor, Device, DropReason, Error, InterfaceState, Limits, MacAddress, WaitPoints};

use crate::fake::{ARP, Delivery, Fake, INTERFACE, IPV4, OWN, Rig, ToyTap, ToyTun, World, frame, packet4};
use crate::{about_to_block, blocked, failed};

#[test]
fn before_its_first_interface_a_descriptor_waits_and_then_works() {
    let rig = Rig::<ToyTun>::new();
    let descriptor = rig.device.open(Blocking::Wait).unwrap();
    let reader = blocked(&rig, move |device| crate::fake::read(device, &descriptor));
    assert_eq!(rig.send(&frame(IPV4, &packet4(0, 40))), Err(DropReason::Down));
    rig.device.attach();
    assert_eq!(rig.send(&frame(IPV4, &packet4(1, 40))), Err(DropReason::Down));
    rig.device.up(INTERFACE);
    rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
    assert_eq!(reader.result(), Ok(packet4(2, 40)));
}

#[test]
fn open_and_interface_may_come_in_either_order() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(2, 40)));
    rig.close_and_free();
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    rig.send(&frame(IPV4, &packet4(3, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 40)));
}

#[test]
fn down_wakes_a_blocked_receive() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    let receiver = blocked(&rig, |device| device.receive().err());
    rig.device.down();
    assert_eq!(receiver.result(), Some(Error::NetworkDown));
}

#[test]
fn down_makes_a_receive_return_that_is_just_about_to_block() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    let received = about_to_block(&rig, |device| device.receive().err(), || rig.device.down());
    assert_eq!(received, Some(Error::NetworkDown));
}

#[test]
fn removal_makes_a_receive_return_that_is_just_about_to_block() {
    let rig = Rig::<ToyTun>::new();
    let attachment = rig.device.attach();
    rig.device.up(INTERFACE);
    let received = about_to_block(&rig, |device| device.receive().err(), || rig.device.detach(attachment));
    assert_eq!(received, Some(Error::NetworkDown));
}

#[test]
fn a_receive_while_down_fails_at_once_and_one_after_up_waits_again() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    rig.device.down();
    assert_eq!(failed(rig.receive()), Error::NetworkDown);
    rig.device.up(INTERFACE);
    let receiver = blocked(&rig, |device| device.receive().map(|packet| packet.bytes().len()));
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(receiver.result(), Ok(54));
}

#[test]
fn down_throws_away_what_the_stack_has_not_fetched_and_keeps_what_the_program_has_not() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    rig.send(&frame(IPV4, &packet4(2, 40))).unwrap();
    rig.device.down();
    assert_eq!(rig.send(&frame(IPV4, &packet4(3, 40))), Err(DropReason::Down));
    assert_eq!(rig.device.statistics().to_stack.purged, 1);
    rig.device.up(INTERFACE);
    rig.write(&descriptor, &packet4(4, 40)).unwrap();
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(4, 40))));
    assert_eq!(rig.read(&descriptor), Ok(packet4(2, 40)));
}

#[test]
fn up_and_down_may_be_repeated() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.up(INTERFACE);
    assert!(rig.device.is_up());
    rig.device.down();
    rig.device.down();
    assert!(!rig.device.is_up());
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    rig.device.up(INTERFACE);
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 40))));
}

#[test]
fn without_an_interface_nothing_is_up() {
    let rig = Rig::<ToyTun>::new();
    assert_eq!(rig.device.try_snapshot().map(|snapshot| (snapshot.up, snapshot.open)), Some((false, false)));
    assert_eq!(failed(rig.receive()), Error::NetworkDown);
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    rig.device.up(INTERFACE);
    assert!(!rig.device.is_up());
    assert_eq!(rig.write(&descriptor, &packet4(1, 40)), Err(Error::NetworkDown));
    let attachment = rig.device.attach();
    assert!(!rig.device.is_up());
    rig.device.detach(attachment);
    rig.device.up(INTERFACE);
    assert!(!rig.device.is_up());
    assert_eq!(failed(rig.receive()), Error::NetworkDown);
}

#[test]
fn an_overview_follows_the_opener_and_the_interface_and_disturbs_neither() {
    let rig = Rig::<ToyTun>::new();
    let state = || {
        let overview = rig.device.overview();
        assert_eq!(overview.statistics, rig.device.statistics());
        assert_eq!(overview.link, rig.device.link());
        assert_eq!((overview.to_user_limits, overview.to_stack_limits), rig.device.limits());
        (overview.open, overview.interface, overview.has_link)
    };
    assert_eq!(state(), (false, InterfaceState::Absent, false));
    assert!(rig.device.is_idle(), "an overview opens nothing");
    let attachment = rig.device.attach();
    assert_eq!(state(), (false, InterfaceState::Down, false));
    rig.device.up(INTERFACE);
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    assert_eq!(state(), (true, InterfaceState::Up, true));
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    rig.write(&descriptor, &packet4(1, 60)).unwrap();
    rig.device.set_to_user_limits(Limits { packets: 7, bytes: 7000 });
    rig.device.set_mtu(1400).unwrap();
    rig.device.set_carrier(false);
    assert_eq!(state(), (true, InterfaceState::Up, false));
    let statistics = rig.device.overview().statistics;
    assert_eq!((statistics.to_user.accepted, statistics.to_user_queued.packets), (1, 1));
    assert_eq!((statistics.to_stack.accepted, statistics.to_stack_queued.packets), (1, 1));
    rig.device.down();
    assert_eq!(state(), (true, InterfaceState::Down, false));
    rig.device.close();
    assert_eq!(state(), (false, InterfaceState::Down, false), "not open, although not yet freed");
    rig.device.free();
    rig.device.detach(attachment);
    assert_eq!(state(), (false, InterfaceState::Absent, false));
}

#[test]
fn the_interface_outlives_its_openers_and_the_other_way_round() {
    let rig = Rig::<ToyTun>::new();
    let attachment = rig.device.attach();
    rig.device.open(Blocking::Wait).unwrap();
    rig.close_and_free();
    assert!(!rig.device.is_idle());
    rig.device.open(Blocking::Wait).unwrap();
    rig.device.detach(attachment);
    assert!(!rig.device.is_idle());
    rig.close_and_free();
    assert!(rig.device.is_idle());
}

#[test]
fn a_late_detach_of_its_predecessor_leaves_the_successor_alone() {
    let rig = Rig::<ToyTun>::new();
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    let predecessor = rig.device.attach();
    rig.device.up(INTERFACE);
    rig.send(&frame(IPV4, &packet4(1, 40))).unwrap();
    rig.write(&descriptor, &packet4(2, 40)).unwrap();

    let successor = rig.device.attach();
    assert_ne!(predecessor, successor);
    assert!(!rig.device.is_up());
    rig.device.up(INTERFACE);
    rig.device.detach(predecessor);

    // Nothing of the predecessor's is left, and all of the successor's works.
    assert!(rig.device.is_up());
    assert_eq!(failed(rig.read(&descriptor)), Error::WouldBlock);
    rig.send(&frame(IPV4, &packet4(3, 40))).unwrap();
    assert_eq!(rig.read(&descriptor), Ok(packet4(3, 40)));
    rig.write(&descriptor, &packet4(4, 40)).unwrap();
    assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(4, 40))));
    let statistics = rig.device.statistics();
    assert_eq!((statistics.to_user.purged, statistics.to_stack.purged), (1, 1));
    rig.device.detach(successor);
    assert_eq!(failed(rig.read(&descriptor)), Error::Gone);
}

#[test]
fn the_successor_takes_the_predecessors_reader_off_the_queue() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::Wait);
    let receiver = blocked(&rig, |device| device.receive().err());
    rig.device.attach();
    assert_eq!(receiver.result(), Some(Error::NetworkDown));
}

#[test]
fn an_address_is_taken_over_by_the_mode_and_by_frames_to_the_stack() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    let address = [2, 0, 0, 0, 7, 7];
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.receive(), Ok(frame(ARP, &OWN)));
    rig.device.down();
    rig.device.set_address(address).unwrap();
    assert_eq!(rig.device.link().address, address);
    rig.device.up(INTERFACE);
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    rig.write(&descriptor, &packet4(1, 40)).unwrap();
    assert_eq!(rig.receive(), Ok(frame(ARP, &address)));
    assert_eq!(rig.receive().unwrap()[..6], address);
}

#[test]
fn an_interface_that_is_up_keeps_the_address_that_haiku_announces() {
    let (rig, _) = Rig::<ToyTap>::running(Blocking::DontWait);
    assert_eq!(rig.device.set_address([2, 0, 0, 0, 7, 7]), Err(Error::Busy));
    assert_eq!((rig.device.link().address, rig.device.set_address(OWN)), (OWN, Ok(())));
    rig.device.down();
    assert_eq!(rig.device.set_address([2, 0, 0, 0, 7, 7]), Ok(()));
}

#[test]
fn an_interface_begins_with_the_units_address() {
    let (rig, _) = Rig::<ToyTun>::running(Blocking::DontWait);
    rig.device.down();
    rig.device.set_address([2, 0, 0, 0, 7, 7]).unwrap();
    rig.device.up(INTERFACE);
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    rig.receive().unwrap();
    rig.device.attach();
    rig.device.up(INTERFACE);
    rig.send(&frame(ARP, &[0; 28])).unwrap();
    assert_eq!(rig.receive(), Ok(frame(ARP, &[2, 0, 0, 0, 7, 7])));
}

#[test]
fn an_address_of_a_group_and_the_zero_address_are_refused() {
    let rig = Rig::<ToyTun>::new();
    for address in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [3, 0, 0, 0, 0, 1]] {
        assert_eq!(rig.device.set_address(address), Err(Error::Invalid));
    }
    assert_eq!(rig.device.link().address, OWN);
}

#[test]
fn hearing_everything_and_the_address_do_not_disturb_each_other() {
    let rig = Rig::<ToyTap>::new();
    let other = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];
    rig.device.set_promiscuous(true);
    rig.device.set_address(other).unwrap();
    assert_eq!((rig.device.link().address, rig.device.link().promiscuous), (other, true));
    rig.device.set_promiscuous(false);
    assert_eq!((rig.device.link().address, rig.device.link().promiscuous), (other, false));
    rig.device.set_address(OWN).unwrap();
    assert_eq!((rig.device.link().address, rig.device.link().promiscuous), (OWN, false));
}

#[test]
fn a_new_interface_is_not_promiscuous() {
    let rig = Rig::<ToyTap>::new();
    rig.device.attach();
    rig.device.set_promiscuous(true);
    rig.device.attach();
    assert!(!rig.device.link().promiscuous);
}

/// Whether a frame for that group reaches the stack.
fn hears(rig: &Rig<ToyTap>, descriptor: &Descriptor, group: MacAddress) -> bool {
    let packet = [&group[..], &frame(IPV4, &packet4(1, 46))[6..]].concat();
    assert_eq!(rig.write(descriptor, &packet), Ok(packet.len()));
    let heard = rig.device.statistics().to_stack_queued.packets == 1;
    if heard {
        assert_eq!(rig.receive(), Ok(packet));
    }
    heard
}

#[test]
fn groups_are_those_of_the_interface_that_joined_them() {
    const GROUP: MacAddress = [0x01, 0, 0x5e, 0, 0, 0xfb];
    let rig = Rig::<ToyTap>::new();
    let descriptor = rig.device.open(Blocking::DontWait).unwrap();
    let first = rig.device.attach();
    rig.device.up(INTERFACE);
    assert!(!hears(&rig, &descriptor, GROUP));
    rig.device.join(first, GROUP);
    assert!(hears(&rig, &descriptor, GROUP));
    // Down and up again it is still the same interface.
    rig.device.down();
    rig.device.up(INTERFACE);
    assert!(hears(&rig, &descriptor, GROUP));
    let second = rig.device.attach();
    rig.device.up(INTERFACE);
    assert!(!hears(&rig, &descriptor, GROUP));
    rig.device.join(first, GROUP);
    assert!(!hears(&rig, &descriptor, GROUP), "the predecessor's");
    rig.device.join(second, GROUP);
    rig.device.leave(first, GROUP);
    assert!(hears(&rig, &descriptor, GROUP), "the predecessor's leave");
    rig.device.leave(second, GROUP);
    assert!(!hears(&rig, &descriptor, GROUP));
    rig.close_and_free();
    rig.device.detach(second);
}

#[test]
fn the_mtu_is_from_68_to_65535_and_does_not_bound_what_is_written() {
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::DontWait);
    for refused in [0, 67, 65536, usize::MAX, (1 << 32) + 1500] {
        assert_eq!(rig.device.set_mtu(refused), Err(Error::Invalid));
        assert_eq!(rig.device.link().mtu, 1500);
    }
    for mtu in [68, 1280, 65535] {
        rig.device.set_mtu(mtu).unwrap();
        assert_eq!(rig.device.link().mtu, mtu);
        assert_eq!(rig.write(&descriptor, &packet4(1, 65535)), Ok(65535));
        assert_eq!(rig.receive(), Ok(frame(IPV4, &packet4(1, 65535))));
        assert_eq!(rig.write(&descriptor, &packet4(1, 65536)), Err(Error::TooLong));
    }
}

#[test]
fn an_mtu_out_of_bounds_is_moved_into_them_when_a_unit_is_made() {
    let _world = World::new();
    for (asked, got) in [(0, 68), (68, 68), (9000, 9000), (65535, 65535), (usize::MAX, 65535)] {
        assert_eq!(
            Device::<ToyTun, Fake>::new(OWN, asked, Delivery::default(), WaitPoints::new().unwrap()).link().mtu,
            got
        );
    }
}
