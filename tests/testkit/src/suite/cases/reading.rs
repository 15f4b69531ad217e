//! What `read` returns.

use super::*;

const PACKET_LOST: &str = "checked before a packet is taken, so that none is lost";

pub(super) const CASES: &[Case] = &[
    Case::new("read, queue empty, `O_NONBLOCK` at open", BOTH, |system| read(system, ready(system)).into()),
    Case::new("read, queue empty, `O_NONBLOCK` by `fcntl`", BOTH, |system| {
        let fd = ready_to_wait(system);
        system.set_blocking(fd, Blocking::DontWait).expect("fcntl");
        read(system, fd).into()
    }),
    Case::new("read, queue empty, `FIONBIO`", BOTH, |system| {
        let fd = ready_to_wait(system);
        integer(system, fd, system.numbers().fionbio, 1).expect("FIONBIO");
        read(system, fd).into()
    }),
    Case::new("read, queue empty, `O_NONBLOCK` set on a duplicate", BOTH, |system| {
        let fd = ready_to_wait(system);
        let duplicate = system.dup(fd).expect("a duplicate");
        system.set_blocking(duplicate, Blocking::DontWait).expect("fcntl");
        read(system, fd).into()
    }),
    Case::new("`F_GETFL` shows `O_NONBLOCK` after `F_SETFL`", BOTH, |system| {
        let fd = ready_to_wait(system);
        system.set_blocking(fd, Blocking::DontWait).expect("fcntl");
        (system.blocking(fd) == Ok(Blocking::DontWait)).into()
    }),
    Case::new("one packet a call, whole and in order", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100, 1500, 60]);
        Seen::from(read(system, fd)).then(read(system, fd)).then(read(system, fd)).then(read(system, fd))
    }),
    Case::new("what is read is what was sent", BOTH, |system| {
        let fd = ready(system);
        let sent = packet(system, Way::ToUser, 1400);
        system.send(&sent).expect("there is room");
        let mut buffer = vec![0; 2000];
        let length = system.read(fd, &mut buffer).expect("a packet");
        (buffer[..length] == sent).into()
    }),
    Case::new("a buffer shorter than the packet gets its beginning; the rest is gone", BOTH, |system| {
        let fd = ready(system);
        let sent = packet(system, Way::ToUser, 200);
        system.send(&sent).expect("there is room");
        send(system, &[100]);
        let mut buffer = [0; 50];
        let first = system.read(fd, &mut buffer);
        assert_eq!(buffer, sent[..50]);
        Seen::from(first).then(read(system, fd))
    }),
    Case::new("a read of no bytes, queue empty, `O_NONBLOCK`", BOTH, |system| {
        system.read(ready(system), &mut []).into()
    }),
    Case::new("a read of no bytes leaves the packet", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        Seen::from(system.read(fd, &mut [])).then(read(system, fd))
    }),
    Case::new("a read to where there is nothing; the packet is gone", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100, 200]);
        Seen::from(system.read_unmapped(fd, 4096)).then(read(system, fd))
    })
    .differs("EFAULT, then 200 bytes", "nothing was copied, so nothing is said to have been; a counter has the packet"),
    Case::new("`readv` into 50 and 150 bytes of a packet of 100", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100, 60]);
        let (mut first, mut second) = ([0; 50], [0; 150]);
        Seen::from(system.readv(fd, &mut [&mut first, &mut second])).then(read(system, fd))
    })
    .differs("110 bytes, then EAGAIN", "Haiku makes one call of each vector; `TUNREADBATCH` reads many packets"),
    Case::new("what is queued stays while the interface is down", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        system.down();
        read(system, fd).into()
    }),
    Case::new("what is queued when the unit is closed is nothing to the next opener", BOTH, |system| {
        let fd = ready(system);
        persist(system, fd);
        send(system, &[100]);
        system.close(fd).expect("it was open");
        let fd = made(system, Framing::Bare);
        read(system, fd).into()
    }),
    Case::new("read after the interface was removed", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        system.remove();
        read(system, fd).into()
    })
    .differs("ENXIO", "Haiku has no `EBADFD`; the descriptor is good, its device is gone"),
    Case::new("read after the interface was removed and made again", BOTH, |system| {
        let fd = ready(system);
        system.remove();
        system.remake();
        system.up();
        read(system, fd).into()
    })
    .differs(
        "EAGAIN",
        "the unit belongs to its opener, so a new interface of the name is his; nothing need be reopened",
    ),
    Case::new("packet information of an IPv4 packet", TUN, |system| {
        information(system, &packet::ipv4(Way::ToUser, 100), 200)
    }),
    Case::new("packet information of an IPv6 packet", TUN, |system| {
        information(system, &packet::ipv6(Way::ToUser, 100), 200)
    }),
    Case::new("packet information of an ARP frame", TAP, |system| {
        let frame = packet::frame(packet::BROADCAST, packet::STRANGER, packet::ETHER_TYPE_ARP, &[0; 46]);
        information(system, &frame, 200)
    }),
    Case::new("packet information in front of a packet that is cut short", TUN, |system| {
        information(system, &packet::ipv4(Way::ToUser, 100), 50)
    }),
    Case::new("a buffer too short for packet information", BOTH, |system| {
        let fd = ready_with(system, Framing::Information);
        send(system, &[100]);
        Seen::from(system.read(fd, &mut [0; 3])).then(read(system, fd))
    })
    .differs("EINVAL, then 104 bytes", PACKET_LOST),
];

/// Reads a packet with what is in front of it: length, flags and protocol.
fn information(system: &dyn System, packet: &[u8], room: usize) -> Seen {
    let fd = ready_with(system, Framing::Information);
    system.send(packet).expect("there is room");
    let mut buffer = vec![0; room];
    match system.read(fd, &mut buffer) {
        Ok(length) => {
            let (flags, protocol) = (u16::from_ne_bytes([buffer[0], buffer[1]]), [buffer[2], buffer[3]]);
            assert_eq!(buffer[4..length], packet[..length - 4]);
            format!("{length} bytes, flags {flags}, protocol {:04x}", u16::from_be_bytes(protocol)).into()
        }
        Err(error) => error.into(),
    }
}
