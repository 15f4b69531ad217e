//! A device's copy of its interface's settings: address, MTU, and promiscuous mode.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A link-layer (MAC) address.
pub type MacAddress = [u8; 6];

const PROMISCUOUS: u64 = 1 << 48;

/// A snapshot of the interface's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's own address.
    pub address: MacAddress,
    /// Promiscuous mode: frames to other stations are delivered too.
    pub promiscuous: bool,
    /// The largest packet, in bytes of IP.
    pub mtu: usize,
}

/// The settings themselves. Read for every packet, so they are atomics and not one more lock.
pub(crate) struct LinkCell {
    /// The address in the low 48 bits, flags above.
    address: AtomicU64,
    mtu: AtomicU32,
}

impl LinkCell {
    pub(crate) const fn new(address: MacAddress, mtu: u32) -> Self {
        Self { address: AtomicU64::new(to_word(address)), mtu: AtomicU32::new(mtu) }
    }

    pub(crate) fn get(&self) -> Link {
        let word = self.address.load(Ordering::Relaxed);
        let [a, b, c, d, e, f, ..] = word.to_le_bytes();
        Link { address: [a, b, c, d, e, f], promiscuous: word & PROMISCUOUS != 0, mtu: self.mtu() }
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_address(&self, address: MacAddress) {
        let keep = self.address.load(Ordering::Relaxed) & PROMISCUOUS;
        self.address.store(to_word(address) | keep, Ordering::Relaxed);
    }

    pub(crate) fn set_promiscuous(&self, promiscuous: bool) {
        let bit = if promiscuous { PROMISCUOUS } else { 0 };
        let keep = self.address.load(Ordering::Relaxed) & !PROMISCUOUS;
        self.address.store(keep | bit, Ordering::Relaxed);
    }

    pub(crate) fn set_mtu(&self, mtu: u32) {
        self.mtu.store(mtu, Ordering::Relaxed);
    }
}

/// Returns an address as a word of which the upper 16 bits are clear.
pub(crate) const fn to_word(address: MacAddress) -> u64 {
    let [a, b, c, d, e, f] = address;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}
