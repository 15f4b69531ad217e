//! A kernel that does nothing: its packets have a length and no bytes, and no thread ever waits. What is left of a call is
//! the device core's own cost.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::Mutex;

use tuntap_driver::{
    Delivery, Error, Event, Fifo, FrameHeader, Interruptible, Kernel, Lock, Packet, Protocol, SelectSync, UserMemory,
    WaitPoint,
};

/// The kernel.
pub(crate) enum Plain {}

impl Kernel for Plain {
    type Packet = Token;
    type Fifo = Queue;
    type User = User;
    type Lock<T: Send> = Guarded<T>;
    type Mutex<T: Send> = Guarded<T>;
    type WaitPoint = Nowhere;
    type Select = NoSelect;
    type Delivery = Direct;
}

/// The way past the queue: always open, and it ends at once.
pub(crate) struct Direct;

impl Delivery<Token> for Direct {
    type StackEnd = ();

    fn is_direct(&self, _: Protocol, _: impl FnOnce() -> bool) -> bool {
        true
    }

    fn note_queued(&self, _: Protocol) {}

    fn count_received((): (), _: usize) {}

    fn deliver(&self, (): (), _: Token, _: &FrameHeader) {}
}

/// A packet: its length.
#[derive(Debug)]
pub(crate) struct Token(pub(crate) usize);

impl Packet for Token {
    type User = User;

    fn from_parts(parts: &[&[u8]]) -> Result<Self, Error> {
        Ok(Self(parts.iter().map(|part| part.len()).sum()))
    }

    fn append_user(&mut self, _: &User, _: usize, length: usize) -> Result<(), Error> {
        self.0 += length;
        Ok(())
    }

    fn len(&self) -> usize {
        self.0
    }

    /// An IPv4 packet behind an Ethernet header.
    fn peek<'b>(&self, _: usize, buffer: &'b mut [u8]) -> &'b [u8] {
        let length = self.0.min(buffer.len());
        if let Some(ether_type) = buffer.get_mut(12..15) {
            ether_type.copy_from_slice(&[8, 0, 0x45]);
        }
        &buffer[..length]
    }

    fn copy_to_user(&self, _: usize, _: &User, _: usize, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

/// Packets in a row.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<Token>);

impl Fifo<Token> for Queue {
    fn push(&mut self, packet: Token) {
        self.0.push_back(packet);
    }

    fn pop(&mut self) -> Option<Token> {
        self.0.pop_front()
    }

    fn append(&mut self, Self(mut other): Self) {
        self.0.append(&mut other);
    }

    fn front_length(&self) -> usize {
        self.0.front().map_or(0, |packet| packet.0)
    }
}

/// A program's buffer: its length. All that can be fetched from it is the beginning of an IPv4 packet.
#[derive(Debug)]
pub(crate) struct User(pub(crate) usize);

impl UserMemory for User {
    fn len(&self) -> usize {
        self.0
    }

    fn read(&self, _: usize, into: &mut [u8]) -> Result<(), Error> {
        if let Some(first) = into.first_mut() {
            *first = 0x45;
        }
        Ok(())
    }

    fn write(&self, _: usize, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

/// A lock that is always free.
pub(crate) struct Guarded<T>(Mutex<T>);

impl<T: Send> Lock<T> for Guarded<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        section(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A wait point without waiters.
pub(crate) struct Nowhere;

impl WaitPoint for Nowhere {
    fn new(_: &'static CStr) -> Result<Self, Error> {
        Ok(Self)
    }

    fn wait(&self, _: Interruptible) -> Result<(), Error> {
        Err(Error::Interrupted)
    }

    fn wake(&self, _: u32) {}
}

/// A select that nothing has registered.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct NoSelect;

impl SelectSync for NoSelect {
    fn notify(self, _: Event) {}
}
