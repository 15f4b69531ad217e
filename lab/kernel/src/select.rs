//! `select` and `poll` from the driver's side: events, pools of waiters, notifications.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use haiku_sys::{B_BAD_VALUE, B_ENTRY_NOT_FOUND, B_NO_MEMORY, B_OK, select_sync_pool, selectsync, status_t};

use crate::fault::{self, Fault};
use crate::guarded::Guarded;
use crate::interrupts;
use crate::ledger;
use crate::panic::kpanic;

/// The bit of an event.
pub(crate) const fn flag(event: u8) -> u16 {
    1_u16.wrapping_shl(event as u32 - 1)
}

/// The descriptor is not open, or was closed.
pub(crate) const INVALID: u16 = 0x1000;
/// Events that are always reported, without being asked for.
pub(crate) const OUTPUT_ONLY: u16 = 0x0004 | 0x0080 | INVALID;

/// Who waits: a poll, a select or an observer.
pub(crate) trait Waiter: Send + Sync {
    /// Something happened to one of the descriptors; `selected` are the events that were asked for.
    fn notify(&self, events: u16, selected: u16) -> status_t;
}

const LIVE: u32 = 0x7365_6c65;
const ENDED: u32 = 0x656e_6465;

/// One descriptor of one who waits: what a driver knows as `selectsync`. Its memory is used again, never given
/// back, so that a notification that comes too late is found out.
#[derive(Debug)]
pub(crate) struct Info {
    mark: AtomicU32,
    /// What happened so far.
    events: AtomicU32,
    /// What is waited for.
    selected: AtomicU32,
    waiter: Mutex<Option<Weak<dyn Waiter>>>,
}

impl core::fmt::Debug for dyn Waiter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("waiter")
    }
}

/// An [`Info`] in use.
pub(crate) type InfoRef = &'static Info;

static SPARE: Mutex<Vec<InfoRef>> = Mutex::new(Vec::new());

impl Info {
    pub(crate) fn new(selected: u16, waiter: Weak<dyn Waiter>) -> InfoRef {
        let info = SPARE.guarded().pop().unwrap_or_else(|| {
            Box::leak(Box::new(Self {
                mark: AtomicU32::new(ENDED),
                events: AtomicU32::new(0),
                selected: AtomicU32::new(0),
                waiter: Mutex::new(None),
            }))
        });
        info.events.store(0, Ordering::SeqCst);
        info.select(selected);
        *info.waiter.guarded() = Some(waiter);
        info.mark.store(LIVE, Ordering::SeqCst);
        info
    }

    /// Ends the use: a notification after this one is a use after free on Haiku.
    pub(crate) fn end(&'static self) {
        self.mark.store(ENDED, Ordering::SeqCst);
        *self.waiter.guarded() = None;
        SPARE.guarded().push(self);
    }

    pub(crate) fn selected(&self) -> u16 {
        self.selected.load(Ordering::SeqCst) as u16
    }

    pub(crate) fn select(&self, events: u16) {
        self.selected.store(events.into(), Ordering::SeqCst);
    }

    pub(crate) fn events(&self) -> u16 {
        self.events.load(Ordering::SeqCst) as u16
    }

    pub(crate) fn waiter(&self) -> Option<Arc<dyn Waiter>> {
        self.waiter.guarded().as_ref()?.upgrade()
    }

    pub(crate) fn as_sync(&self) -> *mut selectsync {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// `notify_select_events`.
    pub(crate) fn notify(&self, events: u16) -> status_t {
        let waiter = if self.mark.load(Ordering::SeqCst) == LIVE { self.waiter() } else { None };
        let Some(waiter) = waiter else {
            kpanic!("notify_select_event(): the select {self:p} has ended, and its memory is reused");
        };
        self.events.fetch_or(events.into(), Ordering::SeqCst);
        waiter.notify(events, self.selected())
    }
}

/// A driver's pool.
#[derive(Debug)]
struct Pool {
    mark: u32,
    busy: AtomicBool,
    entries: Vec<(*mut selectsync, u16)>,
}

/// Marks a pool as being worked on: two threads at once would break Haiku's list, so this stops the kernel.
struct Busy<'a>(&'a AtomicBool);

impl<'a> Busy<'a> {
    fn new(flag: &'a AtomicBool, call: &str) -> Self {
        if flag.swap(true, Ordering::Acquire) {
            kpanic!("{call}: two threads work on one select pool; the driver must hold a lock of its own");
        }
        Self(flag)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// # Safety
/// `pool` must be null or a pool of this file.
unsafe fn pool<'a>(pool: *mut select_sync_pool, call: &str) -> Option<&'a mut Pool> {
    // SAFETY: null or a pool by this function's contract.
    let pool = unsafe { pool.cast::<Pool>().as_mut() }?;
    if pool.mark != LIVE {
        kpanic!("{call}: the select pool {:p} was deleted", core::ptr::from_ref(pool));
    }
    Some(pool)
}

/// # Safety
/// `place` must point to a pool of this file, which is not used again.
unsafe fn delete(pool: *mut select_sync_pool) {
    // SAFETY: it came from a box.
    let mut pool = unsafe { Box::from_raw(pool.cast::<Pool>()) };
    pool.mark = ENDED;
    ledger::SELECT_POOLS.add(-1);
}

/// # Safety
/// `place` holds null or a live pool, and the caller holds the lock of that pool. `sync` is alive until it is removed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_add_select_sync_pool_entry(
    place: *mut *mut select_sync_pool,
    sync: *mut selectsync,
    event: u8,
) -> status_t {
    const CALL: &str = "add_select_sync_pool_entry()";
    interrupts::check(CALL);
    if fault::hit(Fault::SelectPoolEntry) {
        return B_NO_MEMORY;
    }
    // SAFETY: the caller gives the place where it keeps its pool.
    let current = unsafe { &mut *place };
    if current.is_null() {
        let pool = Pool { mark: LIVE, busy: AtomicBool::new(false), entries: Vec::new() };
        *current = Box::into_raw(Box::new(pool)).cast();
        ledger::SELECT_POOLS.add(1);
    }
    // SAFETY: the caller's pool.
    let Some(pool) = (unsafe { pool(*current, CALL) }) else { return B_NO_MEMORY };
    let _busy = Busy::new(&pool.busy, CALL);
    match pool.entries.iter_mut().find(|(entry, _)| *entry == sync) {
        Some((_, events)) => *events |= flag(event),
        None => pool.entries.push((sync, flag(event))),
    }
    B_OK
}

/// # Safety
/// `place` holds null or a live pool, and the caller holds the lock of that pool.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_remove_select_sync_pool_entry(
    place: *mut *mut select_sync_pool,
    sync: *mut selectsync,
    event: u8,
) -> status_t {
    const CALL: &str = "remove_select_sync_pool_entry()";
    interrupts::check(CALL);
    // SAFETY: the caller gives the place where it keeps its pool.
    let current = unsafe { &mut *place };
    // SAFETY: the caller's pool.
    let Some(pool) = (unsafe { pool(*current, CALL) }) else { return B_ENTRY_NOT_FOUND };
    let busy = Busy::new(&pool.busy, CALL);
    let Some(index) = pool.entries.iter().position(|(entry, _)| *entry == sync) else { return B_ENTRY_NOT_FOUND };
    pool.entries[index].1 &= !flag(event);
    if pool.entries[index].1 == 0 {
        pool.entries.remove(index);
    }
    drop(busy);
    if pool.entries.is_empty() {
        // SAFETY: the caller's pool; it is freed with its last entry.
        unsafe { delete(*current) };
        *current = core::ptr::null_mut();
    }
    B_OK
}

/// # Safety
/// `place` is null or a live pool, which is not used again.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_delete_select_sync_pool(place: *mut select_sync_pool) {
    const CALL: &str = "delete_select_sync_pool()";
    interrupts::check(CALL);
    // SAFETY: the caller's pool, or null.
    if unsafe { pool(place, CALL) }.is_some() {
        // SAFETY: the caller gives it up.
        unsafe { delete(place) };
    }
}

/// # Safety
/// `place` is null or a live pool, and the caller holds its lock.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_notify_select_event_pool(place: *mut select_sync_pool, event: u8) {
    const CALL: &str = "notify_select_event_pool()";
    // With interrupts disabled a poll could be told; an event queue would take a mutex.
    interrupts::check(CALL);
    // SAFETY: the caller's pool, or null.
    let Some(pool) = (unsafe { pool(place, CALL) }) else { return };
    let _busy = Busy::new(&pool.busy, CALL);
    for &(sync, events) in &pool.entries {
        if events & flag(event) != 0 {
            // SAFETY: entries are what the kernel gave to the driver's select hook.
            unsafe { notify(sync, flag(event)) };
        }
    }
}

/// # Safety
/// `sync` was passed to the driver's `select` hook.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_notify_select_event(sync: *mut selectsync, event: u8) -> status_t {
    interrupts::check("notify_select_event()");
    // SAFETY: the caller's `sync` is what the kernel gave to its select hook.
    unsafe { notify(sync, flag(event)) }
}

/// # Safety
/// `sync` must be null or have been given to a select hook.
unsafe fn notify(sync: *mut selectsync, events: u16) -> status_t {
    // SAFETY: as this function's contract says; the memory of an ended select is still an `Info`.
    match unsafe { sync.cast::<Info>().as_ref() } {
        Some(info) => info.notify(events),
        None => B_BAD_VALUE,
    }
}
