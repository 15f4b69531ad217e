//! A node of a packet: some bytes of a block, and the free space around them.

use super::block::BlockRef;

/// A node: some bytes of a block.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) block: BlockRef,
    /// The block that the node's description takes its space from, if it is another one.
    pub(super) located: Option<BlockRef>,
    pub(super) start: usize,
    pub(super) used: usize,
    /// The block's data is another packet's too, and its free space is not ours.
    pub(super) read_only: bool,
}

impl Node {
    /// The first node in a block, if the block has room to describe it.
    pub(super) fn first(mut block: BlockRef) -> Option<Self> {
        if !block.get().describe_node() {
            return None;
        }
        let start = block.get().data_start();
        Some(Self { block, located: None, start, used: 0, read_only: false })
    }

    pub(super) fn header_space(&self) -> usize {
        if self.read_only { 0 } else { self.block.header_space() }
    }

    pub(super) fn tail_space(&self) -> usize {
        if self.read_only { 0 } else { self.block.tail_space() }
    }

    pub(super) fn grow_front(&mut self, bytes: usize) {
        self.block.get().header_space -= bytes;
        self.start -= bytes;
        self.used += bytes;
    }

    pub(super) fn grow_back(&mut self, bytes: usize) {
        if bytes > 0 {
            self.block.get().tail_space -= bytes;
            self.used += bytes;
        }
    }

    /// Removes the node: its space becomes header space for the remaining users of the block.
    pub(super) fn remove(mut self) {
        if !self.read_only {
            let block = self.block.get();
            block.header_space += self.used + block.tail_space;
            block.tail_space = 0;
        }
        match &mut self.located {
            Some(located) => located.get().forget_node(),
            None => self.block.get().forget_node(),
        }
    }
}
