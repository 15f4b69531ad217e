//! The device core's traits, implemented with Haiku's kernel calls.

mod lock;
pub(crate) mod modules;
mod packet;
mod priority;
mod select;
mod semaphore;
mod user;

pub(crate) use lock::{KernelMutex, SpinLock};
pub(crate) use modules::{device_link_changed, give_modules_back, take_modules};
pub(crate) use packet::{NetBuffer, PacketList};
pub(crate) use priority::with_consumers_priority;
pub(crate) use select::{SelectEntry, event};
pub(crate) use semaphore::Semaphore;
pub(crate) use user::UserSlice;

use haiku_sys as sys;
use tuntap_driver::{Extent, FRAMING_HEADER, Framing, Kernel};

use crate::delivery::Delivery;

/// Haiku.
#[derive(Debug)]
pub(crate) enum Haiku {}

impl Kernel for Haiku {
    type Packet = NetBuffer;
    type Fifo = PacketList;
    type User = UserSlice;
    type Lock<T: Send> = SpinLock<T>;
    type Mutex<T: Send> = KernelMutex<T>;
    type WaitPoint = Semaphore;
    type Select = SelectEntry;
    type Delivery = Delivery;

    #[inline]
    fn framing_header(framing: Framing, ether_type: u16, extent: Extent) -> [u8; FRAMING_HEADER] {
        match framing {
            Framing::PacketInformation | Framing::Bare => packet_information(ether_type, extent),
            Framing::AddressFamily => address_family(ether_type).to_be_bytes(),
        }
    }
}

/// In the flags of `struct tun_pi`: the buffer was too short for the packet (Linux's `TUN_PKT_STRIP`).
const PACKET_STRIPPED: u16 = 1;

/// Returns Linux's `struct tun_pi`: the flags in the machine's byte order, the Ethernet type in the network's.
const fn packet_information(ether_type: u16, extent: Extent) -> [u8; FRAMING_HEADER] {
    let flags = match extent {
        Extent::Whole => 0,
        Extent::CutOff => PACKET_STRIPPED,
    };
    let ([a, b], [c, d]) = (flags.to_ne_bytes(), ether_type.to_be_bytes());
    [a, b, c, d]
}

/// Returns the address family that the BSDs' `TUNSIFHEAD` puts in front of a packet, as Haiku numbers families.
const fn address_family(ether_type: u16) -> u32 {
    match ether_type {
        0x86dd => sys::AF_INET6,
        _ => sys::AF_INET,
    }
}
