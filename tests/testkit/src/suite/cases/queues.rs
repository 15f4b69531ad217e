//! How much the queues hold, and what becomes of packets beyond that.

use super::*;

/// More than any queue holds.
const MANY: usize = 3000;

pub(super) const CASES: &[Case] = &[
    Case::new("what the sender is told when the queue to the program is full", BOTH, |system| {
        let _fd = ready(system);
        let full = packet(system, Way::ToUser, 100);
        (0..MANY).find_map(|_| system.send(&full).err()).map_or("nothing".into(), Seen::from)
    }),
    Case::new("packets of 100 bytes that the queue to the program holds", BOTH, |system| {
        let fd = ready(system);
        let some = packet(system, Way::ToUser, 100);
        for _ in 0..MANY {
            let _ = system.send(&some);
        }
        let held = (0..MANY).take_while(|_| read(system, fd).is_ok()).count();
        held.to_string().into()
    })
    .differs("512", "set in packets and in bytes, by a setting and by `TUNSETLIMITS`"),
    Case::new("3000 packets written that the stack has not yet taken", BOTH, |system| {
        let fd = ready(system);
        match (0..MANY).find_map(|count| write(system, fd, 100).err().map(|error| (count, error))) {
            None => "all accepted".into(),
            Some((count, error)) => {
                Seen(format!("{error} after {count}")).then(system.poll(fd, Events::OUT, Patience::None))
            }
        }
    })
    .differs(
        "EAGAIN after 512, then nothing",
        "Linux's stack takes a packet in the writer's own time, or drops it; Haiku's has a thread that fetches it, and \
         writers wait for that",
    ),
    Case::new("sending while no program has the unit open", BOTH, |system| {
        let fd = ready(system);
        persist(system, fd);
        system.close(fd).expect("it was open");
        system.send(&packet(system, Way::ToUser, 100)).into()
    }),
    Case::new("sending while the interface is down", BOTH, |system| {
        let _fd = made(system, Framing::Bare);
        system.send(&packet(system, Way::ToUser, 100)).into()
    })
    .differs("works", "Haiku's callers lose a connection to a driver that refuses a packet: it is dropped and counted"),
];
