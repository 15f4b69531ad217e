//! What `read` returns, and what becomes of packets that it cannot return whole.

use haiku_kernel::syscalls;
use haiku_sys::{AF_INET, AF_INET6, B_BAD_ADDRESS, B_WOULD_BLOCK, EINVAL};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{TUNGIFHEAD, TUNSIFHEAD};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{BROADCAST, ETHER_TYPE_IPV6, Way, frame, ipv4, ipv6, stack_frame};
use tuntap_testkit::program::{Cliff, NO_PI, Program, dropped_for, nowhere};
use tuntap_testkit::rig::Rig;

/// Linux's `TUN_PKT_STRIP`, as it stands in front of a packet.
const STRIPPED: [u8; 2] = [1, 0];

#[test]
fn packets_come_whole_one_a_call_and_in_order() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let frames: Vec<_> = (0..100).map(|n| stack_frame(mode, card.address(), 60 + 13 * n)).collect();
        for frame in &frames {
            card.send(frame).unwrap();
        }
        for frame in &frames {
            let packet = program.packet().unwrap();
            assert!(frame.ends_with(&packet) && packet.len() + card.header_length() >= frame.len());
        }
        assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
        drop(card);
        rig.end();
    }
}

#[test]
fn a_short_buffer_truncates_a_packet_and_counts_it() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let frame = stack_frame(mode, card.address(), 200);
        let whole = &frame[frame.len() - 200..];
        for room in [1, 13, 14, 15, 100, 199] {
            card.send(&frame).unwrap();
            assert_eq!(program.read(room), Ok(whole[..room].to_vec()));
        }
        for room in [200, 201] {
            card.send(&frame).unwrap();
            assert_eq!(program.read(room), Ok(whole.to_vec()));
        }
        let statistics = program.statistics().to_user;
        assert_eq!((statistics.truncated, statistics.delivered), (6, 8));
        program.check_accounts();
        drop(card);
        rig.end();
    }
}

#[test]
fn a_read_of_zero_bytes_returns_at_once() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    assert_eq!(program.read(0), Ok(Vec::new()));
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    assert_eq!(program.read(0), Ok(Vec::new()));
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
    drop(card);
    rig.end();
}

#[test]
fn an_unmapped_buffer_costs_one_packet() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let before = rig.ledgers();
        let frame = stack_frame(mode, card.address(), 1000);
        let mut cliff = Cliff::new();
        let addresses = [nowhere(), cliff.edge(&[0; 500]), cliff.edge(&[0; 999]), cliff.edge(&[0; 1])];
        for (count, address) in (1..).zip(addresses) {
            card.send(&frame).unwrap();
            assert_eq!(program.read_at(address, 1000), Err(B_BAD_ADDRESS));
            let statistics = program.statistics().to_user;
            assert_eq!((dropped_for(&statistics, "bad-address"), statistics.delivered), (count, 0));
            assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
        }
        // Just enough is there.
        card.send(&frame).unwrap();
        assert_eq!(program.read_at(cliff.edge(&[0; 1000]), 1000), Ok(1000));
        // A longer buffer than there is memory does no harm where the packet fits.
        card.send(&frame).unwrap();
        assert_eq!(program.read_at(cliff.edge(&[0; 1000]), 4000), Ok(1000));
        program.check_accounts();
        assert_eq!(rig.ledgers(), before);
        drop(card);
        rig.end();
    }
}

#[test]
fn an_address_that_no_program_has_costs_no_packet() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    let mut kernel_memory = [0u8; 200];
    for address in [0, kernel_memory.as_mut_ptr() as usize, usize::MAX - 50] {
        assert_eq!(program.read_at(address, 200), Err(B_BAD_ADDRESS));
    }
    assert_eq!(kernel_memory, [0; 200]);
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
    drop(card);
    rig.end();
}

#[test]
fn fionread_returns_the_length_of_the_next_read() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        assert_eq!(program.readable(), Ok(0));
        for length in [100, 1500, 60] {
            card.send(&stack_frame(mode, card.address(), length)).unwrap();
        }
        for length in [100, 1500, 60] {
            assert_eq!(program.readable(), Ok(length as i32));
            assert_eq!(program.packet().map(|packet| packet.len()), Ok(length));
        }
        assert_eq!(program.readable(), Ok(0));
        drop(card);
        rig.end();
    }
}

#[test]
fn packet_information_precedes_the_packet_and_marks_truncation() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    program.set_interface(1).unwrap();
    let own = card.address();
    let packet = ipv6(Way::ToUser, 100);
    let send = || card.send(&frame(BROADCAST, own, ETHER_TYPE_IPV6, &packet)).unwrap();
    send();
    assert_eq!(program.readable(), Ok(104));
    assert_eq!(program.read(200), Ok([&[0, 0, 0x86, 0xdd], &packet[..]].concat()));
    send();
    assert_eq!(program.read(54), Ok([&STRIPPED, &[0x86, 0xdd], &packet[..50]].concat()));
    send();
    assert_eq!(program.read(4), Ok([&STRIPPED[..], &[0x86, 0xdd]].concat()), "room for nothing else");
    send();
    for room in 1..4 {
        assert_eq!(program.read(room), Err(EINVAL), "checked before a packet is taken");
    }
    program.set_interface(1 | NO_PI).unwrap();
    assert_eq!(program.packet(), Ok(packet.clone()), "framing is of the read, not of the packet");
    drop(card);
    rig.end();
}

#[test]
fn an_address_family_stands_in_front_for_programs_of_the_bsds() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    assert_eq!(program.exchange(TUNGIFHEAD, -1), Ok(0));
    program.exchange(TUNSIFHEAD, 1i32).unwrap();
    assert_eq!(program.exchange(TUNGIFHEAD, -1), Ok(1));
    for (packet, family, ether_type) in
        [(ipv4(Way::ToUser, 60), AF_INET, 0x0800), (ipv6(Way::ToUser, 60), AF_INET6, 0x86dd)]
    {
        card.send(&frame(BROADCAST, card.address(), ether_type, &packet)).unwrap();
        assert_eq!(program.packet(), Ok([&family.to_be_bytes()[..], &packet].concat()));
    }
    for (packet, family) in [(ipv4(Way::ToStack, 60), AF_INET), (ipv6(Way::ToStack, 60), AF_INET6)] {
        assert_eq!(program.write(&[&family.to_be_bytes()[..], &packet].concat()), Ok(64));
        assert_eq!(card.receive().map(|frame| frame[14..].to_vec()), Ok(packet));
    }
    program.exchange(TUNSIFHEAD, 0i32).unwrap();
    assert_eq!(program.exchange(TUNGIFHEAD, -1), Ok(0));
    drop(card);
    rig.end();
}

#[test]
fn a_vector_gets_one_packet_for_each_of_its_buffers() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for length in [100, 60, 80] {
        card.send(&stack_frame(Mode::Tun, card.address(), length)).unwrap();
    }
    let (mut first, mut second, mut third) = ([0; 100], [0; 70], [0; 80]);
    // The second packet leaves its buffer short, which ends the call.
    assert_eq!(syscalls::readv(program.fd(), &mut [&mut first, &mut second, &mut third]), Ok(160));
    assert_eq!(second[..60], ipv4(Way::ToUser, 60));
    assert_eq!(program.packet(), Ok(ipv4(Way::ToUser, 80)));
    drop(card);
    rig.end();
}
