//! Packets: the stack's `net_buffer`s, owned.

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};

use haiku_sys as sys;
use tuntap_driver::{Error, Fifo, FrameHeader, HEAD_TO_STACK_MAX, Packet};

use super::UserSlice;
use super::modules::{buffer, put_interface_address};

/// Bytes kept free in front of a packet, for the headers it gets if the stack forwards it.
const HEADER_SPACE: usize = 256;

/// A `net_buffer`, freed when dropped.
///
/// # Invariants
///
/// The pointer is to a live packet, and this value is its only owner.
#[derive(Debug)]
pub(crate) struct NetBuffer(NonNull<sys::net_buffer>);

// SAFETY: a packet belongs to its owner; the buffer module accepts it from any thread.
unsafe impl Send for NetBuffer {}

impl NetBuffer {
    /// Takes over a packet of the stack's.
    ///
    /// # Safety
    /// `packet` is a live `net_buffer` that is the caller's to give.
    pub(crate) unsafe fn from_raw(packet: *mut sys::net_buffer) -> Option<Self> {
        NonNull::new(packet).map(Self)
    }

    /// Gives the packet to the stack.
    pub(crate) fn into_raw(self) -> *mut sys::net_buffer {
        let packet = self.0.as_ptr();
        core::mem::forget(self);
        packet
    }

    /// Detaches the packet's interface address reference. Echo replies and packets that go by a host route have one.
    pub(crate) fn detach_address(&mut self) -> HeldAddress {
        // SAFETY: the invariant of `NetBuffer`.
        let place = unsafe { &raw mut (*self.0.as_ptr()).interface_address };
        // SAFETY: as above.
        HeldAddress(unsafe { place.replace(null_mut()) })
    }

    /// Describes a packet without a link header as the stack's deframer and consumer thread would, by the header that it had
    /// and the device that it came by.
    pub(crate) fn describe(&mut self, header: &FrameHeader, index: u32) {
        let ether_type = header.ether_type().to_be();
        let destination = header.destination();
        // SAFETY: the invariant of `NetBuffer`; nothing else refers to the packet.
        let buffer = unsafe { self.0.as_mut() };
        let ethernet = |station| sys::sockaddr_dl_ethernet::new(station, ether_type, index);
        // SAFETY: the module gives every packet room for two addresses of any kind.
        unsafe { buffer.source.cast::<sys::sockaddr_dl_ethernet>().write(ethernet(header.source())) };
        // SAFETY: as above.
        unsafe { buffer.destination.cast::<sys::sockaddr_dl_ethernet>().write(ethernet(destination)) };
        let [first, ..] = destination;
        if first & 1 != 0 {
            buffer.msg_flags |= if destination == [0xff; 6] { sys::MSG_BCAST } else { sys::MSG_MCAST };
        }
        // In C a union: the consumer thread puts the device's index where the deframer had the frame's type.
        buffer.r#type = index as i32;
    }

    /// Fills a packet whose room is in several pieces with the program's bytes, and copies the first to `head`.
    #[inline(never)]
    fn fill(self, from: *const c_void, head: &mut [u8; HEAD_TO_STACK_MAX]) -> Result<Self, Error> {
        let write = buffer().and_then(|module| module.write).ok_or(Error::NoMemory)?;
        // SAFETY: the invariant of `NetBuffer`; `from` is user memory, which the module copies by `user_memcpy`.
        if unsafe { write(self.0.as_ptr(), 0, from, self.len()) } != sys::B_OK {
            return Err(Error::BadAddress);
        }
        // Without its head the packet would be taken for another.
        if self.peek(0, head).is_empty() { Err(Error::NoMemory) } else { Ok(self) }
    }

    /// Makes an empty packet.
    fn create() -> Result<Self, Error> {
        let create = buffer().and_then(|module| module.create).ok_or(Error::NoMemory)?;
        // SAFETY: a plain call; it returns null without memory.
        NonNull::new(unsafe { create(HEADER_SPACE) }).map(Self).ok_or(Error::NoMemory)
    }
}

/// A packet's interface address reference, released when dropped. The last one may delete a whole interface.
///
/// # Invariants
///
/// The pointer is null, or its reference belongs to this value.
#[derive(Debug)]
pub(crate) struct HeldAddress(*mut sys::net_interface_address);

impl Drop for HeldAddress {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the invariant of `HeldAddress`.
            unsafe { put_interface_address(self.0) };
        }
    }
}

impl Packet for NetBuffer {
    type User = UserSlice;

    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let packet = Self::create()?;
        let append = buffer().and_then(|module| module.append).ok_or(Error::NoMemory)?;
        // SAFETY: the invariant of `NetBuffer`; `bytes` is a live slice.
        let status = unsafe { append(packet.0.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
        if status == sys::B_OK { Ok(packet) } else { Err(Error::NoMemory) }
    }

    // A call costs 20 instructions for each packet.
    #[inline(always)]
    fn from_user(
        user: &UserSlice,
        offset: usize,
        length: usize,
        head: &mut [u8; HEAD_TO_STACK_MAX],
    ) -> Result<Self, Error> {
        let from = user.part(offset, length)?;
        let packet = Self::create()?;
        let append_size = buffer().and_then(|module| module.append_size).ok_or(Error::NoMemory)?;
        // Not `append`, which says nothing of a fault once the packet is in several pieces: whatever the kernel's memory
        // held before would then travel in it.
        let mut room = null_mut();
        // SAFETY: the invariant of `NetBuffer`; the last argument points to a local variable.
        if unsafe { append_size(packet.0.as_ptr(), length, &raw mut room) } != sys::B_OK {
            return Err(Error::NoMemory);
        }
        let Some(room) = NonNull::new(room.cast::<u8>()) else { return packet.fill(from, head) };
        // SAFETY: the room is the packet's, which is not shared; `from` is user memory, and `user_memcpy` returns an error if it
        // is not mapped.
        if unsafe { sys::user_memcpy(room.as_ptr().cast(), from, length) } != sys::B_OK {
            return Err(Error::BadAddress);
        }
        if length >= HEAD_TO_STACK_MAX {
            // SAFETY: the room was written above, and is not shorter.
            *head = unsafe { room.cast().read() };
        } else {
            // SAFETY: the room was written above, `head` is longer and memory of the caller's.
            unsafe { room.copy_to_nonoverlapping(NonNull::from(head).cast(), length) };
        }
        Ok(packet)
    }

    #[inline]
    fn prepend(&mut self, header: &[u8]) -> Result<(), Error> {
        let prepend = buffer().and_then(|module| module.prepend).ok_or(Error::NoMemory)?;
        // SAFETY: the invariant of `NetBuffer`; `header` is a live slice.
        let status = unsafe { prepend(self.0.as_ptr(), header.as_ptr().cast(), header.len()) };
        if status == sys::B_OK { Ok(()) } else { Err(Error::NoMemory) }
    }

    #[inline]
    fn strip(&mut self, length: usize) -> Result<(), Error> {
        let remove = buffer().and_then(|module| module.remove_header).ok_or(Error::NoMemory)?;
        // SAFETY: the invariant of `NetBuffer`.
        let status = unsafe { remove(self.0.as_ptr(), length) };
        if status == sys::B_OK { Ok(()) } else { Err(Error::Invalid) }
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the invariant of `NetBuffer`.
        unsafe { (*self.0.as_ptr()).size as usize }
    }

    fn peek<'b>(&self, offset: usize, into: &'b mut [u8]) -> &'b [u8] {
        let length = into.len().min(self.len().saturating_sub(offset));
        let Some(into) = into.get_mut(..length) else { return &[] };
        let Some(read) = buffer().and_then(|module| module.read) else { return &[] };
        if length == 0 {
            return &[];
        }
        // SAFETY: the invariant of `NetBuffer`; it has `length` bytes at `offset`, for which `into` has room.
        let status = unsafe { read(self.0.as_ptr(), offset, into.as_mut_ptr().cast(), length) };
        if status == sys::B_OK { into } else { &[] }
    }

    fn copy_to_user(&self, offset: usize, user: &UserSlice, at: usize, length: usize) -> Result<(), Error> {
        if length == 0 {
            return Ok(());
        }
        let to = user.part(at, length)?;
        let read = buffer().and_then(|module| module.read).ok_or(Error::BadAddress)?;
        // SAFETY: the invariant of `NetBuffer`; `to` is user memory, to which the module copies by `user_memcpy`.
        let status = unsafe { read(self.0.as_ptr(), offset, to, length) };
        if status == sys::B_OK { Ok(()) } else { Err(Error::BadAddress) }
    }
}

impl Drop for NetBuffer {
    // Inlined everywhere, it would be a kilobyte of the file.
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(free) = buffer().and_then(|module| module.free) {
            // SAFETY: the invariant of `NetBuffer`; the packet is not used again.
            unsafe { free(self.0.as_ptr()) };
        }
    }
}

/// A list of packets, linked through the field that a `net_buffer` has for its owner. So a queue costs no memory beyond its
/// packets, and never allocates.
///
/// # Invariants
///
/// `first` and `last` are null together, or the ends of a list of live packets that this value owns. The link of every packet
/// but the last points to the next; `pop` never follows the last one's.
#[derive(Debug)]
pub(crate) struct PacketList {
    first: *mut sys::net_buffer,
    last: *mut sys::net_buffer,
}

// SAFETY: the list owns its packets, each of which may be sent to another thread.
unsafe impl Send for PacketList {}

impl Default for PacketList {
    fn default() -> Self {
        Self { first: null_mut(), last: null_mut() }
    }
}

impl Fifo<NetBuffer> for PacketList {
    fn push(&mut self, packet: NetBuffer) {
        let packet = packet.into_raw();
        // SAFETY: the list owns the packet now.
        unsafe { (*packet).link.next = null_mut() };
        if self.last.is_null() {
            self.first = packet;
        } else {
            // SAFETY: the list owns its last packet.
            unsafe { (*self.last).link.next = packet.cast() };
        }
        self.last = packet;
    }

    fn pop(&mut self) -> Option<NetBuffer> {
        let packet = NonNull::new(self.first)?;
        // SAFETY: the list owns its first packet, whose link it wrote.
        self.first = unsafe { (*packet.as_ptr()).link.next.cast() };
        if self.first.is_null() {
            self.last = null_mut();
        }
        Some(NetBuffer(packet))
    }

    fn append(&mut self, mut other: Self) {
        if other.first.is_null() {
            return;
        }
        if self.last.is_null() {
            self.first = other.first;
        } else {
            // SAFETY: the list owns its last packet.
            unsafe { (*self.last).link.next = other.first.cast() };
        }
        self.last = other.last;
        // `other` no longer owns them.
        other.first = null_mut();
        other.last = null_mut();
    }

    fn front_length(&self) -> usize {
        // SAFETY: null, or a packet that the list owns.
        unsafe { self.first.as_ref() }.map_or(0, |packet| packet.size as usize)
    }
}

impl Drop for PacketList {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
