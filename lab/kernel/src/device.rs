//! A driver's node: its path, its hooks, and what its driver learns of its use.

use core::ffi::CStr;
use core::fmt::Debug;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::ffi::CString;
use std::sync::{Arc, Mutex};

use haiku_sys::{device_hooks, status_t};

use crate::guarded::Guarded;
use crate::locks::Lock;

/// The lock that Haiku holds while it asks drivers for anything, and while it counts their uses.
pub(crate) static LOCK: Lock = Lock::new("legacy driver");

/// The driver of a node.
pub(crate) trait Owner: Debug + Send + Sync {
    /// The first open of the node begins: the driver is in use and, if it is not loaded, loaded.
    fn first_open(self: Arc<Self>) -> Result<(), status_t>;
    /// The last open of the node ended.
    fn last_close(self: Arc<Self>);
    /// A cookie was handed out, or came back.
    fn count_open(&self, change: i32);
    /// The path of the driver's file.
    fn path(&self) -> String;
}

/// A driver's node.
#[derive(Debug)]
pub(crate) struct Device {
    /// The driver, until Haiku forgets it with the first last close.
    driver: Mutex<Option<Arc<dyn Owner>>>,
    /// The driver, for good.
    origin: Arc<dyn Owner>,
    path: CString,
    hooks: AtomicPtr<device_hooks>,
    has_select: AtomicBool,
    initialised: AtomicI32,
    republished: AtomicBool,
}

/// A published node; it outlives its publication while it is open.
#[derive(Debug)]
pub(crate) struct Vnode {
    pub(crate) device: Arc<Device>,
}

impl Device {
    pub(crate) fn new(driver: Arc<dyn Owner>, path: &CStr, hooks: *mut device_hooks, api_version: i32) -> Arc<Self> {
        let device = Self {
            driver: Mutex::new(Some(Arc::clone(&driver))),
            origin: driver,
            path: path.to_owned(),
            hooks: AtomicPtr::new(core::ptr::null_mut()),
            has_select: AtomicBool::new(false),
            initialised: AtomicI32::new(0),
            republished: AtomicBool::new(true),
        };
        device.set_hooks(hooks, api_version);
        Arc::new(device)
    }

    pub(crate) fn set_hooks(&self, hooks: *mut device_hooks, api_version: i32) {
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

    /// Whether the driver named the node when it was asked last.
    pub(crate) fn is_republished(&self) -> bool {
        self.republished.load(Ordering::Relaxed)
    }

    /// Notes whether the driver names the node.
    pub(crate) fn set_republished(&self, republished: bool) {
        self.republished.store(republished, Ordering::Relaxed);
    }

    /// An open begins.
    pub(crate) fn init(&self) -> Result<(), status_t> {
        let _lock = LOCK.write();
        if self.initialised.fetch_add(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let driver = self.driver.guarded().clone();
        driver.map_or(Ok(()), Owner::first_open)
    }

    /// An open ended. With the last one Haiku forgets which driver the node belongs to, and no later open counts as
    /// a use of the driver.
    pub(crate) fn uninit(&self) {
        let _lock = LOCK.write();
        if self.initialised.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let driver = self.driver.guarded().take();
        if let Some(driver) = driver {
            driver.last_close();
        }
    }

    /// A cookie was handed out, or came back.
    pub(crate) fn count_open(&self, change: i32) {
        self.origin.count_open(change);
    }

    /// The path of the driver's file, while the node knows its driver.
    pub(crate) fn driver_path(&self) -> Option<String> {
        self.driver.guarded().as_ref().map(|driver| driver.path())
    }
}
