//! The engine behind every ping of the lab: echo requests from the stack's own sockets, each reply compared byte for
//! byte and timed.
//!
//! With an interval of zero the next request leaves when the reply to the last is in. Nothing is polled for: the
//! waiting thread is woken by the packet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use haiku_sys::{EMSGSIZE, ENOBUFS, status_t};
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr};

use crate::latency::Latencies;
use haiku_stack::{Error, strerror};
use haiku_stack::{HostState, Stack};

/// The most data an echo request can carry here; fragments of more would not be put together again.
pub const MAX_SIZE: usize = 16_000;

/// The header of an ICMP echo message.
const ICMP_HEADER: usize = 8;
/// The header of IPv6.
const IPV6_HEADER: usize = 40;

/// What to send, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Whom to ask.
    pub target: IpAddr,
    /// How many requests.
    pub count: u64,
    /// The time between two of them; with zero the next follows the reply.
    pub interval: Duration,
    /// Bytes of data in each.
    pub size: usize,
    /// How long a reply is waited for.
    pub patience: Duration,
}

impl Options {
    /// Ping's own: 56 bytes, one a second, and a second's patience.
    #[must_use]
    pub fn new(target: IpAddr, count: u64) -> Self {
        Self { target, count, interval: Duration::from_secs(1), size: 56, patience: Duration::from_secs(1) }
    }

    /// As fast as the replies come.
    #[must_use]
    pub fn flood(target: IpAddr, count: u64) -> Self {
        Self { interval: Duration::ZERO, ..Self::new(target, count) }
    }
}

/// An event to print.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The reply that was waited for.
    Reply {
        /// Which one, from zero.
        sequence: u64,
        /// Bytes of ICMP.
        bytes: usize,
        /// The hop limit it came with.
        hop_limit: u8,
        /// The time since the request left.
        round_trip: Duration,
    },
    /// A reply whose data is not what was sent.
    Corrupt {
        /// Which one, from zero.
        sequence: u64,
    },
    /// A reply that had come before.
    Duplicate {
        /// Its sequence number on the wire.
        sequence: u16,
    },
    /// The request could not be sent.
    Unsent {
        /// Which one, from zero.
        sequence: u64,
        /// Haiku's reason.
        status: status_t,
    },
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests that were to leave, those that could not included.
    pub sent: u64,
    /// Replies that came and were right.
    pub received: u64,
    /// Replies that came and were wrong.
    pub corrupt: u64,
    /// Replies that came again.
    pub duplicates: u64,
    /// The first reason why a request could not be sent.
    pub refused: Option<status_t>,
    /// The round-trip times.
    pub times: Latencies,
}

impl Default for Report {
    fn default() -> Self {
        // Times grow the collection as they come; four digits keep what is printed exact.
        let times = Latencies::new(4).expect("four digits are allowed");
        Self { sent: 0, received: 0, corrupt: 0, duplicates: 0, refused: None, times }
    }
}

impl Report {
    fn record(&mut self, round_trip: Duration) {
        let nanoseconds = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
        self.times.record(nanoseconds).expect("the collection grows");
    }

    /// Requests without a right reply.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }

    /// What `ping` prints at the end.
    #[must_use]
    pub fn summary(&self, target: IpAddr) -> String {
        let loss = if self.sent == 0 { 0.0 } else { self.lost() as f64 * 100.0 / self.sent as f64 };
        let duplicates =
            if self.duplicates == 0 { String::new() } else { format!("+{} duplicates, ", self.duplicates) };
        let mut text = format!(
            "--- {target} ping statistics ---\n{} packets transmitted, {} packets received, {duplicates}{loss:.1}% packet loss\n",
            self.sent, self.received
        );
        if !self.times.is_empty() {
            let milliseconds = |nanoseconds: f64| nanoseconds / 1e6;
            let [min, max] = [self.times.min(), self.times.max()].map(|time| milliseconds(time as f64));
            let [mean, deviation] = [self.times.mean(), self.times.stdev()].map(milliseconds);
            text += &format!("round-trip min/avg/max/stddev = {min:.3}/{mean:.3}/{max:.3}/{deviation:.3} ms\n");
        }
        text
    }
}

/// The line that `ping` prints for an event.
#[must_use]
pub fn line(target: IpAddr, event: &Event) -> String {
    match event {
        Event::Reply { sequence, bytes, hop_limit, round_trip } => {
            let (word, time) = (if target.is_ipv4() { "ttl" } else { "hlim" }, round_trip.as_secs_f64() * 1e3);
            format!("{bytes} bytes from {target}: icmp_seq={sequence} {word}={hop_limit} time={time:.3} ms")
        }
        Event::Corrupt { sequence } => format!("{target}: icmp_seq={sequence}: wrong data in the reply"),
        Event::Duplicate { sequence } => format!("{target}: icmp_seq={sequence} (DUP!)"),
        Event::Unsent { status, .. } => format!("ping: sendto: {}", strerror(*status)),
    }
}

/// The data of a request: different in every byte's place and in every request, so that nothing stale passes.
fn pattern(sequence: u64, size: usize) -> impl Iterator<Item = u8> {
    let seed = (sequence as u32).wrapping_mul(0x9e37_79b9) | 1;
    (0..size as u32).map(move |place| (place.wrapping_add(1).wrapping_mul(seed) >> 24) as u8)
}

/// A request on its way.
struct Outstanding {
    sequence: u64,
    left: Instant,
}

/// A ping in progress.
struct Session<'a> {
    stack: &'a Arc<Stack>,
    interface: String,
    options: Options,
    /// Whether a request would need IPv6 fragments, which Haiku makes and smoltcp does not.
    too_long: bool,
    ident: u16,
    socket: SocketHandle,
    outstanding: HashMap<u16, Outstanding>,
    report: Report,
}

/// Sends echo requests and waits for the replies. `on_event` gets each event.
///
/// # Errors
/// A size that cannot be sent, or no way to the target: `ENETUNREACH` without a route, as on Haiku.
pub fn run(stack: &Arc<Stack>, options: &Options, on_event: &mut dyn FnMut(&Event)) -> Result<Report, Error> {
    let mut session = Session::open(stack, options)?;
    let result = session.run(on_event);
    session.close();
    result.map(|()| session.report)
}

impl<'a> Session<'a> {
    fn open(stack: &'a Arc<Stack>, options: &Options) -> Result<Self, Error> {
        if options.size > MAX_SIZE {
            return Err(Error::Usage(format!(
                "ping: {} bytes are too many; the lab sends up to {MAX_SIZE}",
                options.size
            )));
        }
        let path = stack.path(options.target).map_err(|status| Error::status("ping: sendto", status))?;
        static IDENT: AtomicU16 = AtomicU16::new(1);
        let ident = IDENT.fetch_add(1, Ordering::Relaxed);
        let room = 8 * (options.size + 64) + 65_536;
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 256], vec![0; room]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(ident)).map_err(|error| Error::Failed(format!("ping: {error:?}")))?;
        socket.set_hop_limit(Some(64));
        let socket = stack
            .with_sockets(&path.interface, |state| state.sockets.add(socket))
            .map_err(|status| Error::status(format!("ping: interface {}", path.interface), status))?;
        Ok(Self {
            stack,
            interface: path.interface,
            options: *options,
            too_long: options.target.is_ipv6() && IPV6_HEADER + ICMP_HEADER + options.size > path.mtu,
            ident,
            socket,
            outstanding: HashMap::new(),
            report: Report::default(),
        })
    }

    fn close(&mut self) {
        let socket = self.socket;
        let _ = self.stack.with_sockets(&self.interface, |state| drop(state.sockets.remove(socket)));
    }

    fn run(&mut self, on_event: &mut dyn FnMut(&Event)) -> Result<(), Error> {
        let begin = Instant::now();
        for sequence in 0..self.options.count {
            self.send(sequence, on_event)?;
            if self.options.interval.is_zero() {
                self.wait(Instant::now() + self.options.patience, on_event)?;
                // What has not come by now is lost; its number is soon needed again.
                self.outstanding.clear();
            } else if sequence + 1 < self.options.count {
                let next = begin + self.options.interval.mul_f64((sequence + 1) as f64);
                self.pause(next, on_event)?;
            }
        }
        self.wait(Instant::now() + self.options.patience, on_event)
    }

    fn send(&mut self, sequence: u64, on_event: &mut dyn FnMut(&Event)) -> Result<(), Error> {
        let (wire, ident, target, size) = (sequence as u16, self.ident, self.options.target, self.options.size);
        let data: Vec<u8> = pattern(sequence, size).collect();
        let handle = self.socket;
        self.report.sent += 1;
        self.outstanding.insert(wire, Outstanding { sequence, left: Instant::now() });
        let too_long = self.too_long;
        let queued = self.stack.send_with(&self.interface, |state: &mut HostState| {
            if too_long {
                return Err(EMSGSIZE);
            }
            let socket = state.sockets.get_mut::<icmp::Socket<'_>>(handle);
            let Ok(bytes) = socket.send(ICMP_HEADER + size, target.into()) else { return Err(ENOBUFS) };
            emit(target, ident, wire, &data, bytes);
            Ok(())
        });
        let sent = queued.map_err(|status| self.vanished(status))?;
        if let Err(status) = sent {
            self.outstanding.remove(&wire);
            self.report.refused.get_or_insert(status);
            on_event(&Event::Unsent { sequence, status });
        }
        Ok(())
    }

    fn vanished(&self, status: status_t) -> Error {
        Error::status(format!("ping: the interface {} has gone", self.interface), status)
    }

    /// Waits for every outstanding reply, until `deadline`.
    fn wait(&mut self, deadline: Instant, on_event: &mut dyn FnMut(&Event)) -> Result<(), Error> {
        while !self.outstanding.is_empty() && self.next_reply(deadline, on_event)? {}
        Ok(())
    }

    /// Waits until `until`, replies or not.
    fn pause(&mut self, until: Instant, on_event: &mut dyn FnMut(&Event)) -> Result<(), Error> {
        while self.next_reply(until, on_event)? {}
        Ok(())
    }

    /// Takes one reply; returns whether there was one before `deadline`.
    fn next_reply(&mut self, deadline: Instant, on_event: &mut dyn FnMut(&Event)) -> Result<bool, Error> {
        let handle = self.socket;
        let received = self.stack.wait_until(&self.interface, deadline, |state: &mut HostState| {
            let hop_limit = state.hop_limit;
            let socket = state.sockets.get_mut::<icmp::Socket<'_>>(handle);
            let (bytes, from) = socket.recv().ok()?;
            Some((Instant::now(), bytes.to_vec(), IpAddr::from(from), hop_limit))
        });
        let Some((arrived, bytes, from, hop_limit)) = received.map_err(|status| self.vanished(status))? else {
            return Ok(false);
        };
        if let Some((wire, data)) =
            parse(self.options.target, self.ident, &bytes).filter(|_| from == self.options.target)
        {
            self.judge(wire, data, (bytes.len(), arrived, hop_limit), on_event);
        }
        Ok(true)
    }

    fn judge(
        &mut self,
        wire: u16,
        data: &[u8],
        (bytes, arrived, hop_limit): (usize, Instant, u8),
        on_event: &mut dyn FnMut(&Event),
    ) {
        let Some(Outstanding { sequence, left }) = self.outstanding.remove(&wire) else {
            self.report.duplicates += 1;
            on_event(&Event::Duplicate { sequence: wire });
            return;
        };
        if data.len() != self.options.size || !pattern(sequence, data.len()).eq(data.iter().copied()) {
            self.report.corrupt += 1;
            on_event(&Event::Corrupt { sequence });
            return;
        }
        let round_trip = arrived.duration_since(left);
        self.report.received += 1;
        self.report.record(round_trip);
        on_event(&Event::Reply { sequence, bytes, hop_limit, round_trip });
    }
}

/// Writes an echo request; smoltcp adds the checksum when it knows the source address.
fn emit(target: IpAddr, ident: u16, seq_no: u16, data: &[u8], bytes: &mut [u8]) {
    let unchecked = ChecksumCapabilities::ignored();
    match target {
        IpAddr::V4(_) => {
            Icmpv4Repr::EchoRequest { ident, seq_no, data }.emit(&mut Icmpv4Packet::new_unchecked(bytes), &unchecked)
        }
        IpAddr::V6(address) => Icmpv6Repr::EchoRequest { ident, seq_no, data }.emit(
            &address,
            &address,
            &mut Icmpv6Packet::new_unchecked(bytes),
            &unchecked,
        ),
    }
}

/// The sequence number and data of a reply to us.
fn parse(target: IpAddr, own: u16, bytes: &[u8]) -> Option<(u16, &[u8])> {
    let unchecked = ChecksumCapabilities::ignored();
    match target {
        IpAddr::V4(_) => match Icmpv4Repr::parse(&Icmpv4Packet::new_checked(bytes).ok()?, &unchecked).ok()? {
            Icmpv4Repr::EchoReply { ident, seq_no, data } if ident == own => Some((seq_no, data)),
            _ => None,
        },
        IpAddr::V6(address) => {
            let packet = Icmpv6Packet::new_checked(bytes).ok()?;
            match Icmpv6Repr::parse(&address, &address, &packet, &unchecked).ok()? {
                Icmpv6Repr::EchoReply { ident, seq_no, data } if ident == own => Some((seq_no, data)),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_parses_back_in_either_family() {
        for target in ["10.9.0.2", "fd00:9::2"] {
            let target: IpAddr = target.parse().unwrap();
            let data: Vec<u8> = pattern(7, 33).collect();
            let mut bytes = vec![0; ICMP_HEADER + data.len()];
            emit(target, 9, 7, &data, &mut bytes);
            assert_eq!(parse(target, 9, &bytes), None, "a request is no reply");
            bytes[0] = if target.is_ipv4() { 0 } else { 129 };
            assert_eq!(parse(target, 9, &bytes), Some((7, &data[..])));
            assert_eq!(parse(target, 8, &bytes), None, "a reply to another ping");
        }
    }

    #[test]
    fn no_two_requests_carry_the_same_data() {
        let first: Vec<u8> = pattern(0, 56).collect();
        assert_ne!(first, pattern(1, 56).collect::<Vec<_>>());
        assert_eq!(first, pattern(0, 56).collect::<Vec<_>>());
        assert_eq!(pattern(3, 0).count(), 0);
    }

    #[test]
    fn the_summary_is_pings() {
        let mut report = Report { sent: 4, received: 3, ..Report::default() };
        for _ in 0..3 {
            report.record(Duration::from_micros(500));
        }
        let text = report.summary("10.9.0.2".parse().unwrap());
        assert_eq!(
            text,
            "--- 10.9.0.2 ping statistics ---\n4 packets transmitted, 3 packets received, 25.0% packet loss\n\
             round-trip min/avg/max/stddev = 0.500/0.500/0.500/0.000 ms\n"
        );
        assert_eq!(report.lost(), 1);
    }
}
