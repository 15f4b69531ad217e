//! The way down: an IP packet finds its route, its neighbour and its frame.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use haiku_sys::{
    B_BAD_DATA, B_BAD_VALUE, B_DEVICE_NOT_FOUND, B_ERROR, B_INTERRUPTED, B_WOULD_BLOCK, EMSGSIZE, ENETUNREACH,
    ETHER_TYPE_IP, ETHER_TYPE_IPV6, IFF_BROADCAST, MSG_BCAST, MSG_MCAST, RTF_GATEWAY, RTF_HOST, RTF_LOCAL, RTF_REJECT,
    status_t,
};

use super::address::{Family, destination};
use super::buffer::{Packet, Sent, Unsent};
use super::ethernet::{self, BROADCAST, Mac};
use super::fifo::{Item, lock};
use super::host::Polled;
use super::interface::{AddressRef, Interface};
use super::routes::Route;
use super::tcp::{Cause, Segment};
use super::timer::Key;
use super::{HostState, Stack};

/// Where a packet to some address would go.
#[derive(Clone, Debug)]
pub struct Path {
    /// The interface's name.
    pub interface: String,
    /// The address it would be sent from.
    pub source: IpAddr,
    /// The neighbour it would be handed to.
    pub next_hop: IpAddr,
    /// Bytes of IP that fit without fragments.
    pub mtu: usize,
}

/// What the fragments of an IPv4 datagram have in common, if this is one.
fn fragmented(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_fragment = packet.first()? >> 4 == 4 && packet.get(6..8)? != [0, 0] && packet[6] & 0x40 == 0;
    is_fragment.then(|| (&packet[4..6], &packet[12..20]))
}

/// What `sendto` returns for an error. `socket_send` takes either of two for a partial write, and subtracts from the
/// bytes that were written the headers that the packet has got meanwhile.
fn socket_error(status: status_t, packet: &[u8]) -> status_t {
    let headers = if packet.first().is_some_and(|first| first >> 4 == 4) { 20 } else { 40 } + ethernet::HEADER as i32;
    if matches!(status, B_WOULD_BLOCK | B_INTERRUPTED) { -headers } else { status }
}

/// Whether a packet answers a ping: Haiku makes it of the request, with the interface address that this was found to be for.
fn is_echo_reply(packet: &[u8]) -> bool {
    match packet.first().map(|first| (first >> 4, usize::from(first & 15) * 4)) {
        Some((4, header)) => packet.get(9) == Some(&1) && packet.get(header) == Some(&0),
        Some((6, _)) => packet.get(6) == Some(&58) && packet.get(40) == Some(&129),
        _ => false,
    }
}

/// Whether an address is a broadcast address of the interface address a route leads to. Without `IFF_BROADCAST` none
/// is; with it the peer of a point-to-point link is one too, because Haiku keeps it in the same field.
fn is_broadcast(route: &Route<AddressRef>, address: IpAddr) -> bool {
    address.is_ipv4()
        && route.target.interface.device().flags() & IFF_BROADCAST != 0
        && (address == IpAddr::V4(Ipv4Addr::BROADCAST) || Some(address) == route.target.get().destination)
}

impl Stack {
    /// The route for an address, as the stack would choose it now.
    pub(crate) fn route(&self, address: IpAddr) -> Option<Arc<Route<AddressRef>>> {
        lock(self.table(Family::of(address))).lookup(address)
    }

    /// Where a socket's packet to `address` would go.
    ///
    /// # Errors
    /// `ENETUNREACH` without a route or with one that rejects; `B_BAD_VALUE` for a broadcast address, which sockets
    /// must ask for.
    pub fn path(&self, address: IpAddr) -> Result<Path, status_t> {
        let route = self.route(address).ok_or(ENETUNREACH)?;
        if route.flags & RTF_REJECT != 0 {
            return Err(ENETUNREACH);
        }
        if is_broadcast(&route, address) {
            return Err(B_BAD_VALUE);
        }
        let interface = &route.target.interface;
        Ok(Path {
            interface: interface.name.clone(),
            source: route.target.local().unwrap_or(Family::of(address).unspecified()),
            next_hop: route.gateway.filter(|_| route.flags & RTF_GATEWAY != 0).unwrap_or(address),
            mtu: interface.device().mtu(),
        })
    }

    /// Sends a whole IP packet wherever its destination leads.
    ///
    /// # Errors
    /// What Haiku answers: `ENETUNREACH`, `EHOSTUNREACH`, `EMSGSIZE` or the driver's own error.
    pub fn send_ip(self: &Arc<Self>, packet: &[u8]) -> Result<(), status_t> {
        self.send_packet(packet, None).map_err(|unsent| unsent.status)
    }

    /// Sends a whole IP packet that may refer to one of the stack's addresses, because it answers a packet to it.
    pub(crate) fn send_packet(self: &Arc<Self>, packet: &[u8], refers_to: Option<AddressRef>) -> Sent {
        let destination = destination(packet).ok_or(B_BAD_DATA)?;
        let buffer = Packet::new(packet)?;
        if destination.is_unspecified() {
            return buffer.unsent(B_BAD_VALUE);
        }
        let Some(route) = self.route(destination) else { return buffer.unsent(ENETUNREACH) };
        // Haiku makes the reply of the request, with the address that the request was found to be for.
        let refers_to = refers_to.or_else(|| is_echo_reply(packet).then(|| Arc::clone(&route.target)));
        self.send_routed(&route, destination, buffer, refers_to)
    }

    /// Sends a packet by a route. With a host route the packet refers to the route's interface address: as long as
    /// such a packet exists, so does the interface, deleted or not.
    pub(crate) fn send_routed(
        self: &Arc<Self>,
        route: &Route<AddressRef>,
        destination: IpAddr,
        mut buffer: Packet,
        refers_to: Option<AddressRef>,
    ) -> Sent {
        let interface = &route.target.interface;
        if route.flags & RTF_REJECT != 0 {
            return buffer.unsent(ENETUNREACH);
        }
        if buffer.len() > interface.device().mtu() {
            return buffer.unsent(EMSGSIZE);
        }
        let of_route = (route.flags & RTF_HOST != 0).then(|| Arc::clone(&route.target));
        if let Some(address) = of_route.or(refers_to) {
            buffer.set_interface_address(Arc::into_raw(address).cast_mut().cast());
        }
        if route.flags & RTF_LOCAL != 0 {
            self.capture(&buffer);
            let bytes = buffer.len();
            let queued = interface.device_interface.queue.enqueue(Item::Local(buffer));
            interface.device().count_sent(queued.is_ok(), bytes);
            return queued.map_err(Unsent::from);
        }
        let family = Family::of(destination);
        if is_broadcast(route, destination) {
            buffer.set_flags(MSG_BCAST);
            return self.send_to(interface, family, buffer, BROADCAST);
        }
        if destination.is_multicast() {
            buffer.set_flags(MSG_MCAST);
            return self.send_to(interface, family, buffer, ethernet::multicast(destination));
        }
        let next_hop = route.gateway.filter(|_| route.flags & RTF_GATEWAY != 0).unwrap_or(destination);
        self.send_to_neighbour(interface, next_hop, buffer)
    }

    /// Sends an IP packet to a link-layer address. An interface that was never up has none of its own to send from.
    pub(crate) fn send_to(&self, interface: &Arc<Interface>, family: Family, packet: Packet, to: Mac) -> Sent {
        let from = lock(&interface.inner).link(family).hardware;
        let Some(from) = from else { return packet.unsent(B_ERROR) };
        let ether_type = match family {
            Family::Inet => ETHER_TYPE_IP,
            Family::Inet6 => ETHER_TYPE_IPV6,
        };
        self.send_frame(interface, packet, from, to, ether_type as u16)
    }

    /// Frames a packet, shows it to the captures and hands it to the driver.
    pub(crate) fn send_frame(
        &self,
        interface: &Arc<Interface>,
        mut packet: Packet,
        from: Mac,
        to: Mac,
        ether_type: u16,
    ) -> Sent {
        let device = interface.device();
        let framed = ethernet::frame(&mut packet, from, to, ether_type, interface.device_interface.index());
        if let Err(status) = framed {
            return packet.unsent(status);
        }
        interface.device_interface.monitors.receive(&packet);
        device.send(packet)
    }

    /// Sends what an interface's IP stack emitted, and remembers when it wants to be polled again. Returns the first
    /// error that a socket's owner hears of. The rest is sent all the same, except what follows a fragment that was not
    /// sent: `send_fragments` stops there.
    pub(crate) fn finish(
        self: &Arc<Self>,
        interface: &Arc<Interface>,
        polled: Polled,
        cause: Cause,
    ) -> Result<(), status_t> {
        let (mut result, mut unsent_datagram, mut refused) = (Ok(()), None, Vec::new());
        for packet in &polled.packets {
            let datagram = fragmented(packet);
            if datagram.is_some() && datagram == unsent_datagram {
                continue;
            }
            let sent = match Segment::parse(packet) {
                Some(segment) => self.send_segment(segment, packet, cause, &mut refused),
                None => self.send_ip(packet).map_err(|status| socket_error(status, packet)),
            };
            if sent.is_err() {
                unsent_datagram = datagram;
            }
            result = result.and(sent);
        }
        for tuple in polled.written.iter().filter(|tuple| !refused.contains(tuple)) {
            self.connection_written(tuple);
        }
        if let Some(again) = polled.again {
            self.timers.set(Key::Host(interface.index), again);
        }
        result
    }

    /// Does something with an interface's sockets, then sends what came of it. With that comes the first error that a
    /// socket's owner hears of.
    fn with_host<R>(
        self: &Arc<Self>,
        interface: &Arc<Interface>,
        cause: Cause,
        act: impl FnOnce(&mut HostState) -> R,
    ) -> (R, Result<(), status_t>) {
        let (result, polled) = interface.host.with(act);
        (result, self.finish(interface, polled, cause))
    }

    /// Does something with the sockets of the interface of this name; what they emit is sent, errors or not.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` without such an interface.
    pub fn with_sockets<R>(self: &Arc<Self>, name: &str, act: impl FnOnce(&mut HostState) -> R) -> Result<R, status_t> {
        let interface = self.find_interface(name).ok_or(B_DEVICE_NOT_FOUND)?;
        Ok(self.with_host(&interface, Cause::Call, act).0)
    }

    /// Has the sockets of an interface send something. The inner result is the sending's: the first packet that could
    /// not leave.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` without such an interface.
    pub fn send_with(
        self: &Arc<Self>,
        name: &str,
        act: impl FnOnce(&mut HostState) -> Result<(), status_t>,
    ) -> Result<Result<(), status_t>, status_t> {
        let interface = self.find_interface(name).ok_or(B_DEVICE_NOT_FOUND)?;
        let (queued, sent) = self.with_host(&interface, Cause::Call, act);
        Ok(queued.and(sent))
    }

    /// Waits until `ready` has an answer, asking it again after every packet that reaches the interface's sockets.
    /// The interface may go meanwhile; then nothing more comes.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` without such an interface.
    pub fn wait_until<R>(
        &self,
        name: &str,
        deadline: Instant,
        ready: impl FnMut(&mut HostState) -> Option<R>,
    ) -> Result<Option<R>, status_t> {
        let host = Arc::clone(&self.find_interface(name).ok_or(B_DEVICE_NOT_FOUND)?.host);
        Ok(host.wait_until(deadline, ready))
    }

    /// Moves the clock of an interface's TCP timers forward, and lets those that are due by then expire.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` without such an interface.
    pub fn advance_timers(self: &Arc<Self>, name: &str, time: Duration) -> Result<(), status_t> {
        let interface = self.find_interface(name).ok_or(B_DEVICE_NOT_FOUND)?;
        let ((), _) = self.with_host(&interface, Cause::Timer, |state| state.advance(time));
        Ok(())
    }

    /// An interface's IP stack asked to be polled.
    pub(crate) fn host_due(self: &Arc<Self>, index: u32) {
        let found = lock(&self.interfaces).iter().find(|interface| interface.index == index).cloned();
        if let Some(interface) = found {
            let ((), _) = self.with_host(&interface, Cause::Timer, |_| ());
        }
    }
}
