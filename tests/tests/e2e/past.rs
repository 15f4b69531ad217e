//! The named past: a test for each fault of the two earlier drivers, by its name. Those that are of the core alone are in
//! `driver/tests/behaviour/past.rs`; `docs/reliability.md` lists all.

use haiku_kernel::syscalls::{self, F_SETFL, POLLIN};
use haiku_kernel::{Fault, FaultPlan, fault};
use haiku_sys::{B_NO_MEMORY, B_WOULD_BLOCK, EBUSY, FIONBIO, O_NONBLOCK, O_RDWR};
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::fuzz::controls::CONTROLS;
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::{Program, user_address};
use tuntap_testkit::rig::Rig;

/// Any program could become the interface's side by an `ioctl`, and the stack's packets were its from then on.
#[test]
fn taking_over_the_interface_side() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        assert_eq!(Program::open(&mode.node(0)).map(drop), Err(EBUSY), "there is no second side to open");
        // Whatever a program asks for, what it writes goes to the stack and never comes back to it.
        // The driver's own controls; every number of the letters of Linux, the BSDs and sockets; those that Haiku leaves
        // to its drivers, from `B_DEVICE_OP_CODES_END` on.
        let lettered =
            [0x54, 0x74, 0x89].into_iter().flat_map(|letter| (0..256).map(move |number| letter << 8 | number));
        for op in CONTROLS.into_iter().chain(lettered).chain(9999..10100) {
            let mut memory = [0; 4096];
            let _ = program.control(op, user_address(&mut memory));
            program.set_blocking(tuntap_testkit::suite::Blocking::DontWait);
        }
        program.set_interface(0x1000 | if mode == Mode::Tun { 1 } else { 2 }).unwrap();
        let packet = program_packet(mode, Way::ToStack, 100);
        program.write(&packet).unwrap();
        assert_eq!(program.packet(), Err(B_WOULD_BLOCK), "what was written came back");
        assert_eq!(program.ready(POLLIN), 0);
        assert!(card.receive().unwrap().ends_with(&packet));
        card.send(&stack_frame(mode, card.address(), 100)).unwrap();
        assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
        drop(card);
        rig.end();
    }
}

/// A received packet had a tail of uninitialised kernel memory.
#[test]
fn uninitialised_tail() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        for length in (60..1500).step_by(41) {
            let packet = program_packet(mode, Way::ToStack, length);
            program.write(&packet).unwrap();
            let frame = card.receive().unwrap();
            let header = if mode == Mode::Tun { card.header_length() } else { 0 };
            assert_eq!(frame.len(), header + length, "the stack gets what was written, and its header");
            assert_eq!(frame[header..], packet);
            let frame = stack_frame(mode, card.address(), length);
            card.send(&frame).unwrap();
            assert_eq!(program.packet(), Ok(frame[frame.len() - length..].to_vec()));
        }
        drop(card);
        rig.end();
    }
}

/// `O_NONBLOCK` was ignored, in `open` and in `fcntl`: a read slept all the same.
#[test]
fn nonblocking_ignored() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
        program.close();
        let program = Program::waiting(mode);
        syscalls::fcntl(program.fd(), F_SETFL, (O_RDWR | O_NONBLOCK) as usize).unwrap();
        assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
        program.close();
        let program = Program::waiting(mode);
        program.exchange(FIONBIO, 1i32).unwrap();
        assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
        // And a write, where there is no room.
        program.set_limits([1, 1, 1, 1]).unwrap();
        program.write(&program_packet(mode, Way::ToStack, 100)).unwrap();
        assert_eq!(program.write(&program_packet(mode, Way::ToStack, 100)), Err(B_WOULD_BLOCK));
        drop(card);
        rig.end();
    }
}

/// An `open` for which there was no memory left the unit busy for ever.
#[test]
fn open_left_busy() {
    for kind in [Fault::Malloc, Fault::CreateSem] {
        let rig = Rig::boot();
        // With an interface the unit is there already, and only what belongs to the open can fail.
        for card in [None, Some(Card::ready(&rig, "tun/0"))] {
            for n in 1.. {
                fault::arm(FaultPlan::Nth(kind, n));
                let opened = Program::open("/dev/tun/0");
                fault::arm(FaultPlan::Off);
                if let Err(error) = opened {
                    assert_eq!(error, B_NO_MEMORY, "{kind:?} number {n}");
                }
                opened.into_iter().for_each(Program::close);
                Program::open("/dev/tun/0").expect("the unit is free").close();
                if opened.is_ok() {
                    break;
                }
            }
            drop(card);
        }
        rig.end();
    }
}

/// An initialisation that failed left a device in the driver's table that had been freed.
#[test]
fn dangling_device_after_failed_init() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let before = rig.ledgers();
        fault::arm(FaultPlan::Count);
        drop(Card::ready(&rig, &mode.interface(1)));
        let calls = fault::counts().total();
        let mut failed = 0;
        for n in 1..=calls {
            fault::arm(FaultPlan::NthOfAny(n));
            let made = Card::make(&rig, &mode.interface(0));
            fault::arm(FaultPlan::Off);
            failed += u64::from(made.is_err());
            drop(made);
            let card = Card::ready(&rig, &mode.interface(0));
            let program = Program::new(mode);
            card.send(&stack_frame(mode, card.address(), 100)).unwrap();
            assert_eq!(program.packet().map(|packet| packet.len()), Ok(100), "after call {n} failed");
            program.close();
            drop(card);
            let now = rig.ledgers();
            assert_eq!((now.locks, now.semaphores), (before.locks, before.semaphores), "a device was left behind");
        }
        assert!(failed > 2, "{failed} of {calls} calls failed");
        rig.end();
    }
}
