//! Who the emulated team is: `geteuid` and `getegid`.

use core::sync::atomic::{AtomicU32, Ordering};

static EUID: AtomicU32 = AtomicU32::new(0);
static EGID: AtomicU32 = AtomicU32::new(0);

/// Sets the team's effective user; 0, the default, is root.
pub fn set_euid(uid: u32) {
    EUID.store(uid, Ordering::Relaxed);
}

/// Sets the team's effective group.
pub fn set_egid(gid: u32) {
    EGID.store(gid, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_geteuid() -> u32 {
    EUID.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_getegid() -> u32 {
    EGID.load(Ordering::Relaxed)
}
