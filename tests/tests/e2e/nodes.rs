//! Nodes and units: which exist, who may open them, and what is left when the last user is gone.

use std::ffi::c_char;

use haiku_kernel::syscalls::{self, POLLIN, POLLOUT};
use haiku_kernel::{Exports, creds, devfs};
use haiku_stack::Family;
use haiku_sys::{B_WOULD_BLOCK, EBUSY, ENOENT, ENXIO, EPERM, IFF_LINK, IFF_UP, O_NONBLOCK, O_RDWR, status_t};
use haiku_system::{LabOptions, Mode};
use tuntap_net_addon::ioctl::wire::{LinuxRequest, SIOCSIFHWADDR, TUNSETGROUP, TUNSETOWNER};
use tuntap_testkit::card::Card;
use tuntap_testkit::program::{Program, zeroed};
use tuntap_testkit::rig::Rig;

/// How many units of each mode there can be.
const UNITS: usize = 256;

/// The nodes of a mode.
fn nodes(mode: Mode) -> Vec<String> {
    let prefix = format!("{mode}/");
    devfs::devices().into_iter().filter(|node| node.starts_with(&prefix)).collect()
}

#[test]
fn one_unused_node_of_each_mode_is_there_before_anything_else() {
    let rig = Rig::boot();
    assert_eq!(nodes(Mode::Tun), ["tun/0"]);
    assert_eq!(nodes(Mode::Tap), ["tap/0"]);
    assert!(rig.stack().interfaces().iter().all(|interface| !interface.name.starts_with('t')));
    rig.end();
}

#[test]
fn opening_the_last_node_brings_the_next() {
    let rig = Rig::boot();
    for mode in Mode::ALL {
        let first = Program::open(&mode.node(0)).expect("a free unit");
        assert_eq!(nodes(mode), [mode.interface(0), mode.interface(1)]);
        let second = Program::open(&mode.node(1)).expect("a free unit");
        assert_eq!(nodes(mode), [mode.interface(0), mode.interface(1), mode.interface(2)]);
        // A node that was used stays, and its next use brings no other.
        first.close();
        second.close();
        Program::open(&mode.node(0)).expect("a free unit").close();
        assert_eq!(nodes(mode).len(), 3);
    }
    rig.end();
}

#[test]
fn an_interface_brings_the_next_node_too() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    assert_eq!(nodes(Mode::Tun), ["tun/0", "tun/1"]);
    rig.ifconfig("--delete tun/0").unwrap();
    assert_eq!(nodes(Mode::Tun), ["tun/0", "tun/1"]);
    rig.end();
}

#[test]
fn an_interface_far_up_has_its_own_node_and_the_lowest_unused_one_stays() {
    let rig = Rig::boot();
    rig.ifconfig("tap/77 up").unwrap();
    assert_eq!(nodes(Mode::Tap), ["tap/0", "tap/77"]);
    let program = Program::open("/dev/tap/77").expect("a free unit");
    assert_eq!(program.interface(), "tap/77");
    program.close();
    rig.end();
}

#[test]
fn there_are_256_units_of_each_mode_each_with_one_opener() {
    let rig = Rig::boot();
    syscalls::set_descriptor_limit(1024);
    for mode in Mode::ALL {
        let programs: Vec<_> = (0..UNITS).map(|unit| Program::open(&mode.node(unit)).expect("a free unit")).collect();
        assert_eq!(nodes(mode).len(), UNITS);
        assert_eq!(Program::open(&mode.node(UNITS)).map(drop), Err(ENOENT));
        for unit in 0..UNITS {
            assert_eq!(Program::open(&mode.node(unit)).map(drop), Err(EBUSY));
        }
        assert_eq!(programs.last().map(Program::interface), Some(mode.interface(UNITS - 1)));
        programs.into_iter().for_each(Program::close);
    }
    rig.end();
}

#[test]
fn a_name_that_is_no_unit_is_refused_by_open_and_by_ifconfig() {
    let rig = Rig::boot();
    let before = rig.ledgers();
    for name in ["tun/256", "tun/00", "tun/01", "tun/-1", "tun/", "tun/0x1", "tun/4294967296", "tun/0/0"] {
        assert!(Program::open(&format!("/dev/{name}")).is_err(), "{name} was opened");
        assert!(rig.ifconfig(&format!("{name} up")).is_err(), "{name} became an interface");
    }
    for name in ["tun", "tap", "tunnel/0", "tap0"] {
        assert!(rig.ifconfig(&format!("{name} up")).is_err(), "{name} became an interface");
    }
    assert_eq!(rig.ledgers(), before);
    rig.end();
}

#[test]
fn a_second_open_is_refused_until_the_first_is_closed_and_leaves_nothing_behind() {
    let rig = Rig::boot();
    for mode in Mode::ALL {
        let first = Program::waiting(mode);
        let before = rig.ledgers();
        for flags in [O_RDWR, O_RDWR | O_NONBLOCK] {
            assert_eq!(syscalls::open(&mode.node(0), flags), Err(EBUSY));
        }
        assert_eq!(rig.ledgers(), before);
        first.close();
        Program::waiting(mode).close();
    }
    rig.end();
}

#[test]
fn duplicates_share_one_open_and_the_last_close_ends_it() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let first = Program::waiting(Mode::Tun);
    let second = first.duplicate();
    first.close();
    assert!(card.has(IFF_LINK));
    assert_eq!(Program::open("/dev/tun/0").map(drop), Err(EBUSY));
    second.close();
    assert!(!card.has(IFF_LINK));
    Program::waiting(Mode::Tun).close();
    drop(card);
    rig.end();
}

#[test]
fn a_unit_works_in_whichever_order_it_is_opened_and_gets_its_interface() {
    for mode in Mode::ALL {
        for open_first in [true, false] {
            let rig = Rig::boot();
            let far = open_first.then(|| rig.far(mode, haiku_system::far::Waiting::Read).unwrap());
            rig.configure(mode).unwrap();
            let far = far.unwrap_or_else(|| rig.far(mode, haiku_system::far::Waiting::Read).unwrap());
            rig.ping(mode, Family::Inet, 3, 56);
            rig.ping(mode, Family::Inet6, 3, 56);
            far.stop().unwrap();
            rig.end();
        }
    }
}

#[test]
fn a_unit_outlives_its_interface_while_a_program_has_it_open() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    for _ in 0..3 {
        rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
        assert!(rig.stack().interface("tun/0").unwrap().flags & (IFF_UP | IFF_LINK) == IFF_UP | IFF_LINK);
        rig.ifconfig("--delete tun/0").unwrap();
        assert_eq!(program.packet(), Err(ENXIO));
    }
    program.close();
    rig.end();
}

#[test]
fn probing_a_missing_interface_does_not_hang_up_a_program() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    // As `BNetworkDevice` and `ifconfig scan` do: Haiku makes the interface to look at it, and removes it.
    drop(Card::new(&rig, "tun/0"));
    assert_eq!((program.packet(), program.ready(POLLIN | POLLOUT)), (Err(B_WOULD_BLOCK), 0));
    rig.configure(Mode::Tun).unwrap();
    rig.ifconfig("--delete tun/0").unwrap();
    drop(Card::new(&rig, "tun/0"));
    assert_eq!(program.packet(), Err(ENXIO), "that one was really there");
    program.close();
    rig.end();
}

#[test]
fn an_interface_outlives_the_program_that_had_its_unit_open() {
    let rig = Rig::boot();
    rig.configure(Mode::Tun).unwrap();
    for _ in 0..3 {
        let far = rig.far(Mode::Tun, haiku_system::far::Waiting::Poll).unwrap();
        rig.ping(Mode::Tun, Family::Inet, 2, 56);
        far.stop().unwrap();
    }
    let flags = rig.stack().interface("tun/0").unwrap().flags;
    assert_eq!(flags & (IFF_UP | IFF_LINK), IFF_UP);
    rig.end();
}

#[test]
fn a_unit_keeps_its_address_while_the_system_runs() {
    let rig = Rig::boot();
    let address = |rig: &Rig| Card::new(rig, "tap/0").address();
    let first = address(&rig);
    assert_eq!(first[0] & 3, 2, "a unicast address, locally administered");
    assert_eq!(address(&rig), first);
    let program = Program::new(Mode::Tap);
    assert_eq!(address(&rig), first);
    let other = LinuxRequest { flags: 1, address: [2, 0, 0, 0, 7, 7], ..zeroed() };
    program.exchange(SIOCSIFHWADDR, other).unwrap();
    program.close();
    assert_eq!(address(&rig), [2, 0, 0, 0, 7, 7], "one that was set is kept too");
    assert_ne!(Card::new(&rig, "tap/1").address(), first);
    rig.end();
}

#[test]
fn clone_nodes_give_each_open_the_lowest_free_unit() {
    let rig = Rig::with_settings("nodes clone\n");
    assert_eq!(devfs::devices(), ["misc/tun_tap", "misc/tun_tap_short", "tap", "tun"]);
    let open = || Program::open("/dev/tun").expect("a free unit");
    let programs = [open(), open(), open()];
    assert_eq!(programs.map(|program| program.interface()), ["tun/0", "tun/1", "tun/2"]);
    programs[1].close();
    let again = open();
    assert_eq!(again.interface(), "tun/1");
    assert_eq!(open().interface(), "tun/3");
    assert_eq!(Program::open("/dev/tap").expect("a free unit").interface(), "tap/0");
    assert_eq!(devfs::devices(), ["misc/tun_tap", "misc/tun_tap_short", "tap", "tun"], "no other node ever comes");
    rig.end();
}

#[test]
fn a_clone_finds_the_interface_that_was_made_before_it_or_outlived_its_program() {
    let rig = Rig::with_settings("nodes clone\n");
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    let has_link = |name| rig.stack().interface(name).unwrap().flags & IFF_LINK != 0;
    for _ in 0..2 {
        assert!(!has_link("tun/0"));
        let program = Program::open("/dev/tun").expect("a free unit");
        assert_eq!(program.interface(), "tun/0");
        assert!(has_link("tun/0"));
        let other = Program::open("/dev/tun").expect("another");
        assert_eq!(other.interface(), "tun/1");
        other.close();
        program.close();
    }
    rig.end();
}

#[test]
fn a_clone_skips_units_of_other_owners() {
    let rig = Rig::with_settings("nodes clone\n");
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    let program = Program::open("/dev/tun").expect("a free unit");
    program.control(TUNSETOWNER, 1000).unwrap();
    program.close();
    let open_as = |user| {
        creds::set_euid(user);
        let opened = Program::open("/dev/tun").map(|program| {
            let name = program.interface();
            program.close();
            name
        });
        creds::set_euid(0);
        opened
    };
    assert_eq!(open_as(1000), Ok("tun/0".to_owned()));
    assert_eq!(open_as(1001), Err(EPERM), "without an owner a unit is root's");
    rig.end();
    let rig = Rig::with_settings("nodes clone\nopen everyone\n");
    let program = Program::open("/dev/tun").expect("a free unit");
    program.control(TUNSETOWNER, 1000).unwrap();
    let keeper = Card::new(&rig, "tun/0");
    program.close();
    assert_eq!(open_as(1001), Ok("tun/1".to_owned()));
    drop(keeper);
    rig.end();
}

#[test]
fn the_257th_clone_is_refused() {
    let rig = Rig::with_settings("nodes clone\n");
    syscalls::set_descriptor_limit(1024);
    let programs: Vec<_> = (0..UNITS).map(|_| Program::open("/dev/tun").expect("a free unit")).collect();
    let before = rig.ledgers();
    assert_eq!(Program::open("/dev/tun").map(drop), Err(EBUSY));
    assert_eq!(rig.ledgers(), before);
    programs[200].close();
    assert_eq!(Program::open("/dev/tun").map(|program| program.interface()), Ok("tun/200".to_owned()));
    rig.end();
}

/// Opens `tun/0` as a user of a group, with one supplementary group or none.
fn open_as(user: u32, group: u32, supplementary: u32) -> Result<(), status_t> {
    creds::set_euid(user);
    creds::set_egid(group);
    creds::set_supplementary_group(supplementary);
    let opened = Program::open("/dev/tun/0").map(Program::close);
    creds::set_euid(0);
    creds::set_egid(0);
    creds::set_supplementary_group(creds::NO_GROUP);
    opened
}

#[test]
fn a_unit_without_an_owner_is_opened_by_root_alone_unless_a_setting_says_otherwise() {
    let rig = Rig::boot();
    assert_eq!(open_as(0, 0, creds::NO_GROUP), Ok(()));
    let before = rig.ledgers();
    assert_eq!(open_as(1000, 100, creds::NO_GROUP), Err(EPERM));
    assert_eq!(rig.ledgers(), before);
    rig.end();
    let rig = Rig::with_settings("open everyone\n");
    assert_eq!(open_as(1000, 100, creds::NO_GROUP), Ok(()));
    let _card = Card::new(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    program.control(TUNSETOWNER, 1000).unwrap();
    program.close();
    assert_eq!(open_as(1001, 100, creds::NO_GROUP), Err(EPERM), "the setting is about units without an owner");
    drop(_card);
    rig.end();
}

#[test]
fn a_unit_with_an_owner_and_a_group_is_opened_by_a_user_who_is_both_and_by_root() {
    let rig = Rig::boot();
    let _card = Card::new(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    program.control(TUNSETOWNER, 1000).unwrap();
    program.control(TUNSETGROUP, 50).unwrap();
    program.close();
    let before = rig.ledgers();
    assert_eq!(open_as(1001, 50, creds::NO_GROUP), Err(EPERM));
    assert_eq!(open_as(1000, 51, creds::NO_GROUP), Err(EPERM), "both must match if both are set");
    assert_eq!(rig.ledgers(), before);
    assert_eq!(open_as(1000, 50, creds::NO_GROUP), Ok(()));
    assert_eq!(open_as(1000, 51, 50), Ok(()), "a supplementary group counts");
    assert_eq!(open_as(0, 0, creds::NO_GROUP), Ok(()));
    drop(_card);
    rig.end();
}

#[test]
fn a_unit_with_a_group_is_opened_by_its_members() {
    let rig = Rig::boot();
    let _card = Card::new(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    program.control(TUNSETGROUP, 50).unwrap();
    program.close();
    assert_eq!(open_as(1001, 50, creds::NO_GROUP), Ok(()));
    assert_eq!(open_as(1001, 51, 50), Ok(()));
    assert_eq!(open_as(1001, 51, 52), Err(EPERM));
    drop(_card);
    rig.end();
}

/// Counts the lines that say that another image serves the nodes.
fn warnings_of_another_image() -> usize {
    haiku_kernel::log::lines().iter().filter(|line| line.contains("are of another tun_tap")).count()
}

#[test]
fn an_interface_whose_nodes_are_of_another_image_is_logged() {
    /// The list of an image that an older package brought: it knows nothing of this image's units.
    extern "C" fn nodes_of_another_image() -> *const *const c_char {
        struct List([*const c_char; 2]);
        // SAFETY: the pointers are to constants.
        unsafe impl Sync for List {}
        static LIST: List = List([c"tun/0".as_ptr(), std::ptr::null()]);
        LIST.0.as_ptr()
    }
    let exports = Exports { publish_devices: Some(nodes_of_another_image), ..haiku_system::addon::linked() };
    let rig = Rig::with(LabOptions { exports: Some(exports), ..LabOptions::default() });
    assert_eq!(warnings_of_another_image(), 0);
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    assert_eq!(warnings_of_another_image(), 1);
    rig.end();
}

#[test]
fn an_interface_whose_nodes_are_of_this_image_is_not_logged() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
    let program = Program::new(Mode::Tap);
    assert_eq!(warnings_of_another_image(), 0);
    program.close();
    rig.end();
}
