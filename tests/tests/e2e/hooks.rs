//! Every hook of the network device in every state that it should not be called in.

use std::ffi::CString;
use std::ptr::null_mut;

use haiku_sys::{
    AF_INET, B_BAD_VALUE, B_ERROR, B_NOT_SUPPORTED, B_OK, B_WOULD_BLOCK, ENETDOWN, IFF_LINK, IFT_LOOP, SIOCGIFSTATS,
    SIOCSPACKETCAP, sockaddr_dl,
};
use haiku_system::Mode;
use tuntap_testkit::card::{Card, Module, link_layer};
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

#[test]
fn a_name_that_is_no_unit_makes_no_device() {
    let rig = Rig::boot();
    let module = Module::get(&rig);
    let init = module.table().init_device.unwrap();
    let before = rig.ledgers();
    let long = "tun/".repeat(100);
    for name in ["", "/", "tun", "tap", "tun/", "tun/256", "tun/01", "tun/+1", "tun/1 ", "loop", "/dev/tun/0", &long] {
        let name = CString::new(name).unwrap();
        let mut device = null_mut();
        // SAFETY: a C string, and a place for the device.
        assert_eq!(unsafe { init(name.as_ptr(), &mut device) }, B_BAD_VALUE, "{name:?}");
        assert!(device.is_null());
    }
    assert_eq!(rig.ledgers(), before);
    drop(module);
    rig.end();
}

#[test]
fn up_and_down_may_come_twice_or_without_each_other() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::new(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let (frame, packet) = (stack_frame(mode, card.address(), 100), program_packet(mode, Way::ToStack, 100));
        let closed = || {
            assert!(card.drops(&frame));
            assert_eq!(card.receive(), Err(ENETDOWN));
            assert_eq!(program.write(&packet), Err(ENETDOWN));
        };
        let open = || {
            assert_eq!(card.send(&frame), Ok(()));
            assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
            assert_eq!(program.write(&packet), Ok(100));
            assert!(card.receive().is_ok());
        };
        closed();
        card.down();
        closed();
        card.up();
        card.up();
        open();
        card.down();
        closed();
        card.down();
        closed();
        card.up();
        open();
        program.check_accounts();
        drop(card);
        rig.end();
    }
}

#[test]
fn an_interface_may_be_removed_in_any_state() {
    let rig = Rig::boot();
    let uninit = |card: Card<'_>, go_down: bool| {
        if go_down {
            card.down();
        }
        drop(card);
    };
    for open in [false, true] {
        for up in [false, true] {
            for go_down in [false, true] {
                let program = open.then(|| Program::new(Mode::Tap));
                let card = Card::new(&rig, "tap/0");
                if up {
                    card.up();
                }
                if let (Some(program), true) = (program, up) {
                    program.write(&program_packet(Mode::Tap, Way::ToStack, 100)).unwrap();
                    card.send(&stack_frame(Mode::Tap, card.address(), 100)).unwrap();
                }
                uninit(card, go_down);
                program.into_iter().for_each(Program::close);
            }
        }
    }
    rig.end();
}

#[test]
fn an_interface_may_be_removed_without_having_been_taken_down() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    let card = Card::ready(&rig, "tun/0");
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    // The stack's flag says that it is down, and `down` was not called.
    card.forget_up();
    drop(card);
    program.check_accounts();
    assert_eq!(program.statistics().to_user.purged, 1);
    rig.end();
}

#[test]
fn a_successor_may_come_before_its_predecessor_has_gone() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    let first = Card::ready(&rig, "tun/0");
    first.send(&stack_frame(Mode::Tun, first.address(), 100)).unwrap();
    first.down();
    let second = Card::ready(&rig, "tun/0");
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK), "nothing of the first is left for the second");
    drop(first);
    assert!(second.has(IFF_LINK));
    second.send(&stack_frame(Mode::Tun, second.address(), 80)).unwrap();
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(80), "the end of the first is not the second's");
    program.write(&program_packet(Mode::Tun, Way::ToStack, 60)).unwrap();
    assert!(second.receive().is_ok());
    program.check_accounts();
    drop(second);
    rig.end();
}

#[test]
fn sending_nothing_is_refused() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let send = card.hooks().send_data.unwrap();
    // SAFETY: the device is alive; the hook says what it thinks of no packet.
    assert_eq!(unsafe { send(card.device(), null_mut()) }, B_BAD_VALUE);
    assert_eq!(program.statistics().to_user.accepted, 0);
    drop(card);
    rig.end();
}

#[test]
fn unsupported_hooks_are_refused_or_ignored() {
    let rig = Rig::boot();
    for mode in Mode::ALL {
        let card = Card::new(&rig, &mode.interface(0));
        let hooks = card.hooks();
        for media in [0, 0x20, u32::MAX] {
            // SAFETY: the device is alive.
            assert_eq!(unsafe { hooks.set_media.unwrap()(card.device(), media) }, B_NOT_SUPPORTED);
        }
        for op in [0, -1, SIOCGIFSTATS as i32, SIOCSPACKETCAP as i32, 0x5401] {
            // SAFETY: the device is alive; the hook follows no pointer.
            assert_eq!(unsafe { hooks.control.unwrap()(card.device(), op, null_mut(), usize::MAX) }, B_BAD_VALUE);
        }
        for hook in [hooks.add_multicast.unwrap(), hooks.remove_multicast.unwrap()] {
            let group = link_layer([0x33, 0x33, 0, 0, 0, 7]);
            let spoilings: [fn(&mut sockaddr_dl); 5] = [
                |address| address.sdl_family = AF_INET as u8,
                |address| address.sdl_type = IFT_LOOP as u8,
                |address| address.sdl_nlen = 41,
                |address| address.sdl_nlen = 255,
                |address| address.sdl_data[0] = 2,
            ];
            for spoil in spoilings {
                let mut address = group;
                spoil(&mut address);
                // SAFETY: the device is alive, and so is the address.
                assert_eq!(unsafe { hook(card.device(), (&raw const address).cast()) }, B_BAD_VALUE, "{address:?}");
            }
            // SAFETY: as above.
            assert_eq!(unsafe { hook(card.device(), (&raw const group).cast()) }, B_OK);
        }
        drop(card);
    }
    rig.end();
}

#[test]
fn an_operation_that_no_module_knows_is_an_error() {
    let rig = Rig::boot();
    let module = Module::get(&rig);
    let std_ops = module.table().info.std_ops.unwrap();
    for op in [0, 3, -1, i32::MAX] {
        // SAFETY: the module is loaded; an operation without arguments.
        assert_eq!(unsafe { std_ops(op) }, B_ERROR, "{op}");
    }
    drop(module);
    rig.end();
}

#[test]
fn the_module_may_come_and_go_while_a_unit_is_open() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    for _ in 0..10 {
        let modules: Vec<_> = (0..3).map(|_| Module::get(&rig)).collect();
        let card = Card::ready(&rig, "tun/0");
        card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
        assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
        drop(card);
        drop(modules);
    }
    program.check_accounts();
    rig.end();
}

#[test]
fn an_interface_of_each_mode_and_many_units_live_side_by_side() {
    let rig = Rig::boot();
    let units: Vec<(Mode, usize)> =
        Mode::ALL.into_iter().flat_map(|mode| (0..20).map(move |unit| (mode, unit))).collect();
    let cards: Vec<_> = units.iter().map(|&(mode, unit)| Card::ready(&rig, &mode.interface(unit))).collect();
    let programs: Vec<_> =
        units.iter().map(|&(mode, unit)| Program::open(&mode.node(unit)).expect("a free unit")).collect();
    for (index, (card, &(mode, _))) in cards.iter().zip(&units).enumerate() {
        card.send(&stack_frame(mode, card.address(), 100 + index)).unwrap();
    }
    for (index, program) in programs.iter().enumerate() {
        assert_eq!(program.packet().map(|packet| packet.len()), Ok(100 + index));
    }
    let mut addresses: Vec<_> = cards.iter().map(|card| card.address()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), cards.len(), "each has an address of its own");
    drop(cards);
    rig.end();
}
