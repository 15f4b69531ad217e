//! The kernel heap: `malloc`, `memalign` and `free`.
//!
//! Fresh memory has a pattern in it and so has freed memory, which is kept for a while and checked: what a driver
//! reads before it writes, writes past the end, writes after `free` or frees twice is found.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::{Layout, alloc, dealloc};
use std::collections::VecDeque;
use std::sync::Mutex;

use crate::fault::{self, Fault};
use crate::guarded::Guarded;
use crate::interrupts;
use crate::ledger;
use crate::panic::kpanic;

/// What fresh memory is filled with, as on a Haiku with its debug heap.
pub const FRESH: u8 = 0xcc;
/// What freed memory is filled with.
pub const FREED: u8 = 0xde;

const LIVE_MARK: u64 = 0x6c69_7665_2062_6c6b;
const FREED_MARK: u64 = 0x6672_6565_6420_626b;
const TAIL: [u8; 8] = *b"tail end";
/// How much freed memory is kept for checking.
const QUARANTINE_BYTES: usize = 1 << 20;

/// What stands directly before each block.
#[repr(C, align(16))]
struct Header {
    mark: AtomicU64,
    size: usize,
    align: usize,
    _unused: usize,
}

/// A freed block: where it begins for the program.
struct Freed(*mut u8);

// SAFETY: the quarantine is the only owner of a freed block, and no thread is special.
unsafe impl Send for Freed {}

struct Quarantine {
    blocks: VecDeque<Freed>,
    bytes: usize,
}

static QUARANTINE: Mutex<Quarantine> = Mutex::new(Quarantine { blocks: VecDeque::new(), bytes: 0 });

/// The memory of a block with its header and tail, and where in it the block begins.
fn layout(size: usize, align: usize) -> Option<(Layout, usize)> {
    let align = align.max(align_of::<Header>());
    let offset = size_of::<Header>().next_multiple_of(align);
    let total = offset.checked_add(size)?.checked_add(TAIL.len())?;
    Some((Layout::from_size_align(total, align).ok()?, offset))
}

fn allocate(align: usize, size: usize) -> *mut c_void {
    if fault::hit(Fault::Malloc) {
        return core::ptr::null_mut();
    }
    let Some((layout, offset)) = layout(size, align) else { return core::ptr::null_mut() };
    // SAFETY: the layout is not empty, because the header is in it.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: `offset` is inside the layout.
    let block = unsafe { memory.add(offset) };
    let header = Header { mark: AtomicU64::new(LIVE_MARK), size, align, _unused: 0 };
    // SAFETY: the header's place is before the block and aligned, because the offset and the memory are.
    unsafe { header_of(block).write(header) };
    // SAFETY: the block and its tail are inside the layout.
    unsafe { block.write_bytes(FRESH, size) };
    // SAFETY: as above.
    unsafe { tail_of(block, size).write(TAIL) };
    ledger::HEAP_BLOCKS.add(1);
    ledger::HEAP_BYTES.add(size as i64);
    block.cast()
}

fn header_of(block: *mut u8) -> *mut Header {
    block.wrapping_sub(size_of::<Header>()).cast()
}

fn tail_of(block: *mut u8, size: usize) -> *mut [u8; 8] {
    block.wrapping_add(size).cast()
}

/// Frees a block: it stays in quarantine until later frees push it out.
///
/// # Safety
/// `block` must have come from [`allocate`]; whether it was freed before is found out here, while it is kept.
unsafe fn release(block: *mut u8) {
    // SAFETY: every block has a header before it.
    let header = unsafe { &*header_of(block) };
    match header.mark.swap(FREED_MARK, Ordering::SeqCst) {
        LIVE_MARK => {}
        FREED_MARK => kpanic!("free(): {block:p} was freed before"),
        other => kpanic!("free(): {block:p} is not a block of the heap, or its header was overwritten ({other:#x})"),
    }
    let size = header.size;
    // SAFETY: the tail is behind the block; it may be unaligned only if the size is odd, and is read as bytes.
    if unsafe { tail_of(block, size).read() } != TAIL {
        kpanic!("free(): something wrote behind the end of {block:p}, a block of {size} bytes");
    }
    ledger::HEAP_BLOCKS.add(-1);
    ledger::HEAP_BYTES.add(-(size as i64));
    // SAFETY: the block has `size` bytes, and its owner has just freed it.
    unsafe { block.write_bytes(FREED, size) };
    let mut quarantine = QUARANTINE.guarded();
    quarantine.bytes += size;
    quarantine.blocks.push_back(Freed(block));
    while quarantine.bytes > QUARANTINE_BYTES {
        let Some(oldest) = quarantine.blocks.pop_front() else { break };
        quarantine.bytes -= give_back(oldest);
    }
}

/// Checks that a freed block was not written to, frees its memory and returns its size.
fn give_back(block: Freed) -> usize {
    let Freed(block) = block;
    // SAFETY: the block is in quarantine, so its header is alive.
    let header = unsafe { &*header_of(block) };
    let (size, align) = (header.size, header.align);
    // SAFETY: as above; the quarantine owns the block.
    let content = unsafe { core::slice::from_raw_parts(block, size) };
    if let Some(offset) = first_change(content) {
        kpanic!("the block {block:p} of {size} bytes was written at offset {offset} after it was freed");
    }
    if let Some((layout, offset)) = layout(size, align) {
        // SAFETY: it was allocated with this layout, `offset` before the block.
        unsafe { dealloc(block.wrapping_sub(offset), layout) };
    }
    size
}

/// Where freed memory was written to, if it was.
pub(crate) fn first_change(content: &[u8]) -> Option<usize> {
    static UNCHANGED: [u8; 4096] = [FREED; 4096];
    // Comparing slices is many times faster than looking at bytes, and nearly always enough.
    let changed = content.chunks(UNCHANGED.len()).any(|chunk| chunk != &UNCHANGED[..chunk.len()]);
    if changed { content.iter().position(|&byte| byte != FREED) } else { None }
}

/// Checks and gives back everything in quarantine.
pub(crate) fn flush() {
    let blocks = {
        let mut quarantine = QUARANTINE.guarded();
        quarantine.bytes = 0;
        std::mem::take(&mut quarantine.blocks)
    };
    for block in blocks {
        give_back(block);
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_malloc(size: usize) -> *mut c_void {
    interrupts::check("malloc()");
    allocate(1, size)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_memalign(alignment: usize, size: usize) -> *mut c_void {
    interrupts::check("memalign()");
    if alignment.is_power_of_two() { allocate(alignment, size) } else { core::ptr::null_mut() }
}

/// # Safety
/// `block` is null, or comes from this heap and is not used again.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_free(block: *mut c_void) {
    interrupts::check("free()");
    if !block.is_null() {
        // SAFETY: the caller gives a block of `malloc` or `memalign`.
        unsafe { release(block.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FaultPlan, Kernel, Options};

    #[test]
    fn fresh_memory_is_filled_and_aligned() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        for (align, size) in [(1, 0), (1, 1), (16, 100), (64, 3), (4096, 5000)] {
            let block = if align == 1 { haiku_malloc(size) } else { haiku_memalign(align, size) }.cast::<u8>();
            assert!(!block.is_null());
            assert_eq!(block as usize % align.max(16), 0);
            // SAFETY: a live block of `size` bytes.
            let content = unsafe { core::slice::from_raw_parts(block, size) };
            assert!(content.iter().all(|&byte| byte == FRESH));
            // SAFETY: a live block.
            unsafe { haiku_free(block.cast()) };
        }
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn what_is_not_freed_is_in_the_ledger() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        let block = haiku_malloc(100);
        let ledgers = kernel.ledgers();
        assert_eq!((ledgers.heap_blocks, ledgers.heap_bytes), (1, 100));
        // SAFETY: a live block.
        unsafe { haiku_free(block) };
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn freeing_null_does_nothing_and_impossible_sizes_are_refused() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        // SAFETY: null is allowed.
        unsafe { haiku_free(core::ptr::null_mut()) };
        assert!(haiku_malloc(usize::MAX).is_null());
        assert!(haiku_memalign(3, 8).is_null());
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn freed_memory_is_poisoned() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        let block = haiku_malloc(32).cast::<u8>();
        // SAFETY: a live block.
        unsafe { haiku_free(block.cast()) };
        // SAFETY: the quarantine keeps the memory alive.
        assert_eq!(unsafe { block.read_volatile() }, FREED);
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn the_nth_allocation_fails() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        fault::arm(FaultPlan::Nth(Fault::Malloc, 2));
        let blocks = [0; 3].map(|_| haiku_malloc(8));
        assert_eq!(blocks.map(|block| block.is_null()), [false, true, false]);
        for block in blocks {
            // SAFETY: live blocks or null.
            unsafe { haiku_free(block) };
        }
        assert!(kernel.shutdown().is_zero());
    }
}
