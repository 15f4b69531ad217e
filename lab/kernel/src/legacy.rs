//! Drivers of the old kind: loaded from `drivers/dev`, asked for their nodes, and asked again.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use haiku_sys::{B_BAD_VALUE, B_CUR_DRIVER_API_VERSION, B_ENTRY_NOT_FOUND, B_OK, ENXIO, status_t};

use crate::devfs;
use crate::device::{Device, LOCK, Owner};
use crate::guarded::Guarded;
use crate::image;
use crate::panic::kpanic;
use crate::{Exports, hooks, interrupts, log};

static DRIVERS: Mutex<Vec<Arc<Driver>>> = Mutex::new(Vec::new());

/// A driver's file, known since it was first probed.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The file's name too.
    name: String,
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

impl Owner for Driver {
    fn first_open(self: Arc<Self>) -> Result<(), status_t> {
        let idle = {
            let state = self.state.guarded();
            state.devices_used == 0 && state.exports.is_none()
        };
        if idle {
            // As on Haiku, the count of opens that was just taken is not given back.
            load(&self)?;
        }
        self.state.guarded().devices_used += 1;
        Ok(())
    }

    fn last_close(self: Arc<Self>) {
        let unused = {
            let mut state = self.state.guarded();
            state.devices_used -= 1;
            state.devices_used == 0 && state.devices.is_empty()
        };
        if unused {
            unload(&self);
        }
    }

    fn count_open(&self, change: i32) {
        self.opens.fetch_add(change, Ordering::SeqCst);
    }

    fn path(&self) -> String {
        format!("{}/drivers/dev/{}", image::DIRECTORY, self.name)
    }
}

/// Links a file into `drivers/dev` and tries it as a driver, as at boot. A file that exports nothing of a driver is
/// left alone.
pub(crate) fn probe(name: &str) -> Result<(), status_t> {
    let exports = image::load(name)?;
    let is_driver = exports.publish_devices.is_some() || exports.find_device.is_some() || exports.api_version.is_some();
    let result = if is_driver { add(name) } else { Ok(()) };
    image::unload(name);
    result
}

fn add(name: &str) -> Result<(), status_t> {
    let _lock = LOCK.write();
    let driver = Arc::new(Driver { name: name.to_owned(), state: Mutex::default(), opens: AtomicI32::new(0) });
    // It stays known even if it cannot be loaded.
    DRIVERS.guarded().push(Arc::clone(&driver));
    load(&driver)?;
    log::line(&format!("loaded driver {}", driver.path()));
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
    let exports = image::load(&driver.name)?;
    let initialised = initialise(&driver.name, &exports);
    if initialised.is_err() {
        image::unload(&driver.name);
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
    if image::unload(&driver.name) && opens > 0 {
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
        device.set_republished(false);
    }
    // SAFETY: the image is loaded.
    let mut paths = hooks::call("publish_devices", || unsafe { publish_devices() });
    let mut exported = 0;
    while let Some(path) = next_path(&mut paths) {
        let known = driver.state.guarded().devices.iter().find(|device| device.path() == path).cloned();
        if let Some(device) = &known {
            device.set_republished(true);
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
        let device = Device::new(Arc::clone(driver) as _, path, hooks, api_version);
        if devfs::publish(&device).is_ok() {
            driver.state.guarded().devices.push(device);
            exported += 1;
        }
    }
    let vanished: Vec<_> =
        driver.state.guarded().devices.iter().filter(|device| !device.is_republished()).cloned().collect();
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
                device.path().to_string_lossy()
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

/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_devfs_rescan_driver(name: *const c_char) -> status_t {
    interrupts::check("devfs_rescan_driver()");
    // SAFETY: the caller gives a C string.
    match rescan(&unsafe { CStr::from_ptr(name) }.to_string_lossy()) {
        Ok(()) => B_OK,
        Err(error) => error,
    }
}
