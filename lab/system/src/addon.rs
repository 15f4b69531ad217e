//! Which add-on the lab runs: the driver linked into it, or a file, loaded by Haiku's rules.

use std::ffi::c_char;
use std::path::{Path, PathBuf};

use haiku_kernel::{AddOn, Exports, SymbolKind, symbols};
use haiku_loader::{Image, KernelSymbol, SymbolTable};
use haiku_sys::{B_BAD_DATA, device_hooks, module_dependency, module_info, status_t};
use tuntap_net_addon::exports;

use haiku_stack::Error;

/// The name of the add-on's file on Haiku, under which the kernel finds it again.
pub const NAME: &str = "tun_tap";

/// The environment variable that names an add-on's file, for tests.
pub const VARIABLE: &str = "HAIKU_LAB_ADDON";

/// What the driver linked into this program exports.
#[must_use]
pub fn linked() -> Exports {
    /// The C type of `find_device`, whose result the kernel may write through.
    type FindDevice = unsafe extern "C" fn(name: *const c_char) -> *mut device_hooks;
    let find: unsafe extern "C" fn(*const c_char) -> *const device_hooks = exports::find_device;
    // SAFETY: the two types differ only in how the result may be used, and the tables behind it are for C to write.
    let find_device =
        unsafe { std::mem::transmute::<unsafe extern "C" fn(*const c_char) -> *const device_hooks, FindDevice>(find) };
    Exports {
        api_version: Some(exports::api_version),
        init_hardware: Some(exports::init_hardware),
        init_driver: Some(exports::init_driver),
        uninit_driver: Some(exports::uninit_driver),
        uninit_hardware: None,
        publish_devices: Some(exports::publish_devices),
        find_device: Some(find_device),
        modules: (&raw const exports::modules).cast::<*mut module_info>(),
        module_dependencies: (&raw const exports::module_dependencies).cast::<module_dependency>(),
    }
}

/// The kernel's symbols as the loader looks them up.
struct Kernel;

impl SymbolTable for Kernel {
    fn lookup(&self, name: &str) -> Option<KernelSymbol> {
        let symbol = symbols().iter().find(|symbol| symbol.name == name)?;
        let kind = match symbol.kind {
            SymbolKind::Function => haiku_loader::SymbolKind::Function,
            SymbolKind::Object => haiku_loader::SymbolKind::Object,
        };
        Some(KernelSymbol { kind, address: symbol.address })
    }
}

/// A real add-on's file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    image: Option<Image>,
}

impl File {
    /// Loads the file once, to say clearly what is wrong with it, and keeps it for the kernel.
    ///
    /// # Errors
    /// Which of Haiku's rules it breaks.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let image = haiku_loader::load(path, &Kernel)
            .map_err(|error| Error::Failed(format!("the add-on {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), image: Some(image) })
    }
}

impl AddOn for File {
    fn load(&mut self) -> Result<Exports, status_t> {
        let image = match self.image.take() {
            Some(image) => image,
            None => haiku_loader::load(&self.path, &Kernel).map_err(|_| B_BAD_DATA)?,
        };
        let found = exports_of(&image);
        self.image = Some(image);
        Ok(found)
    }

    fn unload(&mut self) {
        self.image = None;
    }
}

/// What an image exports, by Haiku's names.
fn exports_of(image: &Image) -> Exports {
    macro_rules! function {
        ($name:literal, $type:ty) => {
            // SAFETY: the name is Haiku's for a function of this type, and the image stays until its last use is over.
            image.function($name).map(|at| unsafe { std::mem::transmute::<*const (), $type>(at) })
        };
    }
    let variable = |name: &str| image.variable(name);
    Exports {
        // SAFETY: `api_version` is an `int32`.
        api_version: variable("api_version").map(|at| unsafe { at.cast::<i32>().read() }),
        init_hardware: function!("init_hardware", unsafe extern "C" fn() -> status_t),
        init_driver: function!("init_driver", unsafe extern "C" fn() -> status_t),
        uninit_driver: function!("uninit_driver", unsafe extern "C" fn()),
        uninit_hardware: function!("uninit_hardware", unsafe extern "C" fn()),
        publish_devices: function!("publish_devices", unsafe extern "C" fn() -> *const *const c_char),
        find_device: function!("find_device", unsafe extern "C" fn(*const c_char) -> *mut device_hooks),
        modules: variable("modules").map_or(std::ptr::null(), |at| at.cast_const().cast()),
        module_dependencies: variable("module_dependencies").map_or(std::ptr::null(), |at| at.cast_const().cast()),
    }
}
