//! The little of IPv6 that a link needs to know: the header, and what is behind extension headers.

use core::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An IPv6 address, as sent. Its default is the unspecified address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Ipv6Address(pub [u8; 16]);

impl Ipv6Address {
    /// `::`: nobody, yet.
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

    /// Whether this is good on one link only: `fe80::/10`.
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        self.0[0] == 0xfe && self.0[1] & 0xc0 == 0x80
    }

    /// Whether an interface may have this address.
    #[must_use]
    pub fn is_host(self) -> bool {
        !self.is_unspecified() && !self.is_multicast()
    }

    /// Whether this is a group that questions for single addresses are sent to: `ff02::1:ff00:0/104`
    /// (RFC 4291, section 2.7.1).
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
    /// Options for every router on the way (RFC 8200, section 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// Places to pass on the way (RFC 8200, section 4.4).
    pub const ROUTING: u8 = 43;
    /// A piece of a packet (RFC 8200, section 4.5).
    pub const FRAGMENT: u8 = 44;
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// Options for the destination (RFC 8200, section 4.6).
    pub const DESTINATION: u8 = 60;
}

/// The IPv6 header (RFC 8200, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Header {
    /// The version in the highest four bits, then traffic class and flow label.
    pub version_class_flow: U32,
    /// Length of everything behind this header.
    pub payload_length: U16,
    /// What comes behind this header: see [`next_header`].
    pub next_header: u8,
    /// How many more routers may forward the packet.
    pub hop_limit: u8,
    /// Who sent the packet.
    pub source: Ipv6Address,
    /// Whom the packet is for.
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

/// How many extension headers are looked behind. RFC 8200, section 4.1, has each at most once, the
/// destination options twice.
const EXTENSIONS: usize = 6;

/// The start of every extension header but the fragment's (RFC 8200, section 4).
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

/// An ICMPv6 message inside a packet, as far as it can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6<'p> {
    /// The message, or as much of it as is at hand.
    pub visible: &'p [u8],
    /// Length of the message according to the headers before it.
    pub length: usize,
    /// Whether it is the first piece of a message that was cut up.
    pub fragmented: bool,
}

impl<'p> Icmpv6<'p> {
    /// Finds the ICMPv6 message in a packet with this header, of whose payload the start is at hand.
    ///
    /// `None` means that the packet carries something else, a later fragment, or more extension headers
    /// than are at hand.
    #[must_use]
    pub fn find(header: &Ipv6Header, payload: &'p [u8]) -> Option<Self> {
        let mut length = usize::from(header.payload_length.get());
        // What is behind the packet is padding of the frame.
        let mut visible = payload.get(..length).unwrap_or(payload);
        let mut next = header.next_header;
        let mut fragmented = false;
        for _ in 0..EXTENSIONS {
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

    /// The type of the message (RFC 4443, section 2.1).
    #[must_use]
    pub fn message_type(&self) -> Option<u8> {
        self.visible.first().copied()
    }

    /// The message, if all of it is at hand and was not cut up.
    #[must_use]
    pub fn whole(&self) -> Option<&'p [u8]> {
        (self.visible.len() == self.length && !self.fragmented).then_some(self.visible)
    }
}
