//! `wake`, `select`, `flood` and `batch`: two threads, one on either side of the device.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use haiku_kernel::syscalls::{self, POLLIN, PollFd};
use haiku_sys::{B_INFINITE_TIMEOUT, O_NONBLOCK, O_RDWR};
use tuntap_net_addon::ioctl::wire::TUNWRITEBATCH;

use super::unit::{Driver, Packet, Shape, Unit, records};
use super::{Figure, Goal, compare};
use crate::error::Error;
use crate::mode::Mode;

/// Round trips in a round.
const TRIPS: u32 = 5_000;
/// Packets in a round of one way.
const PACKETS: u32 = 100_000;
/// Bytes of IP.
const LENGTH: usize = 64;

/// A bounded queue of packets behind a mutex, with a futex at either end: what a device cannot do without.
struct Queue {
    packets: Mutex<VecDeque<Packet>>,
    filled: Condvar,
    emptied: Condvar,
}

// SAFETY: packets belong to whoever has them; no thread is special.
unsafe impl Send for Packet {}

impl Queue {
    /// As many packets as the device's own queues hold.
    const LIMIT: usize = 512;

    fn new() -> Self {
        Self {
            packets: Mutex::new(VecDeque::with_capacity(Self::LIMIT)),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Packet>> {
        self.packets.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn push(&self, packet: Packet) {
        let mut packets = self.lock();
        while packets.len() == Self::LIMIT {
            packets = self.emptied.wait(packets).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        packets.push_back(packet);
        let first = packets.len() == 1;
        drop(packets);
        if first {
            self.filled.notify_one();
        }
    }

    fn pop(&self) -> Packet {
        let mut packets = self.lock();
        loop {
            let full = packets.len() == Self::LIMIT;
            if let Some(packet) = packets.pop_front() {
                drop(packets);
                if full {
                    self.emptied.notify_one();
                }
                return packet;
            }
            packets = self.filled.wait(packets).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

/// Runs one side in a thread of its own, the other in this one; says how long both took, in nanoseconds for each.
fn both<A, B>(count: u32, there: A, here: B) -> Result<f64, Error>
where
    A: FnOnce() -> Result<(), Error> + Send,
    B: FnOnce() -> Result<(), Error>,
{
    thread::scope(|scope| {
        let start = Instant::now();
        let other = scope.spawn(there);
        here()?;
        other.join().map_err(|_| Error::Failed("a thread of the benchmark panicked".to_owned()))??;
        Ok(start.elapsed().as_nanos() as f64 / f64::from(count))
    })
}

/// Ping-pong by blocking reads, against the same threads over two bare queues.
pub(super) fn wake(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let _lab = driver.boot()?;
    let unit = driver.unit(Mode::Tun, 0, true)?;
    let shape = Shape::new(Mode::Tun, &unit, LENGTH);
    let device = || both(TRIPS, || echo(&unit, TRIPS, |buffer| unit.read(buffer)), || stack(&unit, &shape, drop));
    Ok(vec![compare("wake", "ns", Goal::AtMost(1.2), device, || bare_ping_pong(&shape, drop))?])
}

/// The same on one driver against another, each in a system of its own.
pub(super) fn wake_against(linked: &Driver, real: &Driver) -> Result<Figure, Error> {
    let measure = |driver: &Driver| {
        let _lab = driver.boot()?;
        let unit = driver.unit(Mode::Tun, 0, true)?;
        let shape = Shape::new(Mode::Tun, &unit, LENGTH);
        both(TRIPS, || echo(&unit, TRIPS, |buffer| unit.read(buffer)), || stack(&unit, &shape, drop))
    };
    compare("real/wake", "ns", Goal::AtMost(1.1), || measure(real), || measure(linked))
}

/// The program's side: reads, and writes what it read.
fn echo(unit: &Unit, trips: u32, mut read: impl FnMut(&mut [u8]) -> Result<Option<usize>, Error>) -> Result<(), Error> {
    let mut buffer = [0; 2048];
    for _ in 0..trips {
        if let Some(length) = read(&mut buffer)? {
            unit.write(&buffer[..length])?;
        }
    }
    Ok(())
}

/// The stack's side: sends, and waits for the answer.
fn stack(unit: &Unit, shape: &Shape, mut trip: impl FnMut(Duration)) -> Result<(), Error> {
    for _ in 0..TRIPS {
        let start = Instant::now();
        unit.send(&shape.frame)?;
        unit.receive()?;
        trip(start.elapsed());
    }
    Ok(())
}

fn bare_ping_pong(shape: &Shape, mut trip: impl FnMut(Duration)) -> Result<f64, Error> {
    let (out, back) = (Queue::new(), Queue::new());
    both(
        TRIPS,
        || {
            let mut buffer = [0; 2048];
            for _ in 0..TRIPS {
                out.pop().read(&mut buffer[..shape.frame.len()])?;
                back.push(Packet::new(&buffer[..shape.frame.len()])?);
            }
            Ok(())
        },
        || {
            for _ in 0..TRIPS {
                let start = Instant::now();
                out.push(Packet::new(&shape.frame)?);
                drop(back.pop());
                trip(start.elapsed());
            }
            Ok(())
        },
    )
}

/// The round trips of `wake` one by one, in microseconds: the device's, and the bare queues'. They take turns, as
/// everywhere.
pub(super) fn samples(driver: &Driver) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let _lab = driver.boot()?;
    let unit = driver.unit(Mode::Tun, 0, true)?;
    let shape = Shape::new(Mode::Tun, &unit, LENGTH);
    let (mut device, mut floor) = (Vec::new(), Vec::new());
    let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
    for _ in 0..5 {
        let there = || echo(&unit, TRIPS, |buffer| unit.read(buffer));
        both(TRIPS, there, || stack(&unit, &shape, |time| device.push(microseconds(time))))?;
        bare_ping_pong(&shape, |time| floor.push(microseconds(time)))?;
    }
    Ok((device, floor))
}

/// Ping-pong through readiness, against the same with an eventfd and poll.
pub(super) fn select(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let _lab = driver.boot()?;
    // The program polls a descriptor of the emulated kernel's; the stack's side is called directly.
    let unit = driver.interface(Mode::Tun, 0)?;
    let shape = Shape::new(Mode::Tun, &unit, LENGTH);
    let fd = syscalls::open(&Mode::Tun.node(0), O_RDWR | O_NONBLOCK)
        .map_err(|status| Error::status("opening a unit", status))?;
    let program = || {
        let mut buffer = [0; 2048];
        for _ in 0..TRIPS {
            let mut fds = [PollFd { fd, events: POLLIN, revents: 0 }];
            syscalls::poll(&mut fds, B_INFINITE_TIMEOUT).map_err(|status| Error::status("poll", status))?;
            let length = syscalls::read(fd, &mut buffer).map_err(|status| Error::status("reading", status))?;
            syscalls::write(fd, &buffer[..length]).map_err(|status| Error::status("writing", status))?;
        }
        Ok(())
    };
    let device = || both(TRIPS, program, || stack(&unit, &shape, drop));
    let figure = compare("select", "ns", Goal::AtMost(1.3), device, || bare_poll(&shape));
    syscalls::close(fd).map_err(|status| Error::status("closing a unit", status))?;
    figure.map(|figure| vec![figure])
}

/// An eventfd that says how many packets a queue has.
struct Signal(i32);

impl Signal {
    fn new() -> Result<Self, Error> {
        // SAFETY: a plain system call.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE | libc::EFD_CLOEXEC) };
        if fd < 0 {
            Err(Error::io("making an eventfd".to_owned(), std::io::Error::last_os_error()))
        } else {
            Ok(Self(fd))
        }
    }

    fn raise(&self) {
        let one = 1_u64;
        // SAFETY: our descriptor, and eight bytes.
        unsafe { libc::write(self.0, (&raw const one).cast(), 8) };
    }

    fn wait(&self) {
        let mut fds = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&raw mut fds, 1, -1) };
        let mut count = 0_u64;
        // SAFETY: our descriptor, and eight bytes.
        unsafe { libc::read(self.0, (&raw mut count).cast(), 8) };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // SAFETY: our descriptor, which nobody uses again.
        unsafe { libc::close(self.0) };
    }
}

fn bare_poll(shape: &Shape) -> Result<f64, Error> {
    let (out, back, ready) = (Queue::new(), Queue::new(), Signal::new()?);
    both(
        TRIPS,
        || {
            let mut buffer = [0; 2048];
            for _ in 0..TRIPS {
                ready.wait();
                out.pop().read(&mut buffer[..shape.frame.len()])?;
                back.push(Packet::new(&buffer[..shape.frame.len()])?);
            }
            Ok(())
        },
        || {
            for _ in 0..TRIPS {
                out.push(Packet::new(&shape.frame)?);
                ready.raise();
                drop(back.pop());
            }
            Ok(())
        },
    )
}

/// One way as fast as it goes, a writer and the stack's reader on two threads, none lost; against a bare queue.
pub(super) fn flood(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let _lab = driver.boot()?;
    let mut figures = Vec::new();
    for length in [64, 1400] {
        let unit = driver.unit(Mode::Tun, 0, true)?;
        let shape = Shape::new(Mode::Tun, &unit, length);
        let device = || {
            both(
                PACKETS,
                || (0..PACKETS).try_for_each(|_| unit.write(&shape.packet).map(drop)),
                || (0..PACKETS).try_for_each(|_| unit.receive()),
            )
        };
        let floor = || {
            let queue = Queue::new();
            both(
                PACKETS,
                || {
                    for _ in 0..PACKETS {
                        queue.push(Packet::new(&shape.packet)?);
                    }
                    Ok(())
                },
                || {
                    for _ in 0..PACKETS {
                        drop(queue.pop());
                    }
                    Ok(())
                },
            )
        };
        figures.push(compare(format!("flood/{length}"), "ns", Goal::AtMost(1.5), device, floor)?);
    }
    Ok(figures)
}

/// Packets a second in batches, against single calls; through the hooks.
pub(super) fn batch(driver: &Driver) -> Result<Vec<Figure>, Error> {
    let _lab = driver.boot()?;
    let unit = driver.unit(Mode::Tun, 0, true)?;
    let shape = Shape::new(Mode::Tun, &unit, LENGTH);
    let drain = || (0..PACKETS).try_for_each(|_| unit.receive());
    let singly = || both(PACKETS, drain, || (0..PACKETS).try_for_each(|_| unit.write(&shape.packet).map(drop)));
    let mut figures = Vec::new();
    for count in [1_u32, 8, 32, 128] {
        let device = || {
            let mut request = records(&shape.packet, count);
            both(PACKETS, drain, || {
                let mut left = PACKETS;
                while left > 0 {
                    let packets = count.min(left);
                    request[8..12].copy_from_slice(&packets.to_ne_bytes());
                    unit.control(TUNWRITEBATCH, &mut request)?;
                    left -= packets;
                }
                Ok(())
            })
        };
        // The other way round: how many times as fast a batch is.
        let goal = if count == 32 { Goal::AtLeast(2.0) } else { Goal::AtLeast(0.0) };
        figures.push(compare(format!("batch/{count}"), "ns", goal, singly, device)?);
    }
    Ok(figures)
}
