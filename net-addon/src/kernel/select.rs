//! Where selects wait: a select pool of the kernel's.

use haiku_sys as sys;
use tuntap_driver::{Error, Event, Lock, Poll};

use super::KernelMutex;

/// One select in progress, as the kernel hands it in.
#[derive(Debug)]
pub(crate) struct SelectEntry(*mut sys::selectsync);

impl SelectEntry {
    /// What `select` and `deselect` were called with.
    ///
    /// # Safety
    /// The kernel keeps `sync` alive while it is inside the hook, and from `select` to `deselect`.
    pub(crate) unsafe fn new(sync: *mut sys::selectsync) -> Self {
        Self(sync)
    }
}

/// The pool pointer; the kernel makes the pool with the first entry and deletes it with the last.
struct Pool(*mut sys::select_sync_pool);

// SAFETY: a pool belongs to no thread; the mutex around it is the lock its functions ask for.
unsafe impl Send for Pool {}

/// A select pool under the lock that its functions ask for.
pub(crate) struct SelectPool(KernelMutex<Pool>);

const fn number(event: Event) -> u8 {
    let number = match event {
        Event::Read => sys::B_SELECT_READ,
        Event::Write => sys::B_SELECT_WRITE,
        Event::Error => sys::B_SELECT_ERROR,
        Event::Disconnected => sys::B_SELECT_DISCONNECTED,
    };
    number as u8
}

/// The core's name for an event of the kernel's; `None` for those that a network device has no use for.
pub(crate) const fn event(number: u8) -> Option<Event> {
    match number as u32 {
        sys::B_SELECT_READ => Some(Event::Read),
        sys::B_SELECT_WRITE => Some(Event::Write),
        sys::B_SELECT_ERROR => Some(Event::Error),
        sys::B_SELECT_DISCONNECTED => Some(Event::Disconnected),
        _ => None,
    }
}

impl Poll for SelectPool {
    type Entry = SelectEntry;

    fn new() -> Self {
        Self(KernelMutex::new(Pool(core::ptr::null_mut())))
    }

    fn add(&self, entry: &SelectEntry, event: Event) -> Result<(), Error> {
        let status = self.0.with(|pool| {
            // SAFETY: the pool's lock is held; the entry is alive, as its maker promised.
            unsafe { sys::add_select_sync_pool_entry(&raw mut pool.0, entry.0, number(event)) }
        });
        if status == sys::B_OK { Ok(()) } else { Err(Error::NoMemory) }
    }

    fn remove(&self, entry: &SelectEntry, event: Event) -> bool {
        self.0.with(|pool| {
            // SAFETY: the pool's lock is held; the entry is alive, as its maker promised.
            unsafe { sys::remove_select_sync_pool_entry(&raw mut pool.0, entry.0, number(event)) == sys::B_OK }
        })
    }

    fn notify_entry(entry: &SelectEntry, event: Event) {
        // SAFETY: the entry is alive, as its maker promised.
        unsafe { sys::notify_select_event(entry.0, number(event)) };
    }

    fn notify(&self, event: Event) {
        self.0.with(|pool| {
            if !pool.0.is_null() {
                // SAFETY: the pool's lock is held, and the pool exists.
                unsafe { sys::notify_select_event_pool(pool.0, number(event)) };
            }
        });
    }
}

impl Drop for SelectPool {
    fn drop(&mut self) {
        self.0.with(|pool| {
            if !pool.0.is_null() {
                // SAFETY: the pool exists, and nobody will notify it again.
                unsafe { sys::delete_select_sync_pool(pool.0) };
            }
        });
    }
}
