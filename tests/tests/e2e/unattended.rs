//! A unit that no program has open: what the stack sends to it is dropped and counted, and no memory stays.

use haiku_system::Mode;
use tuntap_testkit::packet::{Way, ipv4, ipv6};
use tuntap_testkit::program::{Program, dropped};
use tuntap_testkit::rig::Rig;
use tuntap_testkit::watchdog::until;

/// Packets of each family.
const PACKETS: u32 = 50_000;
/// How many neighbours they go to, of which none answers.
const NEIGHBOURS: u32 = 100;

#[test]
fn a_hundred_thousand_packets_leave_no_memory_behind_and_the_interface_can_be_deleted() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let name = mode.interface(0);
        rig.ifconfig(&format!("{name} 10.9.0.1 255.255.255.0 up")).unwrap();
        rig.ifconfig(&format!("{name} inet6 fd00:909::1 prefixlen 64")).unwrap();
        rig.route(&format!("add {name} inet6 ff00:: prefixlen 8")).unwrap();
        let before = rig.ledgers();
        let (mut packet4, mut packet6) = (ipv4(Way::ToUser, 60), ipv6(Way::ToUser, 80));
        for number in 0..PACKETS {
            let neighbour = (2 + number % NEIGHBOURS) as u8;
            packet4[19] = neighbour;
            packet6[39] = neighbour;
            for packet in [&packet4, &packet6] {
                assert_eq!(rig.send_ip(packet), Ok(()), "{mode}: the driver takes every packet");
            }
        }
        // A TAP's neighbours do not answer: the stack keeps their packets until it gives up.
        until("no packet is left", || rig.ledgers().packets == before.packets);
        assert_eq!(rig.ledgers().heap_bytes, before.heap_bytes, "{mode}");
        let program = Program::new(mode);
        let lost = dropped(&program.statistics().to_user);
        assert!(lost >= u64::from(if mode == Mode::Tun { 2 * PACKETS } else { 2 * NEIGHBOURS }), "{mode}: {lost}");
        program.check_accounts();
        program.close();
        rig.ifconfig(&format!("--delete {name}")).unwrap();
        rig.end();
    }
}
