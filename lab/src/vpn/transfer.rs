//! A TCP transfer across the tunnel: counted, timed and checksummed at both ends.
//!
//! One side receives so many bytes and sends their checksum back; the other sends them and compares. The time is the
//! sender's, from its first byte to the checksum; the longest stall is the receiver's, between two pieces of data.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haiku_kernel::thread;
use serde::{Deserialize, Serialize};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, State};

use crate::error::Error;
use crate::stack::{HostState, Stack, WakeFor};

/// Bytes that are produced, or taken, at once.
const CHUNK: usize = 65_536;
/// What a socket of Haiku's receives at most before it is read: the window. A whole one fits into the buffer of the
/// datagram socket through which OpenVPN's packets come: more would be lost there, not queued.
const WINDOW: usize = 96 * 1024;
/// How much must have come before whoever reads is woken: a part of the window, so that it never fills meanwhile.
const LOW_WATER: usize = WINDOW / 3;
/// What a socket of Haiku's takes before it blocks.
const SEND_BUFFER: usize = 256 * 1024;
/// How long nothing may happen before the transfer is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a checksum.
const SUM: usize = 8;

/// What one end saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Bytes of data.
    pub bytes: u64,
    /// Their checksum.
    pub checksum: u64,
    /// From the first byte to the last, in nanoseconds; the sender's last is the checksum's.
    pub nanoseconds: u64,
    /// The longest time between two pieces of data that arrived.
    pub stall_nanoseconds: u64,
}

/// A sum over bytes that depends on their order: Fletcher's, in 64 bits and without the modulus.
#[derive(Clone, Copy, Debug, Default)]
struct Checksum {
    sum: u64,
    sums: u64,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.sum = self.sum.wrapping_add(u64::from(byte) + 1);
            self.sums = self.sums.wrapping_add(self.sum);
        }
    }

    const fn value(self) -> u64 {
        self.sums.rotate_left(32) ^ self.sum
    }
}

/// The data, piece by piece: no two pieces alike.
struct Source {
    state: u64,
    piece: Vec<u8>,
    left: u64,
    checksum: Checksum,
}

impl Source {
    fn new(bytes: u64) -> Self {
        Self { state: 0x4861_696b_7521, piece: Vec::new(), left: bytes, checksum: Checksum::default() }
    }

    /// The next piece; empty at the end.
    fn next(&mut self) -> &[u8] {
        let length = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
        self.left -= length as u64;
        self.piece.clear();
        while self.piece.len() < length {
            // Marsaglia's xorshift.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.piece.extend_from_slice(&self.state.to_le_bytes());
        }
        self.piece.truncate(length);
        self.checksum.add(&self.piece);
        &self.piece
    }
}

/// What arrives, timed.
#[derive(Default)]
struct Sink {
    seen: Seen,
    checksum: Checksum,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Sink {
    fn take(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        if let Some(last) = self.last {
            let stall = u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX);
            self.seen.stall_nanoseconds = self.seen.stall_nanoseconds.max(stall);
        }
        self.checksum.add(bytes);
        self.seen.bytes += bytes.len() as u64;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    fn finish(mut self) -> Seen {
        self.seen.checksum = self.checksum.value();
        let time = self.last.zip(self.first).map_or(Duration::ZERO, |(last, first)| last - first);
        self.seen.nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.seen
    }
}

/// What the sender reports; the receiver's checksum must be its own.
fn sent(source: &Source, bytes: u64, begin: Instant, answer: [u8; SUM]) -> Result<Seen, Error> {
    let nanoseconds = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let checksum = source.checksum.value();
    if u64::from_le_bytes(answer) != checksum {
        return Err(Error::Failed(format!("what arrived of {bytes} bytes is not what was sent: the checksums differ")));
    }
    Ok(Seen { bytes, checksum, nanoseconds, stall_nanoseconds: 0 })
}

/// A TCP socket of Haiku's.
struct Socket<'a> {
    stack: &'a Arc<Stack>,
    interface: String,
    handle: SocketHandle,
}

impl<'a> Socket<'a> {
    /// Makes one on the interface that leads to `peer`, and has `open` listen or connect.
    fn new(
        stack: &'a Arc<Stack>,
        peer: IpAddr,
        open: impl FnOnce(&mut tcp::Socket<'static>, &mut smoltcp::iface::Context) -> Result<(), String>,
    ) -> Result<Self, Error> {
        let path = stack.path(peer).map_err(|status| Error::status("tcp", status))?;
        let receive = tcp::SocketBuffer::new(vec![0; WINDOW]);
        let mut socket = tcp::Socket::new(receive, tcp::SocketBuffer::new(vec![0; SEND_BUFFER]));
        let added = stack.with_sockets(&path.interface, |state| {
            let (interface, sockets) = state.parts();
            open(&mut socket, interface.context()).map(|()| sockets.add(socket))
        });
        let added = added.map_err(|status| Error::status(format!("tcp: interface {}", path.interface), status))?;
        let handle = added.map_err(|error| Error::Failed(format!("tcp: {error}")))?;
        Ok(Self { stack, interface: path.interface, handle })
    }

    /// Has this thread woken only when `worth` is so, until it asks for something else.
    fn wake_for(&self, worth: impl Fn(&tcp::Socket<'static>) -> bool + Send + 'static) -> Result<(), Error> {
        let handle = self.handle;
        let wake_for: WakeFor = Box::new(move |sockets| worth(sockets.get::<tcp::Socket<'static>>(handle)));
        self.stack
            .with_sockets(&self.interface, |state| state.wake_for = Some(wake_for))
            .map_err(|status| Error::status(format!("tcp: interface {}", self.interface), status))
    }

    /// Waits until `ready` has an answer.
    fn wait<R>(&self, what: &str, mut ready: impl FnMut(&mut tcp::Socket<'static>) -> Option<R>) -> Result<R, Error> {
        let handle = self.handle;
        let found = self.stack.wait_until(&self.interface, Instant::now() + PATIENCE, |state: &mut HostState| {
            ready(state.sockets.get_mut::<tcp::Socket<'static>>(handle))
        });
        let found = found.map_err(|status| Error::status(format!("tcp: interface {}", self.interface), status))?;
        found.ok_or_else(|| Error::Failed(format!("tcp: {what} did not happen within {} s", PATIENCE.as_secs())))
    }

    /// Does something to it, and sends what follows from that.
    fn act<R>(&self, act: impl FnOnce(&mut tcp::Socket<'static>) -> R) -> Result<R, Error> {
        let handle = self.handle;
        self.stack
            .with_sockets(&self.interface, |state| act(state.sockets.get_mut::<tcp::Socket<'static>>(handle)))
            .map_err(|status| Error::status(format!("tcp: interface {}", self.interface), status))
    }

    fn send_all(&self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            // As a socket of Haiku's or Linux's: whoever waits for room is not woken for every little bit of it.
            let room = bytes.len().min(CHUNK);
            self.wait("the sending", |socket| {
                (!socket.may_send() || socket.send_capacity() - socket.send_queue() >= room).then_some(())
            })?;
            let count = self.act(|socket| socket.send_slice(bytes))?;
            let count = count.map_err(|error| Error::Failed(format!("tcp: sending: {error:?}")))?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for so much data and hands over what there is; returns how much it was.
    fn receive(&self, least: usize, take: &mut dyn FnMut(&[u8])) -> Result<usize, Error> {
        self.wait("the receiving", |socket| (socket.recv_queue() >= least || !socket.may_recv()).then_some(()))?;
        self.act(|socket| {
            let mut count = 0;
            while socket.can_recv() {
                let taken = socket.recv(|bytes| {
                    take(bytes);
                    (bytes.len(), bytes.len())
                });
                count += taken.unwrap_or(0);
            }
            count
        })
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        let handle = self.handle;
        let _ = self.stack.with_sockets(&self.interface, |state| {
            state.wake_for = None;
            drop(state.sockets.remove(handle));
        });
    }
}

/// Receives so many bytes at a port, from `peer`.
///
/// # Errors
/// They did not come.
pub fn receive(stack: &Arc<Stack>, peer: IpAddr, port: u16, bytes: u64) -> Result<Seen, Error> {
    let socket = Socket::new(stack, peer, |socket, _| socket.listen(port).map_err(|error| format!("{error:?}")))?;
    socket
        .wait("a connection", |socket| (!matches!(socket.state(), State::Listen | State::SynReceived)).then_some(()))?;
    let mut sink = Sink::default();
    socket.wake_for(|socket| socket.recv_queue() >= LOW_WATER || !socket.may_recv())?;
    while sink.seen.bytes < bytes {
        let left = bytes - sink.seen.bytes;
        let least = usize::try_from(left).unwrap_or(usize::MAX).min(LOW_WATER);
        if least < LOW_WATER {
            socket.wake_for(|_| true)?;
        }
        if socket.receive(least, &mut |piece| sink.take(piece))? == 0 {
            return Err(Error::Failed(format!("tcp: the connection ended after {} bytes", sink.seen.bytes)));
        }
    }
    let seen = sink.finish();
    socket.wake_for(|_| true)?;
    socket.send_all(&seen.checksum.to_le_bytes())?;
    // The sender closes when it has the checksum.
    socket.wait("the end", |socket| (!socket.may_recv()).then_some(()))?;
    Ok(seen)
}

/// Sends so many bytes to a port of `peer`, where somebody listens or soon will.
///
/// # Errors
/// They did not arrive, or not unharmed.
pub fn send(stack: &Arc<Stack>, peer: IpAddr, port: u16, bytes: u64) -> Result<Seen, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut local = 49_152 + port % 8192;
    let socket = loop {
        let socket = Socket::new(stack, peer, |socket, context| {
            let to = (smoltcp::wire::IpAddress::from(peer), port);
            socket.connect(context, to, local).map_err(|error| format!("{error:?}"))
        })?;
        let state = socket.wait("the connection", |socket| match socket.state() {
            State::SynSent => None,
            state => Some(state),
        })?;
        match state {
            State::Closed if Instant::now() < deadline => {
                drop(socket);
                thread::snooze(20_000);
                local += 1;
            }
            State::Closed => return Err(Error::Failed("tcp: connection refused".to_owned())),
            _ => break socket,
        }
    };
    socket.wake_for(|socket| !socket.may_send() || socket.send_capacity() - socket.send_queue() >= CHUNK)?;
    let (mut source, begin) = (Source::new(bytes), Instant::now());
    loop {
        let piece = source.next();
        if piece.is_empty() {
            break;
        }
        socket.send_all(piece)?;
    }
    let mut answer = Vec::new();
    socket.wake_for(|_| true)?;
    while answer.len() < SUM {
        if socket.receive(1, &mut |piece| answer.extend_from_slice(piece))? == 0 {
            return Err(Error::Failed("tcp: the connection ended before the checksum came".to_owned()));
        }
    }
    let seen = sent(&source, bytes, begin, answer.first_chunk().copied().unwrap_or_default())?;
    socket.act(tcp::Socket::close)?;
    socket.wait("the end", |socket| (!matches!(socket.state(), State::FinWait1)).then_some(()))?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_tells_order_length_and_content_apart_but_not_pieces() {
        let sum = |pieces: &[&[u8]]| {
            let mut sum = Checksum::default();
            pieces.iter().for_each(|piece| sum.add(piece));
            sum.value()
        };
        assert_eq!(sum(&[b"haiku"]), sum(&[b"hai", b"", b"ku"]));
        assert_ne!(sum(&[b"haiku"]), sum(&[b"hiaku"]));
        assert_ne!(sum(&[b"haiku"]), sum(&[b"haiku\0"]));
        assert_ne!(sum(&[b"haiku"]), sum(&[b"Haiku"]));
    }

    #[test]
    fn the_source_gives_as_much_as_was_asked_for_and_never_the_same_piece_twice() {
        let mut source = Source::new(3 * CHUNK as u64 + 5);
        let mut pieces = std::collections::HashSet::new();
        let mut total = 0;
        loop {
            let piece = source.next().to_vec();
            if piece.is_empty() {
                break;
            }
            total += piece.len();
            assert!(pieces.insert(piece));
        }
        assert_eq!((total, pieces.len()), (3 * CHUNK + 5, 4));
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut source = Source::new(10);
        source.next();
        let right = source.checksum.value().to_le_bytes();
        assert!(sent(&source, 10, Instant::now(), right).is_ok());
        assert!(sent(&source, 10, Instant::now(), [0; SUM]).is_err());
    }
}
