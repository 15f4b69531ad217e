//! What `write` takes, and what it says of the rest.

use super::*;

const CHECKED: &str = "checked before anything is allocated; the stack could only drop it";
const LONGEST: &str = "longer than a packet of IPv4 can be; as on FreeBSD";

pub(super) const CASES: &[Case] = &[
    Case::new("a packet of IPv4", TUN, |system| through(system, &packet::ipv4(Way::ToStack, 100))),
    Case::new("a packet of IPv6", TUN, |system| through(system, &packet::ipv6(Way::ToStack, 100))),
    Case::new("a broadcast frame", TAP, |system| through(system, &to(packet::BROADCAST, 60))),
    Case::new("a frame to the interface", TAP, |system| {
        let fd = ready(system);
        write_through(system, fd, &to(system.address(), 60))
    }),
    Case::new("a frame to a group", TAP, |system| through(system, &to([1, 0, 0x5e, 0, 0, 1], 60))),
    Case::new("a frame to another station", TAP, |system| {
        let fd = ready(system);
        let written = system.write(fd, &to(packet::STRANGER, 60));
        let after = to(packet::BROADCAST, 61);
        system.write(fd, &after).expect("a good frame");
        let passed = system.receive() != after;
        Seen::from(written).then(if passed { "the stack gets it" } else { "the stack does not get it" })
    }),
    Case::new("no bytes", BOTH, |system| system.write(ready(system), &[]).into())
        .differs("0 bytes", "Haiku's kernel does not ask a driver to write nothing; in a batch it is `EINVAL`"),
    Case::new("a frame of 13 bytes", TAP, |system| system.write(ready(system), &[0xff; 13]).into()),
    Case::new("a frame of 14 bytes", TAP, |system| system.write(ready(system), &[0xff; 14]).into()),
    Case::new("a packet of 1 byte", TUN, |system| system.write(ready(system), &[0x45]).into())
        .differs("EINVAL", CHECKED),
    Case::new("a packet of 19 bytes", TUN, |system| {
        system.write(ready(system), &packet::ipv4(Way::ToStack, 20)[..19]).into()
    })
    .differs("EINVAL", CHECKED),
    Case::new("neither IPv4 nor IPv6", TUN, |system| system.write(ready(system), &[0x50; 100]).into()),
    Case::new("as long as the MTU", TUN, |system| write(system, ready(system), 1500).into()),
    Case::new("one byte longer than the MTU", TUN, |system| write(system, ready(system), 1501).into()),
    Case::new("as long as the MTU and an Ethernet header", TAP, |system| write(system, ready(system), 1514).into()),
    Case::new("and a VLAN tag", TAP, |system| write(system, ready(system), 1518).into()),
    Case::new("longer than that", TAP, |system| write(system, ready(system), 1519).into()),
    Case::new("100,000 bytes", BOTH, |system| {
        let mut long = packet(system, Way::ToStack, 100);
        long.resize(100_000, 0);
        system.write(ready(system), &long).into()
    })
    .differs("EMSGSIZE", LONGEST),
    Case::new("from where there is nothing", BOTH, |system| system.write_unmapped(ready(system), 100).into()),
    Case::new("while the interface is down", BOTH, |system| write(system, made(system, Framing::Bare), 100).into())
        .differs("ENETDOWN", "says which; `EIO` could be anything"),
    Case::new("after the interface was removed", BOTH, |system| {
        let fd = ready(system);
        system.remove();
        write(system, fd, 100).into()
    })
    .differs("ENXIO", "Haiku has no `EBADFD`; the descriptor is good, its device is gone"),
    Case::new("a packet behind packet information", TUN, |system| {
        let fd = ready_with(system, Framing::Information);
        let packet = packet::ipv4(Way::ToStack, 100);
        Seen::from(system.write(fd, &behind(0x0800, &packet))).then(arrives(system, &packet))
    }),
    Case::new("a frame behind packet information", TAP, |system| {
        let fd = ready_with(system, Framing::Information);
        let frame = to(packet::BROADCAST, 60);
        Seen::from(system.write(fd, &behind(0x0800, &frame))).then(arrives(system, &frame))
    }),
    Case::new("packet information that is not whole", BOTH, |system| {
        system.write(ready_with(system, Framing::Information), &[0; 3]).into()
    }),
    Case::new("packet information and no packet", TUN, |system| {
        system.write(ready_with(system, Framing::Information), &behind(0x0800, &[])).into()
    })
    .differs("EINVAL", CHECKED),
    Case::new("packet information of IPv6 in front of IPv4", TUN, |system| {
        system.write(ready_with(system, Framing::Information), &behind(0x86dd, &packet::ipv4(Way::ToStack, 100))).into()
    }),
    Case::new("packet information in front of no IP", TUN, |system| {
        system.write(ready_with(system, Framing::Information), &behind(0x88cc, &[0x50; 100])).into()
    })
    .differs("EINVAL", "the packet's own version decides; Haiku's stack takes nothing but IP here"),
    Case::new("`writev` of a packet in two halves", TUN, |system| {
        let packet = packet::ipv4(Way::ToStack, 100);
        system.writev(ready(system), &[&packet[..50], &packet[50..]]).into()
    })
    .differs(
        "EINVAL",
        "Haiku makes one call of each vector, and the first is shorter than its header says; `TUNWRITEBATCH` writes many \
         packets",
    ),
];

/// An Ethernet frame of IPv4.
fn to(station: [u8; 6], length: usize) -> Vec<u8> {
    let inner = packet::ipv4(Way::ToStack, length - packet::ETHERNET_HEADER);
    packet::frame(station, [2, 0, 0, 0, 0, 9], packet::ETHER_TYPE_IP, &inner)
}

/// A packet behind its `struct tun_pi`.
fn behind(protocol: u16, packet: &[u8]) -> Vec<u8> {
    let mut whole = vec![0, 0];
    whole.extend(protocol.to_be_bytes());
    whole.extend(packet);
    whole
}

fn through(system: &dyn System, packet: &[u8]) -> Seen {
    let fd = ready(system);
    write_through(system, fd, packet)
}

fn write_through(system: &dyn System, fd: Fd, packet: &[u8]) -> Seen {
    Seen::from(system.write(fd, packet)).then(arrives(system, packet))
}
