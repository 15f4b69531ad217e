//! Who may open a unit and change its interface: `TUNSETOWNER` and `TUNSETGROUP`.

use core::sync::atomic::{AtomicU32, Ordering};

use haiku_sys as sys;

use crate::ioctl::Controlled;

/// No user, no group.
const NOBODY: u32 = u32::MAX;

/// The user and the group that a unit is for. Root may always.
pub(crate) struct Owner {
    user: AtomicU32,
    group: AtomicU32,
}

impl Owner {
    /// A unit for whoever may open its node.
    pub(crate) const fn nobody() -> Self {
        Self { user: AtomicU32::new(NOBODY), group: AtomicU32::new(NOBODY) }
    }

    /// Makes it this user's.
    pub(crate) fn set_user(&self, user: u32) {
        self.user.store(user, Ordering::Relaxed);
    }

    /// Makes it this group's.
    pub(crate) fn set_group(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// Whether the caller may open the unit: as Linux does it, both must be his if both are set.
    pub(crate) fn check_open(&self) -> Controlled {
        let (user, group) = (self.user.load(Ordering::Relaxed), self.group.load(Ordering::Relaxed));
        // SAFETY: plain calls.
        let caller = unsafe { sys::geteuid() };
        // SAFETY: as above.
        let callers = unsafe { sys::getegid() };
        let may = (user == NOBODY || user == caller) && (group == NOBODY || group == callers);
        if may || caller == 0 { Ok(()) } else { Err(sys::EPERM) }
    }

    /// Whether the caller may change the interface: the owner may, and root.
    pub(crate) fn check_change(&self) -> Controlled {
        // SAFETY: a plain call.
        let caller = unsafe { sys::geteuid() };
        if caller == 0 || caller == self.user.load(Ordering::Relaxed) { Ok(()) } else { Err(sys::EPERM) }
    }
}
