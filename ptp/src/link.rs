//! The link header of what a program writes: from the far side to the interface.

use zerocopy::FromBytes;

use crate::MacAddress;
use crate::ethernet::{ETHERNET_HEADER, EthernetHeader, ether_type, group_of_ipv4, group_of_ipv6};
use crate::ipv4::{IPV4_HEADER, Ipv4Header};
use crate::ipv6::{IPV6_HEADER, Ipv6Header};
use crate::verdict::Refusal;

/// Longest prefix of a packet on its way to the stack that the layer looks at.
pub const HEAD_TO_STACK: usize = IPV6_HEADER;

const _: () = assert!(IPV4_HEADER <= HEAD_TO_STACK);

/// The two stations of the link. It remembers nothing else, so nothing that a program writes can make the far side
/// answer or learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The header of an IPv4 packet from the peer to the interface.
    header: EthernetHeader,
}

impl Link {
    /// The link whose near side is an interface with this address.
    #[must_use]
    #[inline]
    pub const fn new(interface: MacAddress) -> Self {
        Self { header: EthernetHeader::new(interface, interface.peer(), ether_type::IPV4) }
    }

    /// The interface's address.
    #[must_use]
    pub const fn interface(&self) -> MacAddress {
        self.header.destination
    }

    /// The far side's address.
    #[must_use]
    pub const fn peer(&self) -> MacAddress {
        self.header.source
    }

    /// The Ethernet header for an IP packet that a program wrote.
    ///
    /// `head` is the start of the packet, [`HEAD_TO_STACK`] bytes or all `packet_len` of them.
    ///
    /// # Errors
    ///
    /// [`Refusal::Version`] if the packet is neither IPv4 nor IPv6, [`Refusal::Short`] if it is empty or has no whole
    /// header.
    #[inline]
    pub fn to_stack(&self, head: &[u8], packet_len: usize) -> Result<[u8; ETHERNET_HEADER], Refusal> {
        let head = head.get(..packet_len).unwrap_or(head);
        let version = head.first().ok_or(Refusal::Short)? >> 4;
        let mut header = self.header;
        let group = match version {
            4 => {
                let (ipv4, _) = Ipv4Header::ref_from_prefix(head).map_err(|_| Refusal::Short)?;
                group_of_ipv4(ipv4.destination)
            }
            6 => {
                let (ipv6, _) = Ipv6Header::ref_from_prefix(head).map_err(|_| Refusal::Short)?;
                header.ether_type.set(ether_type::IPV6);
                group_of_ipv6(ipv6.destination)
            }
            _ => return Err(Refusal::Version),
        };
        if let Some(group) = group {
            header.destination = group;
        }
        Ok(header.to_bytes())
    }
}
