//! Queues and their limits: what fits, the errors when they are full, and what stays for the next opener.

use haiku_kernel::syscalls::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use haiku_sys::{B_WOULD_BLOCK, EINVAL};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{TUNGETSNDBUF, TUNSETSNDBUF};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::{Program, dropped_for};
use tuntap_testkit::rig::Rig;
use tuntap_testkit::wait::Place;

const MIB: u32 = 1 << 20;

#[test]
fn limits_are_512_packets_and_a_mebibyte_unless_set() {
    let rig = Rig::boot();
    for mode in Mode::ALL {
        let program = Program::new(mode);
        assert_eq!(program.limits(), [512, MIB, 512, MIB]);
        program.set_limits([1, 2, 3, 4]).unwrap();
        assert_eq!(program.limits(), [1, 2, 3, 4]);
        program.set_limits([65536, 64 * MIB, 65536, 64 * MIB]).unwrap();
        for bad in [0, 65537] {
            assert_eq!(program.set_limits([bad, 1, 1, 1]), Err(EINVAL));
            assert_eq!(program.set_limits([1, 1, bad, 1]), Err(EINVAL));
        }
        for bad in [0, 64 * MIB + 1] {
            assert_eq!(program.set_limits([1, bad, 1, 1]), Err(EINVAL));
            assert_eq!(program.set_limits([1, 1, 1, bad]), Err(EINVAL));
        }
        assert_eq!(program.limits(), [65536, 64 * MIB, 65536, 64 * MIB], "all or nothing");
    }
    rig.end();
}

#[test]
fn the_send_buffer_of_linux_is_the_queue_to_the_stack() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    assert_eq!(program.exchange(TUNGETSNDBUF, 0i32), Ok(1 << 20));
    program.exchange(TUNSETSNDBUF, 5000i32).unwrap();
    assert_eq!(program.limits(), [512, MIB, 512, 5000]);
    program.exchange(TUNSETSNDBUF, i32::MAX).unwrap();
    assert_eq!(program.limits(), [512, MIB, 512, 64 * MIB], "Linux's default is cut to the driver's bound");
    for bad in [0, -1, i32::MIN] {
        assert_eq!(program.exchange(TUNSETSNDBUF, bad), Err(EINVAL));
    }
    rig.end();
}

#[test]
fn a_full_queue_to_the_program_drops_and_counts() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let frame = stack_frame(mode, card.address(), 100);
        for _ in 0..512 {
            assert_eq!(card.send(&frame), Ok(()));
        }
        let before = rig.ledgers();
        for _ in 0..10 {
            assert!(card.drops(&frame));
        }
        assert_eq!(rig.ledgers(), before, "what is dropped is freed");
        let statistics = program.statistics().to_user;
        assert_eq!((statistics.accepted, statistics.queued), (522, 512));
        assert_eq!(dropped_for(&statistics, "full"), 10);
        assert_eq!(statistics.queued_bytes, 512 * frame.len() as u64);
        program.packet().unwrap();
        assert_eq!(card.send(&frame), Ok(()));
        assert!(card.drops(&frame));
        program.check_accounts();
        drop(card);
        rig.end();
    }
}

/// A frame with an acknowledgement of TCP, and nothing else.
fn acknowledgement(mode: Mode, address: [u8; 6], number: u8) -> Vec<u8> {
    let mut frame = stack_frame(mode, address, if mode == Mode::Tun { 40 } else { 54 });
    frame[14..].copy_from_slice(&[
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0, 80, 0, 90, 0, 0, 0, 1, 0, 0, 0, number, 0x50, 0x10, 1, 0, 0, 0, 0, 0, // TCP
    ]);
    frame
}

#[test]
fn an_acknowledgement_that_a_later_one_supersedes_is_freed_and_counted_and_no_loss() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        let before = rig.ledgers();
        for number in 1..10 {
            assert!(!card.drops(&acknowledgement(mode, card.address(), number)), "the interface counts a loss");
        }
        let statistics = program.statistics().to_user;
        assert_eq!((statistics.accepted, statistics.queued, dropped_for(&statistics, "superseded")), (10, 2, 8));
        program.packet().unwrap();
        let read = program.read(2000).unwrap();
        assert_eq!(*read, acknowledgement(mode, card.address(), 9)[54 - read.len()..]);
        program.check_accounts();
        // All of them are freed, and so is the packet in front of them.
        card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        assert_eq!(rig.ledgers(), before);
        for number in 1..10 {
            card.send(&acknowledgement(mode, card.address(), number)).unwrap();
        }
        drop(card);
        rig.end();
    }
}

#[test]
fn a_full_queue_to_the_stack_fails_writes_and_readiness() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let packet = program_packet(mode, Way::ToStack, 100);
        for count in 0..512 {
            assert_eq!(program.ready(POLLOUT), POLLOUT, "{count}");
            assert_eq!(program.write(&packet), Ok(100));
        }
        assert_eq!(program.ready(POLLOUT), 0);
        assert_eq!(program.write(&packet), Err(B_WOULD_BLOCK));
        card.receive().unwrap();
        assert_eq!(program.ready(POLLOUT), POLLOUT);
        assert_eq!(program.write(&packet), Ok(100));
        assert_eq!(program.write(&packet), Err(B_WOULD_BLOCK));
        program.check_accounts();
        drop(card);
        rig.end();
    }
}

#[test]
fn writable_means_room_for_the_longest_packet_there_can_be() {
    for (mode, longest) in [(Mode::Tun, 65_535), (Mode::Tap, 65_549)] {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        program.set_limits([512, MIB, 512, 200_000]).unwrap();
        // Short packets and long ones in turn, until poll says that there is no room; no write before may fail.
        let mut lengths = [60, longest, 333, longest, longest].into_iter().cycle();
        let mut written = 0;
        while program.ready(POLLOUT) == POLLOUT {
            let length = lengths.next().unwrap();
            assert_eq!(program.write(&program_packet(mode, Way::ToStack, length)), Ok(length), "after {written}");
            written += 1;
        }
        assert!(written > 5, "{written} packets");
        assert_eq!(program.write(&program_packet(mode, Way::ToStack, 60)), Err(B_WOULD_BLOCK), "what poll said holds");
        drop(card);
        rig.end();
    }
}

#[test]
fn one_packet_of_the_largest_size_fits_with_any_limits_and_mtu() {
    for (mode, longest) in [(Mode::Tun, 65535), (Mode::Tap, 65535 + 14)] {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        program.set_limits([1, 1, 1, 1]).unwrap();
        assert_eq!(program.ready(POLLOUT), POLLOUT);
        for _ in 0..3 {
            let packet = program_packet(mode, Way::ToStack, longest);
            assert_eq!(program.write(&packet), Ok(longest));
            assert_eq!(program.write(&program_packet(mode, Way::ToStack, 60)), Err(B_WOULD_BLOCK));
            assert_eq!(card.receive().map(|frame| frame.ends_with(&packet)), Ok(true));
            let frame = stack_frame(mode, card.address(), longest);
            assert_eq!(card.send(&frame), Ok(()));
            assert!(card.drops(&stack_frame(mode, card.address(), 60)));
            assert_eq!(program.packet(), Ok(frame[frame.len() - longest..].to_vec()));
        }
        drop(card);
        rig.end();
    }
}

#[test]
fn limits_in_bytes_hold_too() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    program.set_limits([512, 1000, 512, 1000]).unwrap();
    let frame = stack_frame(Mode::Tap, card.address(), 300);
    for _ in 0..4 {
        card.send(&frame).unwrap();
    }
    assert!(card.drops(&stack_frame(Mode::Tap, card.address(), 60)));
    assert_eq!(program.statistics().to_user.queued_bytes, 1200, "the last packet may exceed the limit");
    drop(card);
    rig.end();
}

#[test]
fn a_limit_below_the_queued_packets_drops_none() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let frame = stack_frame(Mode::Tun, card.address(), 100);
    for _ in 0..20 {
        card.send(&frame).unwrap();
    }
    program.set_limits([5, MIB, 5, MIB]).unwrap();
    assert!(card.drops(&frame));
    for _ in 0..15 {
        program.packet().unwrap();
    }
    assert!(card.drops(&frame));
    program.packet().unwrap();
    assert_eq!(card.send(&frame), Ok(()));
    assert_eq!(program.statistics().to_user.queued, 5);
    drop(card);
    rig.end();
}

#[test]
fn nothing_stale_is_left_for_the_next_opener() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        program.set_interface(if mode == Mode::Tun { 1 } else { 2 }).unwrap();
        for _ in 0..7 {
            card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        }
        program.close();
        assert!(card.drops(&stack_frame(mode, card.address(), 100)));
        let next = Program::new(mode);
        assert_eq!(next.packet(), Err(B_WOULD_BLOCK));
        assert_eq!(next.ready(POLLIN), 0);
        let statistics = next.statistics().to_user;
        assert_eq!((statistics.purged, dropped_for(&statistics, "no-program")), (7, 1));
        card.send(&stack_frame(mode, card.address(), 80)).unwrap();
        assert_eq!(next.packet().map(|packet| packet.len()), Ok(80), "framing was the other open's");
        next.check_accounts();
        drop(card);
        rig.end();
    }
}

#[test]
fn down_empties_the_queue_to_the_stack_and_keeps_the_one_to_the_program() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for length in [100, 101, 102] {
        program.write(&program_packet(Mode::Tun, Way::ToStack, length)).unwrap();
        card.send(&stack_frame(Mode::Tun, card.address(), length)).unwrap();
    }
    card.down();
    let statistics = program.statistics();
    assert_eq!((statistics.to_stack.purged, statistics.to_stack.queued), (3, 0));
    assert_eq!((statistics.to_user.purged, statistics.to_user.queued), (0, 3));
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
    card.up();
    program.write(&program_packet(Mode::Tun, Way::ToStack, 64)).unwrap();
    assert_eq!(card.receive().map(|frame| frame.len()), Ok(64 + 14), "nothing of before");
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(101));
    program.check_accounts();
    drop(card);
    rig.end();
}

#[test]
fn removal_throws_everything_away_and_a_new_interface_starts_afresh() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for _ in 0..3 {
        program.write(&program_packet(Mode::Tun, Way::ToStack, 100)).unwrap();
        card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    }
    drop(card);
    assert_eq!(program.ready(POLLIN | POLLOUT) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
    let statistics = program.statistics();
    assert_eq!((statistics.to_user.purged, statistics.to_stack.purged), (3, 3));
    program.check_accounts();
    let card = Card::ready(&rig, "tun/0");
    assert_eq!(program.ready(POLLIN | POLLOUT), POLLOUT, "no hang-up while there is an interface again");
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
    drop(card);
    rig.end();
}

#[test]
fn an_answer_finds_a_place_in_a_full_queue() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let question = tuntap_testkit::packet::arp_request(card.address());
    card.send(&question).unwrap();
    assert_eq!(card.receive().map(|answer| answer[20..22].to_vec()), Ok(vec![0, 2]), "a reply");
    program.set_limits([512, MIB, 1, MIB]).unwrap();
    program.write(&program_packet(Mode::Tun, Way::ToStack, 100)).unwrap();
    assert_eq!(program.write(&program_packet(Mode::Tun, Way::ToStack, 100)), Err(B_WOULD_BLOCK));
    card.send(&question).unwrap();
    let statistics = program.statistics().to_user;
    assert_eq!((statistics.answered, dropped_for(&statistics, "answer-lost")), (2, 0));
    program.check_accounts();
    drop(card);
    rig.end();
}

/// How many bytes of packets there are. All packets are in the queues.
fn queued_bytes(program: Program) -> (u64, u64) {
    let statistics = program.statistics();
    (statistics.to_user.queued_bytes, statistics.to_stack.queued_bytes)
}

#[test]
fn a_program_cannot_make_the_kernel_hold_more_than_the_limits() {
    const PACKETS: u32 = 50;
    const BYTES: u32 = 100_000;
    const ANSWERS: u64 = 64;
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        program.set_limits([PACKETS, BYTES, PACKETS, BYTES]).unwrap();
        let before = rig.ledgers();
        for length in (60..65000).step_by(997).cycle().take(1000) {
            let written = program.write(&program_packet(mode, Way::ToStack, length));
            assert!(written == Ok(length) || written == Err(B_WOULD_BLOCK), "{written:x?}");
            // Questions make the kernel hold answers.
            if mode == Mode::Tun {
                card.send(&tuntap_testkit::packet::arp_request(card.address())).unwrap();
            }
            let (_, bytes) = queued_bytes(program);
            // The last packet may exceed the limit, and there are some answers of 42 bytes.
            assert!(bytes < u64::from(BYTES) + 65_535 + ANSWERS * 42, "{bytes} bytes");
            let ledgers = rig.ledgers();
            assert!(ledgers.packets - before.packets <= i64::from(PACKETS) + ANSWERS as i64);
            assert_eq!(ledgers.heap_bytes, before.heap_bytes, "nothing but packets is kept");
        }
        drop(card);
        rig.end();
    }
}

#[test]
fn programs_that_wait_to_write_hold_no_packets() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    program.set_limits([512, MIB, 1, MIB]).unwrap();
    let packet = program_packet(Mode::Tun, Way::ToStack, 1400);
    program.write(&packet).unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| program.write(&packet))).collect();
        rig.until_blocked(Place::Write, 8);
        assert_eq!(rig.ledgers().packets, 1, "one is queued, and blocked writers hold none");
        for _ in 0..9 {
            card.receive().unwrap();
        }
        for writer in writers {
            assert_eq!(writer.join().unwrap(), Ok(1400));
        }
    });
    assert_eq!(rig.ledgers().packets, 0);
    drop(card);
    rig.end();
}
