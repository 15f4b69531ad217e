//! Packets: the stack's `net_buffer`s, owned.

use core::ptr::{NonNull, null_mut};

use haiku_sys as sys;
use tuntap_driver::{Error, Fifo, Packet};

use super::UserSlice;
use super::module::{buffer, put_interface_address};

/// Bytes kept free in front of a packet, for the headers it gets if the stack forwards it.
const HEADER_SPACE: usize = 256;

/// A `net_buffer`, freed when dropped.
#[derive(Debug)]
pub(crate) struct NetBuffer(NonNull<sys::net_buffer>);

// SAFETY: a packet belongs to whoever has it; no thread is special.
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
        // SAFETY: the packet is ours and alive.
        let place = unsafe { &raw mut (*self.0.as_ptr()).interface_address };
        // SAFETY: as above.
        HeldAddress(unsafe { place.replace(null_mut()) })
    }

    fn append(&mut self, data: &[u8]) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        let append = buffer().and_then(|module| module.append).ok_or(Error::NoMemory)?;
        // SAFETY: the packet is ours, and so is the memory.
        let status = unsafe { append(self.0.as_ptr(), data.as_ptr().cast(), data.len()) };
        if status == sys::B_OK { Ok(()) } else { Err(Error::NoMemory) }
    }
}

/// A packet's interface address reference, released when dropped. The last one may delete a whole interface.
#[derive(Debug)]
pub(crate) struct HeldAddress(*mut sys::net_interface_address);

impl Drop for HeldAddress {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the reference was a packet's, which had it for itself.
            unsafe { put_interface_address(self.0) };
        }
    }
}

impl Packet for NetBuffer {
    type User = UserSlice;

    fn from_parts(parts: &[&[u8]]) -> Result<Self, Error> {
        let create = buffer().and_then(|module| module.create).ok_or(Error::NoMemory)?;
        // SAFETY: a plain call; null means no memory.
        let mut packet = Self(NonNull::new(unsafe { create(HEADER_SPACE) }).ok_or(Error::NoMemory)?);
        for part in parts {
            packet.append(part)?;
        }
        Ok(packet)
    }

    fn append_user(&mut self, user: &UserSlice, offset: usize, length: usize) -> Result<(), Error> {
        if length == 0 {
            return Ok(());
        }
        let from = user.part(offset, length)?;
        let module = buffer().ok_or(Error::NoMemory)?;
        let make_room = module.append_size.ok_or(Error::NoMemory)?;
        // Not `append`, which says nothing of a fault once the packet is in several pieces: whatever the kernel's memory
        // held before would then travel in it.
        let (end, mut room) = (self.len(), null_mut());
        // SAFETY: the packet is ours, and there is a place for the room's address.
        if unsafe { make_room(self.0.as_ptr(), length, &raw mut room) } != sys::B_OK {
            return Err(Error::NoMemory);
        }
        let status = if room.is_null() {
            let write = module.write.ok_or(Error::NoMemory)?;
            // SAFETY: the packet is ours and has the room, in pieces; `from` is user memory, which the module copies by
            // `user_memcpy`.
            unsafe { write(self.0.as_ptr(), end, from, length) }
        } else {
            // SAFETY: the room is the packet's own and nobody else's yet; `from` is user memory, and `user_memcpy`
            // survives it not being there.
            unsafe { sys::user_memcpy(room, from, length) }
        };
        if status == sys::B_OK { Ok(()) } else { Err(Error::BadAddress) }
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the packet is ours and alive.
        unsafe { (*self.0.as_ptr()).size as usize }
    }

    fn peek<'b>(&self, offset: usize, into: &'b mut [u8]) -> &'b [u8] {
        let length = into.len().min(self.len().saturating_sub(offset));
        let Some(into) = into.get_mut(..length) else { return &[] };
        let Some(read) = buffer().and_then(|module| module.read) else { return &[] };
        if length == 0 {
            return &[];
        }
        // SAFETY: the packet is ours and has `length` bytes at `offset`, for which `into` has room.
        let status = unsafe { read(self.0.as_ptr(), offset, into.as_mut_ptr().cast(), length) };
        if status == sys::B_OK { into } else { &[] }
    }

    fn copy_to_user(&self, offset: usize, user: &UserSlice, at: usize, length: usize) -> Result<(), Error> {
        if length == 0 {
            return Ok(());
        }
        let to = user.part(at, length)?;
        let read = buffer().and_then(|module| module.read).ok_or(Error::BadAddress)?;
        // SAFETY: the packet is ours; `to` is user memory, to which the module copies by `user_memcpy`.
        let status = unsafe { read(self.0.as_ptr(), offset, to, length) };
        if status == sys::B_OK { Ok(()) } else { Err(Error::BadAddress) }
    }
}

impl Drop for NetBuffer {
    fn drop(&mut self) {
        if let Some(free) = buffer().and_then(|module| module.free) {
            // SAFETY: the packet is ours, and nobody will use it again.
            unsafe { free(self.0.as_ptr()) };
        }
    }
}

/// Packets in a row, threaded through the link that a `net_buffer` has for whoever owns it. A queue so costs no memory
/// beyond its packets, and never allocates.
#[derive(Debug)]
pub(crate) struct PacketList {
    first: *mut sys::net_buffer,
    last: *mut sys::net_buffer,
}

// SAFETY: the list owns its packets, which may go anywhere.
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
        // They are not the other's to free.
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
