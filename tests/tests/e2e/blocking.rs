//! Calls that block, and everything that ends them: each at once, and cleanly.

use haiku_kernel::syscalls::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT};
use haiku_kernel::thread;
use haiku_sys::{B_FILE_ERROR, B_INTERRUPTED, B_WOULD_BLOCK, ENETDOWN, ENXIO, IFF_LINK, status_t};
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;
use tuntap_testkit::wait::Place;

/// A call that blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    PollIn,
    PollOut,
    SelectRead,
    SelectWrite,
}

impl Call {
    const ALL: [Self; 6] = [Self::Read, Self::Write, Self::PollIn, Self::PollOut, Self::SelectRead, Self::SelectWrite];

    const fn place(self) -> Place {
        match self {
            Self::Read => Place::Read,
            Self::Write => Place::Write,
            _ => Place::Select,
        }
    }

    /// Whether it waits for room.
    const fn wants_room(self) -> bool {
        matches!(self, Self::Write | Self::PollOut | Self::SelectWrite)
    }

    /// Makes the call: the bytes that moved, or the events that happened.
    fn make(self, mode: Mode, program: Program) -> Result<usize, status_t> {
        match self {
            Self::Read => program.packet().map(|packet| packet.len()),
            Self::Write => program.write(&program_packet(mode, Way::ToStack, 100)),
            Self::PollIn => program.poll(POLLIN, -1).map(usize::from),
            Self::PollOut => program.poll(POLLOUT, -1).map(usize::from),
            Self::SelectRead => program.select_read().map(usize::from),
            Self::SelectWrite => program.select_write().map(usize::from),
        }
    }
}

/// Writes until there is no room. The queue holds one packet.
fn fill(mode: Mode, program: Program) {
    program.set_limits([512, 1 << 20, 1, 1 << 20]).unwrap();
    program.write(&program_packet(mode, Way::ToStack, 100)).unwrap();
    assert_eq!(program.ready(POLLOUT), 0);
}

/// Has a call block, with the stack's side in the test's hands; does something, and returns what came of the call.
fn ended_by(
    mode: Mode,
    call: Call,
    act: impl FnOnce(&mut Option<Card<'_>>, Program, haiku_sys::thread_id),
) -> Result<usize, status_t> {
    let rig = Rig::boot();
    let mut card = Some(Card::ready(&rig, &mode.interface(0)));
    let program = Program::waiting(mode);
    if call.wants_room() {
        fill(mode, program);
    }
    let result = rig.while_blocked(call.place(), || call.make(mode, program), |thread| act(&mut card, program, thread));
    drop(card);
    rig.end();
    result
}

/// Runs a test for every mode and call.
fn for_all(test: impl Fn(Mode, Call)) {
    for mode in Mode::ALL {
        for call in Call::ALL {
            test(mode, call);
        }
    }
}

#[test]
fn a_signal_ends_every_call() {
    for_all(|mode, call| {
        let result = ended_by(mode, call, |_, _, thread| thread::signal(thread).unwrap());
        assert_eq!(result, Err(B_INTERRUPTED), "{mode} {call:?}");
    });
}

#[test]
fn a_killing_signal_ends_every_call() {
    for_all(|mode, call| {
        let result = ended_by(mode, call, |_, _, thread| thread::kill(thread).unwrap());
        assert_eq!(result, Err(B_INTERRUPTED), "{mode} {call:?}");
    });
}

#[test]
fn close_ends_every_call() {
    for_all(|mode, call| {
        let expected = match call {
            Call::Read | Call::Write => Err(B_FILE_ERROR),
            Call::PollIn | Call::PollOut => Ok(usize::from(POLLNVAL)),
            // Haiku takes a closed descriptor out of a `select` without waking it, and never asks the driver.
            Call::SelectRead | Call::SelectWrite => return,
        };
        assert_eq!(ended_by(mode, call, |_, program, _| program.close()), expected, "{mode} {call:?}");
    });
}

#[test]
fn a_select_whose_descriptor_is_closed_is_the_drivers_affair_no_longer() {
    for mode in Mode::ALL {
        for call in [Call::SelectRead, Call::SelectWrite] {
            let close = |_: &mut Option<Card<'_>>, program: Program, thread| {
                program.close();
                thread::signal(thread).unwrap();
            };
            assert_eq!(ended_by(mode, call, close), Err(B_INTERRUPTED), "{mode} {call:?}");
        }
    }
}

#[test]
fn removal_of_the_interface_ends_every_call() {
    for_all(|mode, call| {
        let result = ended_by(mode, call, |card, _, _| drop(card.take()));
        match call {
            Call::Read => assert_eq!(result, Err(ENXIO), "{mode}"),
            // It goes down first, and a writer may be quick enough to see that.
            Call::Write => assert!(matches!(result, Err(ENXIO | ENETDOWN)), "{mode}: {result:?}"),
            Call::PollIn | Call::PollOut => {
                let events = result.unwrap() as u16;
                assert!(events & (POLLIN | POLLERR | POLLHUP) != 0, "{mode} {call:?}: {events:#x}");
            }
            Call::SelectRead | Call::SelectWrite => assert_eq!(result, Ok(1), "{mode} {call:?}"),
        }
    });
}

#[test]
fn down_ends_a_blocked_write_and_lets_a_read_go_on() {
    for mode in Mode::ALL {
        let down = |card: &mut Option<Card<'_>>, _: Program, _| card.as_ref().unwrap().down();
        assert_eq!(ended_by(mode, Call::Write, down), Err(ENETDOWN));
        let bounce = |card: &mut Option<Card<'_>>, _: Program, _| {
            let card = card.as_ref().unwrap();
            card.down();
            card.up();
            card.send(&stack_frame(mode, card.address(), 200)).unwrap();
        };
        assert_eq!(ended_by(mode, Call::Read, bounce), Ok(200));
    }
}

#[test]
fn room_ends_every_call_that_waits_for_it() {
    for_all(|mode, call| {
        if !call.wants_room() {
            return;
        }
        let receive = |card: &mut Option<Card<'_>>, _: Program, _| {
            card.as_ref().unwrap().receive().unwrap();
        };
        let expected = match call {
            Call::Write => 100,
            Call::PollOut => usize::from(POLLOUT),
            _ => 1,
        };
        assert_eq!(ended_by(mode, call, receive), Ok(expected), "{mode} {call:?}");
    });
}

#[test]
fn a_packet_ends_every_call_that_waits_for_one() {
    for_all(|mode, call| {
        if call.wants_room() {
            return;
        }
        let send = |card: &mut Option<Card<'_>>, _: Program, _| {
            let card = card.as_ref().unwrap();
            card.send(&stack_frame(mode, card.address(), 321)).unwrap();
        };
        let expected = match call {
            Call::Read => 321,
            Call::PollIn => usize::from(POLLIN),
            _ => 1,
        };
        assert_eq!(ended_by(mode, call, send), Ok(expected), "{mode} {call:?}");
    });
}

#[test]
fn up_ends_a_wait_for_writing() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    let events = rig.while_blocked(Place::Select, || program.poll(POLLOUT, -1), |_| card.up());
    assert_eq!(events, Ok(POLLOUT));
    drop(card);
    rig.end();
}

#[test]
fn several_blocked_readers_get_one_packet_each_and_all_end_with_the_descriptor() {
    const READERS: usize = 5;
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    let read_all = |act: &dyn Fn()| -> Vec<Result<usize, status_t>> {
        std::thread::scope(|scope| {
            let read = || program.packet().map(|packet| packet.len());
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            rig.until_blocked(Place::Read, READERS);
            act();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        })
    };
    let mut lengths = read_all(&|| {
        for length in 0..READERS {
            card.send(&stack_frame(Mode::Tun, card.address(), 100 + length)).unwrap();
        }
    });
    lengths.sort_unstable();
    assert_eq!(lengths, [100, 101, 102, 103, 104].map(Ok));
    assert_eq!(read_all(&|| program.close()), [Err(B_FILE_ERROR); READERS]);
    drop(card);
    rig.end();
}

#[test]
fn the_stacks_reader_returns_when_the_interface_goes_down() {
    let rig = Rig::boot();
    for mode in Mode::ALL {
        let card = Card::ready(&rig, &mode.interface(0));
        assert_eq!(rig.while_blocked(Place::Receive, || card.receive(), |_| card.down()), Err(ENETDOWN));
        assert_eq!(card.receive(), Err(ENETDOWN), "while it is down it does not wait at all");
    }
    rig.end();
}

#[test]
fn the_stacks_reader_returns_even_if_it_is_just_about_to_wait() {
    const TIMES: usize = 2000;
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    std::thread::scope(|scope| {
        // As Haiku has it: the reader ends with the interface's being down, and `down` waits for that.
        for _ in 0..TIMES {
            let reader = scope.spawn(|| while card.receive() != Err(ENETDOWN) {});
            card.down();
            reader.join().unwrap();
            card.up();
        }
    });
    drop(card);
    rig.end();
}

#[test]
fn a_signal_does_not_end_the_stacks_reader() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    let packet = program_packet(Mode::Tun, Way::ToStack, 64);
    let received = rig.while_blocked(
        Place::Receive,
        || card.receive(),
        |thread| {
            thread::signal(thread).unwrap();
            program.write(&packet).unwrap();
        },
    );
    assert_eq!(received.map(|frame| frame[14..].to_vec()), Ok(packet));
    drop(card);
    rig.end();
}

#[test]
fn close_at_any_moment_ends_a_reader_and_a_writer() {
    const TIMES: usize = 500;
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    for _ in 0..TIMES {
        let program = Program::waiting(Mode::Tun);
        let packet = program_packet(Mode::Tun, Way::ToStack, 40);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| program.packet());
            let writer = scope.spawn(|| {
                let mut results = std::iter::repeat_with(|| program.write(&packet));
                results.find_map(Result::err)
            });
            program.close();
            assert_eq!(reader.join().unwrap(), Err(B_FILE_ERROR));
            assert_eq!(writer.join().unwrap(), Some(B_FILE_ERROR));
        });
    }
    drop(card);
    rig.end();
}

#[test]
fn after_close_the_unit_is_free_once_the_last_call_has_returned() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    for _ in 0..100 {
        let program = Program::waiting(Mode::Tun);
        assert!(card.has(IFF_LINK));
        let result = rig.while_blocked(Place::Read, || program.packet(), |_| program.close());
        assert_eq!(result, Err(B_FILE_ERROR));
        assert!(!card.has(IFF_LINK));
    }
    drop(card);
    rig.end();
}

#[test]
fn ifconfig_can_take_down_and_delete_an_interface_that_a_program_waits_for() {
    for mode in Mode::ALL {
        for call in [Call::Read, Call::PollIn, Call::SelectRead] {
            let rig = Rig::boot();
            rig.configure(mode).unwrap();
            let program = Program::waiting(mode);
            // The stack has something to say of itself while the interface comes up, and a little later too.
            let read_all = || loop {
                let ready = call == Call::Read || call.make(mode, program).is_ok();
                if let Err(error) = program.packet() {
                    return (ready, error);
                }
            };
            let ended = rig.while_blocked(call.place(), read_all, |_| {
                rig.ifconfig(&format!("{mode}/0 down")).unwrap();
                rig.ifconfig(&format!("--delete {mode}/0")).unwrap();
            });
            assert_eq!(ended, (true, ENXIO), "{mode} {call:?}");
            rig.end();
        }
    }
}

#[test]
fn a_descriptor_that_does_not_wait_never_does() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
    fill(Mode::Tun, program);
    assert_eq!(program.write(&program_packet(Mode::Tun, Way::ToStack, 100)), Err(B_WOULD_BLOCK));
    drop(card);
    rig.end();
}
