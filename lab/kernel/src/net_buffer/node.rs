//! A node of a packet: a block of a fixed size with some of the packet's bytes in it, filled with patterns.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;

use crate::guarded::Guarded;
use crate::heap::{FREED, FRESH, first_change};
use crate::panic::kpanic;

/// What Haiku keeps at the start of each block.
const OVERHEAD: usize = 40;
/// What a node's description takes from the free space of its block.
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
static FREED_BLOCKS: Mutex<VecDeque<Block>> = Mutex::new(VecDeque::new());

/// How many bytes a block has for its node and data.
pub(super) fn capacity() -> usize {
    SIZE.load(Ordering::Relaxed) - OVERHEAD
}

/// The memory of a node.
struct Block(Box<[UnsafeCell<u8>]>);

impl Block {
    /// A block filled with the pattern of fresh memory.
    fn fresh() -> Self {
        let recycled = {
            let mut freed = FREED_BLOCKS.guarded();
            if freed.len() > KEPT { freed.pop_front() } else { None }
        };
        match recycled {
            Some(block) => {
                block.check();
                block.fill(FRESH);
                block
            }
            None => {
                let bytes = vec![FRESH; SIZE.load(Ordering::Relaxed)].into_boxed_slice();
                // SAFETY: a cell of a byte is in memory as the byte is, and the box is given up.
                Self(unsafe { Box::from_raw(Box::into_raw(bytes) as *mut [UnsafeCell<u8>]) })
            }
        }
    }

    fn address(&self) -> *mut u8 {
        UnsafeCell::raw_get(self.0.as_ptr())
    }

    fn fill(&self, pattern: u8) {
        // SAFETY: the block is so long, and its owner alone uses it.
        unsafe { self.address().write_bytes(pattern, self.0.len()) };
    }

    /// Stops the kernel if the freed block was written to.
    fn check(&self) {
        // SAFETY: the block is so long, and the pool alone owns it.
        let content = unsafe { core::slice::from_raw_parts(self.address(), self.0.len()) };
        if let Some(offset) = first_change(content) {
            kpanic!("the data of a net_buffer was written at offset {offset} after it was freed");
        }
    }
}

/// A node: some bytes of a block, and the free space around them.
pub(super) struct Node {
    block: Option<Block>,
    /// Free bytes before the data.
    pub(super) header_space: usize,
    /// Free bytes behind the data.
    pub(super) tail_space: usize,
    start: usize,
    pub(super) used: usize,
}

impl Node {
    /// An empty node in a fresh block. Its description comes out of the bytes that are kept free in front, which are at
    /// least [`NODE_OVERHEAD`] and at most [`capacity`].
    pub(super) fn new(header_space: usize) -> Self {
        Self {
            block: Some(Block::fresh()),
            header_space: header_space - NODE_OVERHEAD,
            tail_space: capacity() - header_space,
            start: OVERHEAD + header_space,
            used: 0,
        }
    }

    /// The address of a byte of the data.
    pub(super) fn address(&self, offset: usize) -> *mut u8 {
        let block = self.block.as_ref().map_or(core::ptr::null_mut(), Block::address);
        block.wrapping_add(self.start + offset)
    }

    pub(super) fn grow_front(&mut self, bytes: usize) {
        self.header_space -= bytes;
        self.start -= bytes;
        self.used += bytes;
    }

    pub(super) fn shrink_front(&mut self, bytes: usize) {
        self.header_space += bytes;
        self.start += bytes;
        self.used -= bytes;
    }

    pub(super) fn grow_back(&mut self, bytes: usize) {
        self.tail_space -= bytes;
        self.used += bytes;
    }
}

impl Drop for Node {
    /// Frees the block, which is kept for a while and checked.
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            block.fill(FREED);
            FREED_BLOCKS.guarded().push_back(block);
        }
    }
}

/// Checks and gives back the freed blocks, and sets the size of those to come.
pub(super) fn reset(size: Option<usize>) {
    for block in std::mem::take(&mut *FREED_BLOCKS.guarded()) {
        block.check();
    }
    if let Some(size) = size {
        SIZE.store(size, Ordering::Relaxed);
    }
}
