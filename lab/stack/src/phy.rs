//! The device that both smoltcp stacks of the lab sit on: two lists of packets in memory.
//!
//! Nothing is sent from inside smoltcp. The thread that polls a stack takes what it emitted and sends it with no lock held.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Packets on their way into a stack and out of it.
#[derive(Debug)]
pub struct Queues {
    medium: Medium,
    /// The longest frame: with the link header, if the medium has one.
    pub max_frame: usize,
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Queues {
    /// Empty queues.
    pub fn new(medium: Medium, max_frame: usize) -> Self {
        Self { medium, max_frame, incoming: VecDeque::new(), outgoing: Vec::new() }
    }

    /// Puts a packet in front of the stack.
    pub fn push(&mut self, packet: Vec<u8>) {
        self.incoming.push_back(packet);
    }

    /// Takes what the stack emitted, in order.
    pub fn take_outgoing(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.outgoing)
    }
}

/// A packet that the stack is about to see.
pub struct Incoming(Vec<u8>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// A packet that the stack is about to write.
pub struct Outgoing<'a>(&'a mut Queues);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut buffer = vec![0; len];
        let result = f(&mut buffer);
        self.0.outgoing.push(buffer);
        result
    }
}

impl Device for Queues {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let packet = self.incoming.pop_front()?;
        Some((Incoming(packet), Outgoing(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.medium;
        capabilities.max_transmission_unit = self.max_frame;
        capabilities
    }
}
