//! What `write` refuses, and what comes of what it takes.

use haiku_kernel::{Fault, FaultPlan, fault};
use haiku_sys::{B_BAD_ADDRESS, B_WOULD_BLOCK, EINVAL, EMSGSIZE, ENETDOWN, ENXIO, status_t};
use haiku_system::{LabOptions, Mode};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{
    BROADCAST, ETHER_TYPE_ARP, ETHER_TYPE_IP, ETHERNET_HEADER, STRANGER, Way, frame, ipv4, ipv6, program_packet,
};
use tuntap_testkit::program::{Cliff, Program, dropped, dropped_for, nowhere};
use tuntap_testkit::rig::Rig;

/// Fails unless a write is refused so, after so many packets were made for it, and nothing is left over.
fn refused(rig: &Rig, program: Program, packet: &[u8], error: status_t, made: u64) {
    let before = rig.ledgers();
    fault::arm(FaultPlan::Count);
    assert_eq!(program.write(packet), Err(error), "{} bytes", packet.len());
    let counts = fault::counts();
    fault::arm(FaultPlan::Off);
    assert_eq!((counts.of(Fault::Malloc), counts.of(Fault::NetBufferCreate)), (0, made), "{} bytes", packet.len());
    assert_eq!(rig.ledgers(), before);
}

#[test]
fn a_tun_refuses_an_invalid_packet() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let refuse = |packet: &[u8]| refused(&rig, program, packet, EINVAL, 1);
    for length in 1..20 {
        refuse(&ipv4(Way::ToStack, 20)[..length]);
    }
    for length in 1..40 {
        refuse(&ipv6(Way::ToStack, 40)[..length]);
    }
    for version in (0..16).filter(|version| ![4, 6].contains(version)) {
        refuse(&[version << 4; 100]);
    }
    for length in [65_536, 1 << 20] {
        refused(&rig, program, &vec![0x45; length], EMSGSIZE, 0);
    }
    for packet in [ipv4(Way::ToStack, 100), ipv6(Way::ToStack, 100)] {
        refuse(&packet[..99]);
    }
    assert_eq!(program.statistics().to_stack.accepted, 0);
    drop(card);
    rig.end();
}

#[test]
fn a_tap_refuses_an_invalid_frame() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    let refuse = |packet: &[u8], error| refused(&rig, program, packet, error, 0);
    for length in 1..ETHERNET_HEADER {
        refuse(&[0xff; ETHERNET_HEADER][..length], EINVAL);
    }
    // A VLAN tag may come on top of the header.
    for length in [65_554, 1 << 20] {
        refuse(&vec![0xff; length], EMSGSIZE);
    }
    for length in [ETHERNET_HEADER, 60, 1514, 1518, 9000, 65_553] {
        assert_eq!(program.write(&vec![0xff; length]), Ok(length));
        assert_eq!(card.receive().map(|frame| frame.len()), Ok(length));
    }
    drop(card);
    rig.end();
}

#[test]
fn nothing_is_allocated_for_an_interface_that_is_not_there_or_has_no_room() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let program = Program::new(mode);
        let packet = program_packet(mode, Way::ToStack, 100);
        let refuse = |error| refused(&rig, program, &packet, error, 0);
        refuse(ENETDOWN);
        let card = Card::new(&rig, &mode.interface(0));
        refuse(ENETDOWN);
        card.up();
        program.set_limits([1, 1, 3, 1 << 20]).unwrap();
        for _ in 0..3 {
            program.write(&packet).unwrap();
        }
        refuse(B_WOULD_BLOCK);
        card.down();
        refuse(ENETDOWN);
        drop(card);
        refuse(ENXIO);
        program.check_accounts();
        rig.end();
    }
}

#[test]
fn an_unmapped_buffer_is_an_error_and_leaks_nothing() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let packet = program_packet(mode, Way::ToStack, 1400);
        let before = rig.ledgers();
        assert_eq!(program.write_at(nowhere(), 100), Err(B_BAD_ADDRESS));
        assert_eq!(program.write_at(0, 100), Err(B_BAD_ADDRESS));
        assert_eq!(program.write_at(packet.as_ptr() as usize, 100), Err(B_BAD_ADDRESS), "the kernel's own memory");
        assert_eq!(program.write_at(usize::MAX - 50, 100), Err(B_BAD_ADDRESS));
        let mut cliff = Cliff::new();
        for there in (0..packet.len()).step_by(97).chain([1, 13, 14, 19, 20, 127, 128, 129, 1399]) {
            let address = cliff.edge(&packet[..there]);
            assert_eq!(program.write_at(address, packet.len()), Err(B_BAD_ADDRESS), "{there} bytes are there");
        }
        let address = cliff.edge(&packet);
        assert_eq!(program.write_at(address, packet.len()), Ok(packet.len()));
        assert_eq!(card.receive().map(|frame| frame.ends_with(&packet)), Ok(true));
        assert_eq!(rig.ledgers(), before);
        assert_eq!(program.statistics().to_stack.accepted, 1);
        drop(card);
        rig.end();
    }
}

#[test]
fn a_written_packet_reaches_the_stack_behind_a_link_header() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let far = {
        program.write(&ipv4(Way::ToStack, 20)).unwrap();
        let first = card.receive().unwrap();
        first[6..12].to_vec()
    };
    assert_eq!(far[0] & 1, 0, "the far side is one station");
    assert_ne!(far, card.address());
    for length in (20..1500).step_by(13).chain([127, 128, 129, 1500]) {
        for (packet, ether_type) in [(ipv4(Way::ToStack, length), 0x0800), (ipv6(Way::ToStack, length.max(40)), 0x86dd)]
        {
            assert_eq!(program.write(&packet), Ok(packet.len()));
            let expected = frame(card.address(), *far.first_chunk().unwrap(), ether_type, &packet);
            assert_eq!(card.receive(), Ok(expected));
        }
    }
    program.check_accounts();
    drop(card);
    rig.end();
}

#[test]
fn packets_in_small_pieces_are_whole_packets() {
    for mode in Mode::ALL {
        for node in [haiku_kernel_min_node(), 512, 2048] {
            let rig = Rig::with(LabOptions { net_buffer_node_size: Some(node), ..LabOptions::default() });
            let card = Card::ready(&rig, &mode.interface(0));
            let program = Program::new(mode);
            card.set_mtu(9000).unwrap();
            for length in (64..9000).step_by(311) {
                let packet = program_packet(mode, Way::ToStack, length);
                program.write(&packet).unwrap();
                let received = card.receive().unwrap();
                assert_eq!(received[received.len() - length..], packet);
                let frame = tuntap_testkit::packet::stack_frame(mode, card.address(), length);
                card.send(&frame).unwrap();
                assert_eq!(program.packet(), Ok(frame[frame.len() - length..].to_vec()));
            }
            drop(card);
            rig.end();
        }
    }
}

/// The smallest node that a packet can have here.
const fn haiku_kernel_min_node() -> usize {
    haiku_kernel::net_buffer::MIN_NODE_SIZE
}

#[test]
fn a_tap_delivers_frames_to_the_interface_and_drops_others() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    let to = |station| frame(station, STRANGER, ETHER_TYPE_IP, &ipv4(Way::ToStack, 46));
    for station in [[0x01, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], BROADCAST, card.address()] {
        program.write(&to(station)).unwrap();
        assert_eq!(card.receive(), Ok(to(station)));
    }
    for count in 1..4 {
        assert_eq!(program.write(&to(STRANGER)), Ok(60), "as on a wire, the sender is not told");
        let statistics = program.statistics().to_stack;
        assert_eq!((dropped_for(&statistics, "not-for-us"), statistics.queued), (count, 0));
    }
    card.set_promiscuous(true).unwrap();
    program.write(&to(STRANGER)).unwrap();
    assert_eq!(card.receive(), Ok(to(STRANGER)));
    card.set_promiscuous(false).unwrap();
    program.write(&to(STRANGER)).unwrap();
    assert_eq!(dropped(&program.statistics().to_stack), 4);
    program.check_accounts();
    drop(card);
    rig.end();
}

#[test]
fn a_tap_delivers_frames_to_joined_groups() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    let groups = [[0x01, 0, 0x5e, 0, 0, 0xfb], [0x33, 0x33, 0xff, 0, 0, 2], [0x01, 0x80, 0xc2, 0, 0, 0]];
    let to = |station| frame(station, STRANGER, ETHER_TYPE_IP, &ipv4(Way::ToStack, 46));
    let heard = |count| {
        for (number, group) in groups.into_iter().enumerate() {
            program.write(&to(group)).unwrap();
            assert_eq!(program.statistics().to_stack.queued, u64::from(number < count));
            if number < count {
                assert_eq!(card.receive(), Ok(to(group)));
            }
        }
    };
    heard(0);
    assert_eq!(dropped_for(&program.statistics().to_stack, "not-for-us"), 3);
    card.join(groups[0]).unwrap();
    card.join(groups[0]).unwrap();
    heard(1);
    card.join(groups[1]).unwrap();
    heard(2);
    card.leave(groups[0]).unwrap();
    card.leave(groups[1]).unwrap();
    heard(1);
    card.set_promiscuous(true).unwrap();
    heard(3);
    card.set_promiscuous(false).unwrap();
    card.leave(groups[0]).unwrap();
    heard(0);
    drop(card);
    let successor = Card::ready(&rig, "tap/0");
    successor.join(groups[2]).unwrap();
    for (number, group) in groups.into_iter().enumerate() {
        program.write(&to(group)).unwrap();
        assert_eq!(program.statistics().to_stack.queued, u64::from(number == 2), "its predecessor's are not its own");
    }
    program.check_accounts();
    drop(successor);
    rig.end();
}

#[test]
fn a_frame_that_contradicts_itself_reaches_no_program() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let own = card.address();
    let good = frame(BROADCAST, own, ETHER_TYPE_IP, &ipv4(Way::ToUser, 100));
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("nothing", Vec::new(), "malformed"),
        ("no whole Ethernet header", good[..13].to_vec(), "malformed"),
        ("no packet", good[..14].to_vec(), "malformed"),
        ("no whole IP header", good[..33].to_vec(), "malformed"),
        ("IPv6 that says it is IPv4", frame(BROADCAST, own, ETHER_TYPE_IP, &ipv6(Way::ToUser, 60)), "malformed"),
        ("LLDP", frame(BROADCAST, own, 0x88cc, &[0; 46]), "not-ip"),
        ("ARP of nothing", frame(BROADCAST, own, ETHER_TYPE_ARP, &[0; 28]), "arp-malformed"),
    ];
    for (what, bytes, reason) in cases {
        let before = program.statistics().to_user;
        assert_eq!(card.send(&bytes), Ok(()), "{what} is taken, as any link does");
        let after = program.statistics().to_user;
        assert_eq!(after.accepted, before.accepted + 1, "{what}");
        assert_eq!(dropped_for(&after, reason), dropped_for(&before, reason) + 1, "{what}: {:?}", after.dropped);
        assert_eq!(program.packet(), Err(B_WOULD_BLOCK), "{what}");
    }
    card.send(&good).unwrap();
    assert_eq!(program.packet(), Ok(good[14..].to_vec()));
    program.check_accounts();
    drop(card);
    rig.end();
}

#[test]
fn a_tap_carries_any_frame_that_has_a_header() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    for length in 0..ETHERNET_HEADER {
        card.send(&[0xee; ETHERNET_HEADER][..length]).unwrap();
    }
    assert_eq!(dropped_for(&program.statistics().to_user, "malformed"), 14);
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
    for frame in [vec![0xee; 14], frame(STRANGER, card.address(), 0x88cc, &[7; 46]), vec![0; 1514]] {
        card.send(&frame).unwrap();
        assert_eq!(program.packet(), Ok(frame));
    }
    program.check_accounts();
    drop(card);
    rig.end();
}
