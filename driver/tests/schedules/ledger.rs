//! What was sent and what arrived. Its locks are the standard library's, so it adds no interleaving.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::fake::packet4;
use crate::pick;

/// Who sent a packet, and its number with that sender.
type Name = (u8, u8);

/// One direction's packets.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    era: u32,
    made: HashMap<u8, u8>,
    /// In which era the sender heard that the packet was accepted.
    accepted: HashMap<Name, u32>,
    /// In which era the call began that fetched it.
    arrived: HashMap<Name, u32>,
}

/// What one thread has fetched so far: of each sender, the number of the last.
#[derive(Default)]
pub(crate) struct Seen(HashMap<u8, u8>);

/// The packet of that name, which takes a look at every byte to tell from another.
fn packet((sender, number): Name, length: usize) -> Vec<u8> {
    let mut packet = packet4(sender.wrapping_mul(31).wrapping_add(number), length);
    packet[1..4].copy_from_slice(&[sender, number, length as u8]);
    packet
}

impl Ledger {
    /// Makes a packet that was not sent before. A sender is one thread.
    pub(crate) fn make(&self, sender: u8) -> Vec<u8> {
        let mut entries = self.0.lock().unwrap();
        let number = entries.made.entry(sender).or_default();
        *number += 1;
        packet((sender, *number), pick(4..40) as usize)
    }

    /// It was accepted.
    pub(crate) fn accepted(&self, packet: &[u8]) {
        let mut entries = self.0.lock().unwrap();
        let era = entries.era;
        entries.accepted.insert((packet[1], packet[2]), era);
    }

    /// Begins a new era: packets accepted before it must not arrive at receivers that ask in it. Returns the new era.
    pub(crate) fn new_era(&self) -> u32 {
        let mut entries = self.0.lock().unwrap();
        entries.era += 1;
        entries.era
    }

    /// Records that a thread of that era fetched it: whole, unchanged, once, and in order.
    pub(crate) fn arrived(&self, bytes: &[u8], seen: &mut Seen, era: u32) {
        let name = (bytes[1], bytes[2]);
        assert_eq!(bytes, packet(name, bytes.len()), "a packet that was never sent");
        assert_eq!(usize::from(bytes[3]), bytes.len(), "a packet that is not whole");
        let last = seen.0.insert(name.0, name.1).unwrap_or(0);
        assert!(last < name.1, "{name:?} came after {last}");
        assert_eq!(self.0.lock().unwrap().arrived.insert(name, era), None, "{name:?} came twice");
    }

    /// How many were accepted, and how many have arrived.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let entries = self.0.lock().unwrap();
        (entries.accepted.len() as u64, entries.arrived.len() as u64)
    }

    /// At the end: nothing arrived that was not accepted, nor that was there before who fetched it.
    pub(crate) fn check(&self) {
        let entries = self.0.lock().unwrap();
        for (name, era) in &entries.arrived {
            let accepted = entries.accepted.get(name).expect("what arrived was accepted");
            assert!(accepted >= era, "{name:?} of era {accepted} came in era {era}");
        }
    }
}
