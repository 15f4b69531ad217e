//! [`Image`]: the driver's file by itself, called only by the test.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::Arc;

use haiku_kernel::{AddOn, Exports, Kernel, Ledgers};
use haiku_stack::{Stack, StackOptions};
use haiku_sys::{B_OK, device_hooks};
use haiku_system::addon;

use crate::watchdog::Watchdog;

/// A kernel with a network stack, and the driver's file loaded, but neither of its roles begun.
pub struct Image {
    kernel: Option<Kernel>,
    stack: Arc<Stack>,
    add_on: Box<dyn AddOn>,
    exports: Exports,
    _watchdog: Watchdog,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Image")
    }
}

impl Image {
    /// Boots a kernel and loads the file: that of `HAIKU_LAB_ADDON`, or else what is linked in.
    #[must_use]
    pub fn load() -> Self {
        let kernel = Kernel::boot(haiku_kernel::Options::default()).expect("a kernel");
        let watchdog = Watchdog::over(std::thread::current().name().unwrap_or("a test"));
        let stack = Stack::start(StackOptions::default());
        let mut add_on: Box<dyn AddOn> = match std::env::var_os(addon::VARIABLE) {
            Some(file) => Box::new(addon::File::open(Path::new(&file)).expect("an add-on")),
            None => Box::new(addon::linked()),
        };
        let exports = add_on.load().expect("an image");
        Self { kernel: Some(kernel), stack, add_on, exports, _watchdog: watchdog }
    }

    /// What the file exports.
    #[must_use]
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// What is alive at this moment.
    #[must_use]
    pub fn ledgers(&self) -> Ledgers {
        self.kernel.as_ref().expect("a kernel").ledgers()
    }

    /// The driver role begins.
    pub fn begin(&self) {
        let init = self.exports.init_driver.expect("a function");
        // SAFETY: the driver's function takes nothing.
        assert_eq!(unsafe { init() }, B_OK);
    }

    /// The driver role ends.
    pub fn finish(&self) {
        let uninit = self.exports.uninit_driver.expect("a function");
        // SAFETY: the driver's function takes nothing.
        unsafe { uninit() };
    }

    /// The names that the driver wants published.
    #[must_use]
    pub fn published(&self) -> Vec<String> {
        let publish = self.exports.publish_devices.expect("a function");
        // SAFETY: the driver's function takes nothing.
        let mut list = unsafe { publish() };
        let mut names = Vec::new();
        loop {
            // SAFETY: a list that ends with a null pointer, which has not been read yet.
            let name = unsafe { *list };
            if name.is_null() {
                return names;
            }
            // SAFETY: the entry before the null pointer that ends the list.
            list = unsafe { list.add(1) };
            // SAFETY: the list is of C strings.
            names.push(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
        }
    }

    /// The hooks of a node, if the driver knows it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&device_hooks> {
        let name = CString::new(name).expect("a name");
        let find = self.exports.find_device.expect("a function");
        // SAFETY: a C string.
        let hooks = unsafe { find(name.as_ptr()) };
        // SAFETY: null, or a table that stays as long as the image.
        unsafe { hooks.as_ref() }
    }

    /// Unloads the file and ends the kernel.
    pub fn end(mut self) {
        self.add_on.unload();
        let left = self.stack.stop();
        let ledgers = self.kernel.take().expect("a kernel").shutdown();
        assert!(ledgers.is_zero() && left.is_zero(), "something is left over:\n{ledgers}");
    }
}
