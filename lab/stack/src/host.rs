//! The IP stack on top of an interface: smoltcp, which does IP, ICMP echo, fragments, UDP and TCP.
//!
//! It sees IP packets only. Routes, ARP and neighbour discovery are done below it as Haiku does them, because that is
//! where Haiku has its own mind: it keeps a packet while its neighbour is being asked for, it searches routes in its
//! own order, and its questions leave from the timer thread.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use haiku_kernel::schedule::instant;
use haiku_kernel::sync::{Condvar, Mutex, MutexGuard};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Medium;
use smoltcp::socket::Socket;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint};

use super::fifo::lock;
use crate::phy::Queues;

/// A connection: its local and its remote end.
pub(crate) type Tuple = (SocketAddr, SocketAddr);

/// How often in a row a stack is polled at most: it asks for more only while it is sending fragments.
const POLLS: usize = 64;

/// smoltcp's side of an interface.
pub struct HostState {
    interface: Interface,
    /// The sockets; handles to them are the callers' business.
    pub sockets: SocketSet<'static>,
    queues: Queues,
    epoch: Instant,
    /// How far its clock is ahead of the kernel's.
    ahead: Duration,
    cidrs: Vec<IpCidr>,
    seed: u64,
    /// The hop limit of the packet that arrived last, which smoltcp's sockets do not tell.
    pub hop_limit: u8,
}

impl std::fmt::Debug for HostState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostState({:?})", self.cidrs)
    }
}

impl HostState {
    fn new(seed: u64, mtu: usize) -> Self {
        let mut queues = Queues::new(Medium::Ip, mtu);
        let interface = Self::build(seed, &mut queues, &[]);
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            queues,
            epoch: instant(),
            ahead: Duration::ZERO,
            cidrs: Vec::new(),
            seed,
            hop_limit: 0,
        }
    }

    fn build(seed: u64, queues: &mut Queues, cidrs: &[IpCidr]) -> Interface {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, queues, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for cidr in cidrs {
                // There is room for eight; Haiku has no limit, but no test needs a ninth.
                let _ = addresses.push(*cidr);
            }
        });
        interface
    }

    fn rebuild(&mut self) {
        self.interface = Self::build(self.seed, &mut self.queues, &self.cidrs);
    }

    /// smoltcp's interface with the sockets, for calls that need both.
    pub fn parts(&mut self) -> (&mut Interface, &mut SocketSet<'static>) {
        (&mut self.interface, &mut self.sockets)
    }

    fn now(&self) -> StackInstant {
        StackInstant::from_micros((instant().duration_since(self.epoch) + self.ahead).as_micros() as i64)
    }

    /// Moves the clock of smoltcp's timers forward.
    pub(super) fn advance(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// Polls until smoltcp has nothing more to say. Returns what it emitted and when it wants to be polled again.
    fn poll(&mut self) -> (Vec<Vec<u8>>, Option<Duration>) {
        let mut delay = None;
        for _ in 0..POLLS {
            let now = self.now();
            self.interface.poll(now, &mut self.queues, &mut self.sockets);
            delay = self.interface.poll_delay(now, &self.sockets);
            if delay != Some(smoltcp::time::Duration::ZERO) {
                break;
            }
        }
        (self.queues.take_outgoing(), delay.map(Duration::from))
    }
}

/// An interface's IP stack, shared by all senders and receivers.
#[derive(Debug)]
pub(crate) struct Host {
    state: Mutex<HostState>,
    changed: Condvar,
}

/// What has to be done after the stack was polled, with no lock held.
pub(crate) struct Polled {
    /// IP packets to be sent.
    pub(crate) packets: Vec<Vec<u8>>,
    /// When to poll again, if nothing happens before.
    pub(crate) again: Option<Duration>,
    /// The connections that a program wrote to.
    pub(crate) written: Vec<Tuple>,
}

/// The connections with how much their programs have written that is not acknowledged.
fn unacknowledged(sockets: &SocketSet<'static>) -> Vec<(Tuple, usize)> {
    let end = |end: IpEndpoint| SocketAddr::new(end.addr.into(), end.port);
    let connections = sockets.iter().filter_map(|(_, socket)| match socket {
        Socket::Tcp(socket) => {
            Some(((end(socket.local_endpoint()?), end(socket.remote_endpoint()?)), socket.send_queue()))
        }
        _ => None,
    });
    connections.collect()
}

impl Host {
    /// A stack without addresses.
    pub(crate) fn new(index: u32, mtu: usize) -> Self {
        Self { state: Mutex::new(HostState::new(0x6861_696b_7500 + u64::from(index), mtu)), changed: Condvar::new() }
    }

    /// Sets the addresses with their prefixes.
    pub(crate) fn set_addresses(&self, addresses: &[(IpAddr, u8)]) {
        let mut state = lock(&self.state);
        state.cidrs = addresses.iter().map(|(address, prefix)| IpCidr::new((*address).into(), *prefix)).collect();
        state.rebuild();
    }

    /// Sets the MTU, in bytes of IP.
    pub(crate) fn set_mtu(&self, mtu: usize) {
        let mut state = lock(&self.state);
        state.queues.max_frame = mtu;
        state.rebuild();
    }

    /// Does something to the stack's sockets and polls it.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut HostState) -> R) -> (R, Polled) {
        let mut state = lock(&self.state);
        let before = unacknowledged(&state.sockets);
        let result = act(&mut state);
        let after = unacknowledged(&state.sockets).into_iter();
        let more = |(tuple, bytes): &(Tuple, usize)| before.iter().any(|(other, had)| other == tuple && had < bytes);
        let written = after.filter(more).map(|(tuple, _)| tuple).collect();
        let (packets, again) = state.poll();
        drop(state);
        self.changed.notify_all();
        (result, Polled { packets, again, written })
    }

    /// Hands a received IP packet to the stack and polls it.
    pub(crate) fn deliver(&self, packet: Vec<u8>) -> Polled {
        let mut state = lock(&self.state);
        state.hop_limit = match packet.first().map(|first| first >> 4) {
            Some(4) => packet.get(8).copied().unwrap_or(0),
            _ => packet.get(7).copied().unwrap_or(0),
        };
        state.queues.push(packet);
        let (packets, again) = state.poll();
        drop(state);
        self.changed.notify_all();
        Polled { packets, again, written: Vec::new() }
    }

    /// Waits until `ready` has an answer; it is asked again after every packet that arrives. What it does to the
    /// sockets is not sent before the next poll.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Instant,
        mut ready: impl FnMut(&mut HostState) -> Option<R>,
    ) -> Option<R> {
        let mut state: MutexGuard<'_, HostState> = lock(&self.state);
        loop {
            if let Some(answer) = ready(&mut state) {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(instant()).filter(|left| !left.is_zero())?;
            state = self.changed.wait_timeout(state, left);
        }
    }
}
