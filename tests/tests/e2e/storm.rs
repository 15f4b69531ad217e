//! Everything at once: programs, the stack, the administrator and observers at the same units, each as fast as it can.

use std::sync::atomic::{AtomicBool, Ordering};

use haiku_kernel::syscalls::{self, POLLIN, POLLOUT};
use haiku_sys::{
    B_BUSY, B_FILE_ERROR, B_WOULD_BLOCK, ENETDOWN, ENOBUFS, ENXIO, O_NONBLOCK, O_RDONLY, O_RDWR, status_t,
};
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, arp_request, program_packet, stack_frame};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

/// How often each does what it does.
const TIMES: usize = 400;

/// What any of them may be told while the others are at it.
const EXPECTED: [status_t; 6] = [B_WOULD_BLOCK, B_FILE_ERROR, ENETDOWN, ENXIO, ENOBUFS, B_BUSY];

fn fine<T>(what: &str, result: Result<T, status_t>) {
    if let Err(error) = result {
        assert!(EXPECTED.contains(&error), "{what}: {error:#x}");
    }
}

/// Opens a unit under a number that no program of the other mode ever gets: a thread that is late with a call must not
/// find the other's descriptor there.
fn open(mode: Mode, flags: u32) -> Result<Program, status_t> {
    let fd = syscalls::open(&mode.node(0), flags)?;
    let lowest = if mode == Mode::Tun { 20 } else { 100 };
    let moved = syscalls::fcntl(fd, syscalls::F_DUPFD, lowest).expect("a free number");
    Program::borrow(fd).close();
    Ok(Program::borrow(moved))
}

/// Opens, writes, reads, polls and closes, with calls that wait and calls that do not.
fn user(mode: Mode, stop: &AtomicBool) {
    let packet = program_packet(mode, Way::ToStack, 200);
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let flags = if round % 2 == 0 { O_RDWR } else { O_RDWR | O_NONBLOCK };
        let program = match open(mode, flags) {
            Ok(program) => program,
            Err(error) => {
                fine("open", Err::<(), _>(error));
                continue;
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| fine("read", program.packet()));
            scope.spawn(|| {
                for _ in 0..20 {
                    fine("write", program.write(&packet));
                }
            });
            scope.spawn(|| fine("poll", program.poll(POLLIN | POLLOUT, 0)));
            program.close();
        });
    }
}

/// Makes an interface, brings it up and down, and removes it, with a reader as the stack has it, and senders.
fn stack(rig: &Rig, mode: Mode) {
    for round in 0..TIMES {
        let card = Card::new(rig, &mode.interface(0));
        let frame = stack_frame(mode, card.address(), 300);
        for _ in 0..1 + round % 3 {
            card.up();
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| while card.receive() != Err(ENETDOWN) {});
                scope.spawn(|| {
                    for _ in 0..30 {
                        fine("send", card.send(&frame));
                    }
                });
                fine("send", card.send(&arp_request(card.address())));
                fine("set_mtu", card.set_mtu(1000 + round));
                card.down();
                reader.join().unwrap();
            });
        }
    }
}

/// Opens, reads and closes a node that shows the units, in small pieces.
fn inspector(node: &str, stop: &AtomicBool) {
    let mut piece = [0; 200];
    while !stop.load(Ordering::Relaxed) {
        // Its number is below those of the programs.
        let fd = syscalls::open(node, O_RDONLY).expect("any user may read");
        let mut text = Vec::new();
        loop {
            match syscalls::read(fd, &mut piece).expect("there is memory") {
                0 => break,
                length => text.extend_from_slice(&piece[..length]),
            }
        }
        assert!(text.ends_with(b"\n"), "a whole text: {}", String::from_utf8_lossy(&text));
        syscalls::close(fd).expect("it was open");
    }
}

#[test]
fn a_storm_ends_with_nothing_left_over() {
    let rig = Rig::boot();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mode in Mode::ALL {
            scope.spawn({
                let stop = &stop;
                move || user(mode, stop)
            });
        }
        for node in ["/dev/misc/tun_tap", "/dev/misc/tun_tap_short"] {
            let stop = &stop;
            scope.spawn(move || inspector(node, stop));
        }
        let stacks = Mode::ALL.map(|mode| {
            let rig = &rig;
            scope.spawn(move || stack(rig, mode))
        });
        stacks.into_iter().for_each(|stack| stack.join().unwrap());
        stop.store(true, Ordering::Relaxed);
    });
    rig.end();
}
