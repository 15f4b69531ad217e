//! The emulated team and its credentials: `geteuid`, `getpid`, `_get_team_info` and `check_access_permissions`.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Mutex;

use haiku_sys::{B_BAD_TEAM_ID, B_BAD_VALUE, B_OK, B_PERMISSION_DENIED, team_info};

use crate::guarded::Guarded;
use crate::interrupts;

/// The team's name until another is set.
pub const TEAM_NAME: &str = "lab";

static NAME: Mutex<Option<Vec<u8>>> = Mutex::new(None);

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

/// Sets the team's name, or has the kernel not find the team any more, as after its end.
pub fn set_team_name(name: Option<&str>) {
    set_team_name_bytes(name.map(str::as_bytes));
}

/// As [`set_team_name`], with any bytes: Haiku takes a program's name as it comes.
pub fn set_team_name_bytes(name: Option<&[u8]>) {
    *NAME.guarded() = name.map(<[u8]>::to_vec);
}

/// As `_get_team_info` of `src/system/kernel/team.cpp`, as far as the team's identifier, users and name go.
///
/// # Safety
/// `info` has room for `size` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku__get_team_info(team: i32, info: *mut team_info, size: usize) -> i32 {
    // It locks the team.
    interrupts::check("_get_team_info()");
    let name = NAME.guarded().clone();
    let Some(name) = name.filter(|_| team == haiku_getpid()) else { return B_BAD_TEAM_ID };
    if size != size_of::<team_info>() {
        return B_BAD_VALUE;
    }
    // SAFETY: integers only, for which zeros are a value.
    let mut filled: team_info = unsafe { core::mem::zeroed() };
    filled.team = team;
    filled.argc = 1;
    filled.uid = haiku_geteuid();
    filled.gid = EGID.load(Ordering::Relaxed);
    let room = filled.name.len() - 1;
    for (place, &byte) in filled.name.iter_mut().take(room).zip(&name) {
        *place = byte.cast_signed();
    }
    // SAFETY: the caller's promise.
    unsafe { info.write(filled) };
    B_OK
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
    fn a_team_has_a_name_that_is_cut_until_it_ends() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        let name = |team| {
            // SAFETY: integers only, for which zeros are a value.
            let mut info: team_info = unsafe { core::mem::zeroed() };
            // SAFETY: a place for all of it.
            match unsafe { haiku__get_team_info(team, &raw mut info, size_of::<team_info>()) } {
                B_OK => Ok(info.name.iter().map(|&byte| byte as u8 as char).take_while(|&it| it != '\0').collect()),
                status => Err(status),
            }
        };
        let team = haiku_getpid();
        assert_eq!(name(team), Ok(TEAM_NAME.to_owned()));
        set_team_name(Some("a-name-that-is-longer-than-there-is-room"));
        assert_eq!(name(team), Ok("a-name-that-is-longer-than-ther".to_owned()));
        assert_eq!(name(team + 1), Err(B_BAD_TEAM_ID));
        set_team_name(None);
        assert_eq!(name(team), Err(B_BAD_TEAM_ID));
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
