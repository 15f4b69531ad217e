//! The addresses and commands that the main job, `ping` and the tests share.
//!
//! Both modes are configured at once, which on Haiku takes some care with IPv6: neighbour solicitations leave by the
//! first route that matches their group, and shorter prefixes come first. So `tun/0` gets `ff00::/8`, and `tap/0` a
//! route for the one group its far side is asked for in, which ends differently from that of the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::far::{self, Waiting};
use crate::mode::Mode;
use haiku_stack::Family;

/// The second part of the IPv4 prefix and of the IPv6 one: 9 and 10, as either family writes them.
const fn network(mode: Mode) -> (u8, u16) {
    match mode {
        Mode::Tun => (9, 0x9),
        Mode::Tap => (10, 0x10),
    }
}

/// The last part of an IPv6 address, on this side and on the far one.
const fn hosts(mode: Mode) -> (u16, u16) {
    match mode {
        Mode::Tun => (0x1, 0x2),
        Mode::Tap => (0x11, 0x12),
    }
}

fn address(mode: Mode, family: Family, v4: u8, v6: u16) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::new(10, network(mode).0, 0, v4)),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::new(0xfd00, network(mode).1, 0, 0, 0, 0, 0, v6)),
    }
}

/// Haiku's own address.
#[must_use]
pub fn near(mode: Mode, family: Family) -> IpAddr {
    address(mode, family, 1, hosts(mode).0)
}

/// The far side's address.
#[must_use]
pub fn peer(mode: Mode, family: Family) -> IpAddr {
    address(mode, family, 2, hosts(mode).1)
}

/// The commands that configure a mode's first unit.
#[must_use]
pub fn commands(mode: Mode) -> Vec<String> {
    let name = mode.interface(0);
    let groups = match mode {
        Mode::Tun => format!("route add {name} inet6 ff00:: prefixlen 8"),
        Mode::Tap => format!("route add {name} inet6 ff02::1:ff00:{:x}", hosts(mode).1),
    };
    vec![
        format!("ifconfig {name} {} 255.255.255.0 up", near(mode, Family::Inet)),
        format!("ifconfig {name} inet6 {} prefixlen 64", near(mode, Family::Inet6)),
        groups,
    ]
}

/// The far side of a mode's first unit.
#[must_use]
pub fn far_side(mode: Mode, waiting: Waiting) -> far::Options {
    let addresses = vec![(peer(mode, Family::Inet), 24), (peer(mode, Family::Inet6), 64)];
    far::Options { mode, unit: 0, addresses, waiting, watcher: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tun_is_configured_in_haikus_words() {
        assert_eq!(
            commands(Mode::Tun),
            [
                "ifconfig tun/0 10.9.0.1 255.255.255.0 up",
                "ifconfig tun/0 inet6 fd00:9::1 prefixlen 64",
                "route add tun/0 inet6 ff00:: prefixlen 8",
            ]
        );
        assert_eq!(commands(Mode::Tap)[2], "route add tap/0 inet6 ff02::1:ff00:12");
    }

    #[test]
    fn no_group_is_shared_by_two_peers() {
        let end = |mode| match peer(mode, Family::Inet6) {
            IpAddr::V6(address) => address.segments()[7],
            IpAddr::V4(_) => 0,
        };
        assert_ne!(end(Mode::Tun), end(Mode::Tap));
    }
}
