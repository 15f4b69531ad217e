//! Haiku, as the device core sees a kernel: its traits, implemented by [`kernel`](crate::kernel) and
//! [`delivery`](crate::delivery).

use haiku_sys as sys;
use tuntap_driver::{Extent, FRAMING_HEADER, Framing, Kernel};

use crate::delivery::Delivery;
use crate::kernel::{KernelMutex, NetBuffer, PacketList, SelectEntry, Semaphore, SpinLock, UserSlice};

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
