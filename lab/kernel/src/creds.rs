//! The credentials of the emulated team: `geteuid`, `getpid` and `check_access_permissions`.

use core::sync::atomic::{AtomicU32, Ordering};

use haiku_sys::{B_OK, B_PERMISSION_DENIED};

static EUID: AtomicU32 = AtomicU32::new(0);
static EGID: AtomicU32 = AtomicU32::new(0);
static SUPPLEMENTARY: AtomicU32 = AtomicU32::new(NO_GROUP);

/// No group.
pub const NO_GROUP: u32 = u32::MAX;

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

/// Sets the team's only supplementary group; [`NO_GROUP`], the default, is none.
pub fn set_supplementary_group(gid: u32) {
    SUPPLEMENTARY.store(gid, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_getpid() -> i32 {
    std::process::id().cast_signed()
}

/// As `check_access_permissions` of `src/system/kernel/fs/vfs.cpp` decides for a node that is no directory.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_check_access_permissions(access: i32, mode: u32, group: u32, user: u32) -> i32 {
    let caller = EUID.load(Ordering::Relaxed);
    let (of_user, of_group, of_others) = (mode >> 6 & 7, mode >> 3 & 7, mode & 7);
    let permissions = if caller == 0 {
        of_user | of_group | of_others | 0o6
    } else if caller == user {
        of_user
    } else if [&EGID, &SUPPLEMENTARY].iter().any(|own| own.load(Ordering::Relaxed) == group) {
        of_group
    } else {
        of_others
    };
    if access.cast_unsigned() & !permissions == 0 { B_OK } else { B_PERMISSION_DENIED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};

    #[test]
    fn a_team_is_root_until_its_user_is_set_and_again_after_the_next_boot() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!(haiku_geteuid(), 0);
        set_euid(1000);
        set_egid(100);
        assert_eq!((haiku_geteuid(), EGID.load(Ordering::Relaxed)), (1000, 100));
        drop(kernel);
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!((haiku_geteuid(), EGID.load(Ordering::Relaxed)), (0, 0));
        drop(kernel);
    }

    #[test]
    fn access_is_the_users_the_groups_or_that_of_others() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        let may_read = |mode| haiku_check_access_permissions(4, mode, 100, 1000) == B_OK;
        assert!(may_read(0), "root may read everything");
        set_euid(1000);
        assert_eq!([0o400, 0o040, 0o004].map(may_read), [true, false, false]);
        set_euid(1001);
        assert_eq!([0o400, 0o040, 0o004].map(may_read), [false, false, true]);
        set_supplementary_group(100);
        assert_eq!([0o400, 0o040, 0o004].map(may_read), [false, true, false]);
        set_supplementary_group(NO_GROUP);
        set_egid(100);
        assert_eq!([0o400, 0o040, 0o004].map(may_read), [false, true, false]);
        drop(kernel);
    }
}
