//! Neighbour discovery (RFC 4861): the solicitation that asks, and the advertisement that answers.

use bitflags::bitflags;
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddress;
use crate::checksum::Sum;
use crate::ethernet::{ETHERNET_HEADER, EthernetHeader, ether_type};
use crate::ipv6::{IPV6_HEADER, Icmpv6, Ipv6Address, Ipv6Header, next_header};

/// ICMPv6 message types that concern the link and nobody behind it.
pub mod message_type {
    /// Multicast listener query (RFC 2710, section 3; RFC 3810, section 5.1).
    pub const LISTENER_QUERY: u8 = 130;
    /// Multicast listener report (RFC 2710, section 3).
    pub const LISTENER_REPORT: u8 = 131;
    /// Multicast listener done (RFC 2710, section 3).
    pub const LISTENER_DONE: u8 = 132;
    /// Router solicitation (RFC 4861, section 4.1).
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement (RFC 4861, section 4.2).
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation (RFC 4861, section 4.3).
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861, section 4.4).
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect (RFC 4861, section 4.5).
    pub const REDIRECT: u8 = 137;
    /// Multicast listener report, version 2 (RFC 3810, section 5.2).
    pub const LISTENER_REPORT_2: u8 = 143;
}

/// The hop limit of every message of neighbour discovery: no router lets a packet through that still
/// has it, so the sender is on the link.
pub const ON_LINK_HOP_LIMIT: u8 = 255;

/// Length of a solicitation or advertisement without options.
const MESSAGE: usize = 24;
/// Length of an option that holds an Ethernet address.
const LINK_OPTION: usize = 8;
/// Length of an advertisement that tells the link address.
pub const ADVERTISEMENT: usize = MESSAGE + LINK_OPTION;
/// Length of the frame that carries such an advertisement.
pub const ADVERTISEMENT_FRAME: usize = ETHERNET_HEADER + IPV6_HEADER + ADVERTISEMENT;

/// Option: the sender's link address (RFC 4861, section 4.6.1).
const SOURCE_LINK_ADDRESS: u8 = 1;
/// Option: the target's link address (RFC 4861, section 4.6.1).
const TARGET_LINK_ADDRESS: u8 = 2;

bitflags! {
    /// What an advertisement says of its sender (RFC 4861, section 4.4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AdvertisementFlags: u32 {
        /// It forwards packets that are not for itself.
        const ROUTER = 1 << 31;
        /// It was asked.
        const SOLICITED = 1 << 30;
        /// What it says replaces what is known.
        const OVERRIDE = 1 << 29;
    }
}

/// A solicitation or an advertisement without its options, as sent (RFC 4861, sections 4.3 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct NeighbourMessage {
    /// See [`message_type`].
    pub message_type: u8,
    /// Always zero.
    pub code: u8,
    /// Over the pseudo-header and the whole message (RFC 4443, section 2.3).
    pub checksum: U16,
    /// [`AdvertisementFlags`] in an advertisement, nothing in a solicitation.
    pub flags: U32,
    /// The address that is asked for or told about.
    pub target: Ipv6Address,
}

/// An option that holds an Ethernet address, as sent (RFC 4861, section 4.6.1; RFC 2464, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LinkOption {
    /// Whose address it is.
    pub kind: u8,
    /// In units of eight bytes: one.
    pub length: u8,
    /// The address.
    pub address: MacAddress,
}

/// A solicitation that passed every check of RFC 4861, section 7.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; unspecified for duplicate address detection.
    pub source: Ipv6Address,
    /// The address that is asked for.
    pub target: Ipv6Address,
    /// The sender's link address, if it told.
    pub link: Option<MacAddress>,
}

impl Solicitation {
    /// Checks the solicitation in a packet with this header (RFC 4861, section 7.1.1).
    ///
    /// `None` also means that a part of the message is not at hand, that it came in fragments (RFC 6980,
    /// section 5), that its sender or target is an address that no host can have, or that its sender told
    /// a group as its own link address.
    #[must_use]
    pub fn parse(header: &Ipv6Header, icmpv6: &Icmpv6<'_>) -> Option<Self> {
        let bytes = icmpv6.whole()?;
        let length = u16::try_from(bytes.len()).ok()?;
        let (message, options) = NeighbourMessage::ref_from_prefix(bytes).ok()?;
        let sum = Sum::new().with_icmpv6(header.source, header.destination, length).with(bytes);
        let is_valid = header.hop_limit == ON_LINK_HOP_LIMIT
            && message.message_type == message_type::NEIGHBOUR_SOLICITATION
            && message.code == 0
            && message.target.is_host()
            && !header.source.is_multicast()
            && sum.checksum() == 0;
        if !is_valid {
            return None;
        }
        let link = source_link_address(options)?;
        let detects_duplicates = header.source.is_unspecified();
        if detects_duplicates && (link.is_some() || !header.destination.is_solicited_node()) {
            return None;
        }
        Some(Self { source: header.source, target: message.target, link })
    }
}

/// The sender's link address among these options, if there is one; `None` if they are malformed.
///
/// Options of a kind that is not known are passed over (RFC 4861, section 4.6).
fn source_link_address(mut options: &[u8]) -> Option<Option<MacAddress>> {
    let mut found = None;
    while let &[kind, length, ..] = options {
        if length == 0 {
            return None;
        }
        let (option, rest) = options.split_at_checked(usize::from(length).wrapping_mul(8))?;
        if kind == SOURCE_LINK_ADDRESS {
            let option = LinkOption::ref_from_bytes(option).ok()?;
            if !option.address.is_unicast() {
                return None;
            }
            found = Some(option.address);
        }
        options = rest;
    }
    options.is_empty().then_some(found)
}

/// A frame that carries a neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AdvertisementFrame {
    /// The link header.
    pub ethernet: EthernetHeader,
    /// The IPv6 header.
    pub ipv6: Ipv6Header,
    /// The advertisement.
    pub message: NeighbourMessage,
    /// The target's link address. Haiku looks for it here and nowhere else.
    pub link: LinkOption,
}

const _: () = assert!(size_of::<AdvertisementFrame>() == ADVERTISEMENT_FRAME);

impl AdvertisementFrame {
    /// The answer to a solicitation whose sender is at `asker`: its target is at `peer` (RFC 4861,
    /// section 7.2.4).
    ///
    /// It says that the target is a router, for the far side takes packets for anyone. To say otherwise
    /// would make a host forget every route that it has through the target (RFC 4861, section 7.2.5), as
    /// it may have learned one from a router behind the program.
    #[must_use]
    pub fn answer(solicitation: &Solicitation, asker: MacAddress, peer: MacAddress) -> Self {
        let flags = AdvertisementFlags::all();
        let mut message = NeighbourMessage {
            message_type: message_type::NEIGHBOUR_ADVERTISEMENT,
            code: 0,
            checksum: U16::ZERO,
            flags: U32::new(flags.bits()),
            target: solicitation.target,
        };
        let link = LinkOption { kind: TARGET_LINK_ADDRESS, length: 1, address: peer };
        let ipv6 = Ipv6Header {
            version_class_flow: U32::new(6 << 28),
            payload_length: U16::new(ADVERTISEMENT as u16),
            next_header: next_header::ICMPV6,
            hop_limit: ON_LINK_HOP_LIMIT,
            source: solicitation.target,
            destination: solicitation.source,
        };
        let sum = Sum::new()
            .with_icmpv6(ipv6.source, ipv6.destination, ADVERTISEMENT as u16)
            .with(message.as_bytes())
            .with(link.as_bytes());
        message.checksum = U16::new(sum.checksum());
        let ethernet = EthernetHeader::new(asker, peer, ether_type::IPV6);
        Self { ethernet, ipv6, message, link }
    }

    /// The frame as the bytes to send.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ADVERTISEMENT_FRAME] {
        zerocopy::transmute!(self)
    }
}
