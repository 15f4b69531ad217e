//! What is left of a VPN when it has ended: nothing.

use haiku_sys::IFF_UP;
use tuntap_testkit::program::Program;

use crate::machine::{Machine, RESOLVER, with};

const ALL: (&str, &str) = ("tun_tap_traffic", "all");
const V4: [(&str, &str); 2] = [("ifconfig_ipv6_local", ""), ("ifconfig_ipv6_remote", "")];

#[test]
fn the_end_of_a_vpn_leaves_routes_and_resolver_as_they_were() {
    let machine = Machine::new();
    let before = machine.routes();
    for round in 0..2 {
        machine.up(&with(&[ALL]));
        assert_ne!(machine.routes(), before);
        assert_eq!(machine.down(), "", "round {round}");
        assert_eq!((machine.routes(), machine.resolver_text().as_str()), (before.clone(), RESOLVER));
        assert_eq!(machine.state(), Vec::<String>::new());
        // Haiku keeps an interface that had an IPv6 address, and its name with it.
        assert_eq!(machine.rig.stack().interface("tun/0").unwrap().flags & IFF_UP, 0);
    }
    machine.end();
}

#[test]
fn bash_does_and_undoes_the_same() {
    let machine = Machine::new();
    let before = machine.routes();
    machine.up(&with(&[ALL]));
    let (routes, resolver) = (machine.routes(), machine.resolver_text());
    machine.down();
    machine.use_bash();
    machine.up(&with(&[ALL]));
    assert_eq!((machine.routes(), machine.resolver_text()), (routes, resolver));
    assert_eq!(machine.down(), "");
    assert_eq!((machine.routes(), machine.resolver_text().as_str(), machine.state().len()), (before, RESOLVER, 0));
    machine.end();
}

#[test]
fn an_interface_that_had_only_ipv4_is_deleted() {
    let machine = Machine::new();
    let before = machine.routes();
    machine.up(&with(&[&V4[..], &[ALL]].concat()));
    machine.down();
    assert!(machine.rig.stack().interface("tun/0").is_none());
    assert_eq!(machine.routes(), before);
    machine.end();
}

#[test]
fn the_next_vpn_undoes_what_a_crash_left() {
    let machine = Machine::new();
    let before = machine.routes();
    machine.up(&with(&[ALL]));
    // No openvpn-down: OpenVPN was killed. The next one has other addresses.
    let next = [ALL, ("trusted_ip", "198.51.100.9"), ("remote_1", ""), ("ifconfig_local", "10.9.0.2")];
    let said = machine.up(&with(&next));
    assert!(said.contains("undoing what an earlier VPN left on tun/0"), "{said}");
    assert_eq!((machine.way("192.0.2.7"), machine.way("198.51.100.9")), ("tun/0".to_owned(), "tap/0".to_owned()));
    machine.down();
    assert_eq!((machine.routes(), machine.resolver_text().as_str()), (before, RESOLVER));
    machine.end();
}

#[test]
fn what_a_crash_left_on_another_interface_is_undone_too_and_a_vpn_that_runs_is_left_alone() {
    let machine = Machine::new();
    let second = Program::open("/dev/tun/1").unwrap();
    let other =
        [("dev", "tun/1"), ("ifconfig_local", "10.7.0.2"), ("trusted_ip", "192.0.2.99"), ("tun_tap_traffic", "routes")];
    let other = with(&[&V4[..], &other].concat());
    machine.up(&other);
    let resolver = machine.resolver_text();
    let said = machine.up(&with(&[&V4[..], &[ALL]].concat()));
    assert!(said.contains("another VPN has set the name servers; those of tun/0 are not used"), "{said}");
    assert_eq!((machine.way("10.7.0.9"), machine.resolver_text()), ("tun/1".to_owned(), resolver));
    machine.down();
    second.close();
    let said = machine.up(&with(&[&V4[..], &[ALL]].concat()));
    assert!(said.contains("undoing what an earlier VPN left on tun/1"), "{said}");
    assert!(machine.rig.stack().interface("tun/1").is_none());
    assert!(machine.resolver_text().contains("for tun/0"));
    machine.down();
    assert_eq!(machine.resolver_text(), RESOLVER);
    machine.end();
}

#[test]
fn a_crash_can_be_undone_without_another_vpn() {
    let machine = Machine::new();
    let before = machine.routes();
    machine.up(&with(&[ALL]));
    assert_eq!(machine.succeed("openvpn-down", &["--recover"], &[]), "", "a VPN that runs is left alone");
    assert_ne!(machine.routes(), before);
    // The device of a program that was killed is closed.
    machine.program.close();
    let said = machine.succeed("openvpn-down", &["--recover"], &[]);
    assert!(said.contains("undoing what an earlier VPN left on tun/0"), "{said}");
    assert_eq!((machine.routes(), machine.resolver_text().as_str()), (before, RESOLVER));
    machine.end();
}

#[test]
fn a_journal_that_ends_in_the_middle_of_a_line_is_undone_up_to_there() {
    let machine = Machine::new();
    let before = machine.routes();
    machine.up(&with(&[ALL]));
    let path = machine.folder.join("state/tun_0.journal");
    let journal = std::fs::read_to_string(&path).unwrap() + "route tap/0 9.9.9.9 netm";
    std::fs::write(&path, journal).unwrap();
    assert_eq!(machine.down(), "");
    assert_eq!((machine.routes(), machine.state().len()), (before, 0));
    machine.end();
}

#[test]
fn a_route_that_was_there_before_stays() {
    let machine = Machine::new();
    machine.rig.route("add tap/0 192.0.2.7 netmask 255.255.255.255 gw 192.168.0.1").unwrap();
    let before = machine.routes();
    machine.up(&with(&[ALL]));
    machine.down();
    assert_eq!(machine.routes(), before);
    machine.end();
}

#[test]
fn a_resolver_file_that_another_program_changed_is_left_alone() {
    let machine = Machine::new();
    machine.up(&with(&[ALL]));
    std::fs::write(machine.resolver(), "nameserver 9.9.9.9\n").unwrap();
    let said = machine.down();
    assert!(said.contains("was changed by another program while the VPN was up, and is left alone"), "{said}");
    assert_eq!(machine.resolver_text(), "nameserver 9.9.9.9\n");
    let kept = std::fs::read_to_string(machine.folder.join("state/resolv.conf.before-vpn")).unwrap();
    assert_eq!(kept, RESOLVER);
    machine.end();
}

#[test]
fn a_resolver_file_that_was_not_there_is_removed_again() {
    let machine = Machine::new();
    std::fs::remove_file(machine.resolver()).unwrap();
    machine.up(&with(&[ALL]));
    assert!(machine.resolver().exists());
    machine.down();
    assert!(!machine.resolver().exists());
    machine.end();
}

#[test]
fn a_restart_that_keeps_the_device_configures_it_anew() {
    let machine = Machine::new();
    let before = machine.routes();
    machine.up(&with(&[ALL]));
    let restart = [("dev", "tun/0"), ("script_context", "restart"), ("script_type", "down")];
    assert_eq!(machine.succeed("openvpn-down", &[], &restart), "");
    assert_ne!(machine.routes(), before, "nothing is undone in between");
    machine.up(&with(&[ALL, ("script_context", "restart")]));
    assert_eq!(machine.way("9.9.9.9"), "tun/0");
    machine.down();
    assert_eq!(machine.routes(), before);
    machine.end();
}
