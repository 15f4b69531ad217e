//! What the stack tells about itself: what `ifconfig` and `route` print, and what tests compare.

use std::net::IpAddr;
use std::sync::Arc;

use haiku_sys::{B_OK, SIOCGIFSTATS, ifreq_stats};

use super::Stack;
use super::address::Family;
use super::ethernet::Mac;
use super::fifo::lock;
use super::interface::{AddressRef, Interface};
use super::routes::Route;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressInfo {
    /// Its family; an address that is not set yet has one too.
    pub family: Family,
    /// The address.
    pub local: Option<IpAddr>,
    /// Its mask.
    pub mask: Option<IpAddr>,
    /// The broadcast or peer address.
    pub destination: Option<IpAddr>,
}

/// An interface, as `ifconfig` shows it.
#[derive(Clone, Debug)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// The device's type, `IFT_*`.
    pub kind: u32,
    /// The link-layer address.
    pub mac: Mac,
    /// `IFM_*`.
    pub media: u32,
    /// `IFF_*` of the interface and its device.
    pub flags: u32,
    /// Bytes of IP.
    pub mtu: usize,
    /// Its addresses.
    pub addresses: Vec<AddressInfo>,
    /// The stack's statistics with what the driver adds.
    pub statistics: ifreq_stats,
}

/// A route, as `route` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// Where to.
    pub destination: IpAddr,
    /// Which bits of it count.
    pub mask: Option<IpAddr>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// `RTF_*`.
    pub flags: u32,
    /// The interface.
    pub interface: String,
    /// The address packets are sent from.
    pub source: Option<IpAddr>,
}

/// An entry of the ARP or neighbour cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourInfo {
    /// Whose entry it is.
    pub address: IpAddr,
    /// The link-layer address, once it is known.
    pub mac: Option<Mac>,
    /// `local`, `asking`, `unreachable` or `valid`.
    pub state: &'static str,
}

/// The statistics that `ifconfig` prints: the driver may replace what was sent and add to what was dropped. It is
/// asked with a pointer into the kernel, not into a program.
fn statistics(interface: &Interface) -> ifreq_stats {
    let device = interface.device();
    let mut stats = device.statistics();
    let mut own = ifreq_stats::default();
    let Some(control) = device.module().control else { return stats };
    // SAFETY: the device is alive and the buffer is as long as the call says.
    let status =
        unsafe { control(device.as_ptr(), SIOCGIFSTATS as i32, (&raw mut own).cast(), size_of::<ifreq_stats>()) };
    if status == B_OK {
        stats.receive.dropped += own.receive.dropped;
        stats.receive.errors += own.receive.errors;
        stats.send = own.send;
        stats.collisions += own.collisions;
    }
    stats
}

fn describe(interface: &Arc<Interface>) -> InterfaceInfo {
    let device = interface.device();
    let addresses = interface
        .addresses()
        .iter()
        .map(|address| {
            let parts = address.get();
            AddressInfo { family: address.family, local: parts.local, mask: parts.mask, destination: parts.destination }
        })
        .collect();
    InterfaceInfo {
        name: interface.name.clone(),
        index: interface.index,
        kind: device.kind(),
        mac: device.address(),
        media: device.media(),
        flags: interface.flags(),
        mtu: device.mtu(),
        addresses,
        statistics: statistics(interface),
    }
}

fn describe_route(route: &Route<AddressRef>) -> RouteInfo {
    RouteInfo {
        destination: route.destination,
        mask: route.mask,
        gateway: route.gateway,
        flags: route.flags,
        interface: route.target.interface.name.clone(),
        source: route.target.local(),
    }
}

impl Stack {
    /// All interfaces, in the order in which they were made.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceInfo> {
        let interfaces = lock(&self.interfaces).clone();
        interfaces.iter().map(describe).collect()
    }

    /// The interface of this name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<InterfaceInfo> {
        self.find_interface(name).map(|interface| describe(&interface))
    }

    /// The routes of a family, in the order in which they are tried.
    #[must_use]
    pub fn routes(&self, family: Family) -> Vec<RouteInfo> {
        lock(self.table(family)).routes().iter().map(|route| describe_route(route)).collect()
    }

    /// The route that packets to an address would take now.
    #[must_use]
    pub fn route_for(&self, address: IpAddr) -> Option<RouteInfo> {
        let found = lock(self.table(Family::of(address))).lookup(address);
        found.map(|route| describe_route(&route))
    }

    /// The entries of the ARP or neighbour cache.
    #[must_use]
    pub fn neighbours(&self, family: Family) -> Vec<NeighbourInfo> {
        let list = self.cache(family).list();
        list.into_iter().map(|(address, mac, state)| NeighbourInfo { address, mac, state }).collect()
    }
}
