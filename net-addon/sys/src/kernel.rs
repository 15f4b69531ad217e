//! Types of the kernel itself: modules, identifiers, and a lock.

use core::ffi::{c_char, c_void};

use crate::status_t;

/// A semaphore's identifier; negative values are errors.
pub type sem_id = i32;
/// A thread's identifier.
pub type thread_id = i32;
/// A team's identifier.
pub type team_id = i32;
/// An area's identifier.
pub type area_id = i32;
/// Microseconds.
pub type bigtime_t = i64;
/// A position in a file.
pub type off_t = i64;
/// What `disable_interrupts` returns and `restore_interrupts` takes.
pub type cpu_status = u64;
/// Haiku's own spin lock: a word that only the kernel's functions access.
pub type spinlock = i32;

/// `struct list_link` (`headers/private/kernel/util/list.h`): the links of a list's element.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct list_link {
    /// The next element's link.
    pub next: *mut c_void,
    /// The previous element's link.
    pub prev: *mut c_void,
}

/// `struct list`, opaque here.
#[repr(C)]
pub struct list {
    link: list_link,
    offset: i32,
}

/// A kernel `recursive_lock`, opaque, because its layout changes with the kernel's debug level.
///
/// It has 40 bytes on x86_64, aligned to 8, in R1/beta5 and on master; this one has room to spare. Only
/// `recursive_lock_init`, `recursive_lock_lock`, `recursive_lock_unlock` and `recursive_lock_destroy` may access it.
#[repr(C, align(8))]
pub struct recursive_lock([u8; 64]);

impl recursive_lock {
    /// Returns space for a lock, which `recursive_lock_init` must initialise before any other use.
    #[must_use]
    pub const fn uninitialised() -> Self {
        Self([0; 64])
    }
}

/// `struct module_info` (`headers/os/drivers/module.h`).
#[repr(C)]
pub struct module_info {
    /// The full name, such as `network/devices/tun_tap/v1`.
    pub name: *const c_char,
    /// `B_KEEP_LOADED` or 0.
    pub flags: u32,
    /// Called with `B_MODULE_INIT` and `B_MODULE_UNINIT`; the variadic tail of the C type is never used.
    pub std_ops: Option<unsafe extern "C" fn(op: i32, ...) -> status_t>,
}

/// `struct module_dependency`: a module that the kernel loads before the one that lists it.
#[repr(C)]
pub struct module_dependency {
    /// The module's name, or null at the end of the list.
    pub name: *const c_char,
    /// Where the kernel stores the address of the module's table.
    pub info: *mut *mut module_info,
}

/// `team_info` (`headers/os/kernel/OS.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct team_info {
    /// The team.
    pub team: team_id,
    /// How many threads it has.
    pub thread_count: i32,
    /// How many images it has loaded.
    pub image_count: i32,
    /// 0.
    pub area_count: i32,
    /// The debugger's thread in it.
    pub debugger_nub_thread: thread_id,
    /// The debugger's port.
    pub debugger_nub_port: i32,
    /// 1.
    pub argc: i32,
    /// Its command line, cut and zero-terminated.
    pub args: [c_char; 64],
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its user.
    pub real_uid: u32,
    /// Its group.
    pub real_gid: u32,
    /// Its process group.
    pub group_id: i32,
    /// Its session.
    pub session_id: i32,
    /// Its parent, or -1.
    pub parent: team_id,
    /// Its name: the last part of its program's path, cut and zero-terminated.
    pub name: [c_char; 32],
    /// When it was started.
    pub start_time: bigtime_t,
}

/// `struct iovec` (`headers/posix/sys/uio.h`).
#[repr(C)]
pub struct iovec {
    /// The start of the memory.
    pub iov_base: *mut c_void,
    /// Its length in bytes.
    pub iov_len: usize,
}

/// The lowest and the highest address of user memory (`headers/private/kernel/arch/x86/arch_kernel.h`).
pub const USER_BASE: usize = 0x10_0000;
/// The last byte that a user program can have.
pub const USER_TOP: usize = USER_BASE + (0x8000_0000_0000 - (0x20_0000 + USER_BASE)) - 1;

/// `is_user_address_range`: whether `size` bytes at `address` all lie in user memory. devfs checks the buffers of `read` and
/// `write`; a driver must check those of an ioctl itself.
#[must_use]
pub const fn is_user_address_range(address: usize, size: usize) -> bool {
    match address.checked_add(size) {
        Some(end) => address >= USER_BASE && end <= USER_TOP + 1,
        None => false,
    }
}
