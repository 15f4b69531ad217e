//! Many programs at once on the toy driver: nothing hangs, nothing is left over.

mod common;

use common::toy::{self, events};
use common::{Program, boot};
use haiku_kernel::syscalls::{self, POLLIN, POLLOUT, PollFd};
use haiku_kernel::thread;
use haiku_sys::*;

/// A small generator, so that a seed names a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One program's random life with descriptors of its own and of others.
fn live(seed: u64, rounds: u32) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..rounds {
        let fd = dice.roll(12) as i32;
        // Any result is fine, because all threads share the numbers.
        match dice.roll(9) {
            0 | 1 => {
                let _ = syscalls::open("/dev/toy/0", O_RDWR | O_NONBLOCK);
            }
            2 => {
                let _ = syscalls::close(fd);
            }
            3 => {
                let _ = syscalls::write(fd, b"some bytes");
            }
            4 => {
                let _ = syscalls::read(fd, &mut [0; 16]);
            }
            5 => {
                let mut fds =
                    [0, 1, 2].map(|_| PollFd { fd: dice.roll(12) as i32, events: POLLIN | POLLOUT, revents: 0 });
                let _ = syscalls::poll(&mut fds, 50);
            }
            6 => {
                let _ = syscalls::dup2(fd, dice.roll(12) as i32);
            }
            7 => {
                let _ = syscalls::ioctl(fd, toy::TOY_NOTHING, 0, 0);
            }
            _ => {
                // SAFETY: a C string.
                unsafe { devfs_rescan_driver(c"toy".as_ptr()) };
            }
        }
    }
}

#[test]
fn programs_at_random_leave_nothing_behind() {
    for seed in 1..=4_u64 {
        let kernel = boot();
        kernel.install("toy", toy::exports(&["toy/0"])).unwrap();
        let programs: Vec<_> = (0..4).map(|number| Program::start(move || live(seed * 16 + number, 1500))).collect();
        for program in programs {
            program.join();
        }
        assert!(kernel.shutdown().is_zero(), "seed {seed}");
        events();
    }
}

#[test]
fn blocked_readers_survive_signals_and_closes_in_any_order() {
    let kernel = boot();
    kernel.install("toy", toy::exports(&["toy/0"])).unwrap();
    let mut dice = Dice(7);
    for _ in 0..300 {
        let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
        let readers: Vec<_> = (0..3).map(|_| Program::blocked(move || syscalls::read(fd, &mut [0; 8]))).collect();
        let mut ended = 0;
        for reader in &readers {
            match dice.roll(3) {
                0 => {
                    thread::signal(reader.id).unwrap();
                    ended += 1;
                }
                1 => {
                    let _ = syscalls::write(fd, b"x");
                }
                _ => {}
            }
        }
        syscalls::close(fd).unwrap();
        let results: Vec<_> = readers.into_iter().map(Program::join).collect();
        let interrupted = results.iter().filter(|result| **result == Err(B_INTERRUPTED)).count();
        assert!(interrupted <= ended, "{results:?}");
        assert!(
            results.iter().all(|result| matches!(result, Ok(1) | Err(B_INTERRUPTED | B_FILE_ERROR))),
            "{results:?}"
        );
        events();
    }
    assert!(kernel.shutdown().is_zero());
}
