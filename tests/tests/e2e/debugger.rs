//! The kernel debugger's command `tun_tap`.

use haiku_kernel::debugger;
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{STRANGER, Way, arp_request, frame, program_packet, stack_frame};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

fn kdl() -> String {
    debugger::run("tun_tap", &[]).expect("the command")
}

#[test]
fn the_command_is_there_while_the_driver_is() {
    let rig = Rig::boot();
    let commands: Vec<_> = debugger::commands().into_iter().map(|(name, _)| name).collect();
    assert_eq!(commands, ["tun_tap"]);
    assert_eq!(kdl(), "", "there is no unit");
    // That it goes with the driver, the ledgers say.
    assert_eq!(rig.ledgers().debugger_commands, 1);
    rig.end();
}

#[test]
fn the_command_lists_the_state_and_the_counters_of_each_unit() {
    let rig = Rig::boot();
    let tun = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    tun.send(&stack_frame(Mode::Tun, tun.address(), 100)).unwrap();
    tun.send(&arp_request(tun.address())).unwrap();
    program.read(10).unwrap();
    program.write(&program_packet(Mode::Tun, Way::ToStack, 100)).unwrap();
    let tap = Card::new(&rig, "tap/7");
    let [a, b, c, d, e, f] = tun.address();
    let team = std::process::id();
    let expected = format!(
        "tun/0: up, open by team {team}, mtu 1500, {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\n  \
         to user: accepted 2, delivered 1, answered 1, purged 0, queued 0\n    \
         truncated: 1\n  \
         to stack: accepted 2, delivered 0, answered 0, purged 0, queued 2\n"
    );
    let said = kdl();
    assert!(said.starts_with(&expected), "{said}\ninstead of\n{expected}");
    assert!(said[expected.len()..].starts_with("tap/7: down, not open, mtu 1500, "), "{said}");
    drop((tun, tap));
    rig.end();
}

#[test]
fn it_names_the_reasons_for_which_packets_were_dropped() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    program.write(&frame(STRANGER, STRANGER, 0x0800, &[0x45; 46])).unwrap();
    card.send(&[0; 5]).unwrap();
    let said = kdl();
    assert!(said.contains("    dropped, not-for-us: 1\n") && said.contains("    dropped, malformed: 1\n"), "{said}");
    program.close();
    assert!(kdl().starts_with("tap/0: up, not open, mtu"), "{}", kdl());
    let program = Program::new(Mode::Tap);
    card.down();
    assert!(kdl().starts_with("tap/0: down, open by team "), "{}", kdl());
    program.close();
    drop(card);
    rig.end();
}
