//! What cannot be done is said, and nothing is left half done.

use crate::machine::{Machine, RESOLVER, with};

const ALL: (&str, &str) = ("tun_tap_traffic", "all");

/// Has a script fail, and returns what it said.
fn refused(machine: &Machine, script: &str, variables: &[(&str, &str)]) -> String {
    let output = machine.run(script, &[], variables);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_script_without_its_variables_changes_nothing_and_says_which_is_missing() {
    let machine = Machine::new();
    let before = machine.routes();
    let addresses = [("ifconfig_local", ""), ("ifconfig_ipv6_local", "")];
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("dev", ""), ALL], "the variable \"dev\" is not set"),
        (&[("tun_mtu", ""), ALL], "the variable \"tun_mtu\" is not set"),
        (&[("dev", "tun0"), ALL], "\"tun0\" is no interface of tun_tap's"),
        (&[("dev", "tun/0/../1"), ALL], "is no interface of tun_tap's"),
        (&[], "the variable \"tun_tap_traffic\" is neither \"all\" nor \"routes\""),
        (&[addresses[0], addresses[1], ALL], "the VPN has no address"),
    ];
    for (changes, expected) in cases {
        let said = refused(&machine, "openvpn-up", &with(changes));
        assert!(said.contains(expected), "{said}");
    }
    let said = refused(&machine, "openvpn-down", &[]);
    assert!(said.contains("the variable \"dev\" is not set") && said.contains("--recover"), "{said}");
    assert_eq!((machine.routes(), machine.state().len(), machine.resolver_text().as_str()), (before, 0, RESOLVER));
    machine.end();
}

#[test]
fn a_step_that_fails_undoes_the_others() {
    let machine = Machine::new();
    let before = machine.routes();
    let nowhere = machine.folder.join("missing/resolv.conf");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("tun_tap_resolver", nowhere.to_str().unwrap())], "resolv.conf could not be written"),
        (&[("route_vpn_gateway", "10.8.0")], "'gw' needs valid address"),
        (&[("ifconfig_ipv6_netbits", "129")], "invalid for this address family"),
        (&[("route_network_1", "192.168.77.0"), ("route_netmask_1", "255.0.255.0")], "Could not add route"),
        (&[("tun_mtu", "400")], "mtu"),
    ];
    for (changes, expected) in cases {
        let said = refused(&machine, "openvpn-up", &with(&[&[ALL], *changes].concat()));
        assert!(said.contains(expected) && said.contains("undoing what was done so far"), "{said}");
        assert_eq!((machine.routes(), machine.resolver_text().as_str()), (before.clone(), RESOLVER), "{expected}");
        assert_eq!(machine.state(), Vec::<String>::new());
    }
    machine.end();
}

#[test]
fn a_state_that_cannot_be_written_stops_the_script_before_it_changes_anything() {
    let machine = Machine::new();
    let before = machine.routes();
    std::fs::write(machine.folder.join("state"), "a file").unwrap();
    let said = refused(&machine, "openvpn-up", &with(&[ALL]));
    assert!(said.contains("could not be made"), "{said}");
    assert_eq!((machine.routes(), machine.resolver_text().as_str()), (before, RESOLVER));
    machine.end();
}

#[test]
fn names_and_addresses_that_are_none_do_not_reach_the_resolver() {
    let machine = Machine::new();
    let said = machine.up(&with(&[
        ALL,
        ("foreign_option_1", "dhcp-option DNS 10.8.0.1;reboot"),
        ("foreign_option_3", "dhcp-option DOMAIN $(reboot)"),
    ]));
    assert!(
        said.contains("no name server: \"10.8.0.1;reboot\"") && said.contains("no domain: \"$(reboot)\""),
        "{said}"
    );
    let text = machine.resolver_text();
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), ["nameserver fd00:8::1"]);
    machine.down();
    machine.end();
}

#[test]
fn a_configuration_that_asks_for_all_traffic_needs_the_file_for_it() {
    let machine = Machine::new();
    let file = machine.folder.join("client.ovpn");
    std::fs::write(&file, "client\n  redirect-gateway def1\n").unwrap();
    let config = [("tun_tap_traffic", "routes"), ("config", file.to_str().unwrap())];
    let said = refused(&machine, "openvpn-up", &with(&config));
    assert!(said.contains("include all-traffic.conf in place of pushed-routes.conf"), "{said}");
    machine.end();
}
