//! `TUNSETPEER`: the routes that Haiku's stack does not add by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use haiku_kernel::fault::{self, Fault, FaultPlan};
use haiku_kernel::syscalls::POLLIN;
use haiku_stack::Family;
use haiku_sys::{B_NO_MEMORY, EADDRNOTAVAIL, EINVAL, ENETDOWN, ENXIO, EPERM, status_t};
use haiku_system::Mode;
use haiku_system::far::{FarSide, Options, Waiting};
use haiku_system::ping;
use tuntap_net_addon::ioctl::wire::{PeerRequest, TUNSETOWNER, TUNSETPEER};
use tuntap_testkit::packet::echo_request;
use tuntap_testkit::program::{Program, peer_request, preamble};
use tuntap_testkit::rig::Rig;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0x12, 0x3456);

fn set_peer(program: Program, peer: IpAddr) -> Result<(), status_t> {
    program.exchange(TUNSETPEER, peer_request(peer)).map(drop)
}

/// The interface that packets to an address would take.
fn way(rig: &Rig, to: IpAddr) -> Option<String> {
    rig.stack().route_for(to).map(|route| route.interface)
}

#[test]
fn a_peer_has_its_routes_while_the_interface_is_up() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.99.0.1 255.255.255.255 up").unwrap();
    rig.ifconfig("tun/0 inet6 fd00:99::1 prefixlen 128").unwrap();
    let program = Program::new(Mode::Tun);
    for peer in [PEER.into(), PEER6.into()] {
        assert_eq!(way(&rig, peer), None);
        for _ in 0..2 {
            assert_eq!(set_peer(program, peer), Ok(()), "setting it again changes nothing");
            assert_eq!(way(&rig, peer), Some("tun/0".to_owned()));
        }
    }
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456);
    assert_eq!(way(&rig, group.into()), Some("tun/0".to_owned()), "where neighbour solicitations for the peer go");
    rig.ifconfig("tun/0 down").unwrap();
    assert_eq!([PEER.into(), PEER6.into()].map(|peer| way(&rig, peer)), [None, None]);
    rig.end();
}

#[test]
fn a_peer_answers_without_any_route_of_the_users() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.99.0.1 255.255.255.255 up").unwrap();
    rig.ifconfig("tun/0 inet6 fd00:99::1 prefixlen 128").unwrap();
    let addresses = vec![(PEER.into(), 32), (PEER6.into(), 128)];
    let far =
        FarSide::start(Options { mode: Mode::Tun, unit: 0, addresses, waiting: Waiting::Read, watcher: None }).unwrap();
    far.with(|state| {
        let routes = state.interface.routes_mut();
        routes.add_default_ipv4_route(PEER).unwrap();
        routes.add_default_ipv6_route(PEER6).unwrap();
    })
    .unwrap();
    let patience = std::time::Duration::from_secs(50);
    for peer in [IpAddr::V4(PEER), IpAddr::V6(PEER6)] {
        set_peer(Program::borrow(far.fd()), peer).unwrap();
        let report = rig.ping_report(&ping::Options { patience, ..ping::Options::flood(peer, 10) });
        assert_eq!((report.received, report.refused), (10, None), "{peer}");
    }
    far.stop().unwrap();
    rig.end();
}

#[test]
fn an_invalid_peer_is_refused_and_leaks_nothing() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    assert_eq!(set_peer(program, PEER.into()), Err(ENXIO), "there is no interface");
    rig.ifconfig("tun/0 10.99.0.1 255.255.255.255").unwrap();
    rig.ifconfig("tun/0 down").unwrap();
    assert_eq!(set_peer(program, PEER.into()), Err(ENETDOWN));
    rig.ifconfig("tun/0 up").unwrap();
    let before = rig.ledgers().module_references;
    assert_eq!(set_peer(program, PEER6.into()), Err(EADDRNOTAVAIL), "there is no address of the family");
    for ip_version in [0, 5, 7, u32::MAX] {
        let request = PeerRequest { preamble: preamble::<PeerRequest>(), ip_version, address: [10; 16] };
        assert_eq!(program.exchange(TUNSETPEER, request).map(drop), Err(EINVAL));
    }
    assert_eq!(rig.ledgers().module_references, before);
    program.control(TUNSETOWNER, 1000).unwrap();
    haiku_kernel::creds::set_euid(1001);
    assert_eq!(set_peer(program, PEER.into()), Err(EPERM));
    haiku_kernel::creds::set_euid(0);
    assert!(rig.stack().routes(Family::Inet).iter().all(|route| route.destination != IpAddr::V4(PEER)));
    rig.ifconfig("--delete tun/0").unwrap();
    rig.end();
}

#[test]
fn an_interface_with_a_peer_can_be_deleted_and_made_again() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tap);
    for _ in 0..3 {
        rig.ifconfig("tap/0 10.99.0.1 255.255.255.255 up").unwrap();
        set_peer(program, PEER.into()).unwrap();
        assert_eq!(way(&rig, PEER.into()), Some("tap/0".to_owned()));
        rig.ifconfig("--delete tap/0").unwrap();
        assert_eq!(way(&rig, PEER.into()), None);
    }
    rig.end();
}

/// Pings an address once, and waits for no answer.
fn ask(rig: &Rig, address: IpAddr) {
    let patience = std::time::Duration::from_millis(1);
    let report = rig.ping_report(&ping::Options { patience, ..ping::Options::flood(address, 1) });
    assert_eq!((report.sent, report.received), (1, 0));
}

#[test]
fn an_unread_packet_by_a_host_route_keeps_no_interface() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    for _ in 0..3 {
        rig.ifconfig("tun/0 10.99.0.1 255.255.255.255 up").unwrap();
        set_peer(program, PEER.into()).unwrap();
        ask(&rig, PEER.into());
        assert_eq!(program.poll(POLLIN, -1), Ok(POLLIN), "it is in the queue");
        rig.ifconfig("--delete tun/0").unwrap();
        assert_eq!(program.packet(), Err(ENXIO), "although the packet was not read");
    }
    rig.end();
}

#[test]
fn an_unread_answer_to_a_ping_keeps_no_interface() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    for _ in 0..3 {
        rig.configure(Mode::Tun).unwrap();
        program.write(&echo_request()).unwrap();
        assert_eq!(program.poll(POLLIN, -1), Ok(POLLIN), "it is in the queue");
        rig.ifconfig("--delete tun/0").unwrap();
        assert_eq!(program.packet(), Err(ENXIO), "although the packet was not read");
    }
    rig.end();
}

#[test]
fn a_peer_whose_second_route_cannot_be_had_gets_neither_and_keeps_nothing() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 inet6 fd00:99::1 prefixlen 128 up").unwrap();
    let program = Program::new(Mode::Tun);
    fault::arm(FaultPlan::Nth(Fault::AddRoute, 2));
    assert_eq!(set_peer(program, PEER6.into()), Err(B_NO_MEMORY));
    fault::arm(FaultPlan::Off);
    assert_eq!(way(&rig, PEER6.into()), None);
    // What was there before is the user's.
    rig.route(&format!("add tun/0 inet6 {PEER6}")).unwrap();
    fault::arm(FaultPlan::Nth(Fault::AddRoute, 2));
    assert_eq!(set_peer(program, PEER6.into()), Err(B_NO_MEMORY));
    fault::arm(FaultPlan::Off);
    assert_eq!(way(&rig, PEER6.into()), Some("tun/0".to_owned()));
    rig.ifconfig("--delete tun/0").unwrap();
    rig.end();
}
