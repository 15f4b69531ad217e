//! The interface as the stack and `ifconfig` see it: kind, MTU, address, statistics.

use haiku_stack::Family;
use haiku_sys::{
    EADDRNOTAVAIL, EBUSY, EINVAL, EMSGSIZE, IFF_BROADCAST, IFF_MULTICAST, IFF_POINTOPOINT, IFF_PROMISC, IFT_ETHER,
};
use haiku_system::Mode;
use haiku_system::far::Waiting;
use tuntap_net_addon::ioctl::wire::{LinuxRequest, SIOCGIFHWADDR, SIOCSIFHWADDR, TUNGIFINFO, TUNSIFINFO, TunInfo};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{ETHERNET_HEADER, Way, program_packet};
use tuntap_testkit::program::{Program, zeroed};
use tuntap_testkit::rig::Rig;

/// Linux's `ARPHRD_ETHER`.
const ETHER: u16 = 1;

fn hardware(program: &Program) -> [u8; 6] {
    let request: LinuxRequest = program.exchange(SIOCGIFHWADDR, zeroed()).unwrap();
    assert_eq!(request.flags, ETHER);
    request.address
}

fn set_hardware(program: &Program, address: [u8; 6], family: u16) -> Result<(), i32> {
    let request = LinuxRequest { flags: family, address, ..zeroed() };
    program.exchange(SIOCSIFHWADDR, request).map(drop)
}

#[test]
fn an_interface_is_ethernet_of_the_kind_that_haiku_can_carry() {
    let rig = Rig::boot();
    let tun = Card::new(&rig, "tun/0");
    assert!(tun.has(IFF_POINTOPOINT) && !tun.has(IFF_BROADCAST), "a peer would be taken for a broadcast address");
    let tap = Card::new(&rig, "tap/0");
    assert!(tap.has(IFF_BROADCAST | IFF_MULTICAST) && !tap.has(IFF_POINTOPOINT));
    for card in [&tun, &tap] {
        assert_eq!((card.kind(), card.mtu(), card.header_length()), (IFT_ETHER, 1500, ETHERNET_HEADER));
    }
    drop((tun, tap));
    rig.end();
}

#[test]
fn an_mtu_is_from_68_to_65535_and_does_not_bound_writes() {
    for (mode, overhead) in [(Mode::Tun, 0), (Mode::Tap, 18)] {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        for bad in [0, 1, 67, 65536, 1 << 20, usize::MAX] {
            assert_eq!(card.set_mtu(bad), Err(EINVAL), "{bad}");
            assert_eq!(card.mtu(), 1500);
        }
        for mtu in [68, 576, 1280, 1500, 9000, 65535] {
            card.set_mtu(mtu).unwrap();
            assert_eq!(card.mtu(), mtu);
            let mut packet = program_packet(mode, Way::ToStack, 60);
            packet.resize(65_535 + overhead, 0);
            assert_eq!(program.write(&packet), Ok(packet.len()));
            card.receive().unwrap();
            packet.push(0);
            assert_eq!(program.write(&packet), Err(EMSGSIZE));
        }
        drop(card);
        rig.end();
    }
}

#[test]
fn ifconfig_sets_an_mtu_and_programs_see_it() {
    let rig = Rig::boot();
    rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 mtu 1280 up").unwrap();
    let program = Program::new(Mode::Tun);
    let info: TunInfo = program.exchange(TUNGIFINFO, zeroed()).unwrap();
    assert_eq!((info.mtu, info.kind, info.baudrate), (1280, 0x17, 0));
    program.exchange(TUNSIFINFO, TunInfo { mtu: 1400, ..info }).unwrap();
    assert_eq!(rig.stack().interface("tun/0").unwrap().mtu, 1400);
    assert_eq!(program.exchange(TUNSIFINFO, TunInfo { mtu: 67, ..info }).map(drop), Err(EINVAL));
    assert_eq!(program.exchange(TUNSIFINFO, TunInfo { kind: 6, ..info }).map(drop), Err(EINVAL));
    assert_eq!(rig.stack().interface("tun/0").unwrap().mtu, 1400);
    program.close();
    let tap = Program::new(Mode::Tap);
    assert_eq!(tap.exchange(TUNGIFINFO, zeroed::<TunInfo>()).unwrap().kind, 6);
    rig.end();
}

#[test]
fn an_mtu_that_was_set_stays_with_the_unit() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    let info: TunInfo = program.exchange(TUNGIFINFO, zeroed()).unwrap();
    program.exchange(TUNSIFINFO, TunInfo { mtu: 9000, ..info }).unwrap();
    let card = Card::ready(&rig, "tun/0");
    assert_eq!(card.mtu(), 9000);
    assert_eq!(program.write(&program_packet(Mode::Tun, Way::ToStack, 9000)), Ok(9000));
    drop(card);
    rig.end();
}

#[test]
fn an_address_can_be_read_and_set_whether_there_is_an_interface_or_not() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let program = Program::new(mode);
        let random = hardware(&program);
        assert_eq!(random[0] & 3, 2, "administered locally, and one station's");
        let first = [0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee];
        set_hardware(&program, first, ETHER).unwrap();
        assert_eq!(hardware(&program), first);
        let card = Card::ready(&rig, &mode.interface(0));
        assert_eq!(card.address(), first);
        let second = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55];
        assert_eq!(set_hardware(&program, second, ETHER), Err(EBUSY), "Haiku's ARP would go on with the first");
        assert_eq!((card.address(), set_hardware(&program, first, ETHER)), (first, Ok(())), "which is no change");
        card.down();
        set_hardware(&program, second, ETHER).unwrap();
        assert_eq!((card.address(), hardware(&program)), (second, second));
        for bad in [[0; 6], [1, 0, 0, 0, 0, 1], [0xff; 6]] {
            assert_eq!(set_hardware(&program, bad, ETHER), Err(EADDRNOTAVAIL));
        }
        for family in [0, 6, 0xfffe] {
            assert_eq!(set_hardware(&program, first, family), Err(EINVAL));
        }
        assert_eq!(card.address(), second);
        drop(card);
        rig.end();
    }
}

#[test]
fn frames_are_made_for_the_address_of_now() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for address in [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]] {
        card.down();
        set_hardware(&program, address, ETHER).unwrap();
        card.up();
        program.write(&program_packet(Mode::Tun, Way::ToStack, 60)).unwrap();
        assert_eq!(card.receive().map(|frame| frame[..6].to_vec()), Ok(address.to_vec()));
    }
    drop(card);
    rig.end();
}

#[test]
fn promiscuous_is_a_flag_that_comes_and_goes() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tap/0");
    card.set_promiscuous(true).unwrap();
    assert!(card.has(IFF_PROMISC));
    card.set_promiscuous(false).unwrap();
    assert!(!card.has(IFF_PROMISC));
    drop(card);
    rig.ifconfig("tap/0 10.9.0.1 255.255.255.0 up").unwrap();
    rig.ifconfig("tap/0 promisc").unwrap();
    assert!(rig.stack().interface("tap/0").unwrap().flags & IFF_PROMISC != 0);
    rig.ifconfig("tap/0 -promisc").unwrap();
    assert!(rig.stack().interface("tap/0").unwrap().flags & IFF_PROMISC == 0);
    rig.end();
}

#[test]
fn the_stacks_statistics_and_the_drivers_agree_with_what_crossed() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        rig.configure(mode).unwrap();
        let far = rig.far(mode, Waiting::Read).unwrap();
        for family in Family::ALL {
            rig.ping(mode, family, 50, 100);
        }
        let program = Program::borrow(far.fd());
        // The stack may have more to say at any time; so it is quiet before the numbers are compared.
        rig.ifconfig(&format!("{mode}/0 down")).unwrap();
        let (driver, stack) = (program.statistics(), rig.stack().interface(&mode.interface(0)).unwrap().statistics);
        assert_eq!(u64::from(stack.send.packets), driver.to_user.accepted, "{mode}");
        assert_eq!(stack.send.bytes, driver.to_user.accepted_bytes, "{mode}");
        assert_eq!(u64::from(stack.receive.packets), driver.to_stack.delivered, "{mode}");
        let header = ETHERNET_HEADER as u64;
        assert_eq!(stack.receive.bytes, driver.to_stack.delivered_bytes - header * driver.to_stack.delivered, "{mode}");
        assert!(driver.to_user.delivered >= 100 && driver.to_stack.delivered >= 100);
        let traffic = far.traffic();
        assert_eq!(traffic.written, driver.to_stack.accepted - driver.to_user.answered, "{mode}");
        program.check_accounts();
        drop(far);
        rig.end();
    }
}
