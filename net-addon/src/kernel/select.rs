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

/// The core's names for the kernel's events, by their numbers. A network device has no use for the others.
const EVENTS: [Option<Event>; 9] = {
    let mut events = [None; 9];
    events[sys::B_SELECT_READ as usize] = Some(Event::Read);
    events[sys::B_SELECT_WRITE as usize] = Some(Event::Write);
    events[sys::B_SELECT_ERROR as usize] = Some(Event::Error);
    events[sys::B_SELECT_DISCONNECTED as usize] = Some(Event::Disconnected);
    events
};

/// Returns the core's name for an event of the kernel's, if it has one.
#[inline]
pub(crate) fn event(number: u8) -> Option<Event> {
    EVENTS.get(usize::from(number)).copied().flatten()
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

impl SelectSync for SelectEntry {
    fn notify(self, event: Event) {
        // SAFETY: the invariant of `SelectEntry`.
        unsafe { sys::notify_select_event(self.0.as_ptr(), number(event)) };
    }
}
