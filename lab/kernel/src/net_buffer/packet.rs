//! One packet: a chain of nodes, and what Haiku's functions do to it, with their faults.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;

use haiku_sys::{
    B_BAD_ADDRESS, B_BAD_VALUE, B_NO_MEMORY, B_OK, net_buffer, net_interface_address, sockaddr, sockaddr_storage,
    status_t,
};

use super::node::{NODE_OVERHEAD, Node, capacity};
use crate::guarded::Guarded;
use crate::heap::{FREED, FRESH, first_change};
use crate::ledger;
use crate::panic::kpanic;
use crate::user;

const LIVE: u64 = 0x6e65_745f_6275_6666;
const DEAD: u64 = 0x6465_6164_6275_6666;
/// How many freed packets are kept for checking before the oldest is used again.
const KEPT: usize = 64;
/// No packet of a sane caller is larger; Haiku would run out of memory or go round for ever.
const LIMIT: usize = 64 << 20;

/// A packet as the module sees it. The first part is the driver's and the stack's to see.
#[repr(C)]
pub(super) struct Packet {
    public: Public,
    mark: AtomicU64,
    nodes: VecDeque<Node>,
}

/// What is filled with patterns.
#[repr(C)]
struct Public {
    buffer: net_buffer,
    source: sockaddr_storage,
    destination: sockaddr_storage,
}

/// A freed packet.
struct Freed(*mut Packet);

// SAFETY: a freed packet belongs to the pool alone.
unsafe impl Send for Freed {}

static FREED_PACKETS: Mutex<VecDeque<Freed>> = Mutex::new(VecDeque::new());

/// What gives back a reference to an interface address, which belongs to the stack.
pub(super) static RELEASE: Mutex<Option<fn(*mut net_interface_address)>> = Mutex::new(None);

fn fill(packet: *mut Packet, pattern: u8) {
    // SAFETY: the packet is the caller's, and the first part of it may hold any bytes.
    unsafe { packet.cast::<u8>().write_bytes(pattern, size_of::<Public>()) };
}

fn check_freed(packet: *mut Packet) {
    // SAFETY: the packet is in the pool, which owns it.
    let content = unsafe { core::slice::from_raw_parts(packet.cast::<u8>(), size_of::<Public>()) };
    if let Some(offset) = first_change(content) {
        kpanic!("the net_buffer {packet:p} was written at offset {offset} after it was freed");
    }
}

/// The packet behind a pointer that a caller gave.
///
/// # Safety
/// The pointer must have come from [`create`]; whether it was freed is found out here, and it must be the caller's.
pub(super) unsafe fn packet<'a>(buffer: *mut net_buffer, what: &str) -> &'a mut Packet {
    if buffer.is_null() {
        kpanic!("{what}: the net_buffer is null");
    }
    let packet = buffer.cast::<Packet>();
    // SAFETY: packets are never given back while the kernel runs, so that the mark can be read.
    let mark = unsafe { (*packet).mark.load(Ordering::Relaxed) };
    match mark {
        LIVE => {}
        DEAD => kpanic!("{what}: the net_buffer {buffer:p} was freed before"),
        _ => kpanic!("{what}: {buffer:p} is not a net_buffer"),
    }
    // SAFETY: alive, and the caller's alone by this function's contract.
    let packet = unsafe { &mut *packet };
    let sum = match packet.nodes.as_slices() {
        ([only], []) => only.used,
        (first, second) => first.iter().chain(second).map(|node| node.used).sum(),
    };
    if sum != packet.size() {
        kpanic!("{what}: net_buffer {buffer:p} size != sum of its data node sizes ({} vs. {sum})", packet.size());
    }
    packet
}

/// An empty packet. What Haiku leaves uninitialised (`link`, `protocol`, the addresses behind their length) has the
/// pattern of fresh memory.
pub(super) fn create(header_space: usize) -> *mut Packet {
    let recycled = {
        let mut freed = FREED_PACKETS.guarded();
        if freed.len() > KEPT { freed.pop_front() } else { None }
    };
    let packet = match recycled {
        Some(Freed(packet)) => {
            check_freed(packet);
            packet
        }
        None => {
            let layout = std::alloc::Layout::new::<Packet>();
            // SAFETY: the layout is not empty.
            let memory = unsafe { std::alloc::alloc(layout) }.cast::<Packet>();
            if memory.is_null() {
                std::alloc::handle_alloc_error(layout);
            }
            // SAFETY: any bytes make the public part, and zero is one of them.
            let public = unsafe { core::mem::zeroed() };
            let fresh = Packet { public, mark: AtomicU64::new(DEAD), nodes: VecDeque::new() };
            // SAFETY: a fresh allocation for a packet.
            unsafe { memory.write(fresh) };
            memory
        }
    };
    fill(packet, FRESH);
    // SAFETY: the packet is new and not shared yet, and any bytes are valid for the part that was filled.
    let content = unsafe { &mut *packet };
    content.mark = AtomicU64::new(LIVE);
    let space = header_space.min(capacity()).next_multiple_of(8).clamp(NODE_OVERHEAD, capacity());
    content.nodes.push_back(Node::new(space));
    let public = &mut content.public;
    public.source.0[0] = 0;
    public.destination.0[0] = 0;
    let source = (&raw mut public.source).cast::<sockaddr>();
    let destination = (&raw mut public.destination).cast::<sockaddr>();
    let buffer = &mut public.buffer;
    buffer.source = source;
    buffer.destination = destination;
    buffer.interface_address = core::ptr::null_mut();
    buffer.r#type = 0;
    buffer.msg_flags = 0;
    buffer.buffer_flags = 0;
    buffer.size = 0;
    ledger::PACKETS.add(1);
    packet
}

impl Packet {
    pub(super) fn size(&self) -> usize {
        self.public.buffer.size as usize
    }

    fn add_size(&mut self, bytes: usize) {
        self.public.buffer.size += bytes as u32;
    }

    pub(super) fn free(&mut self) {
        self.nodes.clear();
        let (address, release) = (self.public.buffer.interface_address, *RELEASE.guarded());
        if let Some(release) = release.filter(|_| !address.is_null()) {
            release(address);
        }
        self.mark.store(DEAD, Ordering::Relaxed);
        let this = core::ptr::from_mut(self);
        fill(this, FREED);
        FREED_PACKETS.guarded().push_back(Freed(this));
        ledger::PACKETS.add(-1);
    }

    /// The node with the byte at `offset`, and where in it the byte is.
    fn find(&self, mut offset: usize) -> Option<(usize, usize)> {
        for (index, node) in self.nodes.iter().enumerate() {
            if offset < node.used {
                return Some((index, offset));
            }
            offset -= node.used;
        }
        None
    }

    /// Calls `copy` for each piece of a range, with its place in memory, how far into the range it is, and its
    /// length.
    fn pieces(
        &self,
        offset: usize,
        mut size: usize,
        mut copy: impl FnMut(*mut u8, usize, usize) -> Result<(), status_t>,
    ) -> Result<(), status_t> {
        // The sum may wrap around, as it does in Haiku, and is then caught below or not at all.
        if offset.wrapping_add(size) > self.size() {
            return Err(B_BAD_VALUE);
        }
        if size == 0 {
            return Ok(());
        }
        let (mut index, mut skip) = self.find(offset).ok_or(B_BAD_VALUE)?;
        let mut done = 0;
        loop {
            let node = self.nodes.get(index).ok_or(B_BAD_VALUE)?;
            let length = size.min(node.used - skip);
            copy(node.address(skip), done, length)?;
            size -= length;
            if size == 0 {
                return Ok(());
            }
            done += length;
            skip = 0;
            index += 1;
        }
    }

    /// `read`.
    ///
    /// # Safety
    /// `to` must be fit to be written by `user_memcpy`.
    pub(super) unsafe fn read(&self, offset: usize, to: usize, size: usize) -> Result<(), status_t> {
        self.pieces(offset, size, |piece, done, length| {
            // SAFETY: the piece is inside a block, and `to` is the caller's.
            unsafe { copy(to.wrapping_add(done), piece as usize, length, to) }
        })
    }

    /// `write`.
    ///
    /// # Safety
    /// `from` must be fit to be read by `user_memcpy`.
    pub(super) unsafe fn write(&self, offset: usize, from: usize, size: usize) -> Result<(), status_t> {
        self.pieces(offset, size, |piece, done, length| {
            // SAFETY: the piece is inside a block, and `from` is the caller's.
            unsafe { copy(piece as usize, from.wrapping_add(done), length, from) }
        })
    }

    /// Makes room in front; the room's address if it is in one piece.
    fn prepend_room(&mut self, size: usize) -> Result<Option<*mut u8>, status_t> {
        if size.saturating_add(self.size()) > LIMIT {
            return Err(B_NO_MEMORY);
        }
        let Some(first) = self.nodes.front_mut() else { emptied("prepend") };
        let mut left = size;
        let room = (first.header_space >= size).then(|| {
            first.grow_front(std::mem::take(&mut left));
            first.address(0)
        });
        while left > 0 {
            if self.nodes.front().is_none_or(|node| node.header_space == 0) {
                self.nodes.push_front(Node::new(capacity()));
            }
            if let Some(first) = self.nodes.front_mut() {
                let piece = left.min(first.header_space);
                first.grow_front(piece);
                left -= piece;
            }
        }
        self.add_size(size);
        Ok(room)
    }

    /// `prepend`. As on Haiku, a fault is only reported where the room is in one piece, and the packet keeps the
    /// room in either case.
    ///
    /// # Safety
    /// `from` must be fit to be read by `user_memcpy`.
    pub(super) unsafe fn prepend(&mut self, from: usize, size: usize) -> Result<(), status_t> {
        match self.prepend_room(size)? {
            // SAFETY: the room is inside a block, and `from` is the caller's.
            Some(room) => unsafe { copy(room as usize, from, size, from) },
            None => {
                // SAFETY: the caller's promise.
                let _ = unsafe { self.write(0, from, size) };
                Ok(())
            }
        }
    }

    /// `append_size`: makes room at the end; the room's address if it is in one piece.
    pub(super) fn append_room(&mut self, size: usize) -> Result<Option<*mut u8>, status_t> {
        if size.saturating_add(self.size()) > LIMIT {
            return Err(B_NO_MEMORY);
        }
        let Some(last) = self.nodes.back_mut() else { emptied("append") };
        let space = last.tail_space;
        if space >= size {
            let room = last.address(last.used);
            last.grow_back(size);
            self.add_size(size);
            return Ok(Some(room));
        }
        last.grow_back(space);
        let mut left = size - space;
        while left > 0 {
            let mut node = Node::new(NODE_OVERHEAD);
            let piece = left.min(node.tail_space);
            node.grow_back(piece);
            left -= piece;
            self.nodes.push_back(node);
        }
        self.add_size(size);
        Ok(None)
    }

    /// `append`. As on Haiku, a fault is only reported where the room is in one piece, and the packet keeps the
    /// room in either case: a driver that appends from a program's memory may send what was never written.
    ///
    /// # Safety
    /// `from` must be fit to be read by `user_memcpy`.
    pub(super) unsafe fn append(&mut self, from: usize, size: usize) -> Result<(), status_t> {
        let used = self.size();
        match self.append_room(size)? {
            // SAFETY: the room is inside a block, and `from` is the caller's.
            Some(room) => unsafe { copy(room as usize, from, size, from) },
            None => {
                // SAFETY: the caller's promise.
                let _ = unsafe { self.write(used, from, size) };
                Ok(())
            }
        }
    }

    pub(super) fn remove_header(&mut self, bytes: usize) -> Result<(), status_t> {
        if bytes > self.size() {
            return Err(B_BAD_VALUE);
        }
        let mut left = bytes;
        while self.nodes.front().is_some_and(|node| node.used <= left) {
            left -= self.nodes.pop_front().map_or(0, |node| node.used);
        }
        if let Some(first) = self.nodes.front_mut() {
            first.shrink_front(left);
        }
        self.public.buffer.size -= bytes as u32;
        Ok(())
    }
}

/// The packet lost its last node when it was emptied. Haiku then makes a node that it forgets to put into the
/// packet: what is prepended is lost, and the node leaks in either case.
fn emptied(what: &str) -> ! {
    kpanic!("{what} to a net_buffer that remove_header emptied: Haiku loses a node here");
}

/// Copies as the module does: a program's memory with `user_memcpy`, anything else with a plain copy that must not
/// fault. `outside` is the caller's address that decides.
///
/// # Safety
/// As for `user_memcpy`.
unsafe fn copy(to: usize, from: usize, size: usize, outside: usize) -> Result<(), status_t> {
    if user::is_user_address(outside) {
        // SAFETY: the caller's promise.
        return match unsafe { user::user_memcpy(to, from, size) } {
            B_OK => Ok(()),
            _ => Err(B_BAD_ADDRESS),
        };
    }
    // SAFETY: the caller's promise.
    if !unsafe { user::copy(to, from, size) } {
        kpanic!("page fault: a net_buffer was given the address {outside:#x}, which is not a program's");
    }
    Ok(())
}

/// Checks and gives back the freed packets.
pub(super) fn reset() {
    let freed = std::mem::take(&mut *FREED_PACKETS.guarded());
    for Freed(packet) in freed {
        check_freed(packet);
        // SAFETY: the packet came from the allocator with this layout, its chain is empty, and any bytes make the
        // rest of it.
        drop(unsafe { Box::from_raw(packet) });
    }
}
