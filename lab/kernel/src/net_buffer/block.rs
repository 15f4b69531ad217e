//! The memory of packets: blocks of a fixed size, shared by counting, filled with patterns.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::VecDeque;
use std::sync::Mutex;

use crate::guarded::Guarded;
use crate::heap::{FREED, FRESH, first_change};
use crate::panic::kpanic;

/// What Haiku keeps at the start of each block.
const OVERHEAD: usize = 40;
/// What a node's description takes from the free space of the block it is described in.
pub(super) const NODE_OVERHEAD: usize = 56;
/// The smallest block: it has room for its node and a few bytes.
pub const MIN_NODE_SIZE: usize = OVERHEAD + NODE_OVERHEAD + 8;
/// The largest block: sizes in it are 16 bits on Haiku.
pub const MAX_NODE_SIZE: usize = 65_528;
/// Haiku's block.
pub const HAIKU_NODE_SIZE: usize = 2048;

/// How many freed blocks are kept for checking before the oldest is used again.
const KEPT: usize = 64;

static SIZE: AtomicUsize = AtomicUsize::new(HAIKU_NODE_SIZE);
static FREED_BLOCKS: Mutex<VecDeque<BlockRef>> = Mutex::new(VecDeque::new());

/// How many bytes a block has for nodes and data.
pub(super) fn capacity() -> usize {
    SIZE.load(Ordering::Relaxed) - OVERHEAD
}

/// A block: its data, and how much of the space around the data is free.
///
/// Only the packet whose node may write to the block changes the two spaces; the others count references.
#[derive(Debug)]
pub(super) struct Block {
    references: AtomicU32,
    size: usize,
    data: *mut u8,
    /// Free bytes before the data; new descriptions of nodes come out of them too.
    pub(super) header_space: usize,
    /// Free bytes behind the data.
    pub(super) tail_space: usize,
    /// Where the free bytes before the data begin.
    used_end: usize,
    /// Places of nodes that went, to be used again.
    vacant: usize,
}

/// A reference to a block that counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockRef(*mut Block);

// SAFETY: references are counted atomically, and the rest belongs to one packet at a time (see `Block`).
unsafe impl Send for BlockRef {}

impl BlockRef {
    /// A fresh block with so many bytes kept free in front, all of it filled with the pattern of fresh memory.
    pub(super) fn new(header_space: usize) -> Self {
        let size = SIZE.load(Ordering::Relaxed);
        let recycled = {
            let mut freed = FREED_BLOCKS.guarded();
            if freed.len() > KEPT { freed.pop_front() } else { None }
        };
        let block = recycled.inspect(Self::check).unwrap_or_else(|| {
            Self(Box::into_raw(Box::new(Block {
                references: AtomicU32::new(0),
                size,
                data: allocate(size),
                header_space: 0,
                tail_space: 0,
                used_end: 0,
                vacant: 0,
            })))
        });
        // SAFETY: the block is new, and this is the only pointer to it.
        let content = unsafe { &mut *block.0 };
        content.references.store(1, Ordering::Relaxed);
        content.header_space = header_space;
        content.tail_space = size - OVERHEAD - header_space;
        content.used_end = OVERHEAD;
        content.vacant = 0;
        // SAFETY: the data is `size` bytes.
        unsafe { content.data.write_bytes(FRESH, size) };
        block
    }

    pub(super) fn share(&self) -> Self {
        // SAFETY: this reference keeps the block alive.
        unsafe { (*self.0).references.fetch_add(1, Ordering::Relaxed) };
        Self(self.0)
    }

    /// The block, for the packet that may change its spaces.
    pub(super) fn get(&mut self) -> &mut Block {
        // SAFETY: the block is alive, and only one packet changes it; a packet is one thread's at a time.
        unsafe { &mut *self.0 }
    }

    pub(super) fn header_space(&self) -> usize {
        // SAFETY: as for `get`.
        unsafe { (*self.0).header_space }
    }

    pub(super) fn tail_space(&self) -> usize {
        // SAFETY: as for `get`.
        unsafe { (*self.0).tail_space }
    }

    /// The address of a byte of the data.
    pub(super) fn address(&self, offset: usize) -> *mut u8 {
        // SAFETY: the block is alive, and the address of its data does not change.
        unsafe { (*self.0).data }.wrapping_add(offset)
    }

    /// Stops the kernel if the freed block was written to.
    fn check(&self) {
        // SAFETY: the block is in the pool, which owns it.
        let block = unsafe { &*self.0 };
        // SAFETY: the data has `size` bytes, and the pool owns it.
        let content = unsafe { core::slice::from_raw_parts(block.data, block.size) };
        if let Some(offset) = first_change(content) {
            kpanic!("the data of a net_buffer was written at offset {offset} after it was freed");
        }
    }

    fn destroy(self) {
        // SAFETY: the block came from a box, and the pool has the only reference.
        let block = unsafe { Box::from_raw(self.0) };
        core::mem::forget(self);
        // SAFETY: the data was allocated with this layout.
        unsafe { dealloc(block.data, layout(block.size)) };
    }
}

impl Drop for BlockRef {
    fn drop(&mut self) {
        // SAFETY: this reference keeps the block alive.
        let block = unsafe { &*self.0 };
        if block.references.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // SAFETY: that was the last reference, and the data is `size` bytes.
        unsafe { block.data.write_bytes(FREED, block.size) };
        FREED_BLOCKS.guarded().push_back(Self(self.0));
    }
}

impl Block {
    /// Takes the space of a node's description, if there is enough left.
    pub(super) fn describe_node(&mut self) -> bool {
        if self.vacant > 0 {
            self.vacant -= 1;
        } else if self.header_space >= NODE_OVERHEAD {
            self.header_space -= NODE_OVERHEAD;
            self.used_end += NODE_OVERHEAD;
        } else {
            return false;
        }
        true
    }

    /// A node's description went.
    pub(super) fn forget_node(&mut self) {
        self.vacant += 1;
    }

    /// Where data begins in a block that has none yet.
    pub(super) fn data_start(&self) -> usize {
        self.used_end + self.header_space
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).unwrap_or(Layout::new::<u128>())
}

fn allocate(size: usize) -> *mut u8 {
    // SAFETY: no block is empty.
    let data = unsafe { alloc(layout(size)) };
    if data.is_null() {
        handle_alloc_error(layout(size));
    }
    data
}

/// Checks and gives back the freed blocks, and sets the size of those to come.
pub(super) fn reset(size: Option<usize>) {
    let freed = std::mem::take(&mut *FREED_BLOCKS.guarded());
    for block in freed {
        block.check();
        block.destroy();
    }
    if let Some(size) = size {
        SIZE.store(size, Ordering::Relaxed);
    }
}
