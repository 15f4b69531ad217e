//! What the two directions of a device do not have in common.

use crate::acks::Acks;
use crate::queue::{ProgramEnd, Side};
use crate::{Delivery, Kernel};

/// The state of the direction to the program that the other direction does not have.
pub(crate) struct ToUser<K: Kernel> {
    /// The interface is up.
    pub(crate) up: bool,
    /// A program has the device open.
    pub(crate) open: bool,
    /// The acknowledgements in the queue.
    pub(crate) acks: Acks<K::Packet>,
}

/// The state of the direction to the stack that the other direction does not have.
pub(crate) struct ToStack<K: Kernel> {
    /// The interface, while it is up.
    pub(crate) stack_end: Option<StackEnd<K>>,
}

impl<K: Kernel> Side<K> for ToUser<K> {
    const END: ProgramEnd = ProgramEnd::Consumer;

    #[inline]
    fn taken(&mut self) -> Option<K::Packet> {
        self.acks.taken()
    }

    #[inline]
    fn taken_so_far(&self) -> u64 {
        self.acks.front()
    }

    fn put_back(&mut self, packets: u32, is_unchanged: bool) {
        self.acks.put_back(packets, is_unchanged);
    }

    fn purge(&mut self, stale: &mut K::Fifo) {
        self.acks.purge(stale);
    }
}

impl<K: Kernel> Side<K> for ToStack<K> {
    const END: ProgramEnd = ProgramEnd::Producer;
}

/// The stack's end of an interface.
pub(crate) type StackEnd<K> = <<K as Kernel>::Delivery as Delivery<<K as Kernel>::Packet>>::StackEnd;
