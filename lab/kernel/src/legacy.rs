//! Drivers of the old kind: loaded from `drivers/dev`, asked for their nodes, and asked again.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::ffi::CString;
use std::sync::{Arc, Mutex};

use haiku_sys::{B_BAD_VALUE, B_CUR_DRIVER_API_VERSION, B_ENTRY_NOT_FOUND, B_OK, ENXIO, device_hooks, status_t};

use crate::devfs;
use crate::image::{self, Directory, FileId};
use crate::locks::{Guarded, Lock};
use crate::panic::kpanic;
use crate::{Exports, hooks, interrupts, log};

/// The lock that Haiku holds while it asks drivers for anything, and while it counts their uses.
static LOCK: Lock = Lock::new("legacy driver");
static DRIVERS: Mutex<Vec<Arc<Driver>>> = Mutex::new(Vec::new());

/// A driver's file, known since it was first probed.
#[derive(Debug)]
pub(crate) struct Driver {
    name: String,
    file: FileId,
    state: Mutex<State>,
    /// Opens that had no `free` yet: calls into the image are to come.
    opens: AtomicI32,
}

#[derive(Debug, Default)]
struct State {
    exports: Option<Exports>,
    /// How many nodes are in use, as Haiku counts.
    devices_used: i32,
    devices: Vec<Arc<Device>>,
    loading: bool,
}

/// A driver's node.
#[derive(Debug)]
pub(crate) struct Device {
    /// The driver, until Haiku forgets it with the first last close.
    driver: Mutex<Option<Arc<Driver>>>,
    /// The driver, for good.
    origin: Arc<Driver>,
    path: CString,
    hooks: AtomicPtr<device_hooks>,
    has_select: AtomicBool,
    initialised: AtomicI32,
    republished: AtomicBool,
}

impl Device {
    fn new(driver: &Arc<Driver>, path: &CStr, hooks: *mut device_hooks, api_version: i32) -> Arc<Self> {
        let device = Self {
            driver: Mutex::new(Some(Arc::clone(driver))),
            origin: Arc::clone(driver),
            path: path.to_owned(),
            hooks: AtomicPtr::new(core::ptr::null_mut()),
            has_select: AtomicBool::new(false),
            initialised: AtomicI32::new(0),
            republished: AtomicBool::new(true),
        };
        device.set_hooks(hooks, api_version);
        Arc::new(device)
    }

    fn set_hooks(&self, hooks: *mut device_hooks, api_version: i32) {
        self.hooks.store(hooks, Ordering::Release);
        // SAFETY: a table that the driver gave; it lives as long as the driver is loaded.
        if api_version >= 2 && unsafe { (*hooks).select.is_some() } {
            self.has_select.store(true, Ordering::Release);
        }
    }

    /// The driver's functions.
    pub(crate) fn hooks(&self) -> &device_hooks {
        // SAFETY: a table that the driver gave; an image with opens is never unloaded without a panic.
        unsafe { &*self.hooks.load(Ordering::Acquire) }
    }

    /// Whether the driver can tell when something happens.
    pub(crate) fn has_select(&self) -> bool {
        self.has_select.load(Ordering::Acquire)
    }

    /// The path below /dev.
    pub(crate) fn path(&self) -> &CStr {
        &self.path
    }

    /// An open begins: the driver is in use and, if it is not loaded, loaded.
    pub(crate) fn init(&self) -> Result<(), status_t> {
        let _lock = LOCK.write();
        if self.initialised.fetch_add(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let Some(driver) = self.driver.guarded().clone() else { return Ok(()) };
        let idle = {
            let state = driver.state.guarded();
            state.devices_used == 0 && state.exports.is_none()
        };
        if idle {
            // As on Haiku, the count of opens that was just taken is not given back.
            load(&driver)?;
        }
        driver.state.guarded().devices_used += 1;
        Ok(())
    }

    /// An open ended. With the last one Haiku forgets which driver the node belongs to, and no later open counts as
    /// a use of the driver.
    pub(crate) fn uninit(&self) {
        let _lock = LOCK.write();
        if self.initialised.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let Some(driver) = self.driver.guarded().take() else { return };
        let unused = {
            let mut state = driver.state.guarded();
            state.devices_used -= 1;
            state.devices_used == 0 && state.devices.is_empty()
        };
        if unused {
            unload(&driver);
        }
    }

    /// A cookie was handed out, or came back.
    pub(crate) fn count_open(&self, change: i32) {
        self.origin.opens.fetch_add(change, Ordering::SeqCst);
    }

    /// The path of the driver's file, while the node knows its driver.
    pub(crate) fn driver_path(&self) -> Option<String> {
        let driver = self.driver.guarded().clone()?;
        Some(format!("{}/drivers/dev/{}", driver.file.0.path(), driver.name))
    }
}

/// Links a file into `drivers/dev` and tries it as a driver, as at boot. A file that exports nothing of a driver is
/// left alone.
pub(crate) fn probe(directory: Directory, name: &str) -> Result<(), status_t> {
    let file = (directory, name.to_owned());
    let exports = image::load(&file)?;
    let is_driver = exports.publish_devices.is_some() || exports.find_device.is_some() || exports.api_version.is_some();
    let result = if is_driver { add(&file) } else { Ok(()) };
    image::unload(&file);
    result
}

fn add(file: &FileId) -> Result<(), status_t> {
    let _lock = LOCK.write();
    if find(&file.1).is_some() {
        // A driver of this name was found before, in a directory that is looked at earlier.
        return Ok(());
    }
    let driver = Arc::new(Driver {
        name: file.1.clone(),
        file: file.clone(),
        state: Mutex::default(),
        opens: AtomicI32::new(0),
    });
    // It stays known even if it cannot be loaded.
    DRIVERS.guarded().push(Arc::clone(&driver));
    load(&driver)?;
    log::line(&format!("loaded driver {}/drivers/dev/{}", file.0.path(), file.1));
    Ok(())
}

fn find(name: &str) -> Option<Arc<Driver>> {
    DRIVERS.guarded().iter().find(|driver| driver.name == name).cloned()
}

fn load(driver: &Arc<Driver>) -> Result<(), status_t> {
    if core::mem::replace(&mut driver.state.guarded().loading, true) {
        kpanic!(
            "the driver {} asks to be rescanned while it is being initialised: Haiku loads it again and again",
            driver.name
        );
    }
    let result = try_load(driver);
    driver.state.guarded().loading = false;
    result?;
    republish(driver)
}

fn try_load(driver: &Arc<Driver>) -> Result<(), status_t> {
    let exports = image::load(&driver.file)?;
    let initialised = initialise(&driver.name, &exports);
    if initialised.is_err() {
        image::unload(&driver.file);
    } else {
        driver.state.guarded().exports = Some(exports);
    }
    initialised
}

fn initialise(name: &str, exports: &Exports) -> Result<(), status_t> {
    match exports.api_version {
        None => log::line(&format!("devfs: \"{name}\" api_version missing")),
        Some(version) if version > B_CUR_DRIVER_API_VERSION.cast_signed() => {
            log::line(&format!("devfs: \"{name}\" api_version {version} not handled"));
            return Err(B_BAD_VALUE);
        }
        Some(version) if version < 1 => {
            log::line(&format!("devfs: \"{name}\" api_version invalid"));
            return Err(B_BAD_VALUE);
        }
        Some(_) => {}
    }
    if exports.publish_devices.is_none() || exports.find_device.is_none() {
        log::line(&format!("devfs: \"{name}\" mandatory driver symbol(s) missing!"));
        return Err(B_BAD_VALUE);
    }
    let run = |what, function: Option<unsafe extern "C" fn() -> status_t>| match function {
        // SAFETY: the image is loaded, and these are called in this order and once.
        Some(function) => hooks::call(what, || unsafe { function() }),
        None => B_OK,
    };
    if run("init_hardware", exports.init_hardware) != B_OK {
        return Err(ENXIO);
    }
    if run("init_driver", exports.init_driver) != B_OK {
        // On Haiku the pointer to `uninit_hardware` is looked up only after this, so that nothing is called here.
        return Err(ENXIO);
    }
    Ok(())
}

fn unload(driver: &Arc<Driver>) {
    let Some(exports) = driver.state.guarded().exports.take() else { return };
    if let Some(function) = exports.uninit_driver {
        // SAFETY: the image is loaded.
        hooks::call("uninit_driver", || unsafe { function() });
    }
    if let Some(function) = exports.uninit_hardware {
        // SAFETY: as above.
        hooks::call("uninit_hardware", || unsafe { function() });
    }
    let opens = driver.opens.load(Ordering::SeqCst);
    if image::unload(&driver.file) && opens > 0 {
        kpanic!(
            "the driver {} was unloaded while {opens} descriptor(s) of it are open: the next call jumps into memory that is gone",
            driver.name
        );
    }
}

/// Asks a driver for its nodes, publishes the new ones and takes away those that it no longer names. A driver that
/// names none is unloaded, unless Haiku counts a node of it as in use.
fn republish(driver: &Arc<Driver>) -> Result<(), status_t> {
    let Some(exports) = driver.state.guarded().exports else { return load(driver) };
    let (Some(publish_devices), Some(find_device)) = (exports.publish_devices, exports.find_device) else {
        return Err(B_BAD_VALUE);
    };
    for device in &driver.state.guarded().devices {
        device.republished.store(false, Ordering::Relaxed);
    }
    // SAFETY: the image is loaded.
    let mut paths = hooks::call("publish_devices", || unsafe { publish_devices() });
    let mut exported = 0;
    while let Some(path) = next_path(&mut paths) {
        let known = driver.state.guarded().devices.iter().find(|device| device.path.as_c_str() == path).cloned();
        if let Some(device) = &known {
            device.republished.store(true, Ordering::Relaxed);
            exported += 1;
        }
        // SAFETY: the image is loaded, and the name is the driver's own.
        let hooks = hooks::call("find_device", || unsafe { find_device(path.as_ptr()) });
        if hooks.is_null() {
            continue;
        }
        let api_version = exports.api_version.unwrap_or(1);
        if let Some(device) = known {
            device.set_hooks(hooks, api_version);
            continue;
        }
        let device = Device::new(driver, path, hooks, api_version);
        if devfs::publish(&device).is_ok() {
            driver.state.guarded().devices.push(device);
            exported += 1;
        }
    }
    let vanished: Vec<_> = driver
        .state
        .guarded()
        .devices
        .iter()
        .filter(|device| !device.republished.load(Ordering::Relaxed))
        .cloned()
        .collect();
    for device in vanished {
        take_away(driver, &device);
    }
    let unused = exported == 0 && driver.state.guarded().devices_used == 0;
    if unused {
        unload(driver);
    }
    Ok(())
}

/// The next entry of a driver's list of names.
fn next_path<'a>(paths: &mut *const *const c_char) -> Option<&'a CStr> {
    if paths.is_null() {
        return None;
    }
    // SAFETY: the list is the driver's, and ends with null.
    let path = unsafe { **paths };
    if path.is_null() {
        return None;
    }
    *paths = paths.wrapping_add(1);
    // SAFETY: the names are C strings of the driver's, alive while it is asked.
    Some(unsafe { CStr::from_ptr(path) })
}

fn take_away(driver: &Arc<Driver>, device: &Arc<Device>) {
    {
        let mut state = driver.state.guarded();
        let before = state.devices.len();
        state.devices.retain(|other| !Arc::ptr_eq(other, device));
        if state.devices.len() == before {
            drop(state);
            kpanic!(
                "devfs_rescan_driver(\"{}\") was called by a close or free hook that devfs_rescan_driver itself called, and took away {}: Haiku goes on with a list that has changed under it",
                driver.name,
                device.path.to_string_lossy()
            );
        }
    }
    devfs::unpublish(device);
}

/// `devfs_rescan_driver`.
pub(crate) fn rescan(name: &str) -> Result<(), status_t> {
    let _lock = LOCK.write();
    let driver = find(name).ok_or(B_ENTRY_NOT_FOUND)?;
    republish(&driver)
}

/// Takes away all nodes and unloads all drivers, the latest first.
pub(crate) fn unload_all() {
    let _lock = LOCK.write();
    while let Some(driver) = { DRIVERS.guarded().pop() } {
        while let Some(device) = { driver.state.guarded().devices.pop() } {
            devfs::unpublish(&device);
        }
        if driver.opens.load(Ordering::SeqCst) == 0 {
            unload(&driver);
        }
    }
}

pub(crate) fn reset() {
    DRIVERS.guarded().clear();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_devfs_rescan_driver(name: *const c_char) -> status_t {
    interrupts::check("devfs_rescan_driver()");
    // SAFETY: the caller gives a C string.
    match rescan(&unsafe { CStr::from_ptr(name) }.to_string_lossy()) {
        Ok(()) => B_OK,
        Err(error) => error,
    }
}
