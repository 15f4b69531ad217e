//! Calls that block, and what ends them.

use super::*;

pub(super) const CASES: &[Case] = &[
    Case::new("a blocked read and a packet", BOTH, |system| {
        let fd = ready_to_wait(system);
        while_blocked(system, Blocked::Read, || read(system, fd), |_| send(system, &[100])).into()
    }),
    Case::new("a blocked read and a signal", BOTH, |system| {
        let fd = ready_to_wait(system);
        while_blocked(system, Blocked::Read, || read(system, fd), |thread| system.signal(thread)).into()
    }),
    Case::new("a blocked read and `close` by another thread", BOTH, |system| {
        let fd = ready_to_wait(system);
        persist(system, fd);
        let close = |_| {
            system.close(fd).expect("it is open");
            // A program that still has the unit open gets this; otherwise the packet is dropped.
            let _ = system.send(&packet(system, Way::ToUser, 100));
        };
        while_blocked(system, Blocked::Read, || read(system, fd), close).into()
    })
    .differs("EBADF", "every blocked call ends at once when its descriptor is closed"),
    Case::new("a blocked read while the interface goes down and up, and a packet", BOTH, |system| {
        let fd = ready_to_wait(system);
        let bounce = |_| {
            system.down();
            system.up();
            send(system, &[100]);
        };
        while_blocked(system, Blocked::Read, || read(system, fd), bounce).into()
    }),
    Case::new("a blocked read and removal of the interface", BOTH, |system| {
        let fd = ready_to_wait(system);
        while_blocked(system, Blocked::Read, || read(system, fd), |_| system.remove()).into()
    })
    .differs("ENXIO", "Haiku has no `EBADFD`; the descriptor is good, its device is gone"),
    Case::new("a blocked `poll` for reading and a packet", BOTH, |system| {
        let fd = ready(system);
        polled(system, fd, Events::IN, &|| send(system, &[100]))
    }),
    Case::new("a blocked `poll` for writing and `ifconfig up`", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        polled(system, fd, Events::OUT, &|| system.up())
    }),
    Case::new("a blocked `poll` for reading ends on removal of the interface, and another says", BOTH, |system| {
        let fd = ready(system);
        // Haiku notifies one event at a time, and the waiter may return with the first.
        let first = polled(system, fd, Events::IN, &|| system.remove());
        assert_ne!(first, Events::empty().into());
        system.poll(fd, Events::IN, Patience::None).into()
    })
    .differs("IN ERR HUP", "hang-up says that the interface went; a read would not block"),
    Case::new("a blocked `poll` and a signal", BOTH, |system| {
        let fd = ready(system);
        let poll = || system.poll(fd, Events::IN, Patience::Endless);
        while_blocked(system, Blocked::Poll, poll, |thread| system.signal(thread)).into()
    }),
    Case::new("a blocked `poll` and `close` by another thread, and a packet", BOTH, |system| {
        let fd = ready(system);
        persist(system, fd);
        polled(system, fd, Events::IN, &|| {
            system.close(fd).expect("it is open");
            let _ = system.send(&packet(system, Way::ToUser, 100));
        })
    }),
    Case::new("a blocked `select` for reading and a packet", BOTH, |system| {
        let fd = ready(system);
        let select = || system.select(fd, Events::IN, Patience::Endless);
        while_blocked(system, Blocked::Poll, select, |_| send(system, &[100])).into()
    }),
    Case::new("a blocked `select` for writing and removal of the interface", BOTH, |system| {
        // Haiku's programs are not notified of an interface that was never up: probing a name creates one.
        let fd = ready(system);
        system.down();
        let select = || system.select(fd, Events::OUT, Patience::Endless);
        while_blocked(system, Blocked::Poll, select, |_| system.remove()).into()
    }),
];

/// What a blocked `poll` says once something has been done.
fn polled(system: &dyn System, fd: Fd, events: Events, act: &dyn Fn()) -> Seen {
    while_blocked(system, Blocked::Poll, || system.poll(fd, events, Patience::Endless), |_| act()).into()
}
