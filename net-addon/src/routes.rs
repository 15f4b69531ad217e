//! Routes to a peer: what `TUNSETPEER` adds.
//!
//! Haiku's stack adds no route to the peer of an interface, and none at all for an IPv6 address. The stack's datalink module
//! can add one, through tables that R1/beta5 and master share. An IPv6 peer needs two: one to itself, and one to its
//! solicited-node multicast address (RFC 4291, section 2.7.1), because Haiku routes solicitations like any packet.

use core::ptr::null_mut;

use haiku_sys as sys;
use sys::{net_datalink_module_info, net_domain, net_route, sockaddr, status_t};

use crate::stack::{Address, HeldDomain, Module, Name, NetInterface};

/// The address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    V4([u8; 4]),
    V6([u8; 16]),
}

/// An address that the stack reads as a `sockaddr_in` or a `sockaddr_in6`, whose words are aligned.
#[repr(align(8))]
struct SocketAddress(sockaddr);

impl Peer {
    const fn family(self) -> u32 {
        match self {
            Self::V4(_) => sys::AF_INET,
            Self::V6(_) => sys::AF_INET6,
        }
    }

    /// Returns the address as a socket address.
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

    /// Returns the solicited-node multicast address of an IPv6 peer.
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

/// Adds the routes that a peer needs through the interface of this name. An existing route is left unchanged.
///
/// The interface must be up: the stack drops an interface's routes only when it goes down. A route that was added before the
/// interface came up would keep it alive for ever after `ifconfig --delete`.
///
/// # Errors
///
/// `ENETDOWN`; `EADDRNOTAVAIL` if the interface has no address of the peer's family; any error of the stack.
pub(crate) fn add(name: &Name, peer: Peer) -> Result<(), status_t> {
    let stack = Module::<sys::net_stack_module_info>::take(sys::NET_STACK_MODULE_NAME)?;
    let datalink = Module::<net_datalink_module_info>::take(sys::NET_DATALINK_MODULE_NAME)?;
    let held = HeldDomain::take(stack.table(), peer.family())?;
    let domain = held.domain();
    let interface = NetInterface::find(datalink.table(), domain, name)?;
    interface.check_up()?;
    let address = interface.address(domain)?;
    let mut new = [None; 2];
    let wanted = [Some(peer), peer.solicited_node()].into_iter().flatten();
    let added = wanted.zip(&mut new).try_for_each(|(route, new)| {
        *new = address.add_route(domain, route)?.then_some(route);
        Ok(())
    });
    // If the same interface is still up, it drops the routes itself when it goes down. A new one of its name would not.
    let still_up =
        NetInterface::find(datalink.table(), domain, name).and_then(|now| now.check_is(&interface)?.check_up());
    let result = added.and(still_up);
    if result.is_err() {
        new.into_iter().flatten().for_each(|route| address.remove_route(domain, route));
    }
    result
}

impl Address<'_> {
    /// Adds a route. Returns whether it is new.
    fn add_route(&self, domain: *mut net_domain, to: Peer) -> Result<bool, status_t> {
        let add = self.datalink.add_route.ok_or(sys::B_NOT_SUPPORTED)?;
        let mut destination = to.socket_address();
        let route = self.route(&raw mut destination.0);
        // SAFETY: the route and its destination live during the call; the stack copies them and takes its own reference to
        // the address, which is alive by the invariant of `Address`.
        match unsafe { add(domain, &raw const route) } {
            sys::B_OK => Ok(true),
            sys::B_FILE_EXISTS => Ok(false),
            status => Err(status),
        }
    }

    /// Removes a route. It is no error if the route is gone already.
    fn remove_route(&self, domain: *mut net_domain, to: Peer) {
        let mut destination = to.socket_address();
        let route = self.route(&raw mut destination.0);
        if let Some(remove) = self.datalink.remove_route {
            // SAFETY: the route and its destination live during the call; the stack only compares them with its own.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_peer_becomes_a_sockaddr_in() {
        let address = Peer::V4([10, 9, 0, 2]).socket_address().0;
        assert_eq!((address.sa_len, u32::from(address.sa_family)), (32, sys::AF_INET));
        assert_eq!(address.sa_data[..6], [0, 0, 10, 9, 0, 2]);
    }

    #[test]
    fn an_ipv6_peer_becomes_a_sockaddr_in6_and_its_solicited_node_group_has_its_last_three_bytes() {
        let mut peer = [0; 16];
        (peer[0], peer[15], peer[14], peer[13]) = (0xfd, 3, 2, 1);
        let address = Peer::V6(peer).socket_address().0;
        assert_eq!((address.sa_len, u32::from(address.sa_family)), (28, sys::AF_INET6));
        assert_eq!(address.sa_data[6..22], peer);
        let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 1, 2, 3];
        assert_eq!(Peer::V6(peer).solicited_node(), Some(Peer::V6(group)));
    }
}
