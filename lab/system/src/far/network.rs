//! The far side's IP stack: smoltcp on a link of IP packets for a TUN, of Ethernet frames for a TAP.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Medium;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

use crate::mode::Mode;
use haiku_stack::Queues;

/// The far side's address on a TAP's link.
const MAC: EthernetAddress = EthernetAddress([0x02, 0x00, 0x5e, 0x10, 0x00, 0xfe]);
/// Bytes of IP.
const MTU: usize = 1500;
/// Bytes of Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// How often in a row the stack is polled at most.
const POLLS: usize = 64;

/// smoltcp with its sockets.
pub struct FarState {
    /// smoltcp's interface.
    pub interface: Interface,
    /// Its sockets.
    pub sockets: SocketSet<'static>,
}

/// The stack on its queues.
pub struct Network {
    state: FarState,
    queues: Queues,
    epoch: Instant,
    again: Option<Duration>,
}

impl Network {
    /// A program's IP stack with these addresses.
    pub fn new(mode: Mode, addresses: &[(IpAddr, u8)]) -> Self {
        let (medium, max_frame, address) = match mode {
            Mode::Tun => (Medium::Ip, MTU, HardwareAddress::Ip),
            Mode::Tap => (Medium::Ethernet, MTU + ETHERNET_HEADER, HardwareAddress::Ethernet(MAC)),
        };
        let mut queues = Queues::new(medium, max_frame);
        let mut config = Config::new(address);
        config.random_seed = 0x6661_7200;
        let mut interface = Interface::new(config, &mut queues, StackInstant::ZERO);
        interface.update_ip_addrs(|list| {
            for (address, prefix) in addresses {
                // There is room for eight, and no caller gives more.
                let _ = list.push(IpCidr::new((*address).into(), *prefix));
            }
        });
        let state = FarState { interface, sockets: SocketSet::new(Vec::new()) };
        Self { state, queues, epoch: Instant::now(), again: None }
    }

    /// The interface and its sockets.
    pub fn state(&mut self) -> &mut FarState {
        &mut self.state
    }

    /// When the stack wants to be polled although nothing came.
    pub fn again(&self) -> Option<Duration> {
        self.again
    }

    /// Hands a packet in.
    pub fn push(&mut self, packet: &[u8]) {
        self.queues.push(packet.to_vec());
    }

    /// Polls the stack and returns what it emits.
    pub fn poll(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..POLLS {
            let now = StackInstant::from_micros(self.epoch.elapsed().as_micros() as i64);
            self.state.interface.poll(now, &mut self.queues, &mut self.state.sockets);
            self.again = self.state.interface.poll_delay(now, &self.state.sockets).map(Duration::from);
            if self.again != Some(Duration::ZERO) {
                break;
            }
        }
        self.queues.take_outgoing()
    }
}
