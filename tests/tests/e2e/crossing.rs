//! Packets through the whole lab, from the stack's sockets to the far side and back: all sizes, both modes, both
//! families, none lost, each compared.

use haiku_stack::Family;
use haiku_system::far::Waiting;
use haiku_system::{LabOptions, Mode};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

/// The longest data of an echo request that fits into one packet.
const fn longest(family: Family) -> usize {
    match family {
        Family::Inet => 1500 - 20 - 8,
        Family::Inet6 => 1500 - 40 - 8,
    }
}

fn every_size(mode: Mode, family: Family) {
    let rig = Rig::boot();
    rig.configure(mode).unwrap();
    let far = rig.far(mode, Waiting::Read).unwrap();
    for size in 0..=longest(family) {
        rig.ping(mode, family, 1, size);
    }
    Program::borrow(far.fd()).check_accounts();
    assert_eq!(far.stop().unwrap().refused, 0);
    rig.end();
}

#[test]
fn every_size_crosses_a_tun_over_ipv4() {
    every_size(Mode::Tun, Family::Inet);
}

#[test]
fn every_size_crosses_a_tun_over_ipv6() {
    every_size(Mode::Tun, Family::Inet6);
}

#[test]
fn every_size_crosses_a_tap_over_ipv4() {
    every_size(Mode::Tap, Family::Inet);
}

#[test]
fn every_size_crosses_a_tap_over_ipv6() {
    every_size(Mode::Tap, Family::Inet6);
}

#[test]
fn two_thousand_of_two_thousand_are_answered_in_each_mode_and_family() {
    let rig = Rig::boot();
    let fars = Mode::ALL.map(|mode| {
        rig.configure(mode).unwrap();
        rig.far(mode, Waiting::Poll).unwrap()
    });
    for mode in Mode::ALL {
        for family in Family::ALL {
            rig.ping(mode, family, 2000, 56);
        }
    }
    for far in fars {
        Program::borrow(far.fd()).check_accounts();
        assert_eq!(far.stop().unwrap().refused, 0);
    }
    rig.end();
}

#[test]
fn every_way_of_waiting_serves_every_size_that_is_awkward() {
    for waiting in Waiting::ALL {
        let rig = Rig::boot();
        for mode in Mode::ALL {
            rig.configure(mode).unwrap();
            let far = rig.far(mode, waiting).unwrap();
            for family in Family::ALL {
                for size in [0, 1, 14, 56, 85, 86, 100, 114, 127, 128, 129, 1000, longest(family)] {
                    rig.ping(mode, family, 3, size);
                }
            }
            far.stop().unwrap();
        }
        rig.end();
    }
}

#[test]
fn packets_that_fall_into_pieces_at_awkward_places_cross_whole() {
    for node in [haiku_kernel::net_buffer::MIN_NODE_SIZE, 400, 1111] {
        let rig = Rig::with(LabOptions { net_buffer_node_size: Some(node), ..LabOptions::default() });
        for mode in Mode::ALL {
            rig.configure(mode).unwrap();
            let far = rig.far(mode, Waiting::Read).unwrap();
            for family in Family::ALL {
                for size in (0..=longest(family)).step_by(41) {
                    rig.ping(mode, family, 1, size);
                }
            }
            far.stop().unwrap();
        }
        rig.end();
    }
}

#[test]
fn an_mtu_of_68_and_one_of_9000_carry_packets_of_that_size() {
    for (mode, mtu) in [(Mode::Tun, 68), (Mode::Tap, 68), (Mode::Tun, 1400), (Mode::Tap, 1400)] {
        let rig = Rig::boot();
        rig.configure(mode).unwrap();
        rig.stack().set_mtu(&mode.interface(0), mtu).unwrap();
        let far = rig.far(mode, Waiting::Read).unwrap();
        rig.ping(mode, Family::Inet, 3, mtu - 28);
        far.stop().unwrap();
        rig.end();
    }
}
