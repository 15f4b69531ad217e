//! What `poll` and `select` say at once.

use super::*;

pub(super) const CASES: &[Case] = &[
    Case::new("`poll`, interface up, queue empty", BOTH, |system| poll(system, ready(system))),
    Case::new("`poll`, a packet queued, twice", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        poll(system, fd).then(poll(system, fd))
    }),
    Case::new("`poll` for writing only, a packet queued", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        system.poll(fd, Events::OUT, Patience::None).into()
    }),
    Case::new("`poll` after the packet was read", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        read(system, fd).expect("a packet");
        poll(system, fd)
    }),
    Case::new("`poll`, interface down", BOTH, |system| poll(system, made(system, Framing::Bare))),
    Case::new("`poll`, interface down, a packet queued", BOTH, |system| {
        let fd = ready(system);
        send(system, &[100]);
        system.down();
        poll(system, fd)
    }),
    Case::new("`poll` after the interface was removed", BOTH, |system| {
        let fd = ready(system);
        system.remove();
        poll(system, fd)
    })
    .differs("IN ERR HUP", "hang-up says that the interface went; a read would not block"),
    Case::new("`select`, a packet queued", BOTH, |system| {
        let fd = ready(system);
        let empty = system.select(fd, Events::IN, Patience::None);
        send(system, &[100]);
        Seen::from(empty).then(system.select(fd, Events::IN, Patience::None))
    }),
    Case::new("`select` for writing, interface down and up", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        let down = system.select(fd, Events::OUT, Patience::None);
        system.up();
        Seen::from(down).then(system.select(fd, Events::OUT, Patience::None))
    }),
    Case::new("`select` for writing after the interface was removed", BOTH, |system| {
        let fd = ready(system);
        system.remove();
        system.select(fd, Events::OUT, Patience::None).into()
    }),
];

fn poll(system: &dyn System, fd: Fd) -> Seen {
    system.poll(fd, Events::IN | Events::OUT, Patience::None).into()
}
