//! The settings file: what it sets, and what happens to lines that are not understood.

use haiku_kernel::devfs;
use haiku_sys::IFF_LINK;
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::stack_frame;
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

const MIB: u32 = 1 << 20;

/// The units' nodes.
fn nodes() -> Vec<String> {
    devfs::devices().into_iter().filter(|node| !node.starts_with("misc/")).collect()
}

/// Lines of the log that complain of settings.
fn complaints() -> Vec<String> {
    haiku_kernel::log::lines().into_iter().filter(|line| line.contains("not understood")).collect()
}

#[test]
fn without_a_file_everything_is_as_documented() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    assert_eq!(program.limits(), [512, MIB, 512, MIB]);
    let card = Card::new(&rig, "tun/0");
    assert_eq!(card.mtu(), 1500);
    assert_eq!(complaints(), Vec::<String>::new());
    drop(card);
    rig.end();
}

#[test]
fn a_whole_file_is_understood() {
    let rig = Rig::with_settings(
        "# Settings of tun_tap.\n\
         queue_packets 3\n\
         queue_bytes 200000   # in each direction\n\
         \n\
         mtu 1280\n\
         nodes units\n\
         link always\n\
         log debug\n",
    );
    assert_eq!(complaints(), Vec::<String>::new());
    for mode in Mode::ALL {
        let card = Card::ready(&rig, &mode.interface(0));
        assert_eq!(card.mtu(), 1280);
        assert!(card.has(IFF_LINK));
        let program = Program::new(mode);
        assert_eq!(program.limits(), [3, 200_000, 3, 200_000]);
        for dropped in [false, false, false, true] {
            assert_eq!(card.drops(&stack_frame(mode, card.address(), 100)), dropped);
        }
        program.close();
    }
    rig.end();
}

#[test]
fn lines_that_are_not_understood_are_reported_and_ignored() {
    let bad = [
        "queue_packets many",
        "queue_packets 0",
        "queue_packets -1",
        "queue_packets 99999999999",
        "queue_packets",
        "queue_packets 1 2",
        "queue_packets 65537",
        "queue_bytes lots",
        "queue_bytes 0",
        "queue_bytes 67108865",
        "mtu 67",
        "mtu 65536",
        "mtu",
        "nodes all",
        "link sometimes",
        "log loudly",
        "queue 512",
        "QUEUE_PACKETS 5",
    ];
    for line in bad {
        let rig = Rig::with_settings(&format!("{line}\n"));
        let said = complaints();
        let name = line.split(' ').next().unwrap();
        assert!(said.len() == 1 && said[0].contains(name), "{line}: {said:?}");
        let program = Program::new(Mode::Tap);
        assert_eq!(program.limits(), [512, MIB, 512, MIB], "{line}");
        assert_eq!(nodes(), ["tap/0", "tap/1", "tun/0"], "{line}");
        let card = Card::ready(&rig, "tap/0");
        assert_eq!(card.mtu(), 1500, "{line}");
        drop(card);
        rig.end();
    }
}

#[test]
fn a_bad_line_does_not_spoil_the_others() {
    let rig = Rig::with_settings("mtu none\nqueue_packets 7\nwhat is this\nqueue_bytes 70000\n");
    assert_eq!(complaints().len(), 2);
    assert_eq!(Program::new(Mode::Tun).limits(), [7, 70_000, 7, 70_000]);
    rig.end();
}

#[test]
fn a_file_that_changes_counts_from_the_next_start_on() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    haiku_kernel::settings::set("tun_tap", "nodes clone\nmtu 1280\n");
    // The module role starts with the first interface, long after the driver role.
    let card = Card::new(&rig, "tap/0");
    // The kernel has asked again which nodes there are: none has gone from under its program.
    assert_eq!(nodes(), ["tap/0", "tap/1", "tun/0", "tun/1"]);
    assert_eq!(card.mtu(), 1500);
    assert_eq!(program.limits(), [512, MIB, 512, MIB]);
    drop((card, program));
    rig.end();
}

#[test]
fn settings_are_bounds_of_nobodys_ioctl() {
    let rig = Rig::with_settings("queue_packets 2\nqueue_bytes 5000\n");
    let program = Program::new(Mode::Tun);
    program.set_limits([600, MIB, 600, MIB]).unwrap();
    assert_eq!(program.limits(), [600, MIB, 600, MIB]);
    rig.end();
}

#[test]
fn a_log_at_level_error_has_only_errors() {
    let lines = |settings: &str| {
        let rig = Rig::with_settings(settings);
        let card = Card::ready(&rig, "tun/0");
        Program::new(Mode::Tun).close();
        drop(card);
        let lines = haiku_kernel::log::lines();
        rig.end();
        lines.into_iter().filter(|line| line.contains("unit 0 opened")).count()
    };
    assert_eq!(lines("log debug\n"), 1);
    assert_eq!(lines("log error\n"), 0);
    assert_eq!(lines(""), 0);
}
