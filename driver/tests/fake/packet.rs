//! Packets, each of which is counted, and queues of them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tuntap_driver::{Error, Fifo, HEAD_TO_STACK_MAX, UserMemory};

use crate::fake::{Task, User, World};

/// What a freed packet holds.
const FREED: u8 = 0xdd;

/// A packet on its kernel's ledger.
pub(crate) struct Packet {
    bytes: Vec<u8>,
    world: Arc<World>,
}

impl Packet {
    /// A packet that comes from the stack.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let world = Arc::clone(&Task::current().world);
        world.packet_made();
        Self { bytes: bytes.to_vec(), world }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Packet({:02x?})", self.bytes)
    }
}

impl tuntap_driver::Packet for Packet {
    type User = User;

    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let task = Task::current();
        task.must_not_spin("allocating");
        task.world.allocate()?;
        Ok(Self::new(bytes))
    }

    fn from_user(user: &User, offset: usize, length: usize, head: &mut [u8; HEAD_TO_STACK_MAX]) -> Result<Self, Error> {
        let mut packet = Self::from_bytes(&vec![0; length])?;
        user.read(offset, &mut packet.bytes)?;
        packet.peek(0, head);
        Ok(packet)
    }

    fn prepend(&mut self, header: &[u8]) -> Result<(), Error> {
        Task::current().must_not_spin("growing a packet");
        self.bytes.splice(0..0, header.iter().copied());
        Ok(())
    }

    fn strip(&mut self, length: usize) -> Result<(), Error> {
        Task::current().must_not_spin("shrinking a packet");
        if length > self.bytes.len() {
            return Err(Error::Invalid);
        }
        self.bytes.drain(..length);
        Ok(())
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn peek<'b>(&self, offset: usize, buffer: &'b mut [u8]) -> &'b [u8] {
        Task::current().must_not_spin("walking through a packet");
        let there = self.bytes.get(offset..).unwrap_or_default();
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        &buffer[..length]
    }

    fn copy_to_user(&self, offset: usize, user: &User, at: usize, length: usize) -> Result<(), Error> {
        user.write(at, &self.bytes[offset..offset + length])
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        Task::current().must_not_spin("freeing a packet");
        self.bytes.fill(FREED);
        self.world.packet_freed();
    }
}

/// Packets in a row.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<Packet>);

impl Fifo<Packet> for Queue {
    fn push(&mut self, packet: Packet) {
        self.0.push_back(packet);
    }

    fn pop(&mut self) -> Option<Packet> {
        self.0.pop_front()
    }

    fn append(&mut self, Self(mut other): Self) {
        self.0.append(&mut other);
    }

    fn front_length(&self) -> usize {
        self.0.front().map_or(0, |packet| packet.bytes.len())
    }
}
