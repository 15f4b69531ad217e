//! Routes to a peer: what `TUNSETPEER` adds.
//!
//! Haiku's stack gives the peer of an interface no route, and an IPv6 address none at all. A route can be had from within
//! the kernel by the stack's own datalink module, through tables that R1/beta5 and master share. An IPv6 peer needs two:
//! one to itself, and one to the group that its neighbour solicitations go to (RFC 4291, section 2.7.1), for Haiku routes
//! those like any packet.

use core::ffi::{CStr, c_char};
use core::ptr::null_mut;

use haiku_sys as sys;
use sys::{net_datalink_module_info, net_domain, net_interface, net_interface_address, net_route, sockaddr, status_t};

/// The address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    V4([u8; 4]),
    V6([u8; 16]),
}

/// An address as the stack reads it: as a `sockaddr_in` or a `sockaddr_in6`, whose words are aligned.
#[repr(align(8))]
struct SocketAddress(sockaddr);

impl Peer {
    const fn family(self) -> u32 {
        match self {
            Self::V4(_) => sys::AF_INET,
            Self::V6(_) => sys::AF_INET6,
        }
    }

    /// The address as the stack wants it.
    fn socket_address(self) -> SocketAddress {
        let mut data = [0; 30];
        // The port comes first; IPv6 has flow information after it.
        let sa_len = match self {
            Self::V4(address) => {
                place(&mut data, 2, &address);
                size_of::<sys::sockaddr_in>()
            }
            Self::V6(address) => {
                place(&mut data, 6, &address);
                size_of::<sys::sockaddr_in6>()
            }
        };
        SocketAddress(sockaddr { sa_len: sa_len as u8, sa_family: self.family() as u8, sa_data: data })
    }

    /// The group that solicitations for the peer go to.
    const fn solicited_node(self) -> Option<Self> {
        match self {
            Self::V4(_) => None,
            Self::V6([.., a, b, c]) => Some(Self::V6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])),
        }
    }
}

fn place(data: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, &byte) in data.iter_mut().skip(at).zip(bytes) {
        *place = byte;
    }
}

/// An interface's name, as the stack has it.
pub(crate) type Name = [c_char; 32];

/// Adds what routes a peer needs through the interface of this name. One that exists already is left alone.
///
/// The interface must be up: the stack drops an interface's routes when it goes down, and only then. One that was added
/// before it came up would keep it alive for ever after `ifconfig --delete`.
///
/// # Errors
///
/// `ENETDOWN`; `EADDRNOTAVAIL` if the interface has no address of the peer's family; whatever the stack says.
pub(crate) fn add(name: &Name, peer: Peer) -> Result<(), status_t> {
    let stack = Module::<sys::net_stack_module_info>::take(sys::NET_STACK_MODULE_NAME)?;
    let datalink = Module::<net_datalink_module_info>::take(sys::NET_DATALINK_MODULE_NAME)?;
    let get_domain = stack.table().get_domain.ok_or(sys::B_NOT_SUPPORTED)?;
    // SAFETY: a plain call of the stack's.
    let domain = unsafe { get_domain(peer.family() as i32) };
    if domain.is_null() {
        return Err(sys::EAFNOSUPPORT);
    }
    let interface = Interface::find(datalink.table(), domain, name)?;
    interface.check_up()?;
    let address = interface.address(domain)?;
    let mut new = [None; 2];
    let wanted = [Some(peer), peer.solicited_node()].into_iter().flatten();
    let added = wanted.zip(&mut new).try_for_each(|(route, new)| {
        *new = address.add_route(domain, route)?.then_some(route);
        Ok(())
    });
    // If it is still up, and not going down, it will drop the routes itself when it does. Another one of its name will not.
    let still_up = Interface::find(datalink.table(), domain, name).and_then(|now| now.check_is(&interface)?.check_up());
    let result = added.and(still_up);
    if result.is_err() {
        new.into_iter().flatten().for_each(|route| address.remove_route(domain, route));
    }
    result
}

/// A reference to a module.
struct Module<T: 'static> {
    name: &'static CStr,
    table: *const T,
}

impl<T> Module<T> {
    fn take(name: &'static CStr) -> Result<Self, status_t> {
        let mut module = null_mut();
        // SAFETY: a C string, and a place for the module's address.
        match unsafe { sys::get_module(name.as_ptr(), &raw mut module) } {
            sys::B_OK => Ok(Self { name, table: module.cast_const().cast() }),
            status => Err(status),
        }
    }

    fn table(&self) -> &T {
        // SAFETY: the kernel's table, which stays while we have the reference.
        unsafe { &*self.table }
    }
}

impl<T> Drop for Module<T> {
    fn drop(&mut self) {
        // SAFETY: taken in `take`.
        unsafe { sys::put_module(self.name.as_ptr()) };
    }
}

/// A reference to an interface of the stack's.
struct Interface<'m> {
    datalink: &'m net_datalink_module_info,
    interface: *mut net_interface,
}

impl<'m> Interface<'m> {
    /// The interface of a name. The stack finds one by its index only, and counts those apart from devices: so the
    /// index is asked for first.
    fn find(datalink: &'m net_datalink_module_info, domain: *mut net_domain, name: &Name) -> Result<Self, status_t> {
        let control = datalink.control.ok_or(sys::B_NOT_SUPPORTED)?;
        let get = datalink.get_interface.ok_or(sys::B_NOT_SUPPORTED)?;
        // SAFETY: all zeros is a request about nothing.
        let mut request: sys::ifreq = unsafe { core::mem::zeroed() };
        request.ifr_name = *name;
        let mut length = size_of::<sys::ifreq>();
        // SAFETY: the domain is the stack's, and is never freed while the stack is loaded; the request is ours.
        let status = unsafe { control(domain, sys::SIOCGIFINDEX as i32, (&raw mut request).cast(), &raw mut length) };
        if status != sys::B_OK {
            return Err(sys::ENXIO);
        }
        // SAFETY: the stack has filled in the index; any bytes would be one.
        let index = unsafe { request.u.ifr_index };
        // 0 would be any interface.
        let index = u32::try_from(index).ok().filter(|&index| index > 0).ok_or(sys::ENXIO)?;
        // SAFETY: as above.
        let interface = unsafe { get(domain, index) };
        if interface.is_null() { Err(sys::ENXIO) } else { Ok(Self { datalink, interface }) }
    }

    fn check_is(&self, other: &Self) -> Result<&Self, status_t> {
        if self.interface == other.interface { Ok(self) } else { Err(sys::ENXIO) }
    }

    fn check_up(&self) -> Result<(), status_t> {
        // SAFETY: we have a reference to the interface.
        let flags = unsafe { &raw const (*self.interface).flags };
        // SAFETY: as above; the stack itself reads and writes the word unlocked, whole.
        if unsafe { flags.read_volatile() } & sys::IFF_UP == 0 { Err(sys::ENETDOWN) } else { Ok(()) }
    }

    /// The first address of the interface in a domain; a place for one without an address in it does not count.
    fn address(&self, domain: *mut net_domain) -> Result<Address<'_>, status_t> {
        let next = self.datalink.get_next_interface_address.ok_or(sys::B_NOT_SUPPORTED)?;
        let mut address = null_mut();
        // SAFETY: we have a reference to the interface; the walk takes over the one to each address before.
        while unsafe { next(self.interface, &raw mut address) } {
            // SAFETY: we have a reference to the address.
            let found = unsafe { &*address };
            if found.domain == domain && !found.local.is_null() {
                return Ok(Address { datalink: self.datalink, address });
            }
        }
        Err(sys::EADDRNOTAVAIL)
    }
}

impl Drop for Interface<'_> {
    fn drop(&mut self) {
        if let Some(put) = self.datalink.put_interface {
            // SAFETY: the reference came from `get_interface`.
            unsafe { put(self.interface) };
        }
    }
}

/// A reference to an address of an interface.
struct Address<'m> {
    datalink: &'m net_datalink_module_info,
    address: *mut net_interface_address,
}

impl Address<'_> {
    /// Adds a route; says whether there was none before.
    fn add_route(&self, domain: *mut net_domain, to: Peer) -> Result<bool, status_t> {
        let add = self.datalink.add_route.ok_or(sys::B_NOT_SUPPORTED)?;
        let mut destination = to.socket_address();
        let route = self.route(&raw mut destination.0);
        // SAFETY: the stack copies the route and takes a reference of its own to the address.
        match unsafe { add(domain, &raw const route) } {
            sys::B_OK => Ok(true),
            sys::B_FILE_EXISTS => Ok(false),
            status => Err(status),
        }
    }

    /// Takes a route out again. That it may be gone already is no error.
    fn remove_route(&self, domain: *mut net_domain, to: Peer) {
        let mut destination = to.socket_address();
        let route = self.route(&raw mut destination.0);
        if let Some(remove) = self.datalink.remove_route {
            // SAFETY: the stack only compares the route with those it has.
            unsafe { remove(domain, &raw const route) };
        }
    }

    fn route(&self, destination: *mut sockaddr) -> net_route {
        net_route {
            destination,
            mask: null_mut(),
            gateway: null_mut(),
            flags: sys::RTF_HOST | sys::RTF_STATIC,
            mtu: 0,
            interface_address: self.address,
        }
    }
}

impl Drop for Address<'_> {
    fn drop(&mut self) {
        if let Some(put) = self.datalink.put_interface_address {
            // SAFETY: the reference came from `get_next_interface_address`.
            unsafe { put(self.address) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_ipv4_is_spelled_as_a_sockaddr_in() {
        let address = Peer::V4([10, 9, 0, 2]).socket_address().0;
        assert_eq!((address.sa_len, u32::from(address.sa_family)), (32, sys::AF_INET));
        assert_eq!(address.sa_data[..6], [0, 0, 10, 9, 0, 2]);
    }

    #[test]
    fn a_peer_of_ipv6_is_spelled_as_a_sockaddr_in6_and_solicited_by_its_last_three_bytes() {
        let mut peer = [0; 16];
        (peer[0], peer[15], peer[14], peer[13]) = (0xfd, 3, 2, 1);
        let address = Peer::V6(peer).socket_address().0;
        assert_eq!((address.sa_len, u32::from(address.sa_family)), (28, sys::AF_INET6));
        assert_eq!(address.sa_data[6..22], peer);
        let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 1, 2, 3];
        assert_eq!(Peer::V6(peer).solicited_node(), Some(Peer::V6(group)));
    }
}
