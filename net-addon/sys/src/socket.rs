//! Addresses and interface requests: `headers/posix/sys/socket.h`, `netinet/in.h`, `net/if.h`, `net/if_dl.h`.

use core::ffi::c_char;
use core::mem::offset_of;

use crate::ifreq_stats;

/// `struct sockaddr`: 32 bytes, so that an IPv6 address fits.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sockaddr {
    /// Its length in bytes.
    pub sa_len: u8,
    /// `AF_*`.
    pub sa_family: u8,
    /// The rest.
    pub sa_data: [u8; 30],
}

/// `struct sockaddr_storage`: room for any address.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct sockaddr_storage(pub [u8; 128]);

/// `struct sockaddr_in`.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug)]
pub struct sockaddr_in {
    /// Its length in bytes.
    pub sin_len: u8,
    /// `AF_INET`.
    pub sin_family: u8,
    /// In network order.
    pub sin_port: u16,
    /// In network order.
    pub sin_addr: [u8; 4],
    /// Zero.
    pub sin_zero: [u8; 24],
}

/// `struct sockaddr_in6`.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug)]
pub struct sockaddr_in6 {
    /// Its length in bytes.
    pub sin6_len: u8,
    /// `AF_INET6`.
    pub sin6_family: u8,
    /// In network order.
    pub sin6_port: u16,
    /// In network order.
    pub sin6_flowinfo: u32,
    /// In network order.
    pub sin6_addr: [u8; 16],
    /// The interface's index.
    pub sin6_scope_id: u32,
}

/// `struct sockaddr_dl`: a link-layer address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sockaddr_dl {
    /// Its length in bytes.
    pub sdl_len: u8,
    /// `AF_LINK`.
    pub sdl_family: u8,
    /// The Ethernet type, in network order.
    pub sdl_e_type: u16,
    /// The interface's index.
    pub sdl_index: u32,
    /// `IFT_*`.
    pub sdl_type: u8,
    /// Bytes of interface name in `sdl_data`.
    pub sdl_nlen: u8,
    /// Bytes of address after it.
    pub sdl_alen: u8,
    /// Bytes of selector after that.
    pub sdl_slen: u8,
    /// Name, address, selector.
    pub sdl_data: [u8; 46],
    _tail: [u8; 2],
}

/// The beginning of a `struct sockaddr_dl`: as much of it as says which station on Ethernet it is. The stack's deframer writes no
/// more either.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sockaddr_dl_ethernet {
    sdl_len: u8,
    sdl_family: u8,
    sdl_e_type: u16,
    sdl_index: u32,
    sdl_type: u8,
    sdl_nlen: u8,
    sdl_alen: u8,
    sdl_slen: u8,
    sdl_data: [u8; 6],
}

const _: () = assert!(offset_of!(sockaddr_dl_ethernet, sdl_data) == offset_of!(sockaddr_dl, sdl_data));

impl sockaddr_dl_ethernet {
    /// Returns the address of a station. `e_type` is the Ethernet type in network order, `index` that of the device.
    #[must_use]
    pub const fn new(station: [u8; 6], e_type: u16, index: u32) -> Self {
        Self {
            sdl_len: size_of::<sockaddr_dl>() as u8,
            sdl_family: crate::AF_LINK as u8,
            sdl_e_type: e_type,
            sdl_index: index,
            sdl_type: crate::IFT_ETHER as u8,
            sdl_nlen: 0,
            sdl_alen: crate::ETHER_ADDRESS_LENGTH as u8,
            sdl_slen: 0,
            sdl_data: station,
        }
    }
}

/// `struct ifreq`: one interface's request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ifreq {
    /// The interface's name.
    pub ifr_name: [c_char; 32],
    /// What is asked or answered.
    pub u: ifreq_union,
}

/// The union inside an [`ifreq`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union ifreq_union {
    /// An address; also the destination, broadcast address and mask.
    pub ifr_addr: sockaddr,
    /// Statistics.
    pub ifr_stats: ifreq_stats,
    /// A route.
    pub ifr_route: route_entry,
    /// `IFF_*`.
    pub ifr_flags: i32,
    /// An index.
    pub ifr_index: i32,
    /// An MTU in bytes of IP.
    pub ifr_mtu: i32,
    /// A medium.
    pub ifr_media: i32,
    /// A pointer.
    pub ifr_data: *mut u8,
}

/// `struct route_entry`: a route as programs state it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct route_entry {
    /// Where to.
    pub destination: *mut sockaddr,
    /// Which bits of it count.
    pub mask: *mut sockaddr,
    /// The next hop, or null.
    pub gateway: *mut sockaddr,
    /// The source address, or null.
    pub source: *mut sockaddr,
    /// `RTF_*`.
    pub flags: u32,
    /// The route's MTU, or 0.
    pub mtu: u32,
}

/// `struct ifaliasreq`: an interface's address as programs state it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ifaliasreq {
    /// The interface's name.
    pub ifra_name: [c_char; 32],
    /// Which of its addresses, or negative for the first.
    pub ifra_index: i32,
    /// The address.
    pub ifra_addr: sockaddr_storage,
    /// The broadcast or peer address: a union of the two in C.
    pub ifra_destination: sockaddr_storage,
    /// The mask.
    pub ifra_mask: sockaddr_storage,
    /// `IFAF_*`.
    pub ifra_flags: u32,
}
