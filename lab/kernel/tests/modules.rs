//! Modules: built in and from files, their references, their dependencies.

mod common;

use common::{boot, panics};
use core::ffi::CStr;
use core::ptr::{null, null_mut};
use std::sync::{Mutex, MutexGuard};

use haiku_kernel::{AddOn, Exports, Fault, FaultPlan, Kernel, fault, modules};
use haiku_sys::*;

/// What happened, and what the operations answer.
struct State {
    events: Vec<&'static str>,
    init: status_t,
    uninit: status_t,
}

static STATE: Mutex<State> = Mutex::new(State { events: Vec::new(), init: B_OK, uninit: B_OK });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn events() -> Vec<&'static str> {
    std::mem::take(&mut state().events)
}

fn operate(op: i32, names: [&'static str; 2]) -> status_t {
    let mut state = state();
    let (name, status) = match op.cast_unsigned() {
        B_MODULE_INIT => (names[0], state.init),
        _ => (names[1], state.uninit),
    };
    state.events.push(name);
    status
}

unsafe extern "C" fn first(op: i32) -> status_t {
    operate(op, ["first init", "first uninit"])
}

unsafe extern "C" fn second(op: i32) -> status_t {
    operate(op, ["second init", "second uninit"])
}

type Operations = unsafe extern "C" fn(i32, ...) -> status_t;

/// A module's table that is a static.
#[repr(transparent)]
struct Table(module_info);

// SAFETY: it is immutable.
unsafe impl Sync for Table {}

const fn table(name: &'static CStr, operations: unsafe extern "C" fn(i32) -> status_t) -> Table {
    // SAFETY: callers pass the operation and nothing else.
    let std_ops = unsafe { core::mem::transmute::<unsafe extern "C" fn(i32) -> status_t, Operations>(operations) };
    Table(module_info { name: name.as_ptr(), flags: 0, std_ops: Some(std_ops) })
}

const FIRST: &CStr = c"network/devices/toy/v1";
const SECOND: &CStr = c"network/devices/toy/extra/v1";

static FIRST_TABLE: Table = table(FIRST, first);
static SECOND_TABLE: Table = table(SECOND, second);
static BUILT_IN: Table = table(c"network/stack/v1", second);

/// A list that is a static.
#[repr(transparent)]
struct List<T>(T);

// SAFETY: only the kernel writes to it, one test at a time.
unsafe impl<T> Sync for List<T> {}

const fn pointer(table: &'static Table) -> *mut module_info {
    core::ptr::from_ref(table).cast_mut().cast()
}

static BOTH: List<[*mut module_info; 3]> = List([pointer(&FIRST_TABLE), pointer(&SECOND_TABLE), null_mut()]);
static ONE: List<[*mut module_info; 2]> = List([pointer(&FIRST_TABLE), null_mut()]);

/// Where the kernel stores the stack's table.
static STACK: List<core::cell::UnsafeCell<*mut module_info>> = List(core::cell::UnsafeCell::new(null_mut()));

static NEEDS_STACK: List<[module_dependency; 2]> = List([
    module_dependency { name: c"network/stack/v1".as_ptr(), info: STACK.0.get() },
    module_dependency { name: null(), info: null_mut() },
]);
static NEEDS_MISSING: List<[module_dependency; 3]> = List([
    module_dependency { name: c"network/stack/v1".as_ptr(), info: STACK.0.get() },
    module_dependency { name: c"network/missing/v1".as_ptr(), info: STACK.0.get() },
    module_dependency { name: null(), info: null_mut() },
]);

/// A file with these modules, which notes when it is mapped.
struct File(Exports);

impl AddOn for File {
    fn load(&mut self) -> Result<Exports, status_t> {
        state().events.push("map");
        Ok(self.0)
    }

    fn unload(&mut self) {
        state().events.push("unmap");
    }
}

fn file(modules: &'static [*mut module_info], dependencies: *const module_dependency) -> File {
    File(Exports { modules: modules.as_ptr(), module_dependencies: dependencies, ..Exports::NONE })
}

fn started(file: File) -> Kernel {
    let kernel = boot();
    *state() = State { events: Vec::new(), init: B_OK, uninit: B_OK };
    // SAFETY: the table is a static.
    unsafe { modules::register_builtin(pointer(&BUILT_IN)) };
    kernel.install("toy", file).unwrap();
    events();
    kernel
}

#[test]
fn the_first_reference_initialises_and_the_last_uninitialises() {
    let kernel = started(file(&BOTH.0, null()));
    let table = modules::get(FIRST).unwrap();
    assert_eq!(table, pointer(&FIRST_TABLE));
    assert_eq!(events(), ["map", "first init"]);
    assert_eq!(modules::get(FIRST), Ok(table));
    assert_eq!(kernel.ledgers().module_references, 2);
    modules::put(FIRST).unwrap();
    assert_eq!(events(), Vec::<&str>::new());
    modules::put(FIRST).unwrap();
    assert_eq!(events(), ["first uninit", "unmap"]);
    assert_eq!(modules::get(FIRST), Ok(table));
    modules::put(FIRST).unwrap();
    assert_eq!(events(), ["map", "first init", "first uninit", "unmap"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn modules_of_one_file_share_its_image() {
    let kernel = started(file(&BOTH.0, null()));
    modules::get(FIRST).unwrap();
    modules::get(SECOND).unwrap();
    assert_eq!(events(), ["map", "first init", "second init"]);
    modules::put(FIRST).unwrap();
    modules::put(SECOND).unwrap();
    assert_eq!(events(), ["first uninit", "second uninit", "unmap"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_module_is_looked_for_in_the_file_of_its_name() {
    let kernel = started(file(&BOTH.0, null()));
    for missing in [c"network/devices/toy/v2", c"network/devices/toy", c"network/devices/other/v1", c""] {
        assert_eq!(modules::get(missing), Err(B_ENTRY_NOT_FOUND));
    }
    // SAFETY: a missing name, and a place that is not written.
    assert_eq!(unsafe { get_module(null(), null_mut()) }, B_BAD_VALUE);
    assert!(haiku_kernel::log::lines().contains(&"module: Search for network/devices/toy/v2 failed.".to_owned()));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_failed_initialisation_leaves_nothing_behind() {
    let kernel = started(file(&BOTH.0, NEEDS_STACK.0.as_ptr()));
    state().init = B_NO_MEMORY;
    // The stack's module fails first; then, with that loaded, ours.
    assert_eq!(modules::get(FIRST), Err(B_NO_MEMORY));
    assert_eq!(events(), ["map", "second init", "unmap"]);
    state().init = B_OK;
    modules::get(c"network/stack/v1").unwrap();
    state().init = B_NO_MEMORY;
    assert_eq!(modules::get(FIRST), Err(B_NO_MEMORY));
    assert_eq!(events(), ["second init", "map", "first init", "unmap"]);
    modules::put(c"network/stack/v1").unwrap();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn dependencies_come_first_and_go_last() {
    let kernel = started(file(&BOTH.0, NEEDS_STACK.0.as_ptr()));
    modules::get(FIRST).unwrap();
    assert_eq!(events(), ["map", "second init", "first init"]);
    // SAFETY: the kernel stored it, and does not write to it now.
    assert_eq!(unsafe { *STACK.0.get() }, pointer(&BUILT_IN));
    assert_eq!(kernel.ledgers().module_references, 2);
    modules::put(FIRST).unwrap();
    assert_eq!(events(), ["first uninit", "second uninit", "unmap"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_missing_dependency_fails_and_the_reference_that_haiku_loses_is_not_a_leak() {
    let kernel = started(file(&BOTH.0, NEEDS_MISSING.0.as_ptr()));
    assert_eq!(modules::get(FIRST), Err(B_ENTRY_NOT_FOUND));
    assert_eq!(events(), ["map", "second init", "unmap"]);
    assert_eq!(kernel.ledgers().module_references, 0);
    assert!(kernel.shutdown().is_zero());
    assert_eq!(events(), ["second uninit"]);
}

#[test]
fn a_module_that_refuses_to_go_stays() {
    let kernel = started(file(&BOTH.0, null()));
    modules::get(FIRST).unwrap();
    state().uninit = B_BUSY;
    modules::put(FIRST).unwrap();
    assert_eq!(events(), ["map", "first init", "first uninit"]);
    assert_eq!(modules::get(FIRST), Ok(pointer(&FIRST_TABLE)));
    modules::put(FIRST).unwrap();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_list_has_built_in_modules_first_and_then_the_files_in_haikus_order() {
    let kernel = started(file(&BOTH.0, null()));
    kernel.install("another", file(&ONE.0, null())).unwrap();
    let (first, second) = (FIRST.to_str().unwrap(), SECOND.to_str().unwrap());
    assert_eq!(modules::list("network/devices"), [first, first, second]);
    assert_eq!(modules::list("network/devices/toy"), [first, second]);
    assert_eq!(modules::list("network/stack"), ["network/stack/buffer/v1", "network/stack/v1"]);
    assert_eq!(modules::list("nothing"), Vec::<String>::new());
    assert_eq!(kernel.ledgers().images, 0);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_file_without_modules_has_none() {
    let kernel = started(File(Exports::NONE));
    assert_eq!(modules::list("network/devices"), Vec::<String>::new());
    assert_eq!(modules::get(FIRST), Err(B_ENTRY_NOT_FOUND));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_nth_get_module_fails() {
    let kernel = started(file(&BOTH.0, NEEDS_STACK.0.as_ptr()));
    for n in 1..=2 {
        fault::arm(FaultPlan::Nth(Fault::GetModule, n));
        assert_eq!(modules::get(FIRST), Err(B_ENTRY_NOT_FOUND));
    }
    fault::arm(FaultPlan::Off);
    modules::get(FIRST).unwrap();
    modules::put(FIRST).unwrap();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_reference_too_many_given_back_stops_the_kernel() {
    let kernel = started(file(&BOTH.0, null()));
    assert_eq!(modules::put(FIRST), Err(B_BAD_VALUE));
    drop(kernel);
    panics(
        "a_reference_too_many_given_back_stops_the_kernel",
        "module network/devices/toy/v1 has no references.",
        || {
            let _kernel = started(file(&BOTH.0, null()));
            modules::get(FIRST).unwrap();
            modules::put(FIRST).unwrap();
            let _ = modules::put(FIRST);
        },
    );
}

#[test]
fn a_reference_not_given_back_is_in_the_ledger() {
    let kernel = started(file(&BOTH.0, null()));
    modules::get(FIRST).unwrap();
    let ledgers = kernel.shutdown();
    assert_eq!((ledgers.module_references, ledgers.images), (1, 1));
}
