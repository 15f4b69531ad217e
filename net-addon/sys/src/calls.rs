//! The kernel's own functions, as far as the add-on calls them.
//!
//! In the add-on they keep their names and are found in the kernel. On any other machine the emulated kernel
//! provides them under the prefix `haiku_`, because some of the names (`dprintf`, `malloc`) are libc's too.

use core::ffi::{c_char, c_int, c_void};

use crate::{
    bigtime_t, cpu_status, driver_settings, module_info, recursive_lock, select_sync_pool, selectsync, sem_id,
    status_t, team_id, team_info, thread_id,
};

macro_rules! kernel {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        unsafe extern "C" {
            $(
                $(#[$meta])*
                #[cfg_attr(not(target_os = "none"), link_name = concat!("haiku_", stringify!($name)))]
                pub fn $name($($arg: $type),*) $(-> $result)?;
            )*
        }
        /// The name of every kernel function the add-on may call.
        pub const KERNEL_CALLS: &[&str] = &[$(stringify!($name)),*];
    };
}

kernel! {
    /// `malloc`: kernel heap; null without memory. Must not be called with interrupts disabled.
    fn malloc(size: usize) -> *mut c_void;
    /// `memalign`: as `malloc`, aligned to a power of two.
    fn memalign(alignment: usize, size: usize) -> *mut c_void;
    /// `free`: frees memory of `malloc` or `memalign`.
    fn free(memory: *mut c_void);
    /// `user_memcpy`: copies with either side in user memory; `B_BAD_ADDRESS` if that faults. May sleep.
    fn user_memcpy(to: *mut c_void, from: *const c_void, size: usize) -> status_t;

    /// `create_sem`: a counting semaphore, or a negative error.
    fn create_sem(count: i32, name: *const c_char) -> sem_id;
    /// `delete_sem`: wakes every waiter with `B_BAD_SEM_ID`.
    fn delete_sem(id: sem_id) -> status_t;
    /// `acquire_sem_etc`: takes `count`, and waits for it if necessary.
    fn acquire_sem_etc(id: sem_id, count: i32, flags: u32, timeout: bigtime_t) -> status_t;
    /// `release_sem_etc`: adds `count`, and wakes as many waiters.
    fn release_sem_etc(id: sem_id, count: i32, flags: u32) -> status_t;

    /// `recursive_lock_init`: must come before any other use of the lock; the name is kept by reference.
    fn recursive_lock_init(lock: *mut recursive_lock, name: *const c_char);
    /// `recursive_lock_destroy`: no thread may hold it.
    fn recursive_lock_destroy(lock: *mut recursive_lock);
    /// `recursive_lock_lock`: may sleep; the holder may lock it again.
    fn recursive_lock_lock(lock: *mut recursive_lock) -> status_t;
    /// `recursive_lock_unlock`: must be called by the thread that locked it, once for each time.
    fn recursive_lock_unlock(lock: *mut recursive_lock);
    /// `disable_interrupts`: on this CPU, until `restore_interrupts`.
    fn disable_interrupts() -> cpu_status;
    /// `restore_interrupts`: restores the state before `disable_interrupts`.
    fn restore_interrupts(status: cpu_status);

    /// `add_select_sync_pool_entry`: allocates the pool if it is null. The driver must serialize the calls for a pool.
    fn add_select_sync_pool_entry(pool: *mut *mut select_sync_pool, sync: *mut selectsync, event: u8) -> status_t;
    /// `remove_select_sync_pool_entry`: frees the pool with its last entry. Needs the same lock.
    fn remove_select_sync_pool_entry(pool: *mut *mut select_sync_pool, sync: *mut selectsync, event: u8) -> status_t;
    /// `delete_select_sync_pool`.
    fn delete_select_sync_pool(pool: *mut select_sync_pool);
    /// `notify_select_event_pool`: notifies every select in the pool that waits for `event`. Needs the same lock.
    fn notify_select_event_pool(pool: *mut select_sync_pool, event: u8);
    /// `notify_select_event`: notifies one select.
    fn notify_select_event(sync: *mut selectsync, event: u8) -> status_t;

    /// `get_module`: loads a module and takes a reference.
    fn get_module(path: *const c_char, module: *mut *mut module_info) -> status_t;
    /// `put_module`: releases the reference.
    fn put_module(path: *const c_char) -> status_t;
    /// `devfs_rescan_driver`: calls the driver's `publish_devices` again.
    fn devfs_rescan_driver(name: *const c_char) -> status_t;

    /// `load_driver_settings`: reads `settings/kernel/drivers/NAME`; null if there is none.
    fn load_driver_settings(name: *const c_char) -> *mut c_void;
    /// `unload_driver_settings`.
    fn unload_driver_settings(handle: *mut c_void) -> status_t;
    /// `get_driver_settings`: the parsed file, alive until it is unloaded.
    fn get_driver_settings(handle: *mut c_void) -> *const driver_settings;

    /// `add_debugger_command`: a command of the kernel debugger.
    fn add_debugger_command(
        name: *const c_char,
        hook: Option<unsafe extern "C" fn(argc: c_int, argv: *mut *mut c_char) -> c_int>,
        help: *const c_char
    ) -> c_int;
    /// `remove_debugger_command`.
    fn remove_debugger_command(
        name: *const c_char,
        hook: Option<unsafe extern "C" fn(argc: c_int, argv: *mut *mut c_char) -> c_int>
    ) -> c_int;

    /// `system_time`: microseconds since the system started.
    fn system_time() -> bigtime_t;
    /// `smp_get_num_cpus`.
    fn smp_get_num_cpus() -> i32;

    /// `find_thread`: the calling thread for null.
    fn find_thread(name: *const c_char) -> thread_id;
    /// `set_thread_priority`: returns the priority that the thread had, or a negative error. Interrupts must be enabled.
    fn set_thread_priority(thread: thread_id, priority: i32) -> i32;

    /// `secure_random_value`: 32 random bits.
    fn secure_random_value() -> u32;
    /// `geteuid`: the caller's effective user; 0 is root.
    fn geteuid() -> u32;
    /// `getpid`: the caller's team.
    fn getpid() -> team_id;
    /// `_get_team_info`: fills in the first `size` bytes; `B_BAD_TEAM_ID` if the team has ended. May sleep.
    fn _get_team_info(team: team_id, info: *mut team_info, size: usize) -> status_t;
    /// `check_access_permissions`: whether the caller has `access` (`R_OK` is 4) to a node of this mode, group and user, its
    /// supplementary groups included; `B_PERMISSION_DENIED` otherwise.
    fn check_access_permissions(access: c_int, mode: u32, group: u32, user: u32) -> status_t;
}

unsafe extern "C" {
    /// `dprintf`: writes to the system's log. Only called with `"%s"` and one string.
    #[cfg_attr(not(target_os = "none"), link_name = "haiku_dprintf")]
    pub fn dprintf(format: *const c_char, ...);
    /// `kprintf`: writes to the kernel debugger's screen. Only called with `"%s"` and one string.
    #[cfg_attr(not(target_os = "none"), link_name = "haiku_kprintf")]
    pub fn kprintf(format: *const c_char, ...);
    /// `panic`: stops the system in its debugger. Only called with `"%s"` and one string.
    #[cfg_attr(not(target_os = "none"), link_name = "haiku_panic")]
    pub fn panic(format: *const c_char, ...);
}
