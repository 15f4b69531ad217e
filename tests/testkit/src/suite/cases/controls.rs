//! The other controls: numbers, pointers, bounds.

use super::*;

/// A control that neither has: number 255 of the letter T.
const UNKNOWN: u32 = 0x4004_54ff;
/// FreeBSD's `TUNGIFINFO` and `TUNSIFHEAD`.
const TUNGIFINFO: u32 = 0x4008_745c;
const TUNSIFHEAD: u32 = 0x8004_7460;
/// Ours.
const TUNGETSTATISTICS: u32 = 0xc298_54f0;

const ARPHRD_ETHER: i32 = 1;
const ARPHRD_NONE: i32 = 0xfffe;
const ARPHRD_PPP: i32 = 512;

const NOT_LINUX: &str = "ours has it besides";

pub(super) const CASES: &[Case] = &[
    Case::new("an unknown control", BOTH, |system| number(system, made(system, Framing::Bare), UNKNOWN, 0).into())
        .differs("ENOTTY", "what POSIX says of a control that a device does not know"),
    Case::new("`TUNGETSNDBUF` before `TUNSETIFF`", BOTH, |system| {
        integer(system, open(system), TUNGETSNDBUF, 0).map(drop).into()
    })
    .differs("works", "the unit is there from the moment it is opened"),
    Case::new("`TUNGETSNDBUF` by default", BOTH, |system| {
        integer(system, made(system, Framing::Bare), TUNGETSNDBUF, 0).map(|bytes| bytes.to_string()).into()
    })
    .differs("1048576", "it is the queue to the stack that it means; Linux has none"),
    Case::new("`TUNSETSNDBUF` 65536, `TUNGETSNDBUF`", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        let set = integer(system, fd, TUNSETSNDBUF, 65536).map(drop);
        Seen::from(set).then(integer(system, fd, TUNGETSNDBUF, 0).map(|bytes| bytes.to_string()))
    }),
    Case::new("`TUNSETSNDBUF` 0", BOTH, |system| sndbuf(system, 0)),
    Case::new("`TUNSETSNDBUF` -1", BOTH, |system| sndbuf(system, -1)),
    Case::new("`TUNSETSNDBUF` with the null pointer", BOTH, |system| {
        system.ioctl(made(system, Framing::Bare), TUNSETSNDBUF, Argument::Null).into()
    }),
    Case::new("`TUNGETSNDBUF` with a pointer to nothing", BOTH, |system| {
        system.ioctl(made(system, Framing::Bare), TUNGETSNDBUF, Argument::Unmapped).into()
    }),
    Case::new("`TUNGETIFF` with a pointer to nothing", BOTH, |system| {
        system.ioctl(made(system, Framing::Bare), TUNGETIFF, Argument::Unmapped).into()
    }),
    Case::new("`TUNGETFEATURES` with the null pointer", BOTH, |system| {
        system.ioctl(open(system), TUNGETFEATURES, Argument::Null).into()
    }),
    Case::new("`TUNSETCARRIER` with a pointer to nothing", BOTH, |system| {
        system.ioctl(made(system, Framing::Bare), TUNSETCARRIER, Argument::Unmapped).into()
    }),
    Case::new("`SIOCGIFHWADDR` with a pointer to nothing", BOTH, |system| {
        system.ioctl(made(system, Framing::Bare), SIOCGIFHWADDR, Argument::Unmapped).into()
    }),
    Case::new("`TUNSETNOCSUM`", BOTH, |system| number(system, made(system, Framing::Bare), TUNSETNOCSUM, 1).into()),
    Case::new("`TUNSETPERSIST` 1, and 0", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        Seen::from(number(system, fd, TUNSETPERSIST, 1)).then(number(system, fd, TUNSETPERSIST, 0))
    }),
    Case::new("`TUNSETOWNER` and `TUNSETGROUP`", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        Seen::from(number(system, fd, TUNSETOWNER, 1000)).then(number(system, fd, TUNSETGROUP, 1000))
    }),
    Case::new("`TUNSETLINK`, interface down: the kind of link it is", TUN, |system| link(system, ARPHRD_NONE)),
    Case::new("`TUNSETLINK`, interface down: Ethernet", BOTH, |system| link(system, ARPHRD_ETHER)),
    Case::new("`TUNSETLINK`, interface down: PPP", BOTH, |system| link(system, ARPHRD_PPP))
        .differs("EINVAL", "Haiku's stack carries everything over Ethernet, so no other type would be true"),
    Case::new("`TUNSETLINK`, interface up", BOTH, |system| {
        number(system, ready(system), TUNSETLINK, ARPHRD_ETHER).into()
    }),
    Case::new("`TUNSETOFFLOAD` 0", BOTH, |system| number(system, made(system, Framing::Bare), TUNSETOFFLOAD, 0).into())
        .differs("ENOTTY", "there is nothing to offload to: Haiku's stack has neither segments nor partial checksums"),
    Case::new("`FIONREAD`, queue empty, and a packet of 100 bytes", BOTH, |system| {
        let fd = ready(system);
        let count = || integer(system, fd, system.numbers().fionread, -1).map(|bytes| bytes as usize);
        let empty = Seen::from(count());
        send(system, &[100]);
        empty.then(count())
    })
    .differs("0 bytes, then 100 bytes", NOT_LINUX),
    Case::new("FreeBSD's `TUNGIFINFO`", BOTH, |system| {
        system.ioctl(made(system, Framing::Bare), TUNGIFINFO, Argument::Memory(&mut [0; 8])).into()
    })
    .differs("works", NOT_LINUX),
    Case::new("FreeBSD's `TUNSIFHEAD`", BOTH, |system| {
        integer(system, made(system, Framing::Bare), TUNSIFHEAD, 1).map(drop).into()
    })
    .differs("works", NOT_LINUX),
    Case::new("our `TUNGETSTATISTICS`", BOTH, |system| {
        let mut request = [0; 0x298];
        request[..4].copy_from_slice(&2u32.to_ne_bytes());
        request[4..8].copy_from_slice(&0x298u32.to_ne_bytes());
        system.ioctl(made(system, Framing::Bare), TUNGETSTATISTICS, Argument::Memory(&mut request)).into()
    })
    .differs("works", NOT_LINUX),
];

fn sndbuf(system: &dyn System, bytes: i32) -> Seen {
    integer(system, made(system, Framing::Bare), TUNSETSNDBUF, bytes).map(drop).into()
}

fn link(system: &dyn System, kind: i32) -> Seen {
    number(system, made(system, Framing::Bare), TUNSETLINK, kind).into()
}
