//! The little of IPv6 that a link needs to know: the header, and what is behind extension headers.

use core::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An IPv6 address, as sent. Its default is the unspecified address.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
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
