//! Who may open a unit, when, and what closing it ends.

use super::*;

/// Two users that are not root.
const USER: u32 = 1000;
const OTHER: u32 = 1001;

pub(super) const CASES: &[Case] = &[
    Case::new("open before there is an interface", BOTH, |system| {
        system.open(Access::ReadWrite, Blocking::Wait).map(drop).into()
    }),
    Case::new("`TUNSETIFF` makes the interface", BOTH, |system| {
        let fd = open(system);
        set_own_interface(system, fd).expect("its own name and kind");
        system.exists().into()
    })
    .differs("no", "Haiku's stack makes an interface when `ifconfig` first names it; the unit finds it then"),
    Case::new("a second opener of a unit", BOTH, |system| {
        let _first = made(system, Framing::Bare);
        second(system).into()
    }),
    Case::new("an opener after the first has closed", BOTH, |system| {
        let first = made(system, Framing::Bare);
        system.close(first).expect("it was open");
        second(system).into()
    }),
    Case::new("close of one duplicate, write to the other", BOTH, |system| {
        let fd = ready(system);
        let duplicate = system.dup(fd).expect("a duplicate");
        system.close(fd).expect("it was open");
        write(system, duplicate, 100).into()
    }),
    Case::new("write to a descriptor opened `O_RDONLY`", BOTH, |system| {
        let fd = system.open(Access::Read, Blocking::DontWait).expect("the unit is free");
        system.make(fd, Framing::Bare).expect("an interface");
        system.up();
        write(system, fd, 100).into()
    }),
    Case::new("read from a descriptor opened `O_WRONLY`", BOTH, |system| {
        let fd = system.open(Access::Write, Blocking::DontWait).expect("the unit is free");
        system.make(fd, Framing::Bare).expect("an interface");
        read(system, fd).into()
    }),
    Case::new("the interface is there after the last close", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        system.close(fd).expect("it was open");
        system.exists().into()
    })
    .differs(
        "yes",
        "an interface belongs to Haiku's stack until `ifconfig --delete`: a program that restarts finds it",
    ),
    Case::new("the interface is there after `TUNSETPERSIST` and the last close", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        persist(system, fd);
        system.close(fd).expect("it was open");
        system.exists().into()
    }),
    Case::new("open by another user than `TUNSETOWNER` names", BOTH, |system| {
        owned(system, USER);
        system.take_as(OTHER).map(drop).into()
    }),
    Case::new("open by the user that `TUNSETOWNER` names", BOTH, |system| {
        owned(system, USER);
        system.take_as(USER).map(drop).into()
    }),
    Case::new("open by root of a unit that has another owner", BOTH, |system| {
        owned(system, USER);
        second(system).into()
    }),
    Case::new("read before there is an interface", BOTH, |system| read(system, open(system)).into())
        .differs("EAGAIN", "the unit waits for its interface, whichever comes first"),
    Case::new("write before there is an interface", BOTH, |system| write(system, open(system), 100).into())
        .differs("ENETDOWN", "no interface is up; the descriptor itself is good"),
    Case::new("`poll` before there is an interface", BOTH, |system| {
        system.poll(open(system), Events::IN | Events::OUT, Patience::None).into()
    })
    .differs("nothing", "the unit waits for its interface, whichever comes first"),
];

/// Opens the unit as a second program would, by name.
fn second(system: &dyn System) -> Result<(), Errno> {
    let fd = system.open(Access::ReadWrite, Blocking::DontWait)?;
    system.make(fd, Framing::Bare)
}

fn set_own_interface(system: &dyn System, fd: Fd) -> Result<(), Errno> {
    let mut request = [0; 40];
    request[..system.name().len()].copy_from_slice(system.name().as_bytes());
    request[16..18].copy_from_slice(&(flag(system.mode()) | IFF_NO_PI).to_ne_bytes());
    system.ioctl(fd, TUNSETIFF, Argument::Memory(&mut request))
}

/// Sets the unit's owner, and leaves the unit without an opener.
fn owned(system: &dyn System, user: u32) {
    let fd = made(system, Framing::Bare);
    persist(system, fd);
    number(system, fd, TUNSETOWNER, user as i32).expect("root may do so");
    system.close(fd).expect("it was open");
}
