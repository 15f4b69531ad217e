//! Addresses and masks as Haiku's address modules treat them, and their C form.
//!
//! The two families do not agree on what a "first mask bit" is; [`Family::first_mask_bit`] keeps the difference,
//! because the order of the routing table hangs on it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use haiku_sys::{AF_INET, AF_INET6, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage};

/// An address family that has a routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// Both, in the order in which Haiku lists them.
    pub const ALL: [Family; 2] = [Family::Inet, Family::Inet6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Inet } else { Self::Inet6 }
    }

    /// The family that the words `inet`, `ipv6`, `AF_INET6`, ... name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "AF_INET" | "inet" | "ipv4" => Some(Self::Inet),
            "AF_INET6" | "inet6" | "ipv6" => Some(Self::Inet6),
            _ => None,
        }
    }

    /// The digit of the Internet Protocol's version.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::Inet => 4,
            Self::Inet6 => 6,
        }
    }

    /// `IPv4` or `IPv6`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Inet => "IPv4",
            Self::Inet6 => "IPv6",
        }
    }

    /// Bits in an address.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Inet => 32,
            Self::Inet6 => 128,
        }
    }

    /// The address that is all zeros.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The mask with `prefix` leading ones, or `None` if that is more than an address has.
    #[must_use]
    pub fn mask(self, prefix: u32) -> Option<IpAddr> {
        if prefix > self.bits() {
            return None;
        }
        Some(match self {
            Self::Inet => IpAddr::V4(Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - prefix).unwrap_or(0))),
            Self::Inet6 => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - prefix).unwrap_or(0))),
        })
    }

    /// The default mask of an address: by class for IPv4, the address alone for IPv6.
    #[must_use]
    pub fn default_mask(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let prefix = match address.octets()[0] {
                    0..=127 => 8,
                    128..=191 => 16,
                    _ => 24,
                };
                IpAddr::V4(Ipv4Addr::from_bits(u32::MAX << (32 - prefix)))
            }
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
        }
    }

    /// What Haiku sorts its routes by, smallest first. For IPv4 it counts the mask's trailing zeros, so that the most
    /// specific route comes first; for IPv6 it counts the leading ones, so that the **least** specific one does.
    #[must_use]
    pub fn first_mask_bit(self, mask: Option<IpAddr>) -> u32 {
        match mask {
            None => 0,
            Some(IpAddr::V4(mask)) => mask.to_bits().trailing_zeros(),
            Some(IpAddr::V6(mask)) => mask.to_bits().leading_ones(),
        }
    }
}

/// `address & mask`; an address of the other family is left alone.
#[must_use]
pub fn masked(address: IpAddr, mask: IpAddr) -> IpAddr {
    match (address, mask) {
        (IpAddr::V4(a), IpAddr::V4(m)) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & m.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(m)) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & m.to_bits())),
        _ => address,
    }
}

/// The broadcast address of the subnet of `address` and `mask`; IPv6 has none.
#[must_use]
pub fn broadcast(address: IpAddr, mask: IpAddr) -> Option<IpAddr> {
    match (address, mask) {
        (IpAddr::V4(a), IpAddr::V4(m)) => Some(IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() | !m.to_bits()))),
        _ => None,
    }
}

/// Whether a mask is ones followed by zeros.
#[must_use]
pub fn is_contiguous(mask: IpAddr) -> bool {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones() + mask.to_bits().trailing_zeros() >= 32,
        IpAddr::V6(mask) => mask.to_bits().leading_ones() + mask.to_bits().trailing_zeros() >= 128,
    }
}

/// The destination of an IP packet.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(16..20)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*packet.get(24..40)?.first_chunk::<16>()?)),
        _ => None,
    }
}

/// The leading ones of a mask.
#[must_use]
pub fn prefix_length(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    }
}

/// The address's C form; `None` becomes `AF_UNSPEC`.
#[must_use]
pub fn to_storage(address: Option<IpAddr>) -> sockaddr_storage {
    let mut storage = sockaddr_storage([0; 128]);
    match address {
        None => storage.0[0] = 2,
        Some(IpAddr::V4(address)) => {
            storage.0[0] = size_of::<sockaddr_in>() as u8;
            storage.0[1] = AF_INET as u8;
            storage.0[4..8].copy_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            storage.0[0] = size_of::<sockaddr_in6>() as u8;
            storage.0[1] = AF_INET6 as u8;
            storage.0[8..24].copy_from_slice(&address.octets());
        }
    }
    storage
}

/// The address behind a C pointer; `None` for null and for any family that is not IPv4 or IPv6.
///
/// # Safety
/// `address` is null or points to a `sockaddr` that is as long as its family's.
#[must_use]
pub(crate) unsafe fn from_sockaddr(address: *const sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller vouches for a pointer that is not null.
    let family = unsafe { address.as_ref() }?.sa_family;
    match u32::from(family) {
        AF_INET => {
            // SAFETY: the family says that this is a `sockaddr_in`.
            let octets = unsafe { (*address.cast::<sockaddr_in>()).sin_addr };
            Some(IpAddr::from(octets))
        }
        AF_INET6 => {
            // SAFETY: the family says that this is a `sockaddr_in6`.
            let octets = unsafe { (*address.cast::<sockaddr_in6>()).sin6_addr };
            Some(IpAddr::from(octets))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_c_form() {
        for text in ["10.9.0.1", "fd00:9::1", "0.0.0.0", "::"] {
            let address: IpAddr = text.parse().unwrap();
            let storage = to_storage(Some(address));
            // SAFETY: the storage holds a whole address of its family.
            assert_eq!(unsafe { from_sockaddr((&raw const storage).cast()) }, Some(address));
        }
        let none = to_storage(None);
        // SAFETY: as above.
        assert_eq!(unsafe { from_sockaddr((&raw const none).cast()) }, None);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { from_sockaddr(core::ptr::null()) }, None);
    }

    #[test]
    fn masks_follow_class_and_prefix() {
        assert_eq!(Family::default_mask("10.1.2.3".parse().unwrap()), Family::Inet.mask(8).unwrap());
        assert_eq!(Family::default_mask("172.16.0.1".parse().unwrap()), Family::Inet.mask(16).unwrap());
        assert_eq!(Family::default_mask("192.168.0.1".parse().unwrap()), Family::Inet.mask(24).unwrap());
        assert_eq!(Family::default_mask("fd00::1".parse().unwrap()), Family::Inet6.mask(128).unwrap());
        assert_eq!(Family::Inet.mask(0).unwrap(), Family::Inet.unspecified());
        assert_eq!(Family::Inet.mask(33), None);
        assert!(!is_contiguous("255.0.255.0".parse().unwrap()));
        assert!(is_contiguous(Family::Inet6.mask(0).unwrap()));
    }

    #[test]
    fn the_families_disagree_on_the_first_mask_bit() {
        assert_eq!(Family::Inet.first_mask_bit(Family::Inet.mask(24)), 8);
        assert_eq!(Family::Inet6.first_mask_bit(Family::Inet6.mask(64)), 64);
        assert_eq!(Family::Inet.first_mask_bit(Family::Inet.mask(0)), 32);
        assert_eq!(Family::Inet6.first_mask_bit(Family::Inet6.mask(0)), 0);
    }
}
