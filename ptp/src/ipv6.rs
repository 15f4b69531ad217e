//! IPv6, as far as a link needs it: addresses, the header, and the ICMPv6 message after extension headers.

use core::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ethernet::EthernetHeader;

/// An IPv6 address, as sent. Its default is the unspecified address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Ipv6Address(pub [u8; 16]);

impl Ipv6Address {
    /// `::`: the source of a host that has no address yet.
    pub const UNSPECIFIED: Self = Self([0; 16]);

    /// Whether this is `::`.
    #[must_use]
    pub fn is_unspecified(self) -> bool {
        self == Self::UNSPECIFIED
    }

    /// Whether this names a group: `ff00::/8`.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] == 0xff
    }

    /// Whether this is a link-local address: `fe80::/10`.
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        self.0[0] == 0xfe && self.0[1] & 0xc0 == 0x80
    }

    /// Whether a host may have this address.
    #[must_use]
    pub fn is_host(self) -> bool {
        !self.is_unspecified() && !self.is_multicast()
    }

    /// Whether this is a solicited-node multicast address: `ff02::1:ff00:0/104` (RFC 4291, section 2.7.1).
    #[must_use]
    pub fn is_solicited_node(self) -> bool {
        matches!(self.0, [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, ..])
    }
}

impl fmt::Debug for Ipv6Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&core::net::Ipv6Addr::from(self.0), f)
    }
}

/// Values of a next header field.
pub mod next_header {
    /// Hop-by-hop options (RFC 8200, section 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// Routing header (RFC 8200, section 4.4).
    pub const ROUTING: u8 = 43;
    /// Fragment header (RFC 8200, section 4.5).
    pub const FRAGMENT: u8 = 44;
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// Destination options (RFC 8200, section 4.6).
    pub const DESTINATION: u8 = 60;
}

/// The IPv6 header (RFC 8200, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Header {
    /// The version in the highest four bits, then traffic class and flow label.
    pub version_class_flow: U32,
    /// Length of everything after this header.
    pub payload_length: U16,
    /// The type of what follows this header: see [`next_header`].
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Address,
    /// Destination address.
    pub destination: Ipv6Address,
}

/// Length of the IPv6 header.
pub const IPV6_HEADER: usize = 40;

const _: () = assert!(size_of::<Ipv6Header>() == IPV6_HEADER);

impl Ipv6Header {
    /// Whether the version is 6.
    #[must_use]
    #[inline]
    pub fn is_sane(&self) -> bool {
        self.version_class_flow.get() >> 28 == 6
    }
}

/// The start of a frame that carries an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Frame {
    /// The link header.
    pub ethernet: EthernetHeader,
    /// The packet's header.
    pub ipv6: Ipv6Header,
}

/// How many next headers are followed. RFC 8200, section 4.1, allows each extension header once and the destination
/// options twice: five in all, then the message.
const NEXT_HEADERS: usize = 6;

/// The start of every extension header except the fragment header (RFC 8200, section 4).
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ExtensionHeader {
    next_header: u8,
    /// In units of eight bytes, the first eight not counted.
    length: u8,
}

/// The fragment header (RFC 8200, section 4.5).
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct FragmentHeader {
    next_header: u8,
    reserved: u8,
    /// The upper 13 bits count units of eight bytes.
    offset_and_flags: U16,
    identification: U32,
}

/// An ICMPv6 message inside a packet, possibly truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6<'p> {
    /// The message, or its available part.
    pub visible: &'p [u8],
    /// Length of the message according to the headers before it.
    pub length: usize,
    /// Whether it is the first fragment of the message.
    pub fragmented: bool,
}

impl<'p> Icmpv6<'p> {
    /// Finds the ICMPv6 message in a packet with this header. `payload` is the available start of what follows it.
    ///
    /// Returns `None` if the packet carries something else, a later fragment, or more extension headers than are
    /// available.
    #[must_use]
    pub fn find(header: &Ipv6Header, payload: &'p [u8]) -> Option<Self> {
        let mut length = usize::from(header.payload_length.get());
        // Bytes after the packet are padding of the frame.
        let mut visible = payload.get(..length).unwrap_or(payload);
        let mut next = header.next_header;
        let mut fragmented = false;
        for _ in 0..NEXT_HEADERS {
            let skip = match next {
                next_header::ICMPV6 => return Some(Self { visible, length, fragmented }),
                next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION => {
                    let (extension, _) = ExtensionHeader::ref_from_prefix(visible).ok()?;
                    next = extension.next_header;
                    usize::from(extension.length).wrapping_mul(8).wrapping_add(8)
                }
                next_header::FRAGMENT => {
                    let (fragment, _) = FragmentHeader::ref_from_prefix(visible).ok()?;
                    if fragment.offset_and_flags.get() >> 3 != 0 {
                        return None;
                    }
                    fragmented = true;
                    next = fragment.next_header;
                    size_of::<FragmentHeader>()
                }
                _ => return None,
            };
            visible = visible.get(skip..)?;
            length = length.checked_sub(skip)?;
        }
        None
    }

    /// Returns the type of the message (RFC 4443, section 2.1).
    #[must_use]
    pub fn message_type(&self) -> Option<u8> {
        self.visible.first().copied()
    }

    /// Returns the message, if it is complete and not a fragment.
    #[must_use]
    pub fn whole(&self) -> Option<&'p [u8]> {
        (self.visible.len() == self.length && !self.fragmented).then_some(self.visible)
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use zerocopy::network_endian::U32;
    use zerocopy::{FromBytes, IntoBytes};

    use super::{Icmpv6, Ipv6Address, Ipv6Header};

    const BYTES: [u8; 40] = [
        0x6a, 0xb1, 0x23, 0x45, 0x00, 0x20, 0x3a, 0xff, // version, class, flow; 32 bytes of ICMPv6
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // from
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2, // to
    ];

    #[test]
    fn deconstruct_and_emit() {
        let (header, rest) = Ipv6Header::ref_from_prefix(&BYTES).unwrap();
        assert_eq!(header.version_class_flow.get(), 0x6ab1_2345);
        assert_eq!(header.payload_length.get(), 32);
        assert_eq!(header.next_header, 58);
        assert_eq!(header.hop_limit, 255);
        assert!(header.source.is_link_local());
        assert!(header.destination.is_solicited_node());
        assert_eq!(rest, []);
        assert_eq!(header.as_bytes(), BYTES);
    }

    #[test]
    fn only_version_6_is_sane() {
        let (header, _) = Ipv6Header::read_from_prefix(&BYTES).unwrap();
        let sane = (0..16_u32).filter(|version| {
            Ipv6Header { version_class_flow: U32::new(version << 28 | 0x0fff_ffff), ..header }.is_sane()
        });
        assert!(sane.eq([6]));
    }

    #[test]
    fn address_kinds_follow_from_the_prefix() {
        let address = |text: &str| Ipv6Address(text.parse::<core::net::Ipv6Addr>().unwrap().octets());
        assert!(address("::").is_unspecified());
        assert!(!address("::").is_host());
        assert!(!address("ff02::1").is_host());
        assert!(address("2001:db8::1").is_host());
        assert!(address("ff00::").is_multicast());
        assert!(!address("feff::").is_multicast());
        assert!(address("fe80::").is_link_local());
        assert!(address("febf:ffff::").is_link_local());
        assert!(!address("fec0::").is_link_local());
        assert!(!address("fe7f::").is_link_local());
        assert!(address("ff02::1:ff12:3456").is_solicited_node());
        assert!(!address("ff02::1:fe12:3456").is_solicited_node());
        assert!(!address("ff05::1:ff12:3456").is_solicited_node());
        assert_eq!(format!("{:?}", address("2001:db8::1")), "2001:db8::1");
    }

    /// Looks for ICMPv6 after these extension headers, each of which names the next.
    fn find(first: u8, payload: &[u8]) -> Option<(Vec<u8>, usize, bool)> {
        let (mut header, _) = Ipv6Header::read_from_prefix(&BYTES).unwrap();
        header.next_header = first;
        header.payload_length.set(payload.len() as u16);
        Icmpv6::find(&header, payload).map(|found| (found.visible.to_vec(), found.length, found.fragmented))
    }

    /// An extension header of `units` eights of bytes that names what comes next.
    fn extension(next: u8, units: u8) -> Vec<u8> {
        let mut bytes = std::vec![0xee; usize::from(units) * 8];
        bytes[0] = next;
        bytes[1] = units - 1;
        bytes
    }

    #[test]
    fn a_message_follows_the_header_or_extension_headers() {
        assert_eq!(find(58, &[135, 0]), Some(([135, 0].to_vec(), 2, false)));
        let hop_by_hop = [extension(58, 1), [143, 7].to_vec()].concat();
        assert_eq!(find(0, &hop_by_hop), Some(([143, 7].to_vec(), 2, false)));
        let fragment = [60, 0, 0, 0, 1, 2, 3, 4].to_vec();
        let chain = [extension(60, 1), extension(43, 2), extension(44, 3), fragment, extension(58, 1), [9].to_vec()];
        assert_eq!(find(0, &chain.concat()), Some(([9].to_vec(), 1, true)));
        assert_eq!(find(58, &[]), Some((Vec::new(), 0, false)));
    }

    #[test]
    fn a_first_fragment_is_marked_and_a_later_one_has_no_message() {
        let first = [58, 0, 0x00, 0x01, 1, 2, 3, 4, 135];
        assert_eq!(find(44, &first), Some(([135].to_vec(), 1, true)));
        let later = [58, 0, 0x00, 0x08, 1, 2, 3, 4, 135];
        assert_eq!(find(44, &later), None);
    }

    #[test]
    fn other_protocols_carry_no_message() {
        for next in (0..=u8::MAX).filter(|next| ![0, 43, 44, 58, 60].contains(next)) {
            assert_eq!(find(next, &[58, 0, 0, 0, 0, 0, 0, 0, 135]), None, "next header {next}");
        }
    }

    #[test]
    fn a_chain_that_never_ends_is_given_up() {
        let chain: Vec<u8> = (0..20).flat_map(|_| extension(60, 1)).collect();
        assert_eq!(find(60, &chain), None);
    }

    #[test]
    fn no_part_of_a_chain_leads_to_a_message() {
        let chain = [extension(44, 2), [58, 0, 0, 0, 0, 0, 0, 0].to_vec(), [128, 1, 2, 3].to_vec()].concat();
        for length in 0..24 {
            assert_eq!(find(0, &chain[..length]), None, "{length} bytes");
        }
        for length in 24..=chain.len() {
            assert_eq!(find(0, &chain[..length]), Some((chain[24..length].to_vec(), length - 24, true)));
        }
    }

    #[test]
    fn what_is_not_at_hand_still_counts() {
        let (mut header, _) = Ipv6Header::read_from_prefix(&BYTES).unwrap();
        header.payload_length.set(1000);
        let found = Icmpv6::find(&header, &[135, 0, 1]).unwrap();
        assert_eq!((found.visible, found.length), ([135, 0, 1].as_slice(), 1000));
        assert_eq!(found.whole(), None);
        assert_eq!(found.message_type(), Some(135));
    }

    #[test]
    fn padding_behind_the_packet_is_no_part_of_the_message() {
        let (mut header, _) = Ipv6Header::read_from_prefix(&BYTES).unwrap();
        header.payload_length.set(2);
        let found = Icmpv6::find(&header, &[135, 0, 0xee, 0xee]).unwrap();
        assert_eq!(found.whole(), Some([135, 0].as_slice()));
    }
}
