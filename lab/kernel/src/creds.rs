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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};

    #[test]
    fn a_team_is_root_until_it_is_somebody_else() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!((haiku_geteuid(), haiku_getegid()), (0, 0));
        set_euid(1000);
        set_egid(100);
        assert_eq!((haiku_geteuid(), haiku_getegid()), (1000, 100));
        drop(kernel);
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!((haiku_geteuid(), haiku_getegid()), (0, 0));
        drop(kernel);
    }
}
