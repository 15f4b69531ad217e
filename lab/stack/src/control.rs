//! What `ifconfig` asks of the stack: interfaces and addresses made, changed and removed, step by step as on Haiku.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haiku_sys::{
    B_BAD_VALUE, B_BUSY, B_DEVICE_NOT_FOUND, B_NAME_IN_USE, B_NOT_SUPPORTED, EAFNOSUPPORT, ETHER_TYPE_IPV6,
    IFF_BROADCAST, IFF_LINK, IFF_UP, IFT_ETHER, RTF_HOST, RTF_LOCAL, status_t,
};

use super::Stack;
use super::address::{Family, broadcast, prefix_length};
use super::buffer::check;
use super::ethernet::{link_address, multicast};
use super::fifo::lock;
use super::interface::{AddressRef, Interface, InterfaceAddress};
use super::modules::domain;
use super::ndp::solicited_node;
use super::routes::Description;

/// The new address of an interface; a missing field stays unchanged or gets its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AliasRequest {
    /// The address.
    pub address: Option<IpAddr>,
    /// Its mask.
    pub mask: Option<IpAddr>,
    /// The broadcast or peer address.
    pub destination: Option<IpAddr>,
}

/// A route as `route` asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRequest {
    /// The table.
    pub family: Family,
    /// Where to; missing for a default route.
    pub destination: Option<IpAddr>,
    /// Which bits of it count.
    pub mask: Option<IpAddr>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// `RTF_*`.
    pub flags: u32,
}

/// Which part of an interface address changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Local,
    Mask,
    Destination,
}

impl Stack {
    /// The interface of this name, unless it is going up or down at the moment.
    pub(crate) fn get_interface(&self, family: Family, name: &str) -> Result<Arc<Interface>, status_t> {
        let interface = self.find_interface(name).ok_or(B_BAD_VALUE)?;
        if interface.busy.load(Ordering::SeqCst) {
            return Err(B_BUSY);
        }
        self.create_chain_if_needed(&interface, family)?;
        Ok(interface)
    }

    /// Makes an interface and, with it, its device: what `ifconfig` does first with a name it does not know.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` if no module below `network/devices` wants the name.
    pub fn add_interface(self: &Arc<Self>, name: &str) -> Result<(), status_t> {
        let device_interface = self.get_device_interface(name, true).ok_or(B_DEVICE_NOT_FOUND)?;
        let result = self.add_interface_on(name, &device_interface);
        self.put_device_interface(&device_interface);
        result
    }

    fn add_interface_on(
        self: &Arc<Self>,
        name: &str,
        device: &Arc<super::device::DeviceInterface>,
    ) -> Result<(), status_t> {
        let interface = {
            let mut interfaces = lock(&self.interfaces);
            if interfaces.iter().any(|interface| interface.name == name) {
                return Err(B_NAME_IN_USE);
            }
            let held = device.acquire().ok_or(B_DEVICE_NOT_FOUND)?;
            let index = self.interface_index.fetch_add(1, Ordering::SeqCst) + 1;
            let interface = Interface::new(self, name, index, held);
            interfaces.push(Arc::clone(&interface));
            interface
        };
        // The request that makes an interface comes over an IPv4 socket with an empty address, and leaves one behind.
        let result = self.create_chain_if_needed(&interface, Family::Inet);
        if result.is_ok() {
            let empty = InterfaceAddress::new(&interface, Family::Inet, domain(Family::Inet));
            lock(&interface.inner).addresses.push(empty);
        } else {
            lock(&self.interfaces).retain(|other| !Arc::ptr_eq(other, &interface));
        }
        result
    }

    /// Removes an interface with all its addresses.
    ///
    /// # Errors
    /// `B_BAD_VALUE` without such an interface.
    pub fn remove_interface(self: &Arc<Self>, name: &str) -> Result<(), status_t> {
        let interface = self.get_interface(Family::Inet, name)?;
        self.remove_interface_object(&interface);
        Ok(())
    }

    pub(crate) fn remove_interface_object(self: &Arc<Self>, interface: &Arc<Interface>) {
        self.set_down(interface);
        let addresses = std::mem::take(&mut lock(&interface.inner).addresses);
        for address in addresses {
            self.forget_local(&address);
        }
        lock(&self.interfaces).retain(|other| !Arc::ptr_eq(other, interface));
    }

    /// Gives an interface its datalink protocols for a family. Only Ethernet has both.
    pub(crate) fn create_chain_if_needed(&self, interface: &Interface, family: Family) -> Result<(), status_t> {
        let mut inner = lock(&interface.inner);
        if inner.chains.contains(&family) {
            return Ok(());
        }
        if interface.device().kind() != IFT_ETHER {
            return Err(EAFNOSUPPORT);
        }
        inner.chains.push(family);
        Ok(())
    }

    /// Sets an interface's address, mask and broadcast or peer address: those of the first address of the family,
    /// unless there is one with this address already.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` without an address, as there is then no family to ask in.
    pub fn set_alias(self: &Arc<Self>, name: &str, request: AliasRequest) -> Result<(), status_t> {
        let wanted = request.address.ok_or(EAFNOSUPPORT)?;
        let family = Family::of(wanted);
        let interface = self.get_interface(family, name)?;
        let existing = interface
            .addresses()
            .into_iter()
            .find(|address| address.family == family && address.local() == Some(wanted))
            .or_else(|| interface.first_of(family));
        let address = existing.unwrap_or_else(|| {
            let new = InterfaceAddress::new(&interface, family, domain(family));
            lock(&interface.inner).addresses.push(Arc::clone(&new));
            new
        });
        if address.local() != Some(wanted) {
            self.change(&interface, &address, Part::Local, Some(wanted))?;
        }
        let given = |address: Option<IpAddr>| address.filter(|address| !address.is_unspecified());
        if let Some(mask) = given(request.mask).filter(|mask| address.get().mask != Some(*mask)) {
            self.change(&interface, &address, Part::Mask, Some(mask))?;
        }
        if let Some(peer) = given(request.destination).filter(|peer| address.get().destination != Some(*peer)) {
            self.change(&interface, &address, Part::Destination, Some(peer))?;
        }
        Ok(())
    }

    /// Removes one address of an interface.
    ///
    /// # Errors
    /// `B_BAD_VALUE` if the interface has no such address.
    pub fn remove_address(self: &Arc<Self>, name: &str, local: IpAddr) -> Result<(), status_t> {
        let family = Family::of(local);
        let interface = self.get_interface(family, name)?;
        let address = interface
            .addresses()
            .into_iter()
            .find(|address| address.family == family && address.local() == Some(local))
            .ok_or(B_BAD_VALUE)?;
        self.change_link(&interface, &address, Some(local), None)?;
        let routes = lock(self.table(family)).invalidate(|target| Arc::ptr_eq(target, &address));
        drop(routes);
        lock(&interface.inner).addresses.retain(|other| !Arc::ptr_eq(other, &address));
        self.forget_local(&address);
        self.refresh_host(&interface);
        Ok(())
    }

    /// Changes a part of an address: first the datalink protocols, then the address and its routes.
    fn change(
        self: &Arc<Self>,
        interface: &Arc<Interface>,
        address: &AddressRef,
        part: Part,
        new: Option<IpAddr>,
    ) -> Result<(), status_t> {
        if part == Part::Local {
            self.change_link(interface, address, address.local(), new)?;
        }
        self.remove_default_routes(address, part);
        self.forget_local(address);
        address.update(|addresses| match part {
            Part::Local => {
                addresses.local = new;
                addresses.mask = new.map(Family::default_mask);
                addresses.destination = addresses.mask.and_then(|mask| broadcast(new?, mask));
            }
            Part::Mask => {
                addresses.mask = new;
                addresses.destination = addresses.local.zip(new).and_then(|(local, mask)| broadcast(local, mask));
            }
            Part::Destination => addresses.destination = new,
        });
        if part != Part::Destination {
            self.add_default_routes(address, part);
        }
        self.remember_local(address);
        self.refresh_host(interface);
        Ok(())
    }

    /// What ARP and neighbour discovery do about a change of address; nothing while the interface is down.
    fn change_link(
        self: &Arc<Self>,
        interface: &Arc<Interface>,
        address: &AddressRef,
        old: Option<IpAddr>,
        new: Option<IpAddr>,
    ) -> Result<(), status_t> {
        if !interface.is_up() {
            return Ok(());
        }
        let family = address.family;
        if let Some(new) = new
            && !self.set_own(interface, family, Some(new))
        {
            return Err(haiku_sys::B_ERROR);
        }
        if let Some(old) = old {
            self.remove_own(interface, old);
            let other = interface
                .addresses()
                .iter()
                .filter(|other| other.family == family && !Arc::ptr_eq(other, address))
                .find_map(|other| other.local());
            let mut inner = lock(&interface.inner);
            if inner.link(family).local == Some(old) {
                inner.link(family).local = new.or(other);
            }
            drop(inner);
            if family == Family::Inet6 {
                // Haiku drops the first route for all groups that it finds, whichever interface it belongs to.
                let groups = Description {
                    destination: Some("ff00::".parse().unwrap_or(family.unspecified())),
                    mask: family.mask(8),
                    gateway: None,
                    flags: 0,
                    target: None,
                };
                let _ = self.remove_route(family, &groups);
            }
        }
        Ok(())
    }

    /// Enters an address of an interface in the family's cache. Returns whether it went in. Haiku neither probes for
    /// the address nor announces it.
    fn set_own(self: &Arc<Self>, interface: &Arc<Interface>, family: Family, address: Option<IpAddr>) -> bool {
        let mac = interface.device().address();
        if let Some(IpAddr::V6(address)) = address {
            self.group(interface, IpAddr::V6(solicited_node(address)), Membership::Join);
        }
        {
            let mut inner = lock(&interface.inner);
            let link = inner.link(family);
            link.local = link.local.or(address);
            link.hardware = Some(mac);
        }
        self.set_own_neighbour(interface, address.unwrap_or(family.unspecified()), mac)
    }

    fn remove_own(&self, interface: &Interface, address: IpAddr) {
        if let IpAddr::V6(address) = address {
            self.group(interface, IpAddr::V6(solicited_node(address)), Membership::Leave);
        }
        self.cache(Family::of(address)).remove_own(address);
    }

    /// Tells the driver that a group was joined or left.
    fn group(&self, interface: &Interface, group: IpAddr, membership: Membership) {
        let device = interface.device();
        let hook = match membership {
            Membership::Join => device.module().add_multicast,
            Membership::Leave => device.module().remove_multicast,
        };
        let address = link_address(multicast(group), ETHER_TYPE_IPV6 as u16, 0);
        if let Some(hook) = hook {
            // SAFETY: the device is alive and the address is there for as long as the call lasts.
            let _ = unsafe { hook(device.as_ptr(), (&raw const address).cast()) };
        }
    }

    /// The flags that `ifconfig` may set; up and down are part of them.
    ///
    /// # Errors
    /// What the driver's `up` returned.
    pub fn set_flags(self: &Arc<Self>, name: &str, flags: u32) -> Result<(), status_t> {
        let interface = self.get_interface(Family::Inet, name)?;
        if flags & IFF_UP != interface.own_flags() & IFF_UP {
            if flags & IFF_UP != 0 {
                self.set_up(&interface)?;
            } else {
                self.set_down(&interface);
            }
        }
        let kept = IFF_UP | IFF_LINK | IFF_BROADCAST;
        interface.set_own_flags((interface.own_flags() & kept) | (flags & !kept));
        Ok(())
    }

    fn set_up(self: &Arc<Self>, interface: &Arc<Interface>) -> Result<(), status_t> {
        self.up_device_interface(&interface.device_interface)?;
        interface.busy.store(true, Ordering::SeqCst);
        interface.set_own_flags(interface.own_flags() | IFF_UP);
        let chains = lock(&interface.inner).chains.clone();
        for family in chains {
            lock(&interface.inner).link(family).local = None;
            let addresses = interface.addresses();
            let locals =
                addresses.iter().filter(|address| address.family == family).filter_map(|address| address.local());
            let entered = locals.filter(|local| self.set_own(interface, family, Some(*local))).count();
            if entered == 0 {
                self.set_own(interface, family, None);
            }
        }
        for address in interface.addresses() {
            self.add_default_routes(&address, Part::Local);
        }
        interface.busy.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Takes an interface down: each family's chain in turn, of which the first takes the device with it. All of the
    /// interface's routes go, those that `route` added included.
    pub(crate) fn set_down(self: &Arc<Self>, interface: &Arc<Interface>) {
        if !interface.is_up() || interface.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        let chains = lock(&interface.inner).chains.clone();
        for family in chains {
            for address in interface.addresses() {
                if let Some(local) = address.local().filter(|_| address.family == family) {
                    self.remove_own(interface, local);
                }
            }
            self.down_device_interface(&interface.device_interface, || {
                for family in Family::ALL {
                    let routes = lock(self.table(family)).invalidate(|to| Arc::ptr_eq(&to.interface, interface));
                    drop(routes);
                }
            });
        }
        interface.set_own_flags(interface.own_flags() & !IFF_UP);
        interface.busy.store(false, Ordering::SeqCst);
    }

    /// Sets the MTU; the driver has the last word.
    pub fn set_mtu(&self, name: &str, mtu: usize) -> Result<(), status_t> {
        let interface = self.get_interface(Family::Inet, name)?;
        let device = interface.device();
        let set = device.module().set_mtu.ok_or(B_NOT_SUPPORTED)?;
        // SAFETY: the device is alive.
        check(unsafe { set(device.as_ptr(), mtu) })?;
        interface.host.set_mtu(device.mtu());
        Ok(())
    }

    /// A route through an interface, from its first address of the family.
    fn describe_route(&self, name: &str, request: &RouteRequest) -> Result<Description<AddressRef>, status_t> {
        let interface = self.get_interface(request.family, name)?;
        let RouteRequest { destination, mask, gateway, flags, family } = *request;
        Ok(Description { destination, mask, gateway, flags, target: interface.first_of(family) })
    }

    /// Adds a route through an interface, as `route add` does.
    ///
    /// # Errors
    /// `B_BAD_VALUE` if the interface has no address of the family, `B_FILE_EXISTS` if there is such a route.
    pub fn add_interface_route(&self, name: &str, request: &RouteRequest) -> Result<(), status_t> {
        self.add_route(request.family, &self.describe_route(name, request)?)
    }

    /// Removes a route through an interface, as `route delete` does.
    ///
    /// # Errors
    /// `B_ENTRY_NOT_FOUND` if there is no such route.
    pub fn remove_interface_route(&self, name: &str, request: &RouteRequest) -> Result<(), status_t> {
        self.remove_route(request.family, &self.describe_route(name, request)?)
    }

    /// `AddDefaultRoutes`: adds an address's routes to its subnet and to itself. A route for IPv6's multicast groups is
    /// not among them, because Haiku tries to add that one without an interface.
    fn add_default_routes(&self, address: &AddressRef, part: Part) {
        for route in default_routes(address, part) {
            let _ = self.add_route(address.family, &route);
        }
    }

    fn remove_default_routes(&self, address: &AddressRef, part: Part) {
        for route in default_routes(address, part) {
            let _ = self.remove_route(address.family, &route);
        }
    }

    fn remember_local(&self, address: &AddressRef) {
        if let Some(local) = address.local() {
            lock(&self.locals).entry(local).or_default().push(Arc::clone(address));
        }
    }

    fn forget_local(&self, address: &AddressRef) {
        let Some(local) = address.local() else { return };
        let mut locals = lock(&self.locals);
        if let Some(list) = locals.get_mut(&local) {
            list.retain(|other| !Arc::ptr_eq(other, address));
            if list.is_empty() {
                locals.remove(&local);
            }
        }
    }

    /// Tells an interface's IP stack its addresses.
    fn refresh_host(&self, interface: &Interface) {
        let addresses: Vec<_> = interface
            .addresses()
            .iter()
            .filter_map(|address| {
                let addresses = address.get();
                let prefix = addresses.mask.map_or(address.family.bits(), prefix_length);
                Some((addresses.local?, prefix as u8))
            })
            .collect();
        interface.host.set_addresses(&addresses);
    }
}

/// Whether a group is entered or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    Join,
    Leave,
}

/// The routes that come and go with a part of an address.
fn default_routes(address: &AddressRef, part: Part) -> Vec<Description<AddressRef>> {
    let addresses = address.get();
    let route = |mask, flags| Description {
        destination: addresses.local,
        mask,
        gateway: None,
        flags,
        target: Some(Arc::clone(address)),
    };
    let mut routes = Vec::new();
    if addresses.mask.is_some() && part != Part::Destination {
        routes.push(route(addresses.mask, 0));
    }
    if part == Part::Local {
        routes.push(route(None, RTF_LOCAL | RTF_HOST));
    }
    routes
}
