//! The commands of `docs/haiku.md` that send everything through the VPN, in the document's own words.

use std::net::{IpAddr, Ipv4Addr};

use haiku_kernel::sync::MutexGuard;

use haiku_system::{Lab, LabOptions};
use tuntap_testkit::fake_driver;

const DOCUMENT: &str = include_str!("../../../../docs/haiku.md");
const NIC: &str = "/dev/net/ipro1000/0";
const SERVER: &str = "192.0.2.7";

/// The lines of the code block that follows a heading of the document.
fn commands(heading: &str) -> impl Iterator<Item = &'static str> {
    let (_, text) = DOCUMENT.split_once(heading).expect("the heading");
    let block = text.split("```").nth(1).expect("a code block");
    block.lines().skip(1).map(str::trim).filter(|line| !line.is_empty())
}

/// A machine whose NIC was configured by DHCP and whose `tun/0` was configured by OpenVPN.
fn connected() -> (MutexGuard<'static, ()>, Vec<std::sync::Arc<fake_driver::FakeDevice>>, Lab) {
    let (turn, fakes) = fake_driver::devices(&[NIC, "tun/0"]);
    let lab = Lab::boot(LabOptions { exports: Some(fake_driver::exports()), ..LabOptions::default() }).unwrap();
    lab.ifconfig(&format!("{NIC} 192.168.0.2 255.255.255.0 up")).unwrap();
    lab.route(&format!("add {NIC} default gw 192.168.0.1")).unwrap();
    lab.ifconfig("tun/0 10.8.0.2 255.255.255.0 up").unwrap();
    (turn, fakes, lab)
}

fn execute(lab: &Lab, lines: impl IntoIterator<Item = &'static str>) {
    for line in lines {
        lab.console().execute(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// The interface that packets to an address leave by.
fn interface(lab: &Lab, address: &str) -> String {
    lab.stack().route_for(address.parse().unwrap()).map(|route| route.interface).unwrap_or_default()
}

/// The /8 networks of which some address is routed past the tunnel. 0.0.0.0/8 is no destination.
fn networks_past_the_tunnel(lab: &Lab) -> Vec<u32> {
    let corners = [0, 1, 0x7f_ffff, 0x80_0000, 0xff_fffe, 0xff_ffff];
    let past = |address: u32| {
        let route = lab.stack().route_for(IpAddr::V4(Ipv4Addr::from_bits(address)));
        route.is_some_and(|route| route.interface != "tun/0")
    };
    (1..=255).filter(|network| corners.iter().any(|rest| past(network << 24 | rest))).collect()
}

fn end(lab: Lab) {
    let ledgers = lab.shutdown();
    assert!(ledgers.is_zero(), "{ledgers}");
}

#[test]
fn the_documented_routes_leave_no_destination_outside_the_tunnel() {
    let (_turn, fakes, lab) = connected();
    assert_eq!(networks_past_the_tunnel(&lab).len(), 255);
    execute(&lab, commands("**Networks behind the server.**"));
    assert_eq!(networks_past_the_tunnel(&lab).len(), 255);
    assert_eq!(interface(&lab, "192.168.77.9"), "tun/0");
    execute(&lab, commands("**Sending everything through the VPN.**"));
    assert_eq!(lab.route("get 9.9.9.9").unwrap(), "8.0.0.0/5 gateway 10.8.0.1 source 10.8.0.2\n");
    assert_eq!(networks_past_the_tunnel(&lab), Vec::<u32>::new());
    assert_eq!((interface(&lab, SERVER), interface(&lab, "192.168.0.1")), (NIC.to_owned(), NIC.to_owned()));
    // What net_server does when it renews the lease.
    lab.route(&format!("delete {NIC} default")).unwrap();
    lab.route(&format!("add {NIC} default gw 192.168.0.1")).unwrap();
    assert_eq!(networks_past_the_tunnel(&lab), Vec::<u32>::new());
    // The device of a VPN program that ended has no link.
    fakes[1].set_flags(0);
    assert_eq!(networks_past_the_tunnel(&lab).len(), 255);
    end(lab);
}

#[test]
fn half_routes_leave_half_of_the_destinations_outside_the_tunnel() {
    let (_turn, _fakes, lab) = connected();
    execute(
        &lab,
        [
            "route add /dev/net/ipro1000/0 192.0.2.7 netmask 255.255.255.255 gw 192.168.0.1",
            "route add tun/0 0.0.0.0 netmask 128.0.0.0 gw 10.8.0.1",
            "route add tun/0 128.0.0.0 netmask 128.0.0.0 gw 10.8.0.1",
        ],
    );
    assert_eq!(networks_past_the_tunnel(&lab), (1..128).collect::<Vec<_>>());
    // Both take the destination 0.0.0.0 for the default route, with any mask.
    lab.route("delete tun/0 0.0.0.0 netmask 128.0.0.0").unwrap();
    lab.route(&format!("delete {NIC} 0.0.0.0 netmask 128.0.0.0")).unwrap();
    assert_eq!(interface(&lab, "9.9.9.9"), "");
    end(lab);
}

#[test]
fn the_documented_ipv6_commands_reach_the_subnet_and_its_groups() {
    let (_turn, _fakes, lab) = connected();
    execute(&lab, commands("**IPv6.**"));
    for address in ["fd00:8::1", "ff02::1:ff00:1"] {
        assert_eq!(interface(&lab, address), "tun/0", "{address}");
    }
    // Haiku's ifconfig has added the subnet's route already.
    let error = lab.route("add tun/0 inet6 fd00:8:: prefixlen 64").unwrap_err();
    assert_eq!(error.to_string(), "route: Could not add route for tun/0: File or Directory already exists");
    end(lab);
}
