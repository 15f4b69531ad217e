//! The way up: a packet that the consumer thread took from its queue finds its protocol.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use haiku_sys::{
    B_NET_FRAME_TYPE, B_NET_FRAME_TYPE_IPV4, B_NET_FRAME_TYPE_IPV6, ETHER_TYPE_ARP, IFF_BROADCAST, IFT_ETHER,
    MSG_BCAST, MSG_MCAST,
};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr};

use super::Stack;
use super::address::{Family, destination};
use super::buffer::Packet;
use super::device::DeviceInterface;
use super::fifo::lock;
use super::interface::Interface;
use super::ndp::solicited_node;
use super::tcp::{Cause, Segment};

/// The frame type of ARP.
const ARP: i32 = B_NET_FRAME_TYPE(IFT_ETHER, ETHER_TYPE_ARP) as i32;
/// The frame type of IPv4.
const IPV4: i32 = B_NET_FRAME_TYPE_IPV4 as i32;
/// The frame type of IPv6.
const IPV6: i32 = B_NET_FRAME_TYPE_IPV6 as i32;

/// Whether a whole IPv6 packet is a neighbour or router discovery message.
fn is_discovery(packet: &[u8]) -> bool {
    packet.get(6) == Some(&58) && packet.get(40).is_some_and(|kind| (133..=137).contains(kind))
}

impl Stack {
    /// A frame without its header, from a device.
    pub(crate) fn input(self: &Arc<Self>, from: &Arc<DeviceInterface>, packet: Packet) {
        let found =
            lock(&self.interfaces).iter().find(|interface| Arc::ptr_eq(&interface.device_interface, from)).cloned();
        let Some(interface) = found else { return };
        let family = match packet.frame_type() {
            IPV6 => Family::Inet6,
            IPV4 | ARP => Family::Inet,
            _ => return,
        };
        if !lock(&interface.inner).chains.contains(&family) {
            return;
        }
        if packet.frame_type() == ARP {
            let _ = self.receive_arp(&packet);
            return;
        }
        let grouped = packet.flags() & (MSG_BCAST | MSG_MCAST) != 0;
        if let Ok(bytes) = packet.to_vec() {
            drop(packet);
            self.input_ip(&interface, bytes, grouped);
        }
    }

    /// An IP packet that a driver hands to its protocol itself, in its own thread (`ipv4_receive_data` and
    /// `ipv6_receive_data`). `index` is the device's. A packet that is not taken stays the driver's.
    pub(crate) fn input_direct(self: &Arc<Self>, packet: Packet, index: u32) -> Result<(), Packet> {
        let from = self.device_at(index);
        let found = from.and_then(|from| {
            lock(&self.interfaces).iter().find(|interface| Arc::ptr_eq(&interface.device_interface, &from)).cloned()
        });
        let Some(interface) = found else { return Err(packet) };
        let grouped = packet.flags() & (MSG_BCAST | MSG_MCAST) != 0;
        let taken = packet.to_vec().is_ok_and(|bytes| self.input_ip(&interface, bytes, grouped));
        if taken { Ok(()) } else { Err(packet) }
    }

    /// A packet that the stack sent to itself.
    pub(crate) fn input_local(self: &Arc<Self>, packet: Packet) {
        let Ok(bytes) = packet.to_vec() else { return };
        drop(packet);
        let owner = destination(&bytes).and_then(|address| self.local_addresses(address).into_iter().next());
        if let Some(owner) = owner {
            self.deliver(&owner.interface, bytes);
        }
    }

    /// Hands an IP packet to the IP stack of the interface that has its destination.
    fn deliver(self: &Arc<Self>, owner: &Arc<Interface>, packet: Vec<u8>) {
        if let Some(segment) = Segment::parse(&packet) {
            self.segment_received(&segment);
        }
        let polled = owner.host.deliver(packet);
        let _ = self.finish(owner, polled, Cause::Receive);
    }

    /// An IP packet from the link. It may be for an address of any interface. Returns whether the protocol takes it.
    fn input_ip(self: &Arc<Self>, arrived: &Arc<Interface>, packet: Vec<u8>, grouped: bool) -> bool {
        let Some(destination) = destination(&packet) else { return false };
        let owner = if destination.is_multicast() {
            self.joined(arrived, destination).then(|| Arc::clone(arrived))
        } else if let Some(own) = lock(&self.locals).get(&destination).and_then(|list| list.first()) {
            Some(Arc::clone(&own.interface))
        } else {
            is_broadcast_for(arrived, destination).then(|| Arc::clone(arrived))
        };
        let Some(owner) = owner else {
            if !grouped && !destination.is_multicast() {
                self.refuse(&packet);
            }
            return false;
        };
        if is_discovery(&packet) {
            let _ = self.receive_ndp(&packet);
        } else {
            self.deliver(&owner, packet);
        }
        true
    }

    /// Whether an interface listens to a group: to the solicited-node groups of its own addresses only.
    fn joined(&self, interface: &Interface, group: IpAddr) -> bool {
        let IpAddr::V6(group) = group else { return false };
        interface.addresses().iter().any(|own| match own.local() {
            Some(IpAddr::V6(own)) => solicited_node(own) == group,
            _ => false,
        })
    }

    /// Tells the sender of an IPv4 packet that its destination is not an address of this host.
    fn refuse(self: &Arc<Self>, packet: &[u8]) {
        let Ok(ip) = Ipv4Packet::new_checked(packet) else { return };
        let checksums = ChecksumCapabilities::default();
        let Ok(header) = Ipv4Repr::parse(&ip, &checksums) else { return };
        let is_error = header.next_header == IpProtocol::Icmp
            && Icmpv4Packet::new_checked(ip.payload()).is_ok_and(|icmp| u8::from(icmp.msg_type()) != 8);
        if is_error || header.src_addr.is_unspecified() || header.src_addr.is_multicast() {
            return;
        }
        let Ok(path) = self.path(IpAddr::V4(header.src_addr)) else { return };
        let IpAddr::V4(source) = path.source else { return };
        let data = &ip.payload()[..ip.payload().len().min(8)];
        let reason = Icmpv4DstUnreachable::HostUnreachable;
        let message = Icmpv4Repr::DstUnreachable { reason, header, data };
        let _ = self.send_ip(&unreachable(source, header.src_addr, &message));
    }
}

/// An ICMP message as a whole packet.
fn unreachable(source: Ipv4Addr, destination: Ipv4Addr, message: &Icmpv4Repr<'_>) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let header = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: 254,
    };
    let mut bytes = vec![0; header.buffer_len() + message.buffer_len()];
    let mut ip = Ipv4Packet::new_unchecked(&mut bytes[..]);
    header.emit(&mut ip, &checksums);
    message.emit(&mut Icmpv4Packet::new_unchecked(ip.payload_mut()), &checksums);
    bytes
}

/// Whether an address is a broadcast address to an interface: only with `IFF_BROADCAST`, and then its peer is one too.
fn is_broadcast_for(interface: &Interface, address: IpAddr) -> bool {
    if interface.device().flags() & IFF_BROADCAST == 0 || !address.is_ipv4() {
        return false;
    }
    address == IpAddr::V4(Ipv4Addr::BROADCAST)
        || interface.addresses().iter().any(|own| own.family == Family::Inet && own.get().destination == Some(address))
}
