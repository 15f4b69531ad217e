//! The far side's loop, in system calls.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use haiku_kernel::syscalls::{self, FdSet, POLLIN, POLLOUT, PollFd};
use haiku_kernel::thread;
use haiku_sys::{B_INTERRUPTED, B_WOULD_BLOCK, ENOBUFS, O_NONBLOCK, O_RDWR, status_t, thread_id};

use super::{Shared, Waiting, Way};
use haiku_stack::Error;
use haiku_stack::lock;

/// The longest packet that is read.
const BUFFER: usize = 65_536;

/// Opens the node, reports that, and serves it until it is stopped.
pub(super) fn run(shared: &Shared, node: &str, waiting: Waiting, opened: &Sender<thread_id>) -> Result<(), Error> {
    let flags = match waiting {
        Waiting::Read => O_RDWR,
        Waiting::Poll | Waiting::Select => O_RDWR | O_NONBLOCK,
    };
    let fd = syscalls::open(node, flags).map_err(|status| Error::status(format!("opening {node}"), status))?;
    shared.fd.store(fd, Ordering::SeqCst);
    let _ = opened.send(thread::current());
    let result = match waiting {
        Waiting::Read => read_loop(shared),
        Waiting::Poll | Waiting::Select => event_loop(shared, waiting),
    };
    let closed = syscalls::close(fd);
    match result.and(closed) {
        Err(status) if !shared.stopping() => Err(Error::status(format!("the far side of {node}"), status)),
        _ => Ok(()),
    }
}

/// Reads, answers, writes; each call blocks.
fn read_loop(shared: &Shared) -> Result<(), status_t> {
    let mut buffer = vec![0; BUFFER];
    while !shared.stopping() {
        shared.counts.waits.fetch_add(1, Ordering::Relaxed);
        match syscalls::read(shared.fd(), &mut buffer) {
            Ok(length) => {
                for packet in &receive(shared, buffer.get(..length).unwrap_or_default()) {
                    write_one(shared, packet)?;
                }
            }
            Err(B_INTERRUPTED) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

/// Waits for readiness, then reads and writes until both would block.
fn event_loop(shared: &Shared, waiting: Waiting) -> Result<(), status_t> {
    let mut buffer = vec![0; BUFFER];
    let mut pending = VecDeque::new();
    while !shared.stopping() {
        shared.counts.waits.fetch_add(1, Ordering::Relaxed);
        match wait(shared, waiting, !pending.is_empty()) {
            Ok(()) => {}
            Err(B_INTERRUPTED) => continue,
            Err(status) => return Err(status),
        }
        loop {
            match syscalls::read(shared.fd(), &mut buffer) {
                Ok(length) => pending.extend(receive(shared, buffer.get(..length).unwrap_or_default())),
                Err(B_WOULD_BLOCK) => break,
                Err(B_INTERRUPTED) => continue,
                Err(status) => return Err(status),
            }
            flush(shared, &mut pending)?;
        }
        pending.extend(lock(&shared.network).poll());
        flush(shared, &mut pending)?;
    }
    Ok(())
}

/// Waits until there is something to read, or room for what waits to be written, or the stack's own time has come.
fn wait(shared: &Shared, waiting: Waiting, writing: bool) -> Result<(), status_t> {
    let timeout = match lock(&shared.network).again() {
        Some(delay) => i64::try_from(delay.as_micros()).unwrap_or(i64::MAX).max(1),
        None => -1,
    };
    let fd = shared.fd();
    if waiting == Waiting::Poll {
        let events = if writing { POLLIN | POLLOUT } else { POLLIN };
        return syscalls::poll(&mut [PollFd { fd, events, revents: 0 }], timeout).map(drop);
    }
    let (mut readable, mut writable) = (FdSet::default(), FdSet::default());
    readable.insert(fd);
    writable.insert(fd);
    let writable = writing.then_some(&mut writable);
    syscalls::select(fd + 1, Some(&mut readable), writable, None, timeout).map(drop)
}

/// Hands a packet to the far side's stack; returns its answers.
fn receive(shared: &Shared, packet: &[u8]) -> Vec<Vec<u8>> {
    shared.counts.read.fetch_add(1, Ordering::Relaxed);
    shared.watch(Way::Read, packet);
    let mut network = lock(&shared.network);
    network.push(packet);
    let answers = network.poll();
    drop(network);
    shared.changed.notify_all();
    answers
}

/// Writes what waits, until the device has no room.
fn flush(shared: &Shared, pending: &mut VecDeque<Vec<u8>>) -> Result<(), status_t> {
    while let Some(packet) = pending.front() {
        match syscalls::write(shared.fd(), packet) {
            Ok(_) => written(shared, packet),
            Err(B_WOULD_BLOCK) => return Ok(()),
            Err(B_INTERRUPTED) => continue,
            Err(status) => refused(shared, status)?,
        }
        pending.pop_front();
    }
    Ok(())
}

fn written(shared: &Shared, packet: &[u8]) {
    shared.counts.written.fetch_add(1, Ordering::Relaxed);
    shared.watch(Way::Written, packet);
}

/// A packet that was not taken is lost, as on any link; only a descriptor that is no good any more ends the program.
fn refused(shared: &Shared, status: status_t) -> Result<(), status_t> {
    shared.counts.refused.fetch_add(1, Ordering::Relaxed);
    let gone = matches!(status, haiku_sys::B_FILE_ERROR | haiku_sys::B_NO_INIT | haiku_sys::B_DEVICE_NOT_FOUND);
    if gone { Err(status) } else { Ok(()) }
}

/// Writes one packet, waiting for room if the descriptor blocks. An interrupted wait is taken up again, unless the
/// interruption was meant for us.
fn write_one(shared: &Shared, packet: &[u8]) -> Result<(), status_t> {
    loop {
        return match syscalls::write(shared.fd(), packet) {
            Ok(_) => {
                written(shared, packet);
                Ok(())
            }
            Err(B_INTERRUPTED) if !shared.stopping() => continue,
            Err(status @ (B_INTERRUPTED | B_WOULD_BLOCK | ENOBUFS)) => refused(shared, status),
            Err(status) => refused(shared, status),
        };
    }
}

/// Writes packets from another thread than the program's own.
pub(super) fn write_blocking(shared: &Shared, packets: Vec<Vec<u8>>) -> Result<(), Error> {
    for packet in &packets {
        write_one(shared, packet).map_err(|status| Error::status("writing from the far side", status))?;
    }
    Ok(())
}
