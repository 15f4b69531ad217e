//! Selects of programs, as the kernel hands them to the driver.

use core::ptr::NonNull;

use haiku_sys as sys;
use tuntap_driver::{Event, SelectSync};

/// One `select` or `poll` in progress on one descriptor.
///
/// # Invariants
///
/// The kernel keeps what this points to from the `select` hook until the `deselect` hook has returned (`select_fd` and
/// `deselect_fd` in its `fd.cpp`). The core has the value no longer than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SelectEntry(NonNull<sys::selectsync>);

// SAFETY: any thread may notify a select.
unsafe impl Send for SelectEntry {}

impl SelectEntry {
    /// Returns what the `select` and `deselect` hooks were called with.
    ///
    /// # Safety
    /// `sync` is null, or what the hook that calls this was called with.
    pub(crate) unsafe fn new(sync: *mut sys::selectsync) -> Option<Self> {
        NonNull::new(sync).map(Self)
    }
}

const fn number(event: Event) -> u8 {
    let number = match event {
        Event::Read => sys::B_SELECT_READ,
        Event::Write => sys::B_SELECT_WRITE,
        Event::Error => sys::B_SELECT_ERROR,
        Event::Disconnected => sys::B_SELECT_DISCONNECTED,
    };
    number as u8
}

/// Returns the core's name for an event of the kernel's; `None` for those that a network device has no use for.
pub(crate) const fn event(number: u8) -> Option<Event> {
    match number as u32 {
        sys::B_SELECT_READ => Some(Event::Read),
        sys::B_SELECT_WRITE => Some(Event::Write),
        sys::B_SELECT_ERROR => Some(Event::Error),
        sys::B_SELECT_DISCONNECTED => Some(Event::Disconnected),
        _ => None,
    }
}

impl SelectSync for SelectEntry {
    fn notify(self, event: Event) {
        // SAFETY: the invariant of `SelectEntry`.
        unsafe { sys::notify_select_event(self.0.as_ptr(), number(event)) };
    }
}
