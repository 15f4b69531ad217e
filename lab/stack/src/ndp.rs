//! IPv6 neighbour discovery, as Haiku's stack speaks it.
//!
//! Solicitations go through the routing table like any packet, so that without a route for `ff00::/8` none leaves,
//! and with several interfaces they leave by whichever has the first such route. Advertisements are believed only if
//! they come to a unicast address and their first option is the target's link-layer address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use haiku_sys::{B_BAD_DATA, B_ERROR, status_t};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
    RawHardwareAddress,
};

use super::Stack;
use super::address::Family;
use super::buffer::Sent;
use super::ethernet::Mac;
use super::fifo::lock;
use super::interface::{AddressRef, Interface};

/// The hop limit that proves that a packet is from the link.
const HOP_LIMIT: u8 = 255;
/// The length of a solicitation or advertisement with one link-layer address, without the IPv6 header.
const WITH_OPTION: usize = 32;
/// The header of IPv6.
const IPV6_HEADER: usize = 40;

/// The group that has to be asked for an address.
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// A neighbour discovery message as an IPv6 packet.
fn packet(source: Ipv6Addr, destination: Ipv6Addr, message: NdiscRepr<'_>) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let header = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    let mut bytes = vec![0; IPV6_HEADER + message.buffer_len()];
    let mut ip = Ipv6Packet::new_unchecked(&mut bytes[..]);
    header.emit(&mut ip);
    let mut icmp = Icmpv6Packet::new_unchecked(ip.payload_mut());
    message.emit(&source, &destination, &mut icmp, &ChecksumCapabilities::default());
    bytes
}

/// A link-layer address as an option carries it.
fn option(mac: Mac) -> Option<RawHardwareAddress> {
    Some(RawHardwareAddress::from(EthernetAddress(mac)))
}

/// The six bytes of a link-layer option, if that is the first option and it has six.
fn first_option(icmp: &[u8], kind: u8) -> Option<Mac> {
    let [found, 1, a, b, c, d, e, f] = *icmp.get(24..WITH_OPTION)?.first_chunk::<8>()? else { return None };
    (found == kind).then_some([a, b, c, d, e, f])
}

impl Stack {
    /// Sends an ARP request for an address, through the routing table.
    pub(crate) fn solicit(self: &Arc<Self>, interface: &Arc<Interface>, target: Ipv6Addr) -> Sent {
        let local = match lock(&interface.inner).link(Family::Inet6).local {
            Some(IpAddr::V6(local)) => local,
            _ => Ipv6Addr::UNSPECIFIED,
        };
        let lladdr = option(interface.device().address());
        let message = NdiscRepr::NeighborSolicit { target_addr: target, lladdr };
        self.send_packet(&packet(local, solicited_node(target), message), None)
    }

    /// A neighbour discovery message came in, as a whole IPv6 packet that was checked to be one.
    pub(crate) fn receive_ndp(self: &Arc<Self>, bytes: &[u8]) -> Result<(), status_t> {
        let ip = Ipv6Packet::new_checked(bytes).map_err(|_| B_BAD_DATA)?;
        let (source, destination) = (ip.src_addr(), ip.dst_addr());
        let payload = ip.payload();
        let icmp = Icmpv6Packet::new_checked(payload).map_err(|_| B_BAD_DATA)?;
        match Icmpv6Repr::parse(&source, &destination, &icmp, &ChecksumCapabilities::default()) {
            Ok(Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, .. })) => {
                let Some(mac) = first_option(payload, 1) else { return Ok(()) };
                self.learn_neighbour(IpAddr::V6(source), mac);
                let asked = self.local_addresses(IpAddr::V6(destination)).into_iter().next();
                self.advertise(source, target_addr, asked)
            }
            Ok(Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, .. })) => {
                // Haiku ignores unsolicited advertisements.
                if let Some(mac) = first_option(payload, 2).filter(|_| !destination.is_multicast()) {
                    self.learn_neighbour(IpAddr::V6(target_addr), mac);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Answers a solicitation. `asked` is the address that a unicast solicitation came to; the advertisement, made of
    /// the same buffer, still refers to it. `ndp_receive_data` ignores the status, so an unsent advertisement leaks.
    fn advertise(
        self: &Arc<Self>,
        asker: Ipv6Addr,
        wanted: Ipv6Addr,
        asked: Option<AddressRef>,
    ) -> Result<(), status_t> {
        let mac = self.ndp.with_own(IpAddr::V6(wanted), |own| own.mac).ok_or(B_ERROR)?;
        let flags = NdiscNeighborFlags::SOLICITED;
        let answer = NdiscRepr::NeighborAdvert { flags, target_addr: wanted, lladdr: option(mac) };
        if let Err(unsent) = self.send_packet(&packet(wanted, asker, answer), asked) {
            unsent.leak();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_to_ask_ends_like_the_address() {
        let group: Ipv6Addr = "ff02::1:ff34:5678".parse().unwrap();
        assert_eq!(solicited_node("fd00:9::1234:5678".parse().unwrap()), group);
    }

    #[test]
    fn a_solicitation_carries_the_askers_address_where_haiku_looks_for_it() {
        let mac = [2, 0, 0, 0, 0, 1];
        let target: Ipv6Addr = "fd00::2".parse().unwrap();
        let message = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: option(mac) };
        let bytes = packet("fd00::1".parse().unwrap(), solicited_node(target), message);
        assert_eq!(bytes.len(), IPV6_HEADER + WITH_OPTION);
        assert_eq!(bytes[7], HOP_LIMIT);
        assert_eq!(first_option(&bytes[IPV6_HEADER..], 1), Some(mac));
        assert_eq!(first_option(&bytes[IPV6_HEADER..], 2), None);
        assert_eq!(first_option(&bytes[IPV6_HEADER..IPV6_HEADER + 24], 1), None);
    }
}
