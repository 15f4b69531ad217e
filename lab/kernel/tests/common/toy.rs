//! A toy driver: each node is a box of bytes. Reading takes what was written, and waits for it; everything that the
//! kernel calls is noted.

use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard};

use haiku_kernel::{Exports, Kernel, devfs};
use haiku_sys::*;

/// An ioctl that does nothing and succeeds.
pub(crate) const TOY_NOTHING: u32 = 10_001;
/// An ioctl that answers 7.
pub(crate) const TOY_SEVEN: u32 = 10_002;

/// An open node.
struct Cookie {
    name: String,
    nonblocking: Mutex<bool>,
    closed: Mutex<bool>,
    items: sem_id,
    queue: Mutex<VecDeque<Vec<u8>>>,
    pool: Mutex<Pool>,
}

struct Pool(*mut select_sync_pool);

// SAFETY: the pool is only touched under the mutex around it.
unsafe impl Send for Pool {}

/// The driver's planned behaviour, and the calls that it got.
pub(crate) struct Toy {
    pub(crate) nodes: Vec<CString>,
    list: Vec<usize>,
    pub(crate) events: Vec<String>,
    pub(crate) hooks_missing: bool,
    pub(crate) open_status: status_t,
    pub(crate) init_status: status_t,
    /// What a read hook says it read, if not the truth.
    pub(crate) read_length: Option<usize>,
    /// What the select hooks answer.
    pub(crate) select_status: status_t,
    /// The last cookie, for tests that notify from outside.
    last: usize,
    /// Called by `free` with the name of the node.
    pub(crate) on_free: Option<fn(&str)>,
}

static TOY: Mutex<Toy> = Mutex::new(Toy::new());

impl Toy {
    const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            list: Vec::new(),
            events: Vec::new(),
            hooks_missing: false,
            open_status: B_OK,
            init_status: B_OK,
            read_length: None,
            select_status: B_OK,
            last: 0,
            on_free: None,
        }
    }
}

pub(crate) fn toy() -> MutexGuard<'static, Toy> {
    TOY.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Resets the driver to publishing these nodes, and gives its exports.
pub(crate) fn exports(nodes: &[&str]) -> Exports {
    *toy() = Toy::new();
    publish(nodes);
    EXPORTS
}

/// What the next `publish_devices` answers.
pub(crate) fn publish(nodes: &[&str]) {
    toy().nodes = nodes.iter().map(|&node| CString::new(node).unwrap()).collect();
}

/// What was noted, and forgets it.
pub(crate) fn events() -> Vec<String> {
    std::mem::take(&mut toy().events)
}

fn note(text: impl Into<String>) {
    toy().events.push(text.into());
}

/// Notifies all selects of the node that was opened last.
pub(crate) fn notify_last(event: u8) {
    let last = toy().last;
    // SAFETY: tests call this while the node is open.
    let cookie = unsafe { &*(last as *const Cookie) };
    let pool = cookie.pool.lock().unwrap();
    // SAFETY: the driver's pool, under its lock.
    unsafe { notify_select_event_pool(pool.0, event) };
}

pub(crate) const EXPORTS: Exports = Exports {
    api_version: Some(2),
    init_hardware: Some(init_hardware),
    init_driver: Some(init_driver),
    uninit_driver: Some(uninit_driver),
    uninit_hardware: None,
    publish_devices: Some(publish_devices),
    find_device: Some(find_device),
    modules: core::ptr::null(),
    module_dependencies: core::ptr::null(),
};

/// The functions of every node.
pub(crate) static HOOKS: device_hooks = device_hooks {
    open: Some(open),
    close: Some(close),
    free: Some(free_cookie),
    control: Some(control),
    read: Some(read),
    write: Some(write),
    select: Some(select),
    deselect: Some(deselect),
    readv: None,
    writev: None,
};

unsafe extern "C" fn init_hardware() -> status_t {
    B_OK
}

unsafe extern "C" fn init_driver() -> status_t {
    note("init");
    toy().init_status
}

unsafe extern "C" fn uninit_driver() {
    note("uninit");
}

unsafe extern "C" fn publish_devices() -> *const *const c_char {
    let mut toy = toy();
    let list: Vec<_> = toy.nodes.iter().map(|node| node.as_ptr() as usize).chain([0]).collect();
    toy.list = list;
    toy.list.as_ptr().cast()
}

unsafe extern "C" fn find_device(_name: *const c_char) -> *mut device_hooks {
    if toy().hooks_missing { null_mut() } else { (&raw const HOOKS).cast_mut() }
}

unsafe extern "C" fn open(name: *const c_char, flags: u32, cookie: *mut *mut c_void) -> status_t {
    // SAFETY: devfs passes a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    note(format!("open {name} {flags:#x}"));
    let status = toy().open_status;
    if status != B_OK {
        return status;
    }
    // SAFETY: a C string.
    let items = unsafe { create_sem(0, c"toy items".as_ptr()) };
    if items < 0 {
        return items;
    }
    let new = Box::into_raw(Box::new(Cookie {
        name,
        nonblocking: Mutex::new(flags & O_NONBLOCK != 0),
        closed: Mutex::new(false),
        items,
        queue: Mutex::default(),
        pool: Mutex::new(Pool(null_mut())),
    }));
    toy().last = new as usize;
    // SAFETY: devfs gives a place for the cookie.
    unsafe { *cookie = new.cast() };
    B_OK
}

fn cookie<'a>(cookie: *mut c_void) -> &'a Cookie {
    // SAFETY: devfs passes what open made, until free.
    unsafe { &*cookie.cast() }
}

unsafe extern "C" fn close(pointer: *mut c_void) -> status_t {
    let cookie = cookie(pointer);
    note(format!("close {}", cookie.name));
    *cookie.closed.lock().unwrap() = true;
    // SAFETY: no more than a call of the kernel.
    unsafe { release_sem_etc(cookie.items, 1, 0) };
    let pool = cookie.pool.lock().unwrap();
    // SAFETY: the driver's pool, under its lock.
    unsafe { notify_select_event_pool(pool.0, B_SELECT_DISCONNECTED as u8) };
    B_OK
}

unsafe extern "C" fn free_cookie(pointer: *mut c_void) -> status_t {
    // SAFETY: the last call with what open made.
    let cookie = unsafe { Box::from_raw(pointer.cast::<Cookie>()) };
    note(format!("free {}", cookie.name));
    // SAFETY: the cookie's own.
    unsafe { delete_sem(cookie.items) };
    // SAFETY: as above.
    unsafe { delete_select_sync_pool(cookie.pool.lock().unwrap().0) };
    let hook = toy().on_free;
    if let Some(hook) = hook {
        hook(&cookie.name);
    }
    B_OK
}

unsafe extern "C" fn control(pointer: *mut c_void, op: u32, data: *mut c_void, len: usize) -> status_t {
    let cookie = cookie(pointer);
    note(format!("control {op:#x} {:#x} {len}", data as usize));
    match op {
        B_SET_NONBLOCKING_IO | B_SET_BLOCKING_IO => {
            *cookie.nonblocking.lock().unwrap() = op == B_SET_NONBLOCKING_IO;
            B_OK
        }
        TOY_NOTHING => B_OK,
        TOY_SEVEN => 7,
        _ => B_DEV_INVALID_IOCTL,
    }
}

unsafe extern "C" fn read(pointer: *mut c_void, pos: off_t, data: *mut c_void, len: *mut usize) -> status_t {
    let cookie = cookie(pointer);
    // SAFETY: devfs gives the length.
    let room = unsafe { *len };
    note(format!("read {room} at {pos}"));
    let timeout = if *cookie.nonblocking.lock().unwrap() { 0 } else { B_INFINITE_TIMEOUT };
    // SAFETY: no more than a call of the kernel.
    let status = unsafe { acquire_sem_etc(cookie.items, 1, B_CAN_INTERRUPT | B_RELATIVE_TIMEOUT, timeout) };
    if status != B_OK {
        return status;
    }
    if *cookie.closed.lock().unwrap() {
        // SAFETY: as above; the next reader is woken too.
        unsafe { release_sem_etc(cookie.items, 1, 0) };
        return B_FILE_ERROR;
    }
    let item = cookie.queue.lock().unwrap().pop_front().unwrap();
    let count = item.len().min(room);
    // SAFETY: the item is alive; the other side is checked by the kernel.
    let status = unsafe { user_memcpy(data, item.as_ptr().cast(), count) };
    let length = toy().read_length;
    // SAFETY: devfs gives a place for the length.
    unsafe { *len = length.unwrap_or(count) };
    status
}

unsafe extern "C" fn write(pointer: *mut c_void, pos: off_t, data: *const c_void, len: *mut usize) -> status_t {
    let cookie = cookie(pointer);
    // SAFETY: devfs gives the length.
    let count = unsafe { *len };
    note(format!("write {count} at {pos}"));
    let mut item = vec![0; count.min(8)];
    // SAFETY: the item is alive; the other side is checked by the kernel.
    let status = unsafe { user_memcpy(item.as_mut_ptr().cast(), data, item.len()) };
    if status != B_OK {
        return status;
    }
    // SAFETY: devfs gives a place for the length.
    unsafe { *len = item.len() };
    cookie.queue.lock().unwrap().push_back(item);
    // SAFETY: no more than a call of the kernel.
    unsafe { release_sem_etc(cookie.items, 1, 0) };
    let pool = cookie.pool.lock().unwrap();
    // SAFETY: the driver's pool, under its lock.
    unsafe { notify_select_event_pool(pool.0, B_SELECT_READ as u8) };
    B_OK
}

unsafe extern "C" fn select(pointer: *mut c_void, event: u8, reference: u32, sync: *mut selectsync) -> status_t {
    let cookie = cookie(pointer);
    note(format!("select {event} {reference}"));
    let status = toy().select_status;
    if status != B_OK {
        return status;
    }
    let mut pool = cookie.pool.lock().unwrap();
    // SAFETY: the driver's pool, under its lock.
    let status = unsafe { add_select_sync_pool_entry(&mut pool.0, sync, event) };
    if status != B_OK {
        return status;
    }
    let ready = match u32::from(event) {
        B_SELECT_READ => !cookie.queue.lock().unwrap().is_empty(),
        B_SELECT_WRITE => true,
        _ => false,
    };
    if ready {
        // SAFETY: the sync is the one of this call.
        unsafe { notify_select_event(sync, event) };
    }
    B_OK
}

unsafe extern "C" fn deselect(pointer: *mut c_void, event: u8, sync: *mut selectsync) -> status_t {
    let cookie = cookie(pointer);
    note(format!("deselect {event}"));
    let mut pool = cookie.pool.lock().unwrap();
    // SAFETY: the driver's pool, under its lock.
    unsafe { remove_select_sync_pool_entry(&mut pool.0, sync, event) }
}

/// A kernel with the toy driver publishing these nodes, and nothing noted yet.
pub(crate) fn start(nodes: &[&str]) -> Kernel {
    let kernel = super::boot();
    kernel.install("toy", exports(nodes)).unwrap();
    events();
    kernel
}

/// Haiku looks again at what the driver, which publishes these nodes now, has.
pub(crate) fn rescan(nodes: &[&str]) -> status_t {
    publish(nodes);
    // SAFETY: a C string.
    unsafe { devfs_rescan_driver(c"toy".as_ptr()) }
}

/// What is in a directory.
pub(crate) fn names(path: &str) -> Vec<String> {
    devfs::list(path).unwrap().into_iter().map(|entry| entry.name).collect()
}
