//! One kernel add-on's file: what it exports, in either of its two roles.

use core::ffi::c_char;

use haiku_sys::{device_hooks, module_dependency, module_info, status_t};

/// What a loaded add-on exports. Absent symbols are `None` or null, as a failed symbol look-up would find them.
#[derive(Clone, Copy, Debug)]
pub struct Exports {
    /// `api_version`: the driver API it was written for.
    pub api_version: Option<i32>,
    /// `init_hardware`.
    pub init_hardware: Option<unsafe extern "C" fn() -> status_t>,
    /// `init_driver`.
    pub init_driver: Option<unsafe extern "C" fn() -> status_t>,
    /// `uninit_driver`; its result is ignored.
    pub uninit_driver: Option<unsafe extern "C" fn()>,
    /// `uninit_hardware`; its result is ignored.
    pub uninit_hardware: Option<unsafe extern "C" fn()>,
    /// `publish_devices`: a null-terminated list of names below /dev.
    pub publish_devices: Option<unsafe extern "C" fn() -> *const *const c_char>,
    /// `find_device`: the hooks of one of those names.
    pub find_device: Option<unsafe extern "C" fn(name: *const c_char) -> *mut device_hooks>,
    /// `modules`: a null-terminated list of module tables.
    pub modules: *const *mut module_info,
    /// `module_dependencies`: ended by an entry without a name.
    pub module_dependencies: *const module_dependency,
}

// SAFETY: the pointers are to statics of the add-on, which the kernel only reads; the maker of an `Exports` promises that
// they stay valid until the add-on is unloaded.
unsafe impl Send for Exports {}
// SAFETY: as above.
unsafe impl Sync for Exports {}

impl Default for Exports {
    fn default() -> Self {
        Self::NONE
    }
}

impl Exports {
    /// A file that exports nothing.
    pub const NONE: Self = Self {
        api_version: None,
        init_hardware: None,
        init_driver: None,
        uninit_driver: None,
        uninit_hardware: None,
        publish_devices: None,
        find_device: None,
        modules: core::ptr::null(),
        module_dependencies: core::ptr::null(),
    };
}

/// An add-on's file on the emulated disk, as `load_kernel_add_on` finds it.
///
/// Add-ons that are linked into the process implement it through [`Exports`]; an ELF image maps itself in `load`
/// and unmaps itself in `unload`. The kernel counts the uses of either role and calls `unload` with the last.
pub trait AddOn: Send {
    /// Maps the file; called again after each `unload`.
    fn load(&mut self) -> Result<Exports, status_t>;
    /// No role uses the image any longer.
    fn unload(&mut self) {}
}

impl AddOn for Exports {
    fn load(&mut self) -> Result<Exports, status_t> {
        Ok(*self)
    }
}
