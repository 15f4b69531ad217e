//! Peers outside of the interface's subnet, and peers of IPv6: Haiku gives neither a route. What a user types, and what
//! `TUNSETPEER` does in its place, reach them.

use std::net::IpAddr;

use haiku_kernel::syscalls;
use haiku_sys::{EADDRNOTAVAIL, EINVAL, ENXIO, O_RDWR};
use haiku_system::far::{FarSide, Options, Waiting};
use haiku_system::{Lab, LabOptions, Mode, ping};
use tuntap_net_addon::ioctl::wire::TUNSETPEER;
use tuntap_testkit::program::peer_request;

/// A peer that the subnet of no address of ours holds.
const FAR_PEER: &str = "192.0.2.9";
const PEER6: &str = "fd00:77::2";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A Haiku whose `tun/0` has an address of each family and a far side that is at both peers.
fn with_far_side(test: impl FnOnce(&Lab, &FarSide)) {
    let lab = Lab::boot(LabOptions::default()).expect("a lab");
    lab.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").expect("an interface");
    lab.ifconfig("tun/0 inet6 fd00:9::1 prefixlen 64").expect("an address");
    let far = FarSide::start(Options {
        mode: Mode::Tun,
        unit: 0,
        addresses: vec![(address(FAR_PEER), 32), (address(PEER6), 128)],
        waiting: Waiting::Poll,
        watcher: None,
    })
    .expect("a far side");
    test(&lab, &far);
    far.stop().expect("a far side that ends");
    lab.ifconfig("--delete tun/0").expect("no route holds the interface");
    let ledgers = lab.shutdown();
    assert!(ledgers.is_zero(), "{ledgers}");
}

fn answered(lab: &Lab, peer: &str) -> u64 {
    lab.ping(&ping::Options::flood(address(peer), 20)).map_or(0, |report| report.received)
}

fn set_peer(fd: i32, peer: &str) -> Result<(), i32> {
    syscalls::ioctl_ref(fd, TUNSETPEER, &mut peer_request(address(peer))).map(drop)
}

#[test]
fn without_a_route_neither_peer_is_reached() {
    with_far_side(|lab, _| {
        assert_eq!(answered(lab, FAR_PEER), 0);
        assert_eq!(answered(lab, PEER6), 0);
    });
}

#[test]
fn a_peer_outside_of_the_subnet_is_reached_by_a_host_route() {
    with_far_side(|lab, _| {
        lab.route("add tun/0 192.0.2.9 netmask 255.255.255.255").expect("a route");
        assert_eq!(answered(lab, FAR_PEER), 20);
    });
}

#[test]
fn a_peer_of_ipv6_is_reached_by_a_route_to_it_and_one_to_the_group_it_is_asked_for_in() {
    with_far_side(|lab, _| {
        lab.route("add tun/0 inet6 fd00:77::2").expect("a route");
        lab.route("add tun/0 inet6 ff02::1:ff00:2").expect("a route");
        assert_eq!(answered(lab, PEER6), 20);
    });
}

#[test]
fn a_route_to_a_peer_of_ipv6_alone_is_not_enough_for_the_question_must_leave_too() {
    with_far_side(|lab, _| {
        lab.route("add tun/0 inet6 fd00:77::2").expect("a route");
        assert_eq!(answered(lab, PEER6), 0);
    });
}

#[test]
fn tunsetpeer_adds_those_routes() {
    with_far_side(|lab, far| {
        set_peer(far.fd(), FAR_PEER).expect("a route");
        set_peer(far.fd(), PEER6).expect("routes");
        assert_eq!(answered(lab, FAR_PEER), 20);
        assert_eq!(answered(lab, PEER6), 20);
        // What is there already is left alone.
        set_peer(far.fd(), FAR_PEER).expect("no other route");
    });
}

#[test]
fn tunsetpeer_needs_an_interface_with_an_address_of_the_family() {
    let lab = Lab::boot(LabOptions::default()).expect("a lab");
    let fd = syscalls::open("/dev/tun/0", O_RDWR).expect("a free unit");
    assert_eq!(set_peer(fd, FAR_PEER), Err(ENXIO), "no interface yet");
    lab.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").expect("an interface");
    assert_eq!(set_peer(fd, PEER6), Err(EADDRNOTAVAIL), "no address of IPv6");
    assert_eq!(set_peer(fd, FAR_PEER), Ok(()));
    let mut odd = peer_request(address(FAR_PEER));
    odd.ip_version = 5;
    assert_eq!(syscalls::ioctl_ref(fd, TUNSETPEER, &mut odd).map(drop), Err(EINVAL));
    odd = peer_request(address(FAR_PEER));
    odd.preamble.size += 4;
    assert_eq!(syscalls::ioctl_ref(fd, TUNSETPEER, &mut odd).map(drop), Err(EINVAL));
    syscalls::close(fd).expect("it was open");
    assert!(lab.shutdown().is_zero());
}
