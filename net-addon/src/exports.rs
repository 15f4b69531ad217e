//! The symbols that the kernel looks up in the file: the driver role's functions and the module role's tables.

#![allow(
    non_upper_case_globals,
    reason = "the kernel looks these names up, and `no_mangle` says so only in the add-on"
)]

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::fmt::Write;
use core::ptr::null;

use haiku_sys as sys;
use sys::{device_hooks, module_dependency, module_info, net_device_module_info, status_t};
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::hooks::Hooks;
use crate::log::Line;
use crate::node::Node;
use crate::units::{Kind, UNITS};
use crate::{inspect, interface, log, rescan, roles, settings};

/// The module's name: the file's path below `add-ons/kernel`, and the version.
const MODULE: &CStr = c"network/devices/tun_tap/v1";

/// A static that C reads or writes.
///
/// # Invariants
///
/// Rust makes a reference to the content only where a SAFETY comment says which lock of the kernel excludes C's accesses.
#[repr(transparent)]
pub struct ForC<T>(UnsafeCell<T>);

// SAFETY: the invariant of `ForC`: sharing one gives no access to its content.
unsafe impl<T> Sync for ForC<T> {}

/// The version of the driver interface: 2, which has `select`.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub static api_version: i32 = sys::B_CUR_DRIVER_API_VERSION as i32;

/// Reports that the hardware is present, which is always so for a virtual device.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub extern "C" fn init_hardware() -> status_t {
    sys::B_OK
}

/// Starts the driver role.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub extern "C" fn init_driver() -> status_t {
    roles::start(log::DRIVER_ROLE);
    sys::B_OK
}

/// Stops the driver role.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub extern "C" fn uninit_driver() {
    roles::stop(log::DRIVER_ROLE);
}

/// The length of the longest list of nodes: those for inspection, those of both modes, and the null at the end.
const NODES: usize = 2 + 2 * UNITS + 1;

static PUBLISHED: ForC<[*const c_char; NODES]> = ForC(UnsafeCell::new([null(); NODES]));
/// The names of both modes' nodes. Made when they are asked for, because a table of them would be 4 KiB of the file.
static NAMES: ForC<[Names; 2]> = ForC(UnsafeCell::new([Names::UNSET; 2]));

/// Returns the nodes to publish, as a null-terminated list of C strings.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub extern "C" fn publish_devices() -> *const *const c_char {
    rescan::asked();
    // SAFETY: the kernel calls this, and reads the list, with its lock on drivers held (`legacy_drivers.cpp`, `sLock`).
    let list = unsafe { &mut *PUBLISHED.0.get() };
    // SAFETY: as above.
    let [tun, tap] = unsafe { &mut *NAMES.0.get() };
    let [table, short, units @ ..] = list;
    *table = inspect::TABLE_NODE.as_ptr();
    *short = inspect::SHORT_NODE.as_ptr();
    let names = nodes::<Tun>(tun, c"tun").chain(nodes::<Tap>(tap, c"tap"));
    for (place, name) in units.iter_mut().zip(names.map(CStr::as_ptr).chain(core::iter::repeat(null()))) {
        *place = name;
    }
    list.as_ptr()
}

/// Returns the hooks of a node, or null if the driver has no such node.
///
/// # Safety
/// `name` is a C string. The kernel passes the names of [`publish_devices`].
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn find_device(name: *const c_char) -> *const device_hooks {
    static TUN: ForC<device_hooks> = ForC(UnsafeCell::new(Hooks::<Tun>::TABLE));
    static TAP: ForC<device_hooks> = ForC(UnsafeCell::new(Hooks::<Tap>::TABLE));
    static INSPECT: ForC<device_hooks> = ForC(UnsafeCell::new(inspect::HOOKS));
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    if Node::parse::<Tun>(name).is_some() {
        TUN.0.get()
    } else if Node::parse::<Tap>(name).is_some() {
        TAP.0.get()
    } else if inspect::has_node(name) {
        INSPECT.0.get()
    } else {
        null()
    }
}

/// Returns the names of a mode's current nodes.
fn nodes<'n, M: Kind>(names: &'n mut Names, clone: &'static CStr) -> impl Iterator<Item = &'n CStr> {
    let names = names.make(M::NAME);
    let clone_nodes = settings::current().clone_nodes;
    let units = (0..UNITS).filter(move |&number| !clone_nodes && M::units().has_node(number));
    clone_nodes.then_some(clone).into_iter().chain(units.filter_map(|number| names.get(number)))
}

/// `tun/0` to `tun/255`, each a C string in eight bytes.
struct Names([[u8; Self::LENGTH]; UNITS]);

impl Names {
    const LENGTH: usize = 8;
    const UNSET: Self = Self([[0; Self::LENGTH]; UNITS]);

    /// Writes the names of a mode's nodes. Each time the same, because the kernel may still look at the last ones.
    fn make(&mut self, mode: &str) -> &Self {
        for (number, name) in self.0.iter_mut().enumerate() {
            let mut line = Line::new();
            // It is no longer than seven bytes.
            let _ = write!(line, "{mode}/{number}");
            *name = line.prefix();
        }
        self
    }

    fn get(&self, number: usize) -> Option<&CStr> {
        CStr::from_bytes_until_nul(self.0.get(number)?).ok()
    }
}

/// # Safety
/// Has no requirements; it is unsafe because the type of [`module_info::std_ops`] is.
unsafe extern "C" fn std_ops(op: i32) -> status_t {
    match op as u32 {
        sys::B_MODULE_INIT => {
            roles::start(log::MODULE_ROLE);
            sys::B_OK
        }
        sys::B_MODULE_UNINIT => {
            roles::stop(log::MODULE_ROLE);
            sys::B_OK
        }
        _ => sys::B_ERROR,
    }
}

/// Returns the function as a variadic one, as `std_ops` is in C. No operation has further arguments.
const fn variadic(ops: unsafe extern "C" fn(i32) -> status_t) -> unsafe extern "C" fn(i32, ...) -> status_t {
    // SAFETY: the ABI of x86_64 passes the named arguments of a variadic call as those of any other call.
    unsafe { core::mem::transmute(ops) }
}

static NETWORK_DEVICE: ForC<net_device_module_info> = ForC(UnsafeCell::new(interface::module(module_info {
    name: MODULE.as_ptr(),
    flags: 0,
    std_ops: Some(variadic(std_ops)),
})));

/// The modules in this file.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub static modules: ForC<[*const module_info; 2]> =
    ForC(UnsafeCell::new([NETWORK_DEVICE.0.get().cast_const().cast(), null()]));

static STACK: ForC<*mut module_info> = ForC(UnsafeCell::new(core::ptr::null_mut()));
static BUFFER: ForC<*mut module_info> = ForC(UnsafeCell::new(core::ptr::null_mut()));

/// The modules that the kernel loads before this one. The addresses that it stores are not used, because its references
/// end with the module role, and an open descriptor may still have packets then: each unit with an interface takes its own
/// references.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub static module_dependencies: ForC<[module_dependency; 3]> = ForC(UnsafeCell::new([
    module_dependency { name: sys::NET_STACK_MODULE_NAME.as_ptr(), info: STACK.0.get() },
    module_dependency { name: sys::NET_BUFFER_MODULE_NAME.as_ptr(), info: BUFFER.0.get() },
    module_dependency { name: null(), info: core::ptr::null_mut() },
]));
