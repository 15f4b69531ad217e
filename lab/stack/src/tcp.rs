//! What Haiku's TCP does about a segment that is not sent, on top of smoltcp, which takes every segment for sent.
//!
//! `TCPEndpoint::_SendQueued` starts the retransmission timer after the first segment was taken, and returns before that
//! if the segment was refused. `_Retransmit` calls it too, with a timer that has just expired. So a segment that is
//! refused at the start of the window has no timer. It waits here, and smoltcp's retransmissions of it are dropped,
//! until an event makes Haiku send its queue: an acknowledgement of new data, a window that opens, the next write.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use haiku_kernel::schedule::instant;
use haiku_kernel::sync::Mutex;
use haiku_sys::{ENETUNREACH, ENOBUFS, status_t};
use smoltcp::wire::{IpAddress, TcpPacket, TcpSeqNumber};

use super::Stack;
use super::address::destination;
use super::buffer::Packet;
use super::fifo::lock;
use super::host::Tuple;
use super::interface::InterfaceAddress;
use super::routes::Route;

/// How long the timer runs that `Connect` starts; the answer to its SYN does not stop it.
const CONNECT_TIMER: Duration = Duration::from_secs(1);

/// What made smoltcp emit a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A program's call.
    Call,
    /// A packet that was received.
    Receive,
    /// A timer: a retransmission, a window probe or a delayed acknowledgement.
    Timer,
}

/// What matters of a segment's headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    source: SocketAddr,
    destination: SocketAddr,
    sequence: TcpSeqNumber,
    /// Sequence numbers that it takes.
    length: usize,
    acknowledges: Option<TcpSeqNumber>,
    window: u16,
    syn: bool,
    fin: bool,
    rst: bool,
}

/// Where the TCP header begins, if a whole IP packet has one, and the addresses.
fn tcp_header(packet: &[u8]) -> Option<(usize, IpAddr, IpAddr)> {
    let (header, source) = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&6) => {
            (usize::from(packet[0] & 15) * 4, IpAddr::from(*packet.get(12..16)?.first_chunk::<4>()?))
        }
        6 if packet.get(6) == Some(&6) => (40, IpAddr::from(*packet.get(8..24)?.first_chunk::<16>()?)),
        _ => return None,
    };
    Some((header, source, destination(packet)?))
}

impl Segment {
    /// The segment in a whole IP packet, if that is TCP.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let (header, source, destination) = tcp_header(packet)?;
        let tcp = TcpPacket::new_checked(packet.get(header..)?).ok()?;
        Some(Self {
            source: SocketAddr::new(source, tcp.src_port()),
            destination: SocketAddr::new(destination, tcp.dst_port()),
            sequence: tcp.seq_number(),
            length: tcp.segment_len(),
            acknowledges: tcp.ack().then(|| tcp.ack_number()),
            window: tcp.window_len(),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
        })
    }
}

/// The same packet without its FIN.
fn without_finish(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if let Some((header, source, destination)) = tcp_header(&packet) {
        let mut tcp = TcpPacket::new_unchecked(&mut packet[header..]);
        tcp.set_fin(false);
        tcp.fill_checksum(&IpAddress::from(source), &IpAddress::from(destination));
    }
    packet
}

/// Sends a whole IP packet.
type Send<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), status_t>;

/// What a connection has to know beyond smoltcp.
#[derive(Debug)]
struct Connection {
    /// The route of all its segments, found once. Haiku keeps the interface address with it; this does not.
    route: Route<Weak<InterfaceAddress>>,
    /// The first sequence number that the peer has not acknowledged.
    unacknowledged: TcpSeqNumber,
    /// The peer's window, as the last segment said.
    window: u16,
    /// Segments that are still to be sent, in order, because the first of them was refused.
    queued: VecDeque<(Segment, Vec<u8>)>,
    /// Whether there is no timer although segments are queued.
    timer_lost: bool,
    /// When the timer expires that `Connect` started.
    connect_timer: Option<Instant>,
    /// Whether `connect` failed.
    failed: bool,
    /// Whether the FIN was refused when the program asked for it: Haiku is back in the state before, and forgets it.
    finish_lost: bool,
}

impl Connection {
    fn new(sequence: TcpSeqNumber, route: Route<Weak<InterfaceAddress>>) -> Self {
        Self {
            route,
            unacknowledged: sequence,
            window: 0,
            queued: VecDeque::new(),
            timer_lost: false,
            connect_timer: None,
            failed: false,
            finish_lost: false,
        }
    }

    /// Handles a segment that smoltcp emitted. Only `connect` returns an error.
    fn emitted(
        &mut self,
        segment: Segment,
        packet: &[u8],
        cause: Cause,
        now: Instant,
        send: Send<'_>,
    ) -> Result<(), status_t> {
        if self.failed || (self.finish_lost && segment.fin && segment.length == 1) {
            return Ok(());
        }
        if segment.length == 0 {
            // Acknowledgements and resets are never queued: the next event makes another, or none.
            let _ = send(packet);
            return Ok(());
        }
        if segment.syn && segment.acknowledges.is_none() {
            let sent = send(packet);
            if cause == Cause::Timer {
                // `_Retransmit` sets the timer again, also if the SYN was refused.
                return Ok(());
            }
            self.failed = sent.is_err();
            self.connect_timer = Some(now + CONNECT_TIMER);
            return sent;
        }
        let known = self.queued.iter().any(|(queued, _)| queued.sequence == segment.sequence);
        let first = self.queued.front().map(|(queued, _)| queued.sequence);
        if cause == Cause::Timer && (self.timer_lost || (known && first != Some(self.unacknowledged))) {
            return Ok(());
        }
        if !known {
            let at = self.queued.iter().position(|(queued, _)| segment.sequence < queued.sequence);
            self.queued.insert(at.unwrap_or(self.queued.len()), (segment, packet.to_vec()));
        }
        // A retransmission of what is under way sends that segment alone.
        self.send_queued(if cause == Cause::Timer && !known { 1 } else { usize::MAX }, now, send);
        if cause == Cause::Call && self.queued.iter().any(|(queued, _)| queued.fin) {
            self.finish_lost = true;
            self.queued.retain(|(queued, _)| !queued.fin || queued.length > 1);
        }
        Ok(())
    }

    /// Handles a segment from the peer.
    fn received(&mut self, segment: &Segment, now: Instant, send: Send<'_>) {
        let mut sends = self.window == 0 && segment.window != 0;
        self.window = segment.window;
        // A SYN that comes again is answered again.
        sends |= self.queued.front().is_some_and(|(queued, _)| queued.syn);
        if let Some(acknowledged) = segment.acknowledges.filter(|number| *number > self.unacknowledged) {
            self.unacknowledged = acknowledged;
            self.queued.retain(|(queued, _)| queued.sequence + queued.length > acknowledged);
            self.connect_timer = self.connect_timer.filter(|_| segment.syn);
            sends = true;
        }
        if sends {
            self.send_queued(usize::MAX, now, send);
        }
    }

    /// Sends up to `most` queued segments, until one is refused.
    fn send_queued(&mut self, most: usize, now: Instant, send: Send<'_>) {
        for _ in 0..most {
            let Some((segment, packet)) = self.queued.front() else { break };
            let sent = if self.finish_lost && segment.fin { send(&without_finish(packet)) } else { send(packet) };
            if sent.is_err() {
                break;
            }
            self.queued.pop_front();
        }
        let nothing_under_way = self.queued.front().is_some_and(|(first, _)| first.sequence == self.unacknowledged);
        self.timer_lost = nothing_under_way && self.connect_timer.is_none_or(|expires| now >= expires);
    }
}

/// The connections of the stack's own sockets.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<Tuple, Connection>>);

impl Stack {
    /// Sends a segment that smoltcp emitted. Of what it emits at once, `_SendQueued` tries nothing after a segment that
    /// was refused: the connection is then in `refused`.
    pub(crate) fn send_segment(
        self: &Arc<Self>,
        segment: Segment,
        packet: &[u8],
        cause: Cause,
        refused: &mut Vec<Tuple>,
    ) -> Result<(), status_t> {
        let tuple = (segment.source, segment.destination);
        let mut connections = lock(&self.tcp.0);
        if segment.syn && connections.get(&tuple).is_none_or(|known| known.unacknowledged != segment.sequence) {
            let route = self.route(segment.destination.ip()).ok_or(ENETUNREACH)?;
            connections.insert(tuple, Connection::new(segment.sequence, weak(&route)));
        }
        let Some(connection) = connections.get_mut(&tuple) else {
            // `ReplyWithReset`: no endpoint, and a reset that is not sent is freed.
            drop(connections);
            return self.send_ip(packet);
        };
        let route = connection.route.clone();
        let sent = connection.emitted(segment, packet, cause, instant(), &mut |packet| {
            if refused.contains(&tuple) {
                return Err(ENOBUFS);
            }
            self.send_by(&route, packet).inspect_err(|_| refused.push(tuple))
        });
        if segment.rst {
            connections.remove(&tuple);
        }
        sent
    }

    /// Takes note of a segment from a peer, and sends what was waiting for one.
    pub(crate) fn segment_received(self: &Arc<Self>, segment: &Segment) {
        let tuple = (segment.destination, segment.source);
        let mut connections = lock(&self.tcp.0);
        if segment.rst {
            connections.remove(&tuple);
        } else if let Some(connection) = connections.get_mut(&tuple) {
            let route = connection.route.clone();
            connection.received(segment, instant(), &mut |packet| self.send_by(&route, packet));
        }
    }

    /// A program wrote to a connection, though smoltcp may have found no reason to emit anything.
    pub(crate) fn connection_written(self: &Arc<Self>, tuple: &Tuple) {
        if let Some(connection) = lock(&self.tcp.0).get_mut(tuple) {
            let route = connection.route.clone();
            connection.send_queued(usize::MAX, instant(), &mut |packet| self.send_by(&route, packet));
        }
    }

    /// Sends a packet by a connection's route, link or no link.
    fn send_by(self: &Arc<Self>, route: &Route<Weak<InterfaceAddress>>, packet: &[u8]) -> Result<(), status_t> {
        let target = route.target.upgrade().ok_or(ENETUNREACH)?;
        let destination = destination(packet).ok_or(ENETUNREACH)?;
        let &Route { destination: network, mask, gateway, flags, .. } = route;
        let route = Route { destination: network, mask, gateway, flags, target };
        self.send_routed(&route, destination, Packet::new(packet)?, None).map_err(|unsent| unsent.status)
    }
}

/// The route without its hold on the interface address.
fn weak(route: &Route<Arc<InterfaceAddress>>) -> Route<Weak<InterfaceAddress>> {
    let &Route { destination, mask, gateway, flags, ref target } = route;
    Route { destination, mask, gateway, flags, target: Arc::downgrade(target) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose driver takes segments or refuses them, and all that it took.
    struct Bench {
        connection: Connection,
        now: Instant,
        takes: bool,
        taken: Vec<i32>,
    }

    const SYN: i32 = 100;

    /// A segment of `length` sequence numbers, without flags.
    fn segment(sequence: i32, length: usize) -> Segment {
        let nowhere = SocketAddr::from(([0; 4], 0));
        Segment {
            source: nowhere,
            destination: nowhere,
            sequence: TcpSeqNumber(sequence),
            length,
            acknowledges: Some(TcpSeqNumber(1)),
            window: 1,
            syn: false,
            fin: false,
            rst: false,
        }
    }

    /// A segment from the peer that acknowledges up to here.
    fn acknowledgement(number: i32) -> Segment {
        Segment { acknowledges: Some(TcpSeqNumber(number)), ..segment(1, 0) }
    }

    impl Bench {
        fn new() -> Self {
            let route = Route {
                destination: IpAddr::from([0; 4]),
                mask: None,
                gateway: None,
                flags: 0,
                target: Weak::<InterfaceAddress>::new(),
            };
            Self { connection: Connection::new(TcpSeqNumber(SYN), route), now: instant(), takes: true, taken: vec![] }
        }

        /// A connection that is established, and idle; its peer opened it.
        fn accepted() -> Self {
            let mut bench = Self::new();
            bench.emit(Segment { syn: true, ..segment(SYN, 1) }, Cause::Receive).unwrap();
            bench.receive(acknowledgement(SYN + 1));
            bench.taken.clear();
            bench
        }

        fn emit(&mut self, segment: Segment, cause: Cause) -> Result<(), status_t> {
            let packet = segment.sequence.0.to_be_bytes();
            let Self { connection, now, takes, taken } = self;
            connection.emitted(segment, &packet, cause, *now, &mut |packet| Self::send(*takes, taken, packet))
        }

        fn receive(&mut self, segment: Segment) {
            let Self { connection, now, takes, taken } = self;
            connection.received(&segment, *now, &mut |packet| Self::send(*takes, taken, packet));
        }

        fn send(takes: bool, taken: &mut Vec<i32>, packet: &[u8]) -> Result<(), status_t> {
            if !takes {
                return Err(ENOBUFS);
            }
            taken.push(i32::from_be_bytes(packet.try_into().unwrap()));
            Ok(())
        }

        /// A program writes; the driver refuses if there is nothing to take it.
        fn write(&mut self, sequence: i32, takes: bool) {
            self.takes = takes;
            self.emit(segment(sequence, 10), Cause::Call).unwrap();
            self.takes = true;
        }
    }

    #[test]
    fn a_refused_segment_has_no_timer_but_the_next_write_sends_it_first() {
        let mut bench = Bench::accepted();
        bench.write(101, false);
        bench.emit(segment(101, 10), Cause::Timer).unwrap();
        assert!(bench.taken.is_empty());
        bench.write(111, true);
        assert_eq!(bench.taken, [101, 111]);
        bench.emit(segment(101, 10), Cause::Timer).unwrap();
        assert_eq!(bench.taken, [101, 111, 101], "it has a timer again");
    }

    #[test]
    fn a_segment_refused_behind_another_is_sent_when_that_is_acknowledged() {
        let mut bench = Bench::accepted();
        bench.write(101, true);
        bench.write(111, false);
        // The retransmission of the first is that alone: the second was never sent.
        bench.emit(segment(101, 10), Cause::Timer).unwrap();
        bench.emit(segment(111, 10), Cause::Timer).unwrap();
        assert_eq!(bench.taken, [101, 101]);
        bench.receive(acknowledgement(111));
        assert_eq!(bench.taken, [101, 101, 111]);
    }

    #[test]
    fn an_acknowledgement_of_nothing_new_sends_nothing_but_a_window_that_opens_does() {
        let mut bench = Bench::accepted();
        bench.write(101, false);
        bench.receive(acknowledgement(101));
        bench.receive(Segment { window: 0, ..acknowledgement(101) });
        assert!(bench.taken.is_empty());
        bench.receive(acknowledgement(101));
        assert_eq!(bench.taken, [101]);
    }

    #[test]
    fn a_refused_answer_to_a_syn_waits_for_the_next_syn() {
        let mut bench = Bench::new();
        let answer = Segment { syn: true, ..segment(SYN, 1) };
        let again = Segment { syn: true, acknowledges: None, ..segment(1, 1) };
        bench.takes = false;
        bench.emit(answer, Cause::Receive).unwrap();
        bench.receive(again);
        bench.takes = true;
        bench.emit(answer, Cause::Timer).unwrap();
        assert!(bench.taken.is_empty());
        bench.receive(again);
        assert_eq!(bench.taken, [SYN]);
    }

    #[test]
    fn a_refused_fin_is_not_sent_by_any_later_event() {
        let mut bench = Bench::accepted();
        let fin = Segment { fin: true, ..segment(101, 1) };
        bench.takes = false;
        bench.emit(fin, Cause::Call).unwrap();
        bench.takes = true;
        bench.receive(Segment { window: 0, ..acknowledgement(101) });
        bench.receive(acknowledgement(101));
        bench.emit(fin, Cause::Timer).unwrap();
        assert!(bench.taken.is_empty());
    }

    #[test]
    fn the_timer_that_connect_started_saves_what_is_refused_within_a_second() {
        for (later, saved) in [(Duration::ZERO, true), (CONNECT_TIMER, false)] {
            let mut bench = Bench::new();
            let syn = Segment { syn: true, acknowledges: None, ..segment(SYN, 1) };
            bench.emit(syn, Cause::Call).unwrap();
            bench.receive(Segment { syn: true, ..acknowledgement(SYN + 1) });
            bench.now += later;
            bench.write(101, false);
            bench.emit(segment(101, 10), Cause::Timer).unwrap();
            assert_eq!(bench.taken.contains(&101), saved, "{later:?} after the SYN");
        }
    }

    #[test]
    fn a_refused_syn_is_an_error_of_connect_and_a_refused_retransmission_of_it_is_none() {
        let syn = Segment { syn: true, acknowledges: None, ..segment(SYN, 1) };
        let mut bench = Bench::new();
        bench.takes = false;
        assert_eq!(bench.emit(syn, Cause::Call), Err(ENOBUFS));
        bench.takes = true;
        bench.emit(syn, Cause::Timer).unwrap();
        assert!(bench.taken.is_empty(), "the connection is closed");
        let mut bench = Bench::new();
        bench.emit(syn, Cause::Call).unwrap();
        bench.takes = false;
        bench.emit(syn, Cause::Timer).unwrap();
        bench.takes = true;
        bench.emit(syn, Cause::Timer).unwrap();
        assert_eq!(bench.taken, [SYN, SYN]);
    }

    #[test]
    fn a_packet_loses_its_fin_and_keeps_its_data() {
        let (source, destination) = ([10, 1, 0, 1], [10, 1, 0, 2]);
        let mut packet = vec![0; 48];
        packet[..12].copy_from_slice(&[0x45, 0, 0, 48, 0, 0, 0, 0, 64, 6, 0, 0]);
        packet[12..20].copy_from_slice(&[source, destination].concat());
        packet[40..].copy_from_slice(b"the data");
        let mut tcp = TcpPacket::new_unchecked(&mut packet[20..]);
        tcp.set_header_len(20);
        tcp.set_fin(true);
        let ends = [source, destination].map(|end| IpAddress::from(IpAddr::from(end)));
        tcp.fill_checksum(&ends[0], &ends[1]);
        let before = Segment::parse(&packet).unwrap();
        let packet = without_finish(&packet);
        let after = Segment::parse(&packet).unwrap();
        assert_eq!((before.fin, before.length, after.fin, after.length), (true, 9, false, 8));
        let tcp = TcpPacket::new_unchecked(&packet[20..]);
        assert!(tcp.verify_checksum(&ends[0], &ends[1]));
    }

    #[test]
    fn a_refused_acknowledgement_is_not_kept() {
        let mut bench = Bench::accepted();
        bench.takes = false;
        bench.emit(segment(101, 0), Cause::Timer).unwrap();
        bench.takes = true;
        bench.write(101, true);
        assert_eq!(bench.taken, [101]);
    }
}
