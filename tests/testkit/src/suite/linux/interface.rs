//! The stack's side of Linux: interfaces by ioctl and netlink, packets by a packet socket.

use std::fs;

use haiku_system::Mode;

use super::calls::{self, Owned, checked};
use crate::packet;
use crate::suite::{Errno, InterfaceFlags};

/// Linux's `struct ifreq`.
type Request = [u8; 40];

/// What `ifconfig` and `ip link` do.
pub(super) struct Interfaces {
    /// A socket to ask by.
    socket: Owned,
    /// A netlink socket.
    link: Owned,
}

impl Interfaces {
    pub(super) fn new() -> Self {
        let route = libc::NETLINK_ROUTE;
        Self {
            socket: socket(libc::AF_INET, libc::SOCK_DGRAM, 0),
            link: socket(libc::AF_NETLINK, libc::SOCK_RAW, route),
        }
    }

    fn ask(&self, name: &str, control: u64, value: &[u8]) -> Result<Request, Errno> {
        let mut request = [0; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..16 + value.len()].copy_from_slice(value);
        calls::ioctl(self.socket.0, control as u32, request.as_mut_ptr() as usize)?;
        Ok(request)
    }

    pub(super) fn index(&self, name: &str) -> Option<u32> {
        self.ask(name, libc::SIOCGIFINDEX, &[]).ok().map(|request| word(&request, 16))
    }

    pub(super) fn set_up(&self, name: &str, up: bool) {
        let request = self.ask(name, libc::SIOCGIFFLAGS, &[]).expect("an interface");
        let flags = u16::from_ne_bytes([request[16], request[17]]);
        let flags = if up { flags | libc::IFF_UP as u16 } else { flags & !(libc::IFF_UP as u16) };
        self.ask(name, libc::SIOCSIFFLAGS, &flags.to_ne_bytes()).expect("root may do so");
    }

    pub(super) fn set_mtu(&self, name: &str, mtu: usize) -> Result<(), Errno> {
        let mtu = u32::try_from(mtu).expect("a sane number");
        self.ask(name, libc::SIOCSIFMTU, &mtu.to_ne_bytes()).map(drop)
    }

    pub(super) fn mtu(&self, name: &str) -> usize {
        word(&self.ask(name, libc::SIOCGIFMTU, &[]).expect("an interface"), 16) as usize
    }

    pub(super) fn address(&self, name: &str) -> [u8; 6] {
        let request = self.ask(name, libc::SIOCGIFHWADDR, &[]).expect("an interface");
        *request[18..].first_chunk().expect("six bytes")
    }

    /// By netlink: the older controls have no room for `IFF_LOWER_UP`, and learn of a link's state late.
    pub(super) fn flags(&self, name: &str) -> InterfaceFlags {
        let answer = self.netlink(libc::RTM_GETLINK, self.index(name).expect("an interface"));
        // A header of 16 bytes, then `struct ifinfomsg`: family, type, index, flags.
        let flags = word(&answer, 16 + 8);
        let names = [
            (libc::IFF_BROADCAST, InterfaceFlags::BROADCAST),
            (libc::IFF_POINTOPOINT, InterfaceFlags::POINT_TO_POINT),
            (libc::IFF_MULTICAST, InterfaceFlags::MULTICAST),
            (libc::IFF_LOWER_UP, InterfaceFlags::LINK),
        ];
        names.into_iter().filter(|&(bit, _)| flags & bit as u32 != 0).map(|(_, flag)| flag).collect()
    }

    pub(super) fn remove(&self, name: &str) {
        let answer = self.netlink(libc::RTM_DELLINK, self.index(name).expect("an interface"));
        assert_eq!(word(&answer, 16), 0, "removing {name}");
    }

    /// Asks about one interface, and returns the first message of the answer.
    fn netlink(&self, kind: u16, index: u32) -> Vec<u8> {
        let acknowledge = if kind == libc::RTM_GETLINK { 0 } else { libc::NLM_F_ACK };
        let mut message = Vec::new();
        message.extend(32u32.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(((libc::NLM_F_REQUEST | acknowledge) as u16).to_ne_bytes());
        message.extend([0; 8]);
        message.extend([0; 4]);
        message.extend(index.to_ne_bytes());
        message.extend([0; 8]);
        calls::write(self.link.0, message.as_ptr(), message.len()).expect("netlink takes the question");
        let mut answer = vec![0; 16384];
        let length = calls::read(self.link.0, answer.as_mut_ptr(), answer.len()).expect("netlink answers");
        answer.truncate(length);
        answer
    }

    /// A packet socket on an interface.
    pub(super) fn listen(&self, name: &str) -> Owned {
        let socket = socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        let address = link_address(self.index(name).expect("an interface"), libc::ETH_P_ALL as u16);
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: an address of the length that is given.
        let status = unsafe { libc::bind(socket.0, (&raw const address).cast(), length) };
        checked(status.into()).expect("bound to the interface");
        socket.forget_error();
        socket
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> Owned {
    // SAFETY: a plain call.
    let socket = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    checked(socket.into()).expect("a socket");
    Owned(socket)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(*bytes[at..].first_chunk().expect("four bytes"))
}

fn link_address(index: u32, protocol: u16) -> libc::sockaddr_ll {
    // SAFETY: all zeros is a valid, empty address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index as i32;
    address
}

/// What a packet is, which a packet socket has to be told: an Ethernet header is only believed by some.
pub(super) fn ether_type(mode: Mode, packet: &[u8]) -> u16 {
    match (mode, packet) {
        (Mode::Tap, [_, _, _, _, _, _, _, _, _, _, _, _, high, low, ..]) => u16::from_be_bytes([*high, *low]),
        (Mode::Tun, [first, ..]) if first >> 4 == 6 => packet::ETHER_TYPE_IPV6,
        _ => packet::ETHER_TYPE_IP,
    }
}

/// Sends a packet out through an interface.
pub(super) fn send(socket: &Owned, index: u32, ether_type: u16, packet: &[u8]) -> Result<(), Errno> {
    let address = link_address(index, ether_type);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let to = (&raw const address).cast();
    // SAFETY: packet and address are alive, and of the lengths that are given.
    checked(unsafe { libc::sendto(socket.0, packet.as_ptr().cast(), packet.len(), 0, to, length) } as i64).map(drop)
}

/// The next packet that came in through the interface and is for this machine.
pub(super) fn receive(socket: &Owned) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let mut from = link_address(0, 0);
        let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let (to, address) = (buffer.as_mut_ptr().cast(), (&raw mut from).cast());
        // SAFETY: buffer and address are alive, and of the lengths that are given.
        let received = unsafe { libc::recvfrom(socket.0, to, buffer.len(), 0, address, &mut length) };
        let received = checked(received as i64).expect("a packet");
        let for_us = [libc::PACKET_HOST, libc::PACKET_BROADCAST, libc::PACKET_MULTICAST];
        if for_us.contains(&from.sll_pkttype) {
            buffer.truncate(received);
            return buffer;
        }
    }
}

/// Packets that an interface received and sent.
pub(super) fn statistics(name: &str) -> (u64, u64) {
    // "  tun0:    bytes packets errs drop fifo frame compressed multicast    bytes packets ..."
    let table = fs::read_to_string("/proc/thread-self/net/dev").expect("a table of interfaces");
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}:")));
    let numbers: Vec<u64> =
        line.expect("the interface").split_whitespace().map(|word| word.parse().expect("a number")).collect();
    (numbers[1], numbers[9])
}
