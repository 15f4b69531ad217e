//! The kernel's recursive locks, behind the opaque block that `haiku-sys` gives them.
//!
//! They behave as in a kernel with `KDEBUG`: a lock has a holder, who may lock it again; waiters are served in order and
//! get the lock handed over, and misuse stops the kernel. The block holds a pointer to what is behind it and the proof
//! that `recursive_lock_init` wrote it; copying an unlocked one elsewhere works, as it does on Haiku.

use core::ffi::c_char;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;

use haiku_sys::{B_ERROR, B_OK, status_t};

use crate::guarded::Guarded;
use crate::interrupts;
use crate::panic::kpanic;
use crate::schedule::{self, Place};
use crate::thread::{ThreadRef, this};
use crate::wait::{Claim, Interruption};
use crate::{held, ledger};

pub use crate::held::held;

/// The lock is free.
const FREE: i32 = -1;
/// Beside the holder's id: others wait.
const WAITERS: i32 = 1 << 30;

/// What `recursive_lock_init` writes beside the pointer, combined with it.
const MAGIC: usize = 0x6d75_7465_7820_6f6b;

/// What is behind the block. Its memory is used again, never given back, so that a stale block finds a lock.
#[derive(Debug)]
struct Inner {
    holder: AtomicI32,
    /// How often the holder has locked it.
    depth: AtomicI32,
    waiters: Mutex<VecDeque<ThreadRef>>,
}

/// How the opaque bytes are used.
#[repr(C)]
struct Block {
    inner: *const Inner,
    proof: usize,
    _name: *const c_char,
    _rest: [usize; 5],
}

const _: () = assert!(size_of::<Block>() == size_of::<haiku_sys::recursive_lock>());
const _: () = assert!(align_of::<Block>() == align_of::<haiku_sys::recursive_lock>());

static SPARE: Mutex<Vec<&'static Inner>> = Mutex::new(Vec::new());

/// How often a lock was locked by its holder again.
static RECURSIONS: AtomicU32 = AtomicU32::new(0);

/// How often a thread has locked a lock that it held already, since the process began. Haiku allows it; to code that takes
/// such a lock for a mutex it would be two sections at once.
#[must_use]
pub fn recursions() -> u32 {
    RECURSIONS.load(Ordering::Relaxed)
}

impl Inner {
    fn is_mine(&self) -> bool {
        let holder = self.holder.load(Ordering::SeqCst);
        holder != FREE && holder & !WAITERS == this().id()
    }

    fn lock(&self) -> status_t {
        let this = this();
        let id = this.id();
        if self.holder.compare_exchange(FREE, id, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return B_OK;
        }
        {
            let mut waiters = self.waiters.guarded();
            loop {
                let holder = self.holder.load(Ordering::SeqCst);
                let wanted = if holder == FREE { id } else { holder | WAITERS };
                if self.holder.compare_exchange(holder, wanted, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    if holder == FREE {
                        return B_OK;
                    }
                    break;
                }
            }
            this.parker().prepare(Interruption::Never);
            waiters.push_back(this);
        }
        this.parker().block(None, Place::Mutex)
    }

    fn unlock(&self) {
        let id = this().id();
        if self.holder.compare_exchange(id, FREE, Ordering::Release, Ordering::Relaxed).is_ok() {
            return;
        }
        let mut waiters = self.waiters.guarded();
        let Some(next) = waiters.pop_front() else {
            self.holder.store(FREE, Ordering::SeqCst);
            return;
        };
        self.holder.store(if waiters.is_empty() { next.id() } else { next.id() | WAITERS }, Ordering::SeqCst);
        drop(waiters);
        if next.parker().claim(B_OK) == Claim::MustWake {
            next.parker().wake();
        }
    }
}

/// What is behind a block that `recursive_lock_init` wrote.
///
/// # Safety
/// `block` must point to a lock's block; what is in it does not matter.
unsafe fn inner(block: *mut haiku_sys::recursive_lock) -> &'static Inner {
    // SAFETY: the block is a live lock by this function's contract, and of the same size and alignment.
    let content = unsafe { &*block.cast::<Block>() };
    if content.inner.is_null() || content.proof != content.inner as usize ^ MAGIC {
        kpanic!("_mutex_lock(): using uninitialized lock {block:p}");
    }
    // SAFETY: the proof says that `recursive_lock_init` wrote the pointer; what it points to is never given back.
    unsafe { &*content.inner }
}

/// # Safety
/// `block` is memory for a lock that is not initialised, and `name` is a C string that outlives the lock.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_recursive_lock_init(block: *mut haiku_sys::recursive_lock, name: *const c_char) {
    let spare = SPARE.guarded().pop();
    let inner = spare.unwrap_or_else(|| {
        Box::leak(Box::new(Inner {
            holder: AtomicI32::new(FREE),
            depth: AtomicI32::new(0),
            waiters: Mutex::new(VecDeque::new()),
        }))
    });
    inner.holder.store(FREE, Ordering::SeqCst);
    inner.depth.store(0, Ordering::SeqCst);
    let content = Block { inner, proof: core::ptr::from_ref(inner) as usize ^ MAGIC, _name: name, _rest: [0; 5] };
    // SAFETY: the caller gives a block to initialise.
    unsafe { block.cast::<Block>().write(content) };
    ledger::LOCKS.add(1);
}

/// # Safety
/// `block` is memory for a lock; an uninitialised one is reported.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_recursive_lock_destroy(block: *mut haiku_sys::recursive_lock) {
    // SAFETY: the caller gives a lock's block.
    let inner = unsafe { inner(block) };
    let id = this().id();
    let woken: Vec<_> = {
        let mut waiters = inner.waiters.guarded();
        let holder = inner.holder.load(Ordering::SeqCst);
        if holder != FREE && holder & !WAITERS != id {
            drop(waiters);
            let holder = holder & !WAITERS;
            kpanic!("mutex_destroy(): the lock ({block:p}) is held by {holder}, not by the caller");
        }
        if holder != FREE {
            held::given_up(inner.depth.swap(0, Ordering::SeqCst) as u32);
        }
        waiters.drain(..).filter(|waiter| waiter.parker().claim(B_ERROR) == Claim::MustWake).collect()
    };
    // SAFETY: the caller gives a lock's block; a second destroy or a later lock finds it uninitialised.
    unsafe { block.write(haiku_sys::recursive_lock::uninitialised()) };
    for waiter in woken {
        waiter.parker().wake();
    }
    SPARE.guarded().push(inner);
    ledger::LOCKS.add(-1);
}

/// # Safety
/// `block` is memory for a lock; an uninitialised one is reported.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_recursive_lock_lock(block: *mut haiku_sys::recursive_lock) -> status_t {
    if !interrupts::are_enabled() {
        kpanic!("recursive_lock_lock: called with interrupts disabled for lock {block:p}");
    }
    schedule::point("recursive_lock_lock");
    // SAFETY: the caller gives a lock's block.
    let inner = unsafe { inner(block) };
    // A destroyed lock lets its waiters in all the same, as Haiku's does; their unlock finds out.
    if inner.is_mine() || inner.lock() == B_OK {
        if inner.depth.fetch_add(1, Ordering::SeqCst) > 0 {
            RECURSIONS.fetch_add(1, Ordering::Relaxed);
        }
        held::taken();
    }
    B_OK
}

/// # Safety
/// `block` is memory for a lock; an uninitialised one is reported.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_recursive_lock_unlock(block: *mut haiku_sys::recursive_lock) {
    // SAFETY: the caller gives a lock's block.
    let inner = unsafe { inner(block) };
    if !inner.is_mine() {
        kpanic!("recursive_lock {block:p} unlocked by non-holder thread!");
    }
    if inner.depth.fetch_sub(1, Ordering::SeqCst) == 1 {
        inner.unlock();
    }
    held::given_up(1);
    schedule::point("recursive_lock_unlock");
}
