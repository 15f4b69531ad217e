//! Kernel mutexes, behind the opaque block that `haiku-sys` gives them.
//!
//! They behave as in a kernel with `KDEBUG`: a lock has a holder, waiters are served in order and get the lock
//! handed over, and misuse stops the kernel. The block holds a pointer to what is behind it and the proof that
//! `mutex_init` wrote it; copying an unlocked mutex elsewhere works, as it does on Haiku.

use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicI32, Ordering};
use std::collections::VecDeque;
use std::sync::Mutex;

use haiku_sys::{B_ERROR, B_OK, status_t};

use crate::interrupts;
use crate::ledger;
use crate::locks::Guarded;
use crate::panic::kpanic;
use crate::schedule::{self, Place};
use crate::thread::{ThreadRef, this};
use crate::wait::{Claim, Interruption};

/// Nobody holds the lock.
const FREE: i32 = -1;
/// Beside the holder's id: others wait.
const WAITERS: i32 = 1 << 30;

/// What `mutex_init` writes beside the pointer, combined with it.
const MAGIC: usize = 0x6d75_7465_7820_6f6b;

/// What is behind the block. Its memory is used again, never given back, so that a stale block finds a mutex.
#[derive(Debug)]
struct Inner {
    holder: AtomicI32,
    waiters: Mutex<VecDeque<ThreadRef>>,
}

/// How the 32 opaque bytes are used.
#[repr(C)]
struct Block {
    inner: *const Inner,
    proof: usize,
    name: *const c_char,
    _rest: usize,
}

const _: () = assert!(size_of::<Block>() == size_of::<haiku_sys::mutex>());
const _: () = assert!(align_of::<Block>() == align_of::<haiku_sys::mutex>());

static SPARE: Mutex<Vec<&'static Inner>> = Mutex::new(Vec::new());

thread_local! {
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// How many mutexes the calling thread holds.
#[must_use]
pub fn held() -> u32 {
    HELD.get()
}

/// Another thread runs here from now on, which holds so many; returns how many this one held.
#[inline(never)]
pub(crate) fn exchange_held(held: u32) -> u32 {
    HELD.replace(held)
}

/// Stops the kernel if the calling thread holds a mutex where it must not.
pub(crate) fn check_none_held(what: &str) {
    if HELD.get() != 0 {
        kpanic!("{what} while holding {} mutex(es): nobody will ever unlock them", HELD.get());
    }
}

impl Inner {
    fn lock(&self, block: *const haiku_sys::mutex) -> status_t {
        let this = this();
        let id = this.id();
        if self.holder.compare_exchange(FREE, id, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return B_OK;
        }
        {
            let mut waiters = self.waiters.guarded();
            loop {
                let holder = self.holder.load(Ordering::SeqCst);
                if holder != FREE && holder & !WAITERS == id {
                    drop(waiters);
                    kpanic!("_mutex_lock(): double lock of {block:p} by thread {id}");
                }
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

    fn unlock(&self, block: *const haiku_sys::mutex) {
        let id = this().id();
        if self.holder.compare_exchange(id, FREE, Ordering::Release, Ordering::Relaxed).is_ok() {
            return;
        }
        let mut waiters = self.waiters.guarded();
        let holder = self.holder.load(Ordering::SeqCst);
        if holder == FREE || holder & !WAITERS != id {
            let holder = if holder == FREE { FREE } else { holder & !WAITERS };
            drop(waiters);
            kpanic!(
                "_mutex_unlock() failure: thread {id} is trying to release mutex {block:p} (current holder {holder})"
            );
        }
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

/// What is behind a block that `mutex_init` wrote.
///
/// # Safety
/// `block` must point to a mutex block; what is in it does not matter.
unsafe fn inner(block: *mut haiku_sys::mutex) -> &'static Inner {
    // SAFETY: the block is a live mutex by this function's contract, and of the same size and alignment.
    let content = unsafe { &*block.cast::<Block>() };
    if content.inner.is_null() || content.proof != content.inner as usize ^ MAGIC {
        kpanic!("_mutex_lock(): using uninitialized lock {block:p}");
    }
    // SAFETY: the proof says that `mutex_init` wrote the pointer; what it points to is never given back.
    unsafe { &*content.inner }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_mutex_init(block: *mut haiku_sys::mutex, name: *const c_char) {
    let spare = SPARE.guarded().pop();
    let inner = spare.unwrap_or_else(|| {
        Box::leak(Box::new(Inner { holder: AtomicI32::new(FREE), waiters: Mutex::new(VecDeque::new()) }))
    });
    inner.holder.store(FREE, Ordering::SeqCst);
    let content = Block { inner, proof: core::ptr::from_ref(inner) as usize ^ MAGIC, name, _rest: 0 };
    // SAFETY: the caller gives a block to initialise.
    unsafe { block.cast::<Block>().write(content) };
    ledger::MUTEXES.add(1);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_mutex_destroy(block: *mut haiku_sys::mutex) {
    // SAFETY: the caller gives a mutex block.
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
            HELD.set(HELD.get() - 1);
        }
        waiters.drain(..).filter(|waiter| waiter.parker().claim(B_ERROR) == Claim::MustWake).collect()
    };
    for waiter in woken {
        waiter.parker().wake();
    }
    // SAFETY: the caller gives a mutex block; a second destroy or a later lock finds it uninitialised.
    unsafe { block.write(haiku_sys::mutex::uninitialised()) };
    SPARE.guarded().push(inner);
    ledger::MUTEXES.add(-1);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_mutex_lock(block: *mut haiku_sys::mutex) -> status_t {
    if !interrupts::are_enabled() {
        kpanic!("_mutex_lock(): called with interrupts disabled for lock {block:p}");
    }
    schedule::point("mutex_lock");
    // SAFETY: the caller gives a mutex block.
    let status = unsafe { inner(block) }.lock(block);
    if status == B_OK {
        HELD.set(HELD.get() + 1);
    }
    status
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_mutex_unlock(block: *mut haiku_sys::mutex) {
    // SAFETY: the caller gives a mutex block.
    unsafe { inner(block) }.unlock(block);
    HELD.set(HELD.get() - 1);
    schedule::point("mutex_unlock");
}

/// The name a mutex was initialised with, for messages; `None` for an uninitialised one.
///
/// # Safety
/// `block` must be a mutex block, and the name it was given must still be alive.
#[must_use]
pub unsafe fn name(block: *const haiku_sys::mutex) -> Option<String> {
    // SAFETY: a mutex block by this function's contract.
    let content = unsafe { &*block.cast::<Block>() };
    if content.inner.is_null() || content.name.is_null() {
        return None;
    }
    // SAFETY: the name is alive by this function's contract.
    Some(unsafe { CStr::from_ptr(content.name) }.to_string_lossy().into_owned())
}
