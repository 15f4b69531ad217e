//! The team's table of descriptors: references, last closes, disconnection, and what waits on each.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use haiku_sys::{B_BAD_VALUE, B_FILE_ERROR, B_NO_MORE_FDS, B_OK, B_UNSUPPORTED, status_t};

use crate::device::Vnode;
use crate::locks::Lock;
use crate::panic::kpanic;
use crate::select::{self, INVALID, InfoRef, OUTPUT_ONLY, Waiter};
use crate::sync::{Condvar, Mutex};
use crate::{hooks, ledger};

/// A file descriptor of the team.
pub type Fd = i32;

/// How many descriptors a team can have, unless it asks for more.
const TABLE_SIZE: usize = 256;

/// An open node.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// One for each place in the table and for each call that is under way.
    references: AtomicI32,
    /// One for each place in the table; `close` is called when it comes to zero.
    opens: AtomicI32,
    pub(crate) mode: AtomicU32,
    pub(crate) position: AtomicI64,
    pub(crate) vnode: Arc<Vnode>,
    pub(crate) cookie: *mut c_void,
    disconnected: AtomicBool,
    /// It was closed and freed as it was disconnected, with places in the table left. Haiku leaves null pointers.
    gone: AtomicBool,
}

// SAFETY: the cookie is the driver's, which expects its hooks from any thread.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

#[derive(Default)]
struct Slot {
    descriptor: Option<Arc<Descriptor>>,
    /// What waits on this number, and what keeps it alive.
    waiting: Vec<(InfoRef, Arc<dyn Waiter>)>,
}

/// Haiku's lock of the table. Hooks are called with it held in two cases: `deselect` when a selected descriptor is
/// closed, `close` and `free` when a node is taken away.
static LOCK: Lock = Lock::new("io context");
static TABLE: RwLock<Vec<Slot>> = RwLock::new(Vec::new());
static FREED: Condvar = Condvar::new();
static FREED_LOCK: Mutex<()> = Mutex::new(());

fn table() -> RwLockReadGuard<'static, Vec<Slot>> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner)
}

fn table_mut() -> RwLockWriteGuard<'static, Vec<Slot>> {
    TABLE.write().unwrap_or_else(PoisonError::into_inner)
}

impl Descriptor {
    pub(crate) fn new(vnode: Arc<Vnode>, mode: u32, cookie: *mut c_void) -> Arc<Self> {
        Arc::new(Self {
            references: AtomicI32::new(1),
            opens: AtomicI32::new(0),
            mode: AtomicU32::new(mode),
            position: AtomicI64::new(0),
            vnode,
            cookie,
            disconnected: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        })
    }

    pub(crate) fn call_close(&self) {
        let Some(close) = self.vnode.device.hooks().close else { kpanic!("a device has no close hook") };
        // SAFETY: the cookie is what the open hook of the same table made, and was not freed.
        hooks::call("close", || unsafe { close(self.cookie) });
    }

    pub(crate) fn call_free(&self) {
        let device = &self.vnode.device;
        let Some(free) = device.hooks().free else { kpanic!("a device has no free hook") };
        // SAFETY: as above; this is the last call with this cookie.
        hooks::call("free", || unsafe { free(self.cookie) });
        device.count_open(-1);
        device.uninit();
        ledger::COOKIES.add(-1);
        let _guard = FREED_LOCK.lock();
        FREED.notify_all();
    }

    fn call_deselect(&self, events: u16, info: InfoRef) {
        if self.gone.load(Ordering::SeqCst) {
            kpanic!(
                "page fault: a descriptor that was being polled is closed after its node had been taken away: Haiku calls deselect through a null pointer"
            );
        }
        let Some(deselect) = self.vnode.device.hooks().deselect else { return };
        for event in 1..16 {
            if events & select::flag(event) != 0 {
                // SAFETY: the cookie is alive, and the sync is the one the select hook was given.
                hooks::call("deselect", || unsafe { deselect(self.cookie, event, info.as_sync()) });
            }
        }
    }

    /// Calls the select hook for one event.
    fn call_select(&self, event: u8, info: InfoRef) -> status_t {
        let device = &self.vnode.device;
        let known = device.has_select();
        let status = match device.hooks().select {
            Some(select) if known => {
                // SAFETY: the cookie is alive; the sync lives until it was deselected.
                hooks::call("select", || unsafe { select(self.cookie, event, 0, info.as_sync()) })
            }
            _ => {
                if select::flag(event) & OUTPUT_ONLY == 0 {
                    info.notify(select::flag(event));
                }
                B_UNSUPPORTED
            }
        };
        if status == B_UNSUPPORTED && known && select::flag(event) & OUTPUT_ONLY == 0 {
            info.notify(select::flag(event));
        }
        status
    }
}

/// A reference to a descriptor for the length of a call.
#[derive(Debug)]
pub(crate) struct Held(Arc<Descriptor>);

impl core::ops::Deref for Held {
    type Target = Descriptor;

    fn deref(&self) -> &Descriptor {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        put(&self.0);
    }
}

/// `get_fd`.
pub(crate) fn get(fd: Fd) -> Result<Held, status_t> {
    let _lock = LOCK.read();
    get_locked(fd)
}

fn get_locked(fd: Fd) -> Result<Held, status_t> {
    let index = usize::try_from(fd).map_err(|_| B_FILE_ERROR)?;
    let table = table();
    let descriptor = table.get(index).and_then(|slot| slot.descriptor.as_ref()).ok_or(B_FILE_ERROR)?;
    if descriptor.disconnected.load(Ordering::SeqCst) {
        return Err(B_FILE_ERROR);
    }
    descriptor.references.fetch_add(1, Ordering::SeqCst);
    Ok(Held(Arc::clone(descriptor)))
}

/// `put_fd`: frees what nothing refers to, and closes and frees what was disconnected and is not in use.
fn put(descriptor: &Arc<Descriptor>) {
    let previous = descriptor.references.fetch_sub(1, Ordering::SeqCst);
    if previous == 1 {
        if !descriptor.gone.load(Ordering::SeqCst) {
            descriptor.call_free();
        }
    } else if descriptor.disconnected.load(Ordering::SeqCst)
        && previous - 1 == descriptor.opens.load(Ordering::SeqCst)
        && !descriptor.gone.swap(true, Ordering::SeqCst)
    {
        descriptor.call_close();
        descriptor.call_free();
    }
}

/// `close_fd`: a place in the table went.
fn close_one(descriptor: &Descriptor) {
    if descriptor.opens.fetch_sub(1, Ordering::SeqCst) == 1 && !descriptor.gone.load(Ordering::SeqCst) {
        descriptor.call_close();
    }
}

/// `new_fd_etc`: puts a descriptor into the first free place from `first` on.
pub(crate) fn insert(descriptor: &Arc<Descriptor>, first: Fd) -> Result<Fd, status_t> {
    let _lock = LOCK.write();
    let mut table = table_mut();
    let first = usize::try_from(first).ok().filter(|&first| first < table.len()).ok_or(B_BAD_VALUE)?;
    let free = table.iter().skip(first).position(|slot| slot.descriptor.is_none()).ok_or(B_NO_MORE_FDS)?;
    table[first + free].descriptor = Some(Arc::clone(descriptor));
    descriptor.opens.fetch_add(1, Ordering::SeqCst);
    Ok((first + free) as Fd)
}

/// `dup` and `F_DUPFD`.
pub(crate) fn duplicate(fd: Fd, first: Fd) -> Result<Fd, status_t> {
    let held = get(fd)?;
    let new = insert(&held.0, first)?;
    held.references.fetch_add(1, Ordering::SeqCst);
    Ok(new)
}

/// `dup2`.
pub(crate) fn duplicate_to(fd: Fd, to: Fd) -> Result<Fd, status_t> {
    let evicted = {
        let _lock = LOCK.write();
        let held = get_locked(fd)?;
        if usize::try_from(to).ok().is_none_or(|to| to >= table().len()) {
            return Err(B_FILE_ERROR);
        }
        if fd == to {
            return Ok(to);
        }
        held.references.fetch_add(1, Ordering::SeqCst);
        held.opens.fetch_add(1, Ordering::SeqCst);
        let slot = core::mem::replace(
            &mut table_mut()[to as usize],
            Slot { descriptor: Some(Arc::clone(&held.0)), waiting: Vec::new() },
        );
        if let Some(evicted) = &slot.descriptor {
            deselect_all(evicted, slot.waiting);
        }
        slot.descriptor
    };
    if let Some(evicted) = evicted {
        close_one(&evicted);
        put(&evicted);
    }
    Ok(to)
}

/// `close_fd_index`.
pub(crate) fn close(fd: Fd) -> Result<(), status_t> {
    let descriptor = {
        let _lock = LOCK.write();
        let slot = {
            let mut table = table_mut();
            let slot = usize::try_from(fd).ok().and_then(|fd| table.get_mut(fd)).ok_or(B_FILE_ERROR)?;
            core::mem::take(slot)
        };
        let descriptor = slot.descriptor.ok_or(B_FILE_ERROR)?;
        deselect_all(&descriptor, slot.waiting);
        descriptor
    };
    close_one(&descriptor);
    put(&descriptor);
    Ok(())
}

/// `deselect_select_infos`: the number was closed, and its waiters are notified.
fn deselect_all(descriptor: &Descriptor, waiting: Vec<(InfoRef, Arc<dyn Waiter>)>) {
    for (info, _waiter) in waiting {
        descriptor.call_deselect(info.selected() & !INVALID, info);
        info.notify(INVALID);
        ledger::SELECTS.add(-1);
    }
}

/// `select_fd`: asks the driver for each event, and registers the waiter.
pub(crate) fn select(fd: Fd, info: InfoRef) -> Result<(), status_t> {
    let held = {
        let _lock = LOCK.read();
        let held = get_locked(fd)?;
        // The descriptor stays open while its hooks are called.
        held.opens.fetch_add(1, Ordering::SeqCst);
        held
    };
    let wanted = info.selected() & !INVALID;
    let mut selected = 0;
    for event in 1..16 {
        if wanted & select::flag(event) != 0 && held.call_select(event, info) == B_OK {
            selected |= select::flag(event);
        }
    }
    info.select(selected | (info.selected() & INVALID));
    let lock = LOCK.write();
    let same = {
        let mut table = table_mut();
        let slot = &mut table[fd as usize];
        let same = slot.descriptor.as_ref().is_some_and(|descriptor| Arc::ptr_eq(descriptor, &held.0));
        if same && let Some(waiter) = info.waiter() {
            slot.waiting.push((info, waiter));
            ledger::SELECTS.add(1);
        }
        same
    };
    if !same {
        // Another thread closed the number in the meantime.
        held.call_deselect(info.selected() & !INVALID, info);
        info.notify(INVALID);
        close_one(&held);
        drop(lock);
        return Err(B_FILE_ERROR);
    }
    held.opens.fetch_sub(1, Ordering::SeqCst);
    drop(lock);
    Ok(())
}

/// `deselect_fd`. A number that was closed, or whose node was taken away, is not deselected.
pub(crate) fn deselect(fd: Fd, info: InfoRef) -> Result<(), status_t> {
    let (held, waiter) = {
        let _lock = LOCK.write();
        let held = get_locked(fd)?;
        let mut table = table_mut();
        let waiting = &mut table[fd as usize].waiting;
        let Some(index) = waiting.iter().position(|(other, _)| core::ptr::eq(*other, info)) else { return Ok(()) };
        (held, waiting.remove(index).1)
    };
    ledger::SELECTS.add(-1);
    held.call_deselect(info.selected() & !INVALID, info);
    drop(held);
    drop(waiter);
    Ok(())
}

/// `vfs_disconnect_vnode`: descriptors of the node can no longer be used. Those that are not in use are closed and
/// freed at once; a call that waits in the driver is not woken by the kernel, and `close` comes after it.
pub(crate) fn disconnect(vnode: &Arc<Vnode>) {
    let _lock = LOCK.write();
    for index in 0.. {
        let descriptor = {
            let table = table();
            let Some(slot) = table.get(index) else { return };
            let Some(descriptor) = slot.descriptor.as_ref() else { continue };
            if !Arc::ptr_eq(&descriptor.vnode, vnode) || descriptor.disconnected.load(Ordering::SeqCst) {
                continue;
            }
            Arc::clone(descriptor)
        };
        descriptor.references.fetch_add(1, Ordering::SeqCst);
        descriptor.disconnected.store(true, Ordering::SeqCst);
        put(&descriptor);
    }
}

/// How many descriptors the team can have.
pub(crate) fn size() -> usize {
    table().len()
}

/// Makes room for more descriptors.
pub(crate) fn grow(size: usize) {
    let _lock = LOCK.write();
    let mut table = table_mut();
    if size > table.len() {
        table.resize_with(size, Slot::default);
    }
}

/// An empty table.
pub(crate) fn reset() {
    let mut table = table_mut();
    table.clear();
    table.resize_with(TABLE_SIZE, Slot::default);
}

/// Closes what the team left open, as its end does, and waits for calls that are on their way out of the driver.
pub(crate) fn close_all() {
    for fd in 0..size() as Fd {
        let _ = close(fd);
    }
    // A call that does not end is reported as a cookie that was not freed, rather than waited for without end.
    let guard = FREED_LOCK.lock();
    let still_open = |(): &mut ()| crate::Ledgers::now().cookies > 0;
    let _ = FREED.wait_timeout_while(guard, Duration::from_secs(10), still_open);
}
