//! One packet: a chain of nodes in blocks, and what Haiku's functions do to it, with their faults.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;

use haiku_sys::{
    B_BAD_ADDRESS, B_BAD_VALUE, B_ERROR, B_NO_MEMORY, B_OK, net_buffer, sockaddr, sockaddr_storage, status_t,
};

use super::block::{BlockRef, NODE_OVERHEAD, capacity};
use super::node::Node;
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
#[derive(Debug)]
#[repr(C)]
pub(super) struct Packet {
    public: Public,
    mark: AtomicU64,
    nodes: VecDeque<Node>,
    allocation: Option<BlockRef>,
}

/// What is filled with patterns.
#[repr(C)]
struct Public {
    buffer: net_buffer,
    source: sockaddr_storage,
    destination: sockaddr_storage,
}

impl core::fmt::Debug for Public {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes", self.buffer.size)
    }
}

/// A freed packet.
struct Freed(*mut Packet);

// SAFETY: a freed packet belongs to the pool alone.
unsafe impl Send for Freed {}

static FREED_PACKETS: Mutex<VecDeque<Freed>> = Mutex::new(VecDeque::new());

/// What is done with references to interface addresses, which belong to the stack.
pub(super) static REFERENCES: Mutex<Option<super::InterfaceAddressReferences>> = Mutex::new(None);

fn references() -> Option<super::InterfaceAddressReferences> {
    *REFERENCES.guarded()
}

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
            let fresh = Packet { public, mark: AtomicU64::new(DEAD), nodes: VecDeque::new(), allocation: None };
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
    let block = BlockRef::new(space);
    content.allocation = Some(block.share());
    content.nodes.extend(Node::first(block));
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
        for node in self.nodes.drain(..) {
            node.remove();
        }
        self.allocation = None;
        let address = self.public.buffer.interface_address;
        if !address.is_null()
            && let Some(references) = references()
        {
            (references.release)(address);
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
            copy(node.block.address(node.start + skip), done, length)?;
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

    /// `prepend_size`: makes room in front; the room's address if it is in one piece.
    pub(super) fn prepend_room(&mut self, size: usize) -> Result<Option<*mut u8>, status_t> {
        if size.saturating_add(self.size()) > LIMIT {
            return Err(B_NO_MEMORY);
        }
        let Some(first) = self.nodes.front_mut() else { emptied("prepend") };
        if first.header_space() >= size {
            if size > 0 {
                first.grow_front(size);
            }
            let room = first.block.address(first.start);
            self.add_size(size);
            return Ok(Some(room));
        }
        let mut left = size;
        while left > 0 {
            if self.nodes.front().is_none_or(|node| node.header_space() == 0) {
                let Some(node) = Node::first(BlockRef::new(capacity())) else { break };
                self.nodes.push_front(node);
            }
            if let Some(first) = self.nodes.front_mut() {
                let piece = left.min(first.header_space());
                first.grow_front(piece);
                left -= piece;
            }
        }
        self.add_size(size);
        Ok(None)
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
        let space = last.tail_space();
        if space >= size {
            let room = last.block.address(last.start + last.used);
            last.grow_back(size);
            self.add_size(size);
            return Ok(Some(room));
        }
        last.grow_back(space);
        let mut left = size - space;
        while left > 0 {
            let Some(mut node) = Node::first(BlockRef::new(NODE_OVERHEAD)) else { break };
            let piece = left.min(node.tail_space());
            node.grow_back(piece);
            left -= piece;
            self.nodes.push_back(node);
        }
        self.add_size(size);
        Ok(None)
    }

    /// `direct_access`: the address of a range that is in one piece.
    pub(super) fn piece(&self, offset: usize, size: usize) -> Result<*mut u8, status_t> {
        if offset.wrapping_add(size) > self.size() {
            return Err(B_BAD_VALUE);
        }
        let (index, skip) = self.find(offset).ok_or(B_BAD_VALUE)?;
        match self.nodes.get(index) {
            Some(node) if size <= node.used - skip => Ok(node.block.address(node.start + skip)),
            _ => Err(B_ERROR),
        }
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
            if let Some(node) = self.nodes.pop_front() {
                left -= node.used;
                node.remove();
            }
        }
        if let Some(first) = self.nodes.front_mut() {
            first.start += left;
            first.used -= left;
            if !first.read_only {
                first.block.get().header_space += left;
            }
        }
        self.public.buffer.size -= bytes as u32;
        Ok(())
    }

    pub(super) fn trim(&mut self, size: usize) -> Result<(), status_t> {
        if size > self.size() {
            return Err(B_BAD_VALUE);
        }
        if size == self.size() {
            return Ok(());
        }
        let (index, keep) = self.find(size).ok_or(B_BAD_VALUE)?;
        if let Some(node) = self.nodes.get_mut(index) {
            if !node.read_only {
                node.block.get().tail_space += node.used - keep;
            }
            node.used = keep;
        }
        for node in self.nodes.drain(index + usize::from(keep > 0)..) {
            node.remove();
        }
        self.public.buffer.size = size as u32;
        Ok(())
    }

    /// Shares all data of another packet, behind what is there.
    pub(super) fn append_shared(&mut self, from: &Self) {
        for node in &from.nodes {
            if node.used == 0 {
                continue;
            }
            let located = self.describe_node();
            self.nodes.push_back(Node {
                block: node.block.share(),
                located: Some(located),
                start: node.start,
                used: node.used,
                read_only: true,
            });
            self.add_size(node.used);
        }
    }

    /// Takes the space of one more node's description out of the packet's own block, or out of a new one.
    fn describe_node(&mut self) -> BlockRef {
        let allocation = self.allocation.get_or_insert_with(|| BlockRef::new(capacity()));
        if !allocation.get().describe_node() {
            *allocation = BlockRef::new(capacity());
            let _ = allocation.get().describe_node();
        }
        allocation.share()
    }

    /// Copies everything of another packet behind what is there.
    pub(super) fn append_copy(&mut self, from: &Self) {
        for node in &from.nodes {
            // SAFETY: the node's bytes are alive kernel memory.
            let _ = unsafe { self.append(node.block.address(node.start) as usize, node.used) };
        }
    }

    pub(super) fn copy_metadata(&mut self, from: &Self) {
        let (to, from) = (&mut self.public.buffer, &from.public.buffer);
        for (to, from) in [(to.source, from.source), (to.destination, from.destination)] {
            // SAFETY: both point to the packets' own storage, or where their owner let them point.
            let length = unsafe { (*from).sa_len }.min(size_of::<sockaddr_storage>() as u8);
            // SAFETY: as above; the storage is larger than the length, and of different packets.
            unsafe { to.cast::<u8>().copy_from_nonoverlapping(from.cast(), length.into()) };
        }
        to.msg_flags = from.msg_flags;
        to.buffer_flags = from.buffer_flags;
        to.interface_address = from.interface_address;
        to.r#type = from.r#type;
        to.protocol = from.protocol;
        if !to.interface_address.is_null()
            && let Some(references) = references()
        {
            (references.acquire)(to.interface_address);
        }
    }
}

/// The packet lost its last node when it was emptied. Haiku then makes a node that it forgets to put into the
/// packet: what is prepended is lost, and the node leaks in either case.
fn emptied(what: &str) -> ! {
    kpanic!("{what} to a net_buffer that remove_header, remove_trailer or trim emptied: Haiku loses a node here");
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
