//! Which way packets go while a VPN is up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::machine::{CARD, Machine, VARIABLES, with};

const ALL: (&str, &str) = ("tun_tap_traffic", "all");
const ROUTES: (&str, &str) = ("tun_tap_traffic", "routes");

/// Addresses from every part of IPv4 but 0.0.0.0/8 and the card's own network.
fn everywhere4() -> impl Iterator<Item = IpAddr> {
    let rests = [0, 1, 0x7f_ffff, 0x80_0000, 0xff_fffe, 0xff_ffff];
    let all = (1..=255u32).flat_map(move |network| rests.map(|rest| Ipv4Addr::from_bits(network << 24 | rest)));
    all.map(IpAddr::V4)
}

/// Addresses from every part of IPv6 but ::/16, and those of a single link.
fn everywhere6() -> impl Iterator<Item = IpAddr> {
    let blocks = 1..=0xffffu16;
    let distant = blocks.filter(|block| block & 0xffc0 != 0xfe80 && block >> 8 != 0xff);
    distant.flat_map(|block| {
        let start = u128::from(block) << 112;
        [start, start | 1, start | ((1 << 112) - 1)].map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
    })
}

/// Fails if any of the addresses goes another way.
fn assert_ways(machine: &Machine, addresses: impl Iterator<Item = IpAddr>, way: &str) {
    let other: Vec<_> = addresses.filter(|address| machine.way_to(*address) != way).take(5).collect();
    assert!(other.is_empty(), "not by {way}: {other:?} {:?}", other.first().map(|address| machine.way_to(*address)));
}

#[test]
fn no_destination_goes_past_the_tunnel() {
    let machine = Machine::new();
    machine.up(&with(&[ALL]));
    assert_ways(&machine, everywhere4(), "tun/0");
    assert_ways(&machine, everywhere6(), "tun/0");
    // The tunnel's own packets, the local network, and what the card needs for itself.
    for address in ["192.0.2.7", "192.0.2.8", "192.168.0.1", "192.168.0.255", "fe80::1", "ff02::1:ff00:1"] {
        assert_eq!(machine.way(address), CARD, "{address}");
    }
    // What net_server does when it renews the lease.
    machine.rig.route("delete tap/0 default").unwrap();
    machine.rig.route("add tap/0 default gw 192.168.0.1").unwrap();
    assert_ways(&machine, everywhere4(), "tun/0");
    machine.down();
    assert_ways(&machine, everywhere4(), CARD);
    assert_ways(&machine, everywhere6(), CARD);
    machine.end();
}

#[test]
fn all_routes_through_the_tunnel_have_a_gateway() {
    let machine = Machine::new();
    machine.up(&with(&[ALL]));
    let own = ["10.8.0.2", "10.8.0.0", "fd00:8::1000", "ff02::1:ff74:7500"].map(|text| text.parse::<IpAddr>().unwrap());
    let through = machine.routes().into_iter().filter(|route| route.interface == "tun/0");
    let without: Vec<_> =
        through.filter(|route| route.gateway.is_none() && !own.contains(&route.destination)).collect();
    assert!(without.is_empty(), "{without:?}");
    machine.down();
    machine.end();
}

#[test]
fn packets_of_a_family_that_the_vpn_does_not_carry_are_refused() {
    let machine = Machine::new();
    let said = machine.up(&with(&[ALL, ("ifconfig_ipv6_local", ""), ("ifconfig_ipv6_remote", "")]));
    assert!(said.contains("the VPN carries no IPv6: IPv6 packets are refused until it ends"), "{said}");
    assert_ways(&machine, everywhere4(), "tun/0");
    assert_ways(&machine, everywhere6(), "refused");
    assert_eq!(machine.way("fe80::1"), CARD);
    machine.down();
    let said = machine.up(&with(&[ALL, ("ifconfig_local", ""), ("trusted_ip", ""), ("trusted_ip6", "2001:db8:9::7")]));
    assert!(said.contains("the VPN carries no IPv4: IPv4 packets are refused until it ends"), "{said}");
    assert_ways(&machine, everywhere4(), "refused");
    let server: IpAddr = "2001:db8:9::7".parse().unwrap();
    assert_ways(&machine, everywhere6().filter(|address| *address != server), "tun/0");
    assert_eq!(machine.way_to(server), CARD);
    machine.down();
    assert_ways(&machine, everywhere6(), CARD);
    machine.end();
}

#[test]
fn only_pushed_routes_lead_into_the_tunnel() {
    let machine = Machine::new();
    machine.up(&with(&[
        ROUTES,
        ("route_network_1", "192.168.77.0"),
        ("route_netmask_1", "255.255.255.0"),
        ("route_gateway_1", "10.8.0.1"),
        ("route_network_2", "203.0.113.9"),
        ("route_netmask_2", "255.255.255.255"),
        ("route_gateway_2", "192.168.0.1"),
        ("route_ipv6_network_1", "2001:db8:77::/48"),
        ("route_ipv6_gateway_1", "fd00:8::1"),
    ]));
    for address in ["192.168.77.9", "10.8.0.1", "10.8.0.200", "2001:db8:77::9", "fd00:8::1", "fd00:8::9"] {
        assert_eq!(machine.way(address), "tun/0", "{address}");
    }
    for address in ["9.9.9.9", "203.0.113.9", "192.0.2.7", "192.168.0.9"] {
        assert_eq!(machine.way(address), CARD, "{address}");
    }
    // Haiku would prefer a default route to the pushed one.
    assert_eq!(machine.way("2001:db9::9"), "none");
    machine.down();
    assert_eq!(machine.way("2001:db8:77::9"), CARD);
    machine.end();
}

#[test]
fn pushed_default_routes_and_halves_of_them_cover_everything() {
    let machine = Machine::new();
    let halves = [
        ROUTES,
        ("route_network_1", "0.0.0.0"),
        ("route_netmask_1", "128.0.0.0"),
        ("route_network_2", "128.0.0.0"),
        ("route_netmask_2", "128.0.0.0"),
        // What OpenVPN makes of "redirect-gateway ipv6".
        ("route_ipv6_network_1", "::/3"),
        ("route_ipv6_network_2", "2000::/4"),
        ("route_ipv6_network_3", "3000::/4"),
        ("route_ipv6_network_4", "fc00::/7"),
    ];
    machine.up(&with(&halves));
    assert_ways(&machine, everywhere4(), "tun/0");
    assert_ways(
        &machine,
        everywhere6().filter(|address| matches!(address, IpAddr::V6(a) if a.segments()[0] < 0x4000)),
        "tun/0",
    );
    assert_eq!(machine.way("192.0.2.7"), CARD);
    machine.down();
    machine.up(&with(&[
        ROUTES,
        ("route_network_1", "0.0.0.0"),
        ("route_netmask_1", "0.0.0.0"),
        ("route_ipv6_network_1", "::/0"),
    ]));
    assert_ways(&machine, everywhere4(), "tun/0");
    assert_ways(&machine, everywhere6(), "tun/0");
    machine.down();
    machine.end();
}

#[test]
fn a_net30_peer_is_reached_and_is_the_gateway() {
    let machine = Machine::new();
    let addresses = [("ifconfig_local", "10.8.0.6"), ("ifconfig_remote", "10.8.0.5"), ("ifconfig_netmask", "")];
    machine.up(&with(&[&addresses[..], &[ALL, ("route_vpn_gateway", "10.8.0.5")]].concat()));
    assert_eq!(machine.way("10.8.0.5"), "tun/0");
    let route = machine.rig.stack().route_for("9.9.9.9".parse().unwrap()).unwrap();
    assert_eq!(route.gateway, "10.8.0.5".parse().ok());
    machine.down();
    machine.end();
}

#[test]
fn the_resolver_asks_the_pushed_name_servers() {
    let machine = Machine::new();
    machine.up(&with(&[
        ALL,
        ("foreign_option_4", "dhcp-option DOMAIN-SEARCH lab.example"),
        ("foreign_option_5", "dhcp-option NTP 1.2.3.4"),
    ]));
    let text = machine.resolver_text();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["nameserver 10.8.0.1", "nameserver fd00:8::1", "search example.net lab.example"]);
    // Haiku's net_server leaves such a file alone when it renews a lease.
    assert!(text.starts_with("# Static DNS Only\n"));
    machine.down();
    machine.end();
}

#[test]
fn the_mtu_is_openvpns() {
    let machine = Machine::new();
    machine.up(&with(&[ALL]));
    assert_eq!(machine.rig.stack().interface("tun/0").unwrap().mtu, 1400);
    assert_eq!(VARIABLES[2], ("tun_mtu", "1400"));
    machine.down();
    machine.end();
}
