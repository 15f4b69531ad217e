//! The link: up while a program has the unit open, and the stack is notified of each change.

use haiku_stack::Family;
use haiku_sys::{IFF_LINK, IFM_ACTIVE};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::TUNSETCARRIER;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::stack_frame;
use tuntap_testkit::program::{Program, dropped_for};
use tuntap_testkit::rig::Rig;
use tuntap_testkit::watchdog::until;

/// How often the stack was told of a change of an interface's link.
fn changes(name: &str) -> usize {
    let line = format!("link of {name} changed");
    haiku_kernel::log::lines().iter().filter(|logged| logged.contains(&line)).count()
}

fn has_link(rig: &Rig, name: &str) -> bool {
    rig.stack().interface(name).is_some_and(|interface| interface.flags & IFF_LINK != 0)
}

#[test]
fn the_link_is_up_while_a_program_has_the_unit_open() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let name = mode.interface(0);
        rig.ifconfig(&format!("{name} 10.9.0.1 255.255.255.0 up")).unwrap();
        assert!(!has_link(&rig, &name));
        let before = changes(&name);
        for count in 1..4 {
            let program = Program::new(mode);
            assert!(has_link(&rig, &name));
            let duplicate = program.duplicate();
            program.close();
            assert!(has_link(&rig, &name), "the duplicate is still open");
            duplicate.close();
            assert!(!has_link(&rig, &name));
            assert_eq!(changes(&name) - before, 2 * count);
        }
        rig.end();
    }
}

#[test]
fn a_unit_that_is_open_already_gives_its_new_interface_a_link() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    assert!(has_link(&rig, "tun/0"));
    rig.ifconfig("tun/0 down").unwrap();
    rig.ifconfig("tun/0 up").unwrap();
    assert!(has_link(&rig, "tun/0"));
    program.close();
    assert!(!has_link(&rig, "tun/0"));
    rig.end();
}

#[test]
fn a_failed_open_changes_no_link() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    assert!(Program::open("/dev/tap/0").is_err());
    assert!(card.has(IFF_LINK));
    program.close();
    drop(card);
    rig.end();
}

#[test]
fn sending_to_a_unit_without_a_program_drops_and_counts() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let frame = stack_frame(mode, card.address(), 100);
        let before = rig.ledgers();
        for _ in 0..3 {
            assert!(card.drops(&frame));
        }
        assert_eq!(rig.ledgers(), before);
        let program = Program::new(mode);
        assert_eq!(dropped_for(&program.statistics().to_user, "no-program"), 3);
        assert_eq!(card.send(&frame), Ok(()));
        program.close();
        drop(card);
        rig.end();
    }
}

#[test]
fn a_program_sets_the_carrier() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    let program = Program::new(Mode::Tun);
    let carrier = |on: i32| program.exchange(TUNSETCARRIER, on).map(drop);
    let before = changes("tun/0");
    assert_eq!(carrier(0), Ok(()));
    assert!(!has_link(&rig, "tun/0"));
    assert_eq!(carrier(0), Ok(()));
    assert_eq!(changes("tun/0") - before, 1, "nothing changed the second time");
    assert_eq!(carrier(1), Ok(()));
    assert!(has_link(&rig, "tun/0"));
    carrier(0).unwrap();
    program.close();
    let next = Program::new(Mode::Tun);
    assert!(has_link(&rig, "tun/0"), "what the one before said is not the next one's");
    next.close();
    rig.end();
}

#[test]
fn a_setting_keeps_the_link_up() {
    let rig = Rig::with_settings("link always\n");
    rig.ifconfig("tap/0 10.9.0.1 255.255.255.0 up").unwrap();
    assert!(has_link(&rig, "tap/0"));
    let program = Program::new(Mode::Tap);
    program.close();
    assert!(has_link(&rig, "tap/0"));
    assert_eq!(changes("tap/0"), 1, "when it was made");
    rig.end();
}

#[test]
fn a_route_with_a_link_is_preferred_to_one_without() {
    let rig = Rig::boot();
    for (unit, near) in [(0, "10.1.0.1"), (1, "10.2.0.1")] {
        rig.ifconfig(&format!("tun/{unit} {near} 255.255.255.0 up")).unwrap();
        rig.route(&format!("add tun/{unit} inet 10.77.0.0 netmask 255.255.0.0 gw 10.{}.0.2", unit + 1)).unwrap();
    }
    let taken = || rig.stack().path([10, 77, 1, 1].into()).unwrap().interface;
    let first = Program::open("/dev/tun/0").unwrap();
    assert_eq!(taken(), "tun/0");
    let second = Program::open("/dev/tun/1").unwrap();
    first.close();
    assert_eq!(taken(), "tun/1");
    second.exchange(TUNSETCARRIER, 0i32).unwrap();
    let first = Program::open("/dev/tun/0").unwrap();
    assert_eq!(taken(), "tun/0");
    first.close();
    second.close();
    rig.end();
}

#[test]
fn pings_are_answered_only_while_a_program_has_the_unit_open() {
    let rig = Rig::boot();
    rig.configure(Mode::Tun).unwrap();
    let target = haiku_system::scenario::peer(Mode::Tun, Family::Inet);
    let patience = std::time::Duration::from_millis(1);
    let options = haiku_system::ping::Options { patience, ..haiku_system::ping::Options::flood(target, 1) };
    let report = rig.ping_report(&options);
    assert_eq!((report.sent, report.received), (1, 0));
    let far = rig.far(Mode::Tun, haiku_system::far::Waiting::Poll).unwrap();
    rig.ping(Mode::Tun, Family::Inet, 3, 56);
    far.stop().unwrap();
    rig.end();
}

#[test]
fn net_server_sees_the_link_too() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let name = mode.interface(0);
        rig.ifconfig(&format!("{name} 10.9.0.1 255.255.255.0 up")).unwrap();
        let active = || rig.stack().interface(&name).is_some_and(|interface| interface.media & IFM_ACTIVE != 0);
        assert!(!active());
        let program = Program::new(mode);
        assert!(active());
        program.exchange(TUNSETCARRIER, 0i32).unwrap();
        assert!(!active());
        program.exchange(TUNSETCARRIER, 1i32).unwrap();
        assert!(active());
        program.close();
        assert!(!active());
        rig.end();
    }
}

#[test]
fn a_link_that_comes_while_the_interface_does_is_not_lost() {
    // The stack reads and writes the word with `IFF_UP` in two steps, and undoes an open in between.
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    for _ in 0..200 {
        rig.ifconfig("tun/0 down").unwrap();
        let program = std::thread::scope(|scope| {
            let opening = scope.spawn(|| Program::new(Mode::Tun));
            rig.ifconfig("tun/0 up").unwrap();
            opening.join().unwrap()
        });
        until("the reader has looked again", || has_link(&rig, "tun/0"));
        std::thread::scope(|scope| {
            scope.spawn(|| rig.ifconfig("tun/0 down").unwrap());
            program.close();
        });
        assert!(!has_link(&rig, "tun/0"));
        rig.ifconfig("tun/0 up").unwrap();
    }
    rig.end();
}
