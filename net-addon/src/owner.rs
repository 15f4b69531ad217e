//! Who may open a unit and change its interface: `TUNSETOWNER` and `TUNSETGROUP`.

use core::sync::atomic::{AtomicU32, Ordering};

use haiku_sys as sys;

use crate::settings;
use crate::status::Controlled;

/// No user, or no group.
const NONE: u32 = u32::MAX;
/// `R_OK`, and the mode of a node that only its group may read.
const READ: i32 = 4;
const GROUP_READS: u32 = 0o040;

/// The user and the group that may open a unit, beside root.
pub(crate) struct Owner {
    user: AtomicU32,
    group: AtomicU32,
}

impl Owner {
    /// Returns an owner without a user and without a group.
    pub(crate) const fn none() -> Self {
        Self { user: AtomicU32::new(NONE), group: AtomicU32::new(NONE) }
    }

    /// Sets the user.
    pub(crate) fn set_user(&self, user: u32) {
        self.user.store(user, Ordering::Relaxed);
    }

    /// Sets the group.
    pub(crate) fn set_group(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// Checks whether the caller may open the unit. As on Linux, a caller must match both user and group if both are set.
    /// Without either, only root may, unless the setting `open everyone` is set.
    ///
    /// # Errors
    ///
    /// `EPERM`.
    pub(crate) fn check_open(&self) -> Controlled {
        let (user, group) = (self.user.load(Ordering::Relaxed), self.group.load(Ordering::Relaxed));
        let may = match (user, group) {
            (NONE, NONE) => settings::current().open_to_all || is_user(0),
            _ => is_user(0) || ((user == NONE || is_user(user)) && (group == NONE || is_in_group(group))),
        };
        if may { Ok(()) } else { Err(sys::EPERM) }
    }

    /// Checks whether the caller may change the interface: root and the owner may.
    ///
    /// # Errors
    ///
    /// `EPERM`.
    pub(crate) fn check_change(&self) -> Controlled {
        if is_user(0) || is_user(self.user.load(Ordering::Relaxed)) { Ok(()) } else { Err(sys::EPERM) }
    }
}

fn is_user(user: u32) -> bool {
    // SAFETY: a plain call.
    user == unsafe { sys::geteuid() }
}

/// Whether the caller's effective or supplementary groups include this one, by the kernel's own check.
fn is_in_group(group: u32) -> bool {
    // SAFETY: a plain call.
    unsafe { sys::check_access_permissions(READ, GROUP_READS, group, NONE) == sys::B_OK }
}
