//! Modules: built in or from add-ons, with references, dependencies, and their two operations.

use core::ffi::{CStr, c_char};
use std::sync::Mutex;

use haiku_sys::{
    B_BAD_VALUE, B_ENTRY_NOT_FOUND, B_ERROR, B_MODULE_INIT, B_MODULE_UNINIT, B_OK, module_dependency, module_info,
    status_t,
};

use crate::fault::{self, Fault};
use crate::guarded::Guarded;
use crate::image;
use crate::ledger;
use crate::locks::Lock;
use crate::panic::kpanic;
use crate::{Exports, hooks, interrupts, log, net_buffer};

/// The lock that Haiku holds over every look-up, and over the operations of modules too.
static LOCK: Lock = Lock::new("modules rlock");
static MODULES: Mutex<Vec<Module>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Known or loaded, not initialised.
    Loaded,
    Initialising,
    Ready,
    Uninitialising,
    /// It could not be uninitialised.
    Failed,
}

/// A table's address, as a module of the kernel or of an add-on has it.
#[derive(Clone, Copy, Debug)]
struct Info(*mut module_info);

// SAFETY: tables are statics of their add-on, alive while the module is registered, and only read here.
unsafe impl Send for Info {}

impl Info {
    fn name(self) -> String {
        // SAFETY: the table is alive, as for every use of an `Info`.
        let name = unsafe { (*self.0).name };
        if name.is_null() {
            return String::new();
        }
        // SAFETY: a module's name is a C string that lives as long as its table.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    fn operate(self, operation: u32) -> status_t {
        // SAFETY: as above.
        match unsafe { (*self.0).std_ops } {
            // SAFETY: it takes the operation, and nothing else is ever passed.
            Some(std_ops) => hooks::call("std_ops", || unsafe { std_ops(operation.cast_signed()) }),
            None => B_OK,
        }
    }
}

#[derive(Debug)]
struct Module {
    name: String,
    info: Info,
    /// The image it came from, while it is referenced.
    image: Option<(String, Exports)>,
    built_in: bool,
    references: i64,
    /// References that the kernel itself keeps or has lost; no caller can release them.
    kernels_own: i64,
    state: State,
}

fn with<R>(name: &str, f: impl FnOnce(&mut Module) -> R) -> Option<R> {
    MODULES.guarded().iter_mut().find(|module| module.name == name).map(f)
}

/// Registers a module that is part of the kernel.
///
/// # Safety
/// The table and what it points to must stay valid until the kernel has shut down.
pub unsafe fn register_builtin(info: *mut module_info) {
    let info = Info(info);
    let mut modules = MODULES.guarded();
    let name = info.name();
    modules.retain(|module| module.name != name);
    modules.push(Module {
        name,
        info,
        image: None,
        built_in: true,
        references: 0,
        kernels_own: 0,
        state: State::Loaded,
    });
}

/// Only the packet module is known.
pub(crate) fn reset() {
    MODULES.guarded().clear();
    // SAFETY: the table is an immutable static.
    unsafe { register_builtin(core::ptr::from_ref(net_buffer::module()).cast_mut().cast()) };
}

/// The tables of a file, in its order.
fn tables(exports: &Exports) -> Vec<Info> {
    let mut list = exports.modules;
    let mut tables = Vec::new();
    if list.is_null() {
        return tables;
    }
    loop {
        // SAFETY: an add-on's `modules` is a list that ends with null, and its image is loaded.
        let table = unsafe { *list };
        if table.is_null() {
            return tables;
        }
        tables.push(Info(table));
        list = list.wrapping_add(1);
    }
}

/// The names of all modules whose names begin with `prefix`: built-in ones first, then by file as Haiku
/// finds them. Every file is loaded for it that is not, and unloaded again.
#[must_use]
pub fn list(prefix: &str) -> Vec<String> {
    interrupts::check("open_module_list()");
    let _lock = LOCK.write();
    let mut names: Vec<String> =
        MODULES.guarded().iter().filter(|module| module.built_in).map(|module| module.name.clone()).collect();
    for file in image::files() {
        let path = format!("{}/{file}", image::FOLDER);
        let common = path.len().min(prefix.len());
        if path.as_bytes()[..common] != prefix.as_bytes()[..common] {
            continue;
        }
        let Ok(exports) = load_image(&file) else { continue };
        names.extend(tables(&exports).into_iter().map(Info::name));
        image::unload(&file);
    }
    names.retain(|name| name.starts_with(prefix));
    names
}

/// Loads a file as a module image.
fn load_image(file: &str) -> Result<Exports, status_t> {
    let exports = image::load(file).inspect_err(|error| {
        log::line(&format!("load_module_image({}/{}/{file}) failed: {error:#x}", image::DIRECTORY, image::FOLDER));
    })?;
    if exports.modules.is_null() {
        image::unload(file);
        return Err(haiku_sys::B_BAD_TYPE);
    }
    Ok(exports)
}

/// Finds the file that must contain a module, by its name, and makes its modules known; the image stays in use.
fn search(name: &str) -> Option<(String, Exports)> {
    for file in image::files() {
        let path = format!("{}/{file}/", image::FOLDER);
        if !name.starts_with(&path) {
            continue;
        }
        let Ok(exports) = load_image(&file) else { continue };
        let mut found = false;
        for info in tables(&exports) {
            let own = info.name();
            let mut modules = MODULES.guarded();
            let fresh = match modules.iter_mut().find(|module| module.name == own) {
                Some(known) if known.image.is_none() && known.references == 0 && !known.built_in => {
                    known.info = info;
                    known.state = State::Loaded;
                    true
                }
                Some(_) => false,
                None => {
                    modules.push(Module {
                        name: own.clone(),
                        info,
                        image: None,
                        built_in: false,
                        references: 0,
                        kernels_own: 0,
                        state: State::Loaded,
                    });
                    true
                }
            };
            found |= fresh && own == name;
        }
        if found {
            return Some((file, exports));
        }
        image::unload(&file);
    }
    None
}

/// The names and the places of an image's dependencies.
fn dependencies(exports: &Exports) -> Vec<(&'static CStr, *mut *mut module_info)> {
    let mut list: *const module_dependency = exports.module_dependencies;
    let mut found = Vec::new();
    if list.is_null() {
        return found;
    }
    loop {
        // SAFETY: an add-on's dependencies end with an entry without a name, and its image is loaded.
        let entry = unsafe { &*list };
        if entry.name.is_null() {
            return found;
        }
        // SAFETY: a C string of the image, used only while that is loaded.
        found.push((unsafe { CStr::from_ptr(entry.name) }, entry.info));
        list = list.wrapping_add(1);
    }
}

/// `get_module`: loads a module and takes a reference to it.
pub fn get(name: &CStr) -> Result<*mut module_info, status_t> {
    interrupts::check("get_module()");
    if fault::hit(Fault::GetModule) {
        return Err(B_ENTRY_NOT_FOUND);
    }
    let name = name.to_string_lossy();
    let _lock = LOCK.write();
    if with(&name, |module| module.built_in || module.image.is_some()) != Some(true) {
        let Some(image) = search(&name) else {
            log::line(&format!("module: Search for {name} failed."));
            return Err(B_ENTRY_NOT_FOUND);
        };
        with(&name, |module| module.image = Some(image));
    }
    if with(&name, |module| module.references) == Some(0) {
        let status = initialise(&name);
        if status < B_OK {
            let image = with(&name, |module| if module.references == 0 { module.image.take() } else { None });
            if let Some((file, _)) = image.flatten() {
                image::unload(&file);
            }
            return Err(status);
        }
    }
    ledger::MODULE_REFERENCES.add(1);
    with(&name, |module| {
        module.references += 1;
        module.info.0
    })
    .ok_or(B_ERROR)
}

fn initialise(name: &str) -> status_t {
    let (state, info, exports) =
        with(name, |module| (module.state, module.info, module.image.as_ref().map(|image| image.1))).unwrap_or((
            State::Failed,
            Info(core::ptr::null_mut()),
            None,
        ));
    match state {
        State::Loaded => {}
        State::Ready => return B_OK,
        State::Initialising => {
            log::line(&format!("module: circular reference to {name}"));
            return B_ERROR;
        }
        State::Uninitialising => {
            log::line(&format!("module: tried to load module {name} which is currently unloading"));
            return B_ERROR;
        }
        State::Failed => {
            log::line(&format!("module: cannot load module {name} because its earlier unloading failed"));
            return B_ERROR;
        }
    }
    with(name, |module| module.state = State::Initialising);
    let needed = exports.as_ref().map(dependencies).unwrap_or_default();
    for (index, &(dependency, place)) in needed.iter().enumerate() {
        match get(dependency) {
            // SAFETY: the place is the image's, which is loaded.
            Ok(table) => unsafe { place.write(table) },
            Err(error) => {
                log::line(&format!("loading dependent module {} of {name} failed!", dependency.to_string_lossy()));
                // Haiku does not give back those it had before.
                for (lost, _) in &needed[..index] {
                    lose(&lost.to_string_lossy());
                }
                with(name, |module| module.state = State::Loaded);
                return error;
            }
        }
    }
    let status = info.operate(B_MODULE_INIT);
    if status < B_OK {
        put_all(&needed);
        with(name, |module| module.state = State::Loaded);
    } else {
        with(name, |module| module.state = State::Ready);
    }
    status
}

/// Records that the kernel itself lost a reference, which is not the driver's fault.
fn lose(name: &str) {
    with(name, |module| module.kernels_own += 1);
    ledger::MODULE_REFERENCES.add(-1);
}

fn put_all(dependencies: &[(&CStr, *mut *mut module_info)]) {
    for (name, _) in dependencies {
        if put(name).is_err() {
            return;
        }
    }
}

/// `put_module`: gives a reference back.
pub fn put(name: &CStr) -> Result<(), status_t> {
    interrupts::check("put_module()");
    let name = name.to_string_lossy();
    let _lock = LOCK.write();
    let Some(left) = with(&name, |module| {
        if module.references == 0 {
            kpanic!("module {name} has no references.");
        }
        module.references -= 1;
        module.references
    }) else {
        log::line(&format!("module: We don't seem to have a reference to module {name}"));
        return Err(B_BAD_VALUE);
    };
    ledger::MODULE_REFERENCES.add(-1);
    if left == 0 {
        uninitialise(&name);
    }
    Ok(())
}

fn uninitialise(name: &str) {
    let (state, info, exports) =
        with(name, |module| (module.state, module.info, module.image.as_ref().map(|image| image.1))).unwrap_or((
            State::Loaded,
            Info(core::ptr::null_mut()),
            None,
        ));
    match state {
        State::Initialising => kpanic!("Trying to unload module {name} which is initializing"),
        State::Uninitialising => kpanic!("Trying to unload module {name} which is un-initializing"),
        State::Loaded | State::Failed => {}
        State::Ready => {
            with(name, |module| module.state = State::Uninitialising);
            let status = info.operate(B_MODULE_UNINIT);
            if status != B_OK {
                log::line(&format!("module: Error unloading module {name} ({status:#x})"));
                with(name, |module| {
                    module.state = State::Failed;
                    module.references += 1;
                    module.kernels_own += 1;
                });
                return;
            }
            with(name, |module| module.state = State::Loaded);
            put_all(&exports.as_ref().map(dependencies).unwrap_or_default());
        }
    }
    if let Some((file, _)) = with(name, |module| module.image.take()).flatten() {
        image::unload(&file);
    }
}

/// Lets go of the modules that only the kernel itself still refers to, as nothing else can: a real kernel would
/// take them along as the power goes.
pub(crate) fn unload_kept() {
    let _lock = LOCK.write();
    loop {
        let kept = |module: &&mut Module| module.kernels_own > 0 && module.references == module.kernels_own;
        let name = {
            let mut modules = MODULES.guarded();
            let Some(module) = modules.iter_mut().rev().find(kept) else { return };
            module.references = 0;
            module.kernels_own = 0;
            module.name.clone()
        };
        uninitialise(&name);
    }
}

/// # Safety
/// `path` is a C string, and `module` points to a place for the module's address.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_get_module(path: *const c_char, module: *mut *mut module_info) -> status_t {
    if path.is_null() {
        return B_BAD_VALUE;
    }
    // SAFETY: the caller gives a C string.
    match get(unsafe { CStr::from_ptr(path) }) {
        Ok(table) => {
            // SAFETY: the caller gives a place for the table's address.
            unsafe { module.write(table) };
            B_OK
        }
        Err(error) => error,
    }
}

/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_put_module(path: *const c_char) -> status_t {
    // SAFETY: the caller gives a C string.
    match put(unsafe { CStr::from_ptr(path) }) {
        Ok(()) => B_OK,
        Err(error) => error,
    }
}
