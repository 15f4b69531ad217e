//! The interface: MTU, address, link and statistics.

use super::*;

/// Linux's `ARPHRD_ETHER`.
const ARPHRD_ETHER: u16 = 1;

pub(super) const CASES: &[Case] = &[
    Case::new("the MTU by default", BOTH, |system| {
        made(system, Framing::Bare);
        system.mtu().into()
    }),
    Case::new("an MTU of 67", BOTH, |system| set_mtu(system, 67)),
    Case::new("an MTU of 68", BOTH, |system| set_mtu(system, 68)),
    Case::new("an MTU of 65535", TUN, |system| set_mtu(system, 65535)),
    Case::new("an MTU of 65535, TAP", TAP, |system| set_mtu(system, 65535))
        .differs("works", "the header does not count, on either interface"),
    Case::new("an MTU of 65536", BOTH, |system| set_mtu(system, 65536)),
    Case::new("a write as long as a new MTU, and longer", TUN, |system| {
        let fd = ready(system);
        system.set_mtu(9000).expect("within bounds");
        Seen::from(write(system, fd, 9000)).then(write(system, fd, 9001))
    }),
    Case::new("what kind of link a TUN is", TUN, kind)
        .differs("POINT_TO_POINT", "as it was tried on a real Haiku; multicast packets cross all the same"),
    Case::new("what kind of link a TAP is", TAP, kind),
    Case::new("the link, interface up and the unit open", BOTH, |system| {
        ready(system);
        link(system)
    }),
    Case::new("the link while no program has the unit open", BOTH, |system| {
        let fd = ready(system);
        persist(system, fd);
        system.close(fd).expect("it was open");
        link(system)
    }),
    Case::new("the link after `TUNSETCARRIER` 0, and 1", BOTH, |system| {
        let fd = ready(system);
        integer(system, fd, TUNSETCARRIER, 0).expect("an interface");
        let without = link(system);
        integer(system, fd, TUNSETCARRIER, 1).expect("an interface");
        without.then(link(system))
    }),
    Case::new("the address is administered locally, and one station's", TAP, |system| {
        made(system, Framing::Bare);
        (system.address()[0] & 3 == 2).into()
    }),
    Case::new("`SIOCGIFHWADDR` says the interface's address", TAP, |system| {
        let fd = made(system, Framing::Bare);
        let request = hardware(system, fd, SIOCGIFHWADDR, [0; 6], 0).expect("an address");
        (request[16..18] == ARPHRD_ETHER.to_ne_bytes() && request[18..24] == system.address()).into()
    }),
    Case::new("the family of a TUN's address", TUN, |system| {
        let fd = made(system, Framing::Bare);
        let request = hardware(system, fd, SIOCGIFHWADDR, [0; 6], 0).expect("an address");
        format!("{:#x}", u16::from_ne_bytes([request[16], request[17]])).into()
    })
    .differs("0x1", "Haiku's stack carries IPv4 and IPv6 over Ethernet only, so a TUN has an Ethernet address"),
    Case::new("`SIOCSIFHWADDR`, interface up", TAP, |system| {
        let fd = ready(system);
        let address = [2, 0x10, 0x20, 0x30, 0x40, 0x50];
        let set = hardware(system, fd, SIOCSIFHWADDR, address, ARPHRD_ETHER);
        Seen::from(set.map(drop)).then(system.address() == address)
    })
    .differs("EBUSY, then no", "Haiku's ARP continues to announce the address that the interface came up with"),
    Case::new("`SIOCSIFHWADDR`, a group's address", TAP, |system| {
        set_address(system, [3, 0, 0, 0, 0, 1], ARPHRD_ETHER)
    }),
    Case::new("`SIOCSIFHWADDR`, all zeros", TAP, |system| set_address(system, [0; 6], ARPHRD_ETHER)),
    Case::new("`SIOCSIFHWADDR`, of another family", TAP, |system| set_address(system, [2, 0, 0, 0, 0, 1], 6)),
    Case::new("statistics after three packets written and two read", BOTH, |system| {
        let fd = ready(system);
        for length in [60, 61, 62] {
            write(system, fd, length).expect("there is room");
            system.receive();
        }
        send(system, &[100, 101]);
        read(system, fd).and_then(|_| read(system, fd)).expect("two packets");
        let (to_stack, to_program) = system.statistics(fd);
        format!("{to_stack} to the stack, {to_program} to the program").into()
    }),
];

fn set_mtu(system: &dyn System, mtu: usize) -> Seen {
    made(system, Framing::Bare);
    system.set_mtu(mtu).into()
}

fn kind(system: &dyn System) -> Seen {
    made(system, Framing::Bare);
    let names: Vec<_> = (system.flags() - InterfaceFlags::LINK).iter_names().map(|(name, _)| name).collect();
    names.join(" ").into()
}

fn link(system: &dyn System) -> Seen {
    if system.flags().contains(InterfaceFlags::LINK) { "up" } else { "down" }.into()
}

fn set_address(system: &dyn System, address: [u8; 6], family: u16) -> Seen {
    let fd = made(system, Framing::Bare);
    hardware(system, fd, SIOCSIFHWADDR, address, family).map(drop).into()
}

fn hardware(system: &dyn System, fd: Fd, control: u32, address: [u8; 6], family: u16) -> Result<[u8; 40], Errno> {
    let mut request = [0; 40];
    request[16..18].copy_from_slice(&family.to_ne_bytes());
    request[18..24].copy_from_slice(&address);
    system.ioctl(fd, control, Argument::Memory(&mut request))?;
    Ok(request)
}
