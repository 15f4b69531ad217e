//! A kernel for tests, which punishes what a real one would die of.
//!
//! [`Fake`] implements the driver's `Kernel`. It panics when something that may sleep, fault, allocate or call out is
//! done under a spinning lock, when a device leaves a packet, a wake or a select behind, and when memory of a program's
//! is fetched twice. What runs and when is decided by a scheduler: the threads of the machine, shuttle's or loom's.
//! Each test crate names its own in a module `sync`: `Mutex`, `Condvar`, `thread` and `thread_local`.
//!
//! [`Rig`] is a device on this kernel, with all that is checked at its end; [`World`] is what the kernel knows.
#![allow(dead_code, reason = "every test crate needs its own part of it")]

mod delivery;
mod locks;
mod memory;
mod packet;
mod rig;
mod select;
mod tcp;
mod toy;
mod wait;
mod world;

#[allow(unused_imports, reason = "every test crate needs its own part of it")]
pub(crate) use {
    delivery::{Delivery, INTERFACE, received},
    memory::{UNTOUCHED, User},
    packet::{Packet, Queue},
    rig::{Rig, Shared, read, send},
    select::Entry,
    tcp::{ACK, ECE, FIN, TIMESTAMPS, Tcp},
    toy::{ARP, IPV4, IPV6, OWN, Reason, ToyTap, ToyTun, dropped_by_mode, frame, packet4, packet6},
    wait::WaitPoint,
    world::{Task, World},
};

use tuntap_driver::{Extent, FRAMING_HEADER, Framing};

/// The kernel. Everything it knows is in the [`World`] of the thread that calls.
pub(crate) enum Fake {}

impl tuntap_driver::Kernel for Fake {
    type Packet = Packet;
    type Fifo = Queue;
    type User = User;
    type Lock<T: Send> = locks::Spinning<T>;
    type Mutex<T: Send> = locks::Sleeping<T>;
    type WaitPoint = WaitPoint;
    type Select = select::Sync;
    type Delivery = Delivery;

    fn framing_header(framing: Framing, ether_type: u16, extent: Extent) -> [u8; FRAMING_HEADER] {
        let [high, low] = ether_type.to_be_bytes();
        match framing {
            Framing::AddressFamily => [0, 0, 0, if ether_type == 0x86dd { 5 } else { 1 }],
            _ => {
                let [a, b] = u16::from(extent == Extent::CutOff).to_ne_bytes();
                [a, b, high, low]
            }
        }
    }
}
