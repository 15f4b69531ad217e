//! The way down: an IP packet finds its route, its neighbour and its frame.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use haiku_sys::{
    B_BAD_DATA, B_BAD_VALUE, B_DEVICE_NOT_FOUND, B_ERROR, EMSGSIZE, ENETUNREACH, ETHER_TYPE_IP, ETHER_TYPE_IPV6,
    IFF_BROADCAST, MSG_BCAST, MSG_MCAST, RTF_GATEWAY, RTF_HOST, RTF_LOCAL, RTF_REJECT, status_t,
};

use super::address::Family;
use super::buffer::Packet;
use super::ethernet::{self, BROADCAST, Mac};
use super::fifo::{Item, lock};
use super::host::Polled;
use super::interface::{AddressRef, Interface};
use super::routes::Route;
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

/// The destination of an IP packet.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(16..20)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*packet.get(24..40)?.first_chunk::<16>()?)),
        _ => None,
    }
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
    fn route(&self, address: IpAddr) -> Option<Arc<Route<AddressRef>>> {
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
        let destination = destination(packet).ok_or(B_BAD_DATA)?;
        if destination.is_unspecified() {
            return Err(B_BAD_VALUE);
        }
        let route = self.route(destination).ok_or(ENETUNREACH)?;
        if route.flags & RTF_REJECT != 0 {
            return Err(ENETUNREACH);
        }
        let interface = &route.target.interface;
        if packet.len() > interface.device().mtu() {
            return Err(EMSGSIZE);
        }
        let mut buffer = Packet::new(packet)?;
        // Whoever queues such a packet keeps the interface that has the address, deleted or not.
        if route.flags & RTF_HOST != 0 || is_echo_reply(packet) {
            buffer.set_interface_address(Arc::clone(&route.target));
        }
        if route.flags & RTF_LOCAL != 0 {
            self.capture(&buffer);
            let bytes = buffer.len();
            let queued = interface.device_interface.queue.enqueue(Item::Local(buffer));
            interface.device().count_sent(queued.is_ok(), bytes);
            return queued;
        }
        let family = Family::of(destination);
        if is_broadcast(&route, destination) {
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
    pub(crate) fn send_to(
        &self,
        interface: &Arc<Interface>,
        family: Family,
        packet: Packet,
        to: Mac,
    ) -> Result<(), status_t> {
        let from = lock(&interface.inner).link(family).hardware.ok_or(B_ERROR)?;
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
    ) -> Result<(), status_t> {
        let device = interface.device();
        ethernet::frame(&mut packet, from, to, ether_type, interface.device_interface.index())?;
        self.capture(&packet);
        device.send(packet)
    }

    /// Sends what an interface's IP stack emitted, and remembers when it wants to be polled again. Returns the first
    /// error; the rest is sent all the same.
    pub(crate) fn finish(self: &Arc<Self>, interface: &Arc<Interface>, polled: Polled) -> Result<(), status_t> {
        let mut result = Ok(());
        for packet in &polled.packets {
            let sent = self.send_ip(packet);
            result = result.and(sent);
        }
        interface.host.recycle(polled.packets);
        if let Some(again) = polled.again {
            self.timers.set(Key::Host(interface.index), again);
        }
        result
    }

    /// Does something with an interface's sockets, then sends what came of it.
    ///
    /// # Errors
    /// The first packet that could not be sent, with Haiku's reason.
    pub(crate) fn with_host<R>(
        self: &Arc<Self>,
        interface: &Arc<Interface>,
        act: impl FnOnce(&mut HostState) -> R,
    ) -> (R, Result<(), status_t>) {
        let (result, polled) = interface.host.with(act);
        (result, self.finish(interface, polled))
    }

    /// Does something with the sockets of the interface of this name; what they emit is sent, errors or not.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` without such an interface.
    pub fn with_sockets<R>(self: &Arc<Self>, name: &str, act: impl FnOnce(&mut HostState) -> R) -> Result<R, status_t> {
        let interface = self.find_interface(name).ok_or(B_DEVICE_NOT_FOUND)?;
        Ok(self.with_host(&interface, act).0)
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
        let (queued, sent) = self.with_host(&interface, act);
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

    /// An interface's IP stack asked to be polled.
    pub(crate) fn host_due(self: &Arc<Self>, index: u32) {
        let found = lock(&self.interfaces).iter().find(|interface| interface.index == index).cloned();
        if let Some(interface) = found {
            let ((), _) = self.with_host(&interface, |_| ());
        }
    }
}
