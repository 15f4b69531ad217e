//! Conversations of whole stacks with the responder, in simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::socket::icmp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpCidr, IpProtocol, Ipv4Packet, Ipv4Repr,
    Ipv6Packet, Ipv6Repr,
};
use tuntap_ptp::{Answered, HEAD_TO_STACK, Reason, Responder, Verdict};

use crate::frames::*;
use crate::oracle;

/// A device with a TUN's far side behind it, where a program answers pings to any address.
pub(crate) struct Link {
    responder: Responder,
    to_stack: VecDeque<Vec<u8>>,
    /// The number of frames for each verdict.
    verdicts: BTreeMap<String, usize>,
    /// All frames and packets of both directions, as an input of the fuzzer.
    pub(crate) transcript: Vec<u8>,
    /// What was delivered to the program.
    delivered: Vec<Vec<u8>>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            responder: responder(),
            to_stack: VecDeque::new(),
            verdicts: BTreeMap::new(),
            transcript: Vec::new(),
            delivered: Vec::new(),
        }
    }

    fn record(&mut self, action: u8, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(255)];
        self.transcript.extend([action, bytes.len() as u8]);
        self.transcript.extend(bytes);
    }

    /// The stack sends a frame.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Verdict {
        self.record(oracle::FRAME, frame);
        let (verdict, reply) = judge(&self.responder, frame);
        *self.verdicts.entry(format!("{verdict:?}")).or_default() += 1;
        match verdict {
            Verdict::Answer(_) => self.to_stack.push_back(reply),
            Verdict::Deliver => {
                self.delivered.push(frame[14..].to_vec());
                if let Some(packet) = echo(&frame[14..]) {
                    self.write(&packet);
                }
            }
            Verdict::Drop(_) => {}
        }
        verdict
    }

    /// The program writes a packet.
    pub(crate) fn write(&mut self, packet: &[u8]) {
        self.record(oracle::PACKET, packet);
        let head = &packet[..packet.len().min(HEAD_TO_STACK)];
        let header = self.responder.classify_to_stack(head, packet.len()).unwrap();
        self.to_stack.push_back([&header, packet].concat());
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.verdicts.get(&format!("{verdict:?}")).copied().unwrap_or(0)
    }
}

/// Answers a ping to any address; ignores every other packet.
fn echo(packet: &[u8]) -> Option<Vec<u8>> {
    match packet[0] >> 4 {
        4 => echo_ipv4(packet),
        _ => echo_ipv6(packet),
    }
}

fn echo_ipv4(packet: &[u8]) -> Option<Vec<u8>> {
    let checksums = ChecksumCapabilities::default();
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let repr = Ipv4Repr::parse(&packet, &checksums).ok().filter(|repr| repr.next_header == IpProtocol::Icmp)?;
    let message = Icmpv4Packet::new_checked(packet.payload()).ok()?;
    let Ok(Icmpv4Repr::EchoRequest { ident, seq_no, data }) = Icmpv4Repr::parse(&message, &checksums) else {
        return None;
    };
    let reply = Icmpv4Repr::EchoReply { ident, seq_no, data };
    let mut payload = vec![0; reply.buffer_len()];
    reply.emit(&mut Icmpv4Packet::new_unchecked(&mut payload), &checksums);
    let repr = Ipv4Repr { src_addr: repr.dst_addr, dst_addr: repr.src_addr, ..repr };
    let mut bytes = vec![0; repr.buffer_len() + payload.len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    repr.emit(&mut packet, &checksums);
    packet.payload_mut().copy_from_slice(&payload);
    Some(bytes)
}

fn echo_ipv6(packet: &[u8]) -> Option<Vec<u8>> {
    let checksums = ChecksumCapabilities::default();
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let repr = Ipv6Repr::parse(&packet).ok().filter(|repr| repr.next_header == IpProtocol::Icmpv6)?;
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    let request = Icmpv6Repr::parse(&repr.src_addr, &repr.dst_addr, &message, &checksums);
    let Ok(Icmpv6Repr::EchoRequest { ident, seq_no, data }) = request else {
        return None;
    };
    let reply = Icmpv6Repr::EchoReply { ident, seq_no, data };
    let mut payload = vec![0; reply.buffer_len()];
    let mut message = Icmpv6Packet::new_unchecked(&mut payload[..]);
    reply.emit(&repr.dst_addr, &repr.src_addr, &mut message, &checksums);
    Some(ipv6(repr.dst_addr, repr.src_addr, 58, 64, &payload))
}

pub(crate) struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

pub(crate) struct Sending<'l>(&'l mut Link);

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.send(&frame);
        result
    }
}

impl Device for Link {
    type RxToken<'l> = Received;
    type TxToken<'l> = Sending<'l>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.to_stack.pop_front()?;
        Some((Received(frame), Sending(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(self))
    }
}

/// smoltcp as the stack behind the interface, with a socket for pings.
pub(crate) struct Stack {
    now: Instant,
    pub(crate) link: Link,
    interface: Interface,
    sockets: SocketSet<'static>,
    pings: SocketHandle,
    sequence: u16,
}

const IDENT: u16 = 0x22b;

impl Stack {
    pub(crate) fn new(addresses: &[(IpAddr, u8)]) -> Self {
        let mut link = Link::new();
        let now = Instant::ZERO;
        let mut config = Config::new(EthernetAddress(INTERFACE).into());
        config.random_seed = 1;
        let mut interface = Interface::new(config, &mut link, now);
        interface.update_ip_addrs(|list| {
            for &(address, prefix) in addresses {
                list.push(IpCidr::new(address.into(), prefix)).unwrap();
            }
        });
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 2048]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(IDENT)).unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        let pings = sockets.add(socket);
        Self { now, link, interface, sockets, pings, sequence: 0 }
    }

    /// Advances the time, in steps at which a stack runs its timers.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.wait_until(self.now + time);
    }

    fn wait_until(&mut self, end: Instant) {
        while self.now < end {
            self.interface.poll(self.now, &mut self.link, &mut self.sockets);
            self.now += Duration::from_millis(50);
        }
    }

    /// Sends a ping; whether its answer arrives within a second and a half.
    pub(crate) fn ping(&mut self, target: IpAddr) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        let checksums = ChecksumCapabilities::default();
        let (ident, seq_no, data) = (IDENT, self.sequence, &[0x5a; 24][..]);
        let socket = self.sockets.get_mut::<icmp::Socket>(self.pings);
        match target {
            IpAddr::V4(_) => {
                let repr = Icmpv4Repr::EchoRequest { ident, seq_no, data };
                let buffer = socket.send(repr.buffer_len(), target.into()).unwrap();
                repr.emit(&mut Icmpv4Packet::new_unchecked(buffer), &checksums);
            }
            IpAddr::V6(to) => {
                let repr = Icmpv6Repr::EchoRequest { ident, seq_no, data };
                let from = self.interface.get_source_address_ipv6(&to);
                let buffer = socket.send(repr.buffer_len(), target.into()).unwrap();
                repr.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(buffer), &checksums);
            }
        }
        for _ in 0..30 {
            self.wait(Duration::from_millis(50));
            let socket = self.sockets.get_mut::<icmp::Socket>(self.pings);
            while let Ok((message, from)) = socket.recv() {
                // Identifier and sequence number have the same offset in both versions.
                if IpAddr::from(from) == target && message[6..8] == self.sequence.to_be_bytes() {
                    return true;
                }
            }
        }
        false
    }
}

pub(crate) fn dual() -> Stack {
    Stack::new(&[(OWN4.into(), 24), (ALIAS4.into(), 24), (OWN6.into(), 64), (LINK6.into(), 64)])
}

#[test]
fn a_stack_can_ping_every_ipv4_address() {
    let mut stack = dual();
    for target in [FAR4, Ipv4Addr::new(10, 8, 0, 77), Ipv4Addr::new(10, 9, 0, 1)] {
        assert!(stack.ping(target.into()), "{target}");
    }
    assert_eq!(stack.link.count(Verdict::Answer(Answered::Arp)), 3);
}

#[test]
fn a_stack_can_ping_every_ipv6_address() {
    let mut stack = dual();
    for target in [FAR6, "fd00::abcd:1234".parse().unwrap(), "fe80::1".parse::<Ipv6Addr>().unwrap()] {
        assert!(stack.ping(target.into()), "{target}");
    }
    assert_eq!(stack.link.count(Verdict::Answer(Answered::Neighbour)), 3);
}

#[test]
fn a_stack_reaches_the_world_through_a_gateway_on_the_far_side() {
    let mut stack = dual();
    stack.interface.routes_mut().add_default_ipv4_route(FAR4).unwrap();
    stack.interface.routes_mut().add_default_ipv6_route("fe80::1".parse().unwrap()).unwrap();
    assert!(stack.ping(Ipv4Addr::new(192, 0, 2, 1).into()));
    assert!(stack.ping("2001:db8::1".parse::<Ipv6Addr>().unwrap().into()));
}

#[test]
fn multicast_goes_both_ways() {
    let mut stack = dual();
    let group4 = Ipv4Addr::new(224, 0, 0, 251);
    stack.interface.join_multicast_group(group4).unwrap();
    stack.interface.join_multicast_group("ff02::fb".parse::<Ipv6Addr>().unwrap()).unwrap();
    stack.wait(Duration::from_secs(1));
    let delivered = &stack.link.delivered;
    assert!(delivered.iter().any(|packet| packet[0] >> 4 == 4 && packet[9] == 2), "the report for {group4}");
    assert!(delivered.iter().any(|packet| packet[0] >> 4 == 6 && packet[48] == 143), "the report for ff02::fb");
    // The stack answers a ping to all hosts, so its frame was sent to the group. The address of the program must be
    // resolved before, because smoltcp does not queue an answer during address resolution.
    assert!(stack.ping(FAR6.into()));
    let repr = Icmpv6Repr::EchoRequest { ident: 7, seq_no: 1, data: &[1, 2, 3] };
    let all = "ff02::1".parse().unwrap();
    let mut message = vec![0; repr.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut message[..]);
    repr.emit(&FAR6, &all, &mut packet, &ChecksumCapabilities::default());
    let before = stack.link.delivered.len();
    stack.link.write(&ipv6(FAR6, all, 58, 64, &message));
    stack.wait(Duration::from_secs(3));
    let answers = &stack.link.delivered[before..];
    assert!(answers.iter().any(|packet| packet[0] >> 4 == 6 && packet[40] == 129), "{answers:x?}");
}

/// Duplicate address detection of IPv6, as a stack does it before it uses an address, and IPv4's announcements: they
/// stay unanswered, and the stack assigns the address.
#[test]
fn an_address_is_assigned_when_its_probes_stay_unanswered() {
    let mut stack = dual();
    for address in [OWN6, LINK6] {
        let probe = Icmpv6::bare_solicitation(Ipv6Addr::UNSPECIFIED, address);
        assert_eq!(stack.link.send(&probe.frame()), Verdict::Drop(Reason::DuplicateDetection));
        stack.wait(Duration::from_secs(1));
    }
    for _ in 0..2 {
        assert_eq!(stack.link.send(&arp_request(OWN4, OWN4)), Verdict::Drop(Reason::ArpAnnouncement));
        stack.wait(Duration::from_secs(2));
    }
    assert_eq!(stack.link.to_stack, VecDeque::<Vec<u8>>::new());
    assert!(stack.ping(FAR4.into()));
    assert!(stack.ping(FAR6.into()));
}

#[test]
fn an_hour_of_pings_loses_none() {
    let mut stack = dual();
    for second in 0..3600 {
        assert!(stack.ping(FAR4.into()), "IPv4 after {second} s");
        assert!(stack.ping(FAR6.into()), "IPv6 after {second} s");
        stack.wait_until(Instant::from_secs(second + 1));
    }
    // Every frame from the far side tells smoltcp that it is reachable.
    assert_eq!(stack.link.count(Verdict::Answer(Answered::Arp)), 1);
    assert_eq!(stack.link.count(Verdict::Answer(Answered::Neighbour)), 1);
}

/// The neighbour cache of smoltcp forgets a silent neighbour after a minute.
#[test]
fn an_hour_of_rare_pings_finds_the_neighbour_again_each_time() {
    let mut stack = dual();
    for round in 0..40 {
        stack.wait_until(Instant::from_secs(round * 90));
        assert!(stack.ping(FAR4.into()), "IPv4, round {round}");
        assert!(stack.ping(FAR6.into()), "IPv6, round {round}");
    }
    assert_eq!(stack.link.count(Verdict::Answer(Answered::Arp)), 40);
    assert_eq!(stack.link.count(Verdict::Answer(Answered::Neighbour)), 40);
}

/// A neighbour in the cache of a host that follows RFC 4861, section 7.3, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Neighbour {
    Incomplete { asked: u32 },
    Reachable { until: u64 },
    Stale,
    Delay { until: u64 },
    Probe { asked: u32, next: u64 },
    Unreachable,
}

/// The constants of RFC 4861, section 10, in milliseconds.
const REACHABLE_TIME: u64 = 30_000;
const DELAY_FIRST_PROBE_TIME: u64 = 5_000;
const RETRANS_TIMER: u64 = 1_000;
const MAX_SOLICITS: u32 = 3;

impl Neighbour {
    /// Runs the host's timers, with or without a packet to send. Its solicitations go to the responder, and an answer
    /// counts only if it is solicited and has the peer's link address.
    fn step(self, now: u64, sends: bool, responder: &Responder) -> Self {
        let multicast = Icmpv6::solicitation(OWN6, FAR6);
        let unicast = Icmpv6::bare_solicitation(OWN6, FAR6).unicast();
        let confirms = |question: &Icmpv6| {
            let (verdict, reply) = judge(responder, &question.frame());
            verdict == Verdict::Answer(Answered::Neighbour) && reply[58] & 0x40 != 0 && reply[80..86] == PEER
        };
        let reachable = Self::Reachable { until: now + REACHABLE_TIME };
        match self {
            Self::Incomplete { asked } if asked < MAX_SOLICITS => {
                if confirms(&multicast) {
                    reachable
                } else {
                    Self::Incomplete { asked: asked + 1 }
                }
            }
            Self::Incomplete { .. } => Self::Unreachable,
            Self::Reachable { until } if now < until => self,
            Self::Reachable { .. } | Self::Stale if sends => Self::Delay { until: now + DELAY_FIRST_PROBE_TIME },
            Self::Reachable { .. } => Self::Stale,
            Self::Delay { until } if now >= until => Self::Probe { asked: 0, next: now }.step(now, sends, responder),
            Self::Probe { asked, next } if now >= next && asked < MAX_SOLICITS => {
                if confirms(&unicast) {
                    reachable
                } else {
                    Self::Probe { asked: asked + 1, next: now + RETRANS_TIMER }
                }
            }
            Self::Probe { next, .. } if now >= next => Self::Unreachable,
            other => other,
        }
    }
}

#[test]
fn an_hour_of_unreachability_detection_finds_the_neighbour_reachable() {
    let responder = responder();
    let mut neighbour = Neighbour::Incomplete { asked: 0 };
    let mut probes = 0;
    for now in (0..3_600_000).step_by(100) {
        // A connection that is busy for ten minutes and silent for five.
        let sends = now % 900_000 < 600_000;
        let before = neighbour;
        neighbour = neighbour.step(now, sends, &responder);
        let confirmed =
            matches!(neighbour, Neighbour::Reachable { .. }) && !matches!(before, Neighbour::Reachable { .. });
        probes += u32::from(confirmed);
        assert!(!matches!(neighbour, Neighbour::Unreachable | Neighbour::Probe { .. }), "{before:?} at {now} ms");
        if sends {
            verdict(&responder, &ipv6_frame(OWN6, FAR6, 64));
        }
    }
    assert!((65..=75).contains(&probes), "{probes} confirmations, one in 35 s of traffic");
}
