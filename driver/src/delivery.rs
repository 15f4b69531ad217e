//! How a program's packets reach the stack: straight to their protocol, or through the queue and the reader thread.

use crate::FrameHeader;

/// A protocol that takes packets straight from the writer's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IPv4 (Ethernet type 0x0800, RFC 894).
    Ipv4,
    /// IPv6 (Ethernet type 0x86dd, RFC 2464).
    Ipv6,
}

/// The way past the queue. One object for each device.
pub trait Delivery<P>: Send + Sync {
    /// The stack's end of an interface that is up.
    type StackEnd: Copy + Send;

    /// Whether a packet of this protocol goes straight to it. `keeps_up` says whether the program reads as fast as the stack
    /// sends, `is_drained` whether the queue to the stack is empty.
    ///
    /// An implementation must keep the order of packets when it changes its answer. It is called with no lock held, and
    /// may sleep.
    fn is_direct(&self, protocol: Protocol, keeps_up: impl FnOnce() -> bool, is_drained: impl FnOnce() -> bool)
    -> bool;

    /// Notes that a packet of this protocol is about to be queued. The note counts until the packet has left the queue.
    fn note_queued(&self, protocol: Protocol);

    /// Counts a packet of so many bytes as received by the interface. Called under the spinning lock.
    fn count_received(interface: Self::StackEnd, bytes: usize);

    /// Hands a packet, without its link header, to its protocol. Called with no lock held: the protocol may send through
    /// the same device before it returns. A packet that the protocol does not take is freed, as by the reader's way.
    /// `crowded` says whether more packets wait for the program than one connection sends.
    fn deliver(&self, interface: Self::StackEnd, packet: P, header: &FrameHeader, crowded: bool);
}
