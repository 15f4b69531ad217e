//! Neighbour discovery (RFC 4861): neighbour solicitations, and the advertisement that answers one.

use bitflags::bitflags;
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::MacAddress;
use crate::checksum::Sum;
use crate::ethernet::{ETHERNET_HEADER, EthernetHeader, ether_type};
use crate::ipv6::{IPV6_HEADER, Icmpv6, Ipv6Address, Ipv6Header, next_header};

/// ICMPv6 message types of address resolution.
pub mod message_type {
    /// Neighbour solicitation (RFC 4861, section 4.3).
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861, section 4.4).
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
}

/// The hop limit of every message of neighbour discovery. A router decrements it, so a packet that still has it was sent
/// on the link.
pub const ON_LINK_HOP_LIMIT: u8 = 255;

/// Length of a solicitation or advertisement without options.
const MESSAGE: usize = 24;
/// Length of an option that holds an Ethernet address.
const LINK_OPTION: usize = 8;
/// Length of an advertisement with the target's link address.
pub const ADVERTISEMENT: usize = MESSAGE + LINK_OPTION;
/// Length of the frame that carries such an advertisement.
pub const ADVERTISEMENT_FRAME: usize = ETHERNET_HEADER + IPV6_HEADER + ADVERTISEMENT;

/// Option: the sender's link address (RFC 4861, section 4.6.1).
const SOURCE_LINK_ADDRESS: u8 = 1;
/// Option: the target's link address (RFC 4861, section 4.6.1).
const TARGET_LINK_ADDRESS: u8 = 2;

bitflags! {
    /// Flags of an advertisement (RFC 4861, section 4.4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AdvertisementFlags: u32 {
        /// The sender is a router.
        const ROUTER = 1 << 31;
        /// It answers a solicitation.
        const SOLICITED = 1 << 30;
        /// It replaces an existing cache entry.
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
    /// Checksum over the pseudo-header and the whole message (RFC 4443, section 2.3).
    pub checksum: U16,
    /// [`AdvertisementFlags`] in an advertisement, nothing in a solicitation.
    pub flags: U32,
    /// The address that is asked for or advertised.
    pub target: Ipv6Address,
}

/// An option that holds an Ethernet address, as sent (RFC 4861, section 4.6.1; RFC 2464, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LinkOption {
    /// Whose address it is: the source's (1) or the target's (2).
    pub kind: u8,
    /// Length in units of eight bytes: one.
    pub length: u8,
    /// The address.
    pub address: MacAddress,
}

/// A solicitation that passed every check of RFC 4861, section 7.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// The sender; unspecified for duplicate address detection.
    pub source: Ipv6Address,
    /// The address that is asked for.
    pub target: Ipv6Address,
    /// The sender's link address, if the solicitation has it.
    pub link: Option<MacAddress>,
}

impl Solicitation {
    /// Parses and checks the solicitation in a packet with this header (RFC 4861, section 7.1.1).
    ///
    /// Returns `None` if it fails a check. Besides those of the RFC: the message is complete and not fragmented (RFC 6980,
    /// section 5), its sender and target are addresses that a host can have, the sender does not ask for its own address,
    /// and its link address is not a group.
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
            && message.target != header.source
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

/// Returns the sender's link address among these options, if there is one; `None` if they are malformed.
///
/// Options of an unknown kind are skipped (RFC 4861, section 4.6).
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
    /// The target's link address. Haiku reads it at this offset only.
    pub link: LinkOption,
}

const _: () = assert!(size_of::<AdvertisementFrame>() == ADVERTISEMENT_FRAME);

impl AdvertisementFrame {
    /// Returns the answer to a solicitation: tells `asker` that the target is at `peer` (RFC 4861, section 7.2.4).
    ///
    /// It sets the router flag, because the far side accepts packets for any address. Without the flag a host would
    /// remove its routes through the target (RFC 4861, section 7.2.5), such as one learned from a router behind the
    /// program.
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

    /// Returns the frame in wire format.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ADVERTISEMENT_FRAME] {
        zerocopy::transmute!(self)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use zerocopy::network_endian::{U16, U32};
    use zerocopy::{FromBytes, IntoBytes};

    use super::{AdvertisementFlags, AdvertisementFrame, LinkOption, NeighbourMessage, Solicitation};
    use crate::MacAddress;
    use crate::checksum::Sum;
    use crate::ipv6::{Icmpv6, Ipv6Address, Ipv6Header};

    const ASKER: MacAddress = MacAddress::from_bytes([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
    const PEER: MacAddress = MacAddress::from_bytes([0x02, 0x11, 0x22, 0xb3, 0x44, 0x55]);
    const LINK: [u8; 8] = [1, 1, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55];
    const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];
    const MESSAGE: [u8; 24] = [
        135, 0, 0x12, 0x34, 0, 0, 0, 0, // a solicitation
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // for
    ];

    fn address(text: &str) -> Ipv6Address {
        Ipv6Address(text.parse::<core::net::Ipv6Addr>().unwrap().octets())
    }

    fn header() -> Ipv6Header {
        Ipv6Header {
            version_class_flow: U32::new(6 << 28),
            payload_length: U16::ZERO,
            next_header: 58,
            hop_limit: 255,
            source: address("fd00::1"),
            destination: address("ff02::1:ff00:2"),
        }
    }

    /// A message of these parts with a correct checksum.
    fn message(header: &Ipv6Header, parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = parts.concat();
        bytes[2..4].fill(0);
        let sum = Sum::new().with_icmpv6(header.source, header.destination, bytes.len() as u16).with(&bytes);
        bytes[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        bytes
    }

    fn parse(header: &Ipv6Header, bytes: &[u8]) -> Option<Solicitation> {
        let icmpv6 = Icmpv6 { visible: bytes, length: bytes.len(), fragmented: false };
        Solicitation::parse(header, &icmpv6)
    }

    fn solicitation(link: Option<MacAddress>) -> Option<Solicitation> {
        Some(Solicitation { source: address("fd00::1"), target: address("fd00::2"), link })
    }

    #[test]
    fn deconstruct() {
        let (message, rest) = NeighbourMessage::ref_from_prefix(&MESSAGE).unwrap();
        assert_eq!(message.message_type, 135);
        assert_eq!(message.code, 0);
        assert_eq!(message.checksum.get(), 0x1234);
        assert_eq!(message.flags.get(), 0);
        assert_eq!(message.target, address("fd00::2"));
        assert_eq!(rest, []);
        let option = LinkOption::ref_from_bytes(&LINK).unwrap();
        assert_eq!((option.kind, option.length, option.address), (1, 1, ASKER));
    }

    #[test]
    fn construct() {
        let message = NeighbourMessage {
            message_type: 135,
            code: 0,
            checksum: U16::new(0x1234),
            flags: U32::ZERO,
            target: address("fd00::2"),
        };
        assert_eq!(message.as_bytes(), MESSAGE);
        assert_eq!(LinkOption { kind: 1, length: 1, address: ASKER }.as_bytes(), LINK);
    }

    #[test]
    fn parse_with_and_without_a_link_address() {
        let header = header();
        assert_eq!(parse(&header, &message(&header, &[&MESSAGE, &LINK])), solicitation(Some(ASKER)));
        assert_eq!(parse(&header, &message(&header, &[&MESSAGE])), solicitation(None));
    }

    #[test]
    fn a_truncated_solicitation_does_not_parse() {
        let header = header();
        let bytes = message(&header, &[&MESSAGE, &LINK, &NONCE]);
        for length in 0..bytes.len() {
            assert_eq!(parse(&header, &bytes[..length]), None, "{length} bytes, old checksum");
            if length > 4 {
                let repaired = message(&header, &[&bytes[..length]]);
                let expected = match length {
                    24 => solicitation(None),
                    32 => solicitation(Some(ASKER)),
                    _ => None,
                };
                assert_eq!(parse(&header, &repaired), expected, "{length} bytes, right checksum");
            }
            let cut = Icmpv6 { visible: &bytes[..length], length: bytes.len(), fragmented: false };
            assert_eq!(Solicitation::parse(&header, &cut), None, "{length} bytes at hand");
        }
    }

    #[test]
    fn a_message_in_pieces_is_refused() {
        let header = header();
        let bytes = message(&header, &[&MESSAGE, &LINK]);
        let icmpv6 = Icmpv6 { visible: &bytes, length: bytes.len(), fragmented: true };
        assert_eq!(Solicitation::parse(&header, &icmpv6), None);
    }

    #[test]
    fn unknown_options_are_passed_over_wherever_they_stand() {
        let header = header();
        let wide = [200, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for parts in [[&MESSAGE, &NONCE[..], &LINK], [&MESSAGE, &LINK, &NONCE], [&MESSAGE, &wide, &LINK]] {
            assert_eq!(parse(&header, &message(&header, &parts)), solicitation(Some(ASKER)));
        }
        assert_eq!(parse(&header, &message(&header, &[&MESSAGE, &wide])), solicitation(None));
    }

    #[test]
    fn malformed_options_are_refused() {
        let header = header();
        let no_length = [14, 0, 0, 0, 0, 0, 0, 0];
        let too_long = [14, 2, 0, 0, 0, 0, 0, 0];
        let wide_link = [1, 2, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0, 0, 0, 0, 0, 0, 0, 0];
        let group_link = [1, 1, 0x03, 0x11, 0x22, 0x33, 0x44, 0x55];
        for option in [&no_length[..], &too_long, &wide_link, &group_link, &[1], &[1, 1], &LINK[..7]] {
            assert_eq!(parse(&header, &message(&header, &[&MESSAGE, option])), None, "{option:?}");
            assert_eq!(parse(&header, &message(&header, &[&MESSAGE, &LINK, option])), None, "{option:?}");
        }
    }

    #[test]
    fn emit_the_advertisement() {
        let asked = solicitation(Some(ASKER)).unwrap();
        let bytes = AdvertisementFrame::answer(&asked, ASKER, PEER).to_bytes();
        assert_eq!(
            bytes,
            [
                0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0x11, 0x22, 0xb3, 0x44, 0x55, 0x86,
                0xdd, // to the asker
                0x60, 0, 0, 0, 0, 32, 58, 255, // 32 bytes of ICMPv6, never forwarded
                0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // from the target
                0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // to the source
                136, 0, 0x35, 0x82, 0xe0, 0, 0, 0, // a router, solicited, overriding
                0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // the target
                2, 1, 0x02, 0x11, 0x22, 0xb3, 0x44, 0x55, // is at the peer
            ]
        );
    }

    #[test]
    fn the_flags_are_the_three_highest_bits() {
        assert_eq!(AdvertisementFlags::ROUTER.bits(), 0x8000_0000);
        assert_eq!(AdvertisementFlags::SOLICITED.bits(), 0x4000_0000);
        assert_eq!(AdvertisementFlags::OVERRIDE.bits(), 0x2000_0000);
    }
}
