//! OpenVPN itself runs the scripts.

use haiku_system::control::{Measured, Remote};

use crate::machine::RESOLVER;
use crate::tunnel::Tunnel;

/// What a server of a VPN for everything pushes.
const EVERYTHING: &[&str] = &[
    "redirect-gateway def1 ipv6",
    "route 192.168.77.0 255.255.255.0",
    "route-ipv6 2001:db8:77::/48",
    "dhcp-option DNS 10.8.0.1",
    "dhcp-option DOMAIN example.net",
];

/// Fails unless packets to all of these leave by the address of the VPN, or unless none do.
fn assert_ways(remote: &mut Remote, addresses: &[&str], source: &str) {
    for address in addresses {
        let family = if address.contains(':') { "inet6 " } else { "" };
        let route = remote.execute(&format!("route get {family}{address}")).unwrap();
        assert!(route.trim_end().ends_with(&format!("source {source}")), "{address}: {route}");
    }
}

/// Pings both of the server's addresses through the tunnel.
fn ping(remote: &mut Remote) {
    for address in ["10.8.0.1", "fd00:8::1"] {
        let measured = remote.execute(&format!("measure {address} 100 1000 0")).unwrap();
        let found: Measured = measured.parse().unwrap();
        assert_eq!((found.received, found.wrong), (100, 0), "{address}");
    }
}

#[test]
fn everything_goes_through_the_tunnel_until_its_end_and_after_a_crash_again() {
    let Some(mut tunnel) = Tunnel::start("all", "all-traffic.conf", EVERYTHING) else { return };
    for crash in [true, false] {
        let mut remote = tunnel.await_client();
        let inside = ["9.9.9.9", "1.0.0.1", "126.9.9.9", "128.0.0.1", "223.9.9.9", "192.168.77.1", "10.8.0.1"];
        assert_ways(&mut remote, &inside, "10.8.0.2");
        assert_ways(&mut remote, &["2001:db8::1", "2001:db8:77::1", "fd99::9", "64:ff9b::9"], "fd00:8::1000");
        assert_ways(&mut remote, &["127.0.0.1", "192.168.0.7"], "192.168.0.2");
        ping(&mut remote);
        let resolver = tunnel.text("resolv.conf");
        assert!(resolver.ends_with("nameserver 10.8.0.1\nsearch example.net\n"), "{resolver}");
        if crash {
            tunnel.end_client(libc::SIGKILL);
            assert_eq!(tunnel.text("resolv.conf"), resolver, "nothing could be undone");
            tunnel.start_client();
        }
    }
    tunnel.await_log("client", "undoing what an earlier VPN left on tun/0");
    tunnel.end_client(libc::SIGTERM);
    assert_eq!(tunnel.text("resolv.conf"), RESOLVER);
    assert!(tunnel.text("before").contains("tap/0"));
    assert_eq!(tunnel.text("after"), tunnel.text("before"));
}

#[test]
fn a_reconnect_keeps_what_was_configured() {
    let Some(mut tunnel) = Tunnel::start("reconnect", "all-traffic.conf", EVERYTHING) else { return };
    let mut remote = tunnel.await_client();
    let routes = remote.execute("route").unwrap();
    tunnel.signal_client(libc::SIGUSR1);
    tunnel.await_log("client", "Preserving previous TUN/TAP instance: tun0");
    assert_eq!(remote.execute("route").unwrap(), routes);
    ping(&mut remote);
    drop(remote);
    tunnel.end_client(libc::SIGTERM);
    assert_eq!((tunnel.text("after"), tunnel.text("resolv.conf").as_str()), (tunnel.text("before"), RESOLVER));
}

#[test]
fn only_the_servers_networks_go_through_the_tunnel() {
    let pushed = EVERYTHING.get(1..).unwrap_or_default();
    let Some(mut tunnel) = Tunnel::start("routes", "pushed-routes.conf", pushed) else { return };
    let mut remote = tunnel.await_client();
    assert_ways(&mut remote, &["192.168.77.1", "10.8.0.1"], "10.8.0.2");
    assert_ways(&mut remote, &["2001:db8:77::1", "fd00:8::1"], "fd00:8::1000");
    assert_ways(&mut remote, &["9.9.9.9", "127.0.0.1"], "192.168.0.2");
    ping(&mut remote);
    drop(remote);
    tunnel.end_client(libc::SIGTERM);
    assert_eq!((tunnel.text("after"), tunnel.text("resolv.conf").as_str()), (tunnel.text("before"), RESOLVER));
}

#[test]
fn a_server_that_wants_all_traffic_is_refused_where_only_its_networks_are_wanted() {
    let Some(mut tunnel) = Tunnel::start("refused", "pushed-routes.conf", EVERYTHING) else { return };
    tunnel.await_log("client", "Pushed option rejected by filter: 'redirect-gateway def1 ipv6'");
    tunnel.end_client(libc::SIGTERM);
    assert_eq!((tunnel.text("before").as_str(), tunnel.text("resolv.conf").as_str()), ("", RESOLVER));
}
