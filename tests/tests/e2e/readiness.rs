//! What `poll` and `select` report, and that it is level-triggered.

use haiku_kernel::syscalls::{self, FdSet, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PollFd};
use haiku_sys::{B_WOULD_BLOCK, ENXIO, status_t};
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;
use tuntap_testkit::wait::Place;

const BOTH: u16 = POLLIN | POLLOUT;

#[test]
fn readiness_is_a_level_in_every_state_of_a_unit() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let program = Program::new(mode);
        // Twice each, because readiness is level-triggered.
        let says = |expected: u16, state: &str| {
            for _ in 0..2 {
                assert_eq!(program.ready(BOTH), expected, "{mode}, {state}");
                assert_eq!(program.ready(POLLIN) & BOTH, expected & POLLIN, "{mode}, {state}");
                assert_eq!(program.ready(POLLOUT) & BOTH, expected & POLLOUT, "{mode}, {state}");
            }
        };
        says(0, "before there is an interface");
        let card = Card::new(&rig, &mode.interface(0));
        says(0, "down");
        card.up();
        says(POLLOUT, "up");
        card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        says(BOTH, "a packet is there");
        card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        program.packet().unwrap();
        says(BOTH, "another is there");
        program.packet().unwrap();
        says(POLLOUT, "none is there");
        program.set_limits([1, 1 << 20, 1, 1 << 20]).unwrap();
        program.write(&program_packet(mode, Way::ToStack, 100)).unwrap();
        says(0, "no room");
        program.set_limits([2, 1 << 20, 2, 1 << 20]).unwrap();
        says(POLLOUT, "more room was made");
        card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        card.down();
        says(POLLIN, "down, with a packet left");
        drop(card);
        says(POLLIN | POLLERR | POLLHUP, "the interface is gone");
        let card = Card::ready(&rig, &mode.interface(0));
        says(POLLOUT, "there is one again");
        drop(card);
        rig.end();
    }
}

#[test]
fn a_closed_descriptor_is_invalid() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    program.close();
    assert_eq!(program.ready(BOTH), POLLNVAL);
    rig.end();
}

#[test]
fn every_waiter_is_notified() {
    const WAITERS: usize = 6;
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..WAITERS)
            .map(|n| {
                scope.spawn(move || match n % 2 {
                    0 => program.poll(POLLIN, -1).map(usize::from),
                    _ => program.select_read().map(usize::from),
                })
            })
            .collect();
        rig.until_blocked(Place::Select, WAITERS);
        card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(1));
        }
    });
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(100), "looking takes nothing");
    assert_eq!(rig.ledgers().selects, 0);
    drop(card);
    rig.end();
}

#[test]
fn of_many_units_only_those_are_said_to_be_ready_that_are() {
    let rig = Rig::boot();
    let cards: Vec<_> = (0..10).map(|unit| Card::ready(&rig, &Mode::Tap.interface(unit))).collect();
    let programs: Vec<_> = (0..10).map(|unit| Program::open(&Mode::Tap.node(unit)).unwrap()).collect();
    for unit in [2, 3, 7] {
        cards[unit].send(&stack_frame(Mode::Tap, cards[unit].address(), 100)).unwrap();
    }
    let mut entries: Vec<_> =
        programs.iter().map(|program| PollFd { fd: program.fd(), events: POLLIN, revents: 0 }).collect();
    assert_eq!(syscalls::poll(&mut entries, -1), Ok(3));
    let ready: Vec<_> = (0..10).filter(|&unit| entries[unit].revents == POLLIN).collect();
    assert_eq!(ready, [2, 3, 7]);
    let mut set = FdSet::default();
    programs.iter().for_each(|program| set.insert(program.fd()));
    assert_eq!(syscalls::select(64, Some(&mut set), None, None, -1), Ok(3));
    let ready: Vec<_> = (0..10).filter(|&unit| set.contains(programs[unit].fd())).collect();
    assert_eq!(ready, [2, 3, 7]);
    drop(cards);
    rig.end();
}

#[test]
fn a_timeout_ends_a_wait_for_nothing() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    assert_eq!(program.poll(POLLIN, 1000), Ok(0));
    assert_eq!(rig.ledgers().selects, 0);
    drop(card);
    rig.end();
}

#[test]
fn no_wakeup_is_lost_between_looking_and_waiting() {
    const PACKETS: usize = 3000;
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let frame = stack_frame(Mode::Tun, card.address(), 64);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut got = 0;
            while got < PACKETS {
                match program.packet() {
                    Ok(_) => got += 1,
                    Err(error) => {
                        assert_eq!(error, B_WOULD_BLOCK);
                        // Waits for ever, if the packet that came in between were not seen.
                        assert_eq!(program.poll(POLLIN, -1), Ok(POLLIN));
                    }
                }
            }
        });
        for _ in 0..PACKETS {
            while card.drops(&frame) {
                std::thread::yield_now();
            }
        }
        reader.join().unwrap();
    });
    drop(card);
    rig.end();
}

/// How many rounds a program makes that polls and reads, and continues after errors, until nothing more comes.
fn rounds(program: Program) -> Vec<Result<usize, status_t>> {
    let mut results = Vec::new();
    while program.poll(POLLIN, 50).expect("a good descriptor") != 0 && results.len() < 100 {
        results.push(program.packet().map(|packet| packet.len()));
    }
    results
}

#[test]
fn a_poll_and_read_loop_is_idle_after_its_interface_was_deleted() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let program = Program::new(mode);
        for _ in 0..2 {
            let card = Card::ready(&rig, &mode.interface(0));
            card.send(&stack_frame(mode, card.address(), 100)).unwrap();
            assert_eq!(rounds(program), [Ok(100)]);
            drop(card);
            assert_eq!(rounds(program), [Err(ENXIO)]);
        }
        rig.end();
    }
}

#[test]
fn a_writer_that_waits_for_room_by_poll_is_never_refused_after_it() {
    const PACKETS: usize = 3000;
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    program.set_limits([512, 1 << 20, 3, 1 << 20]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..PACKETS {
                assert_eq!(program.poll(POLLOUT, -1), Ok(POLLOUT));
                let length = 60 + n % 1400;
                assert_eq!(program.write(&program_packet(Mode::Tap, Way::ToStack, length)), Ok(length));
            }
        });
        for n in 0..PACKETS {
            assert_eq!(card.receive().map(|frame| frame.len()), Ok(60 + n % 1400));
        }
        writer.join().unwrap();
    });
    drop(card);
    rig.end();
}
