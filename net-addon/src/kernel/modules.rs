//! The modules of the network stack that the add-on calls.

use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use haiku_sys as sys;

static BUFFER: AtomicPtr<sys::net_buffer_module_info> = AtomicPtr::new(null_mut());
static STACK: AtomicPtr<sys::net_stack_module_info> = AtomicPtr::new(null_mut());
static DATALINK: AtomicPtr<sys::net_datalink_module_info> = AtomicPtr::new(null_mut());

/// Takes a reference to each of the stack's modules. While a unit holds them, packets can be made and the stack can be called.
///
/// # Errors
///
/// The kernel's, if a module cannot be loaded.
pub(crate) fn take_modules() -> Result<(), sys::status_t> {
    take(sys::NET_STACK_MODULE_NAME, &STACK)?;
    take(sys::NET_DATALINK_MODULE_NAME, &DATALINK).inspect_err(|_| put(sys::NET_STACK_MODULE_NAME))?;
    take(sys::NET_BUFFER_MODULE_NAME, &BUFFER).inspect_err(|_| {
        put(sys::NET_DATALINK_MODULE_NAME);
        put(sys::NET_STACK_MODULE_NAME);
    })
}

/// Releases the references of [`take_modules`].
pub(crate) fn give_modules_back() {
    put(sys::NET_BUFFER_MODULE_NAME);
    put(sys::NET_DATALINK_MODULE_NAME);
    put(sys::NET_STACK_MODULE_NAME);
}

fn take<T>(name: &CStr, place: &AtomicPtr<T>) -> Result<(), sys::status_t> {
    let mut module = null_mut();
    // SAFETY: a C string, and a place for the module's address.
    let status = unsafe { sys::get_module(name.as_ptr(), &raw mut module) };
    if status != sys::B_OK {
        return Err(status);
    }
    // Each unit takes its own references, and all find the same table.
    place.store(module.cast(), Ordering::Release);
    Ok(())
}

fn put(name: &CStr) {
    // SAFETY: a reference to it was taken before.
    unsafe { sys::put_module(name.as_ptr()) };
}

/// The module that owns packets. `None` only before any unit had an interface.
#[inline]
pub(super) fn buffer() -> Option<&'static sys::net_buffer_module_info> {
    // SAFETY: null, or the kernel's table, which stays while a unit has its reference; and packets are made and freed only
    // for a unit that has had an interface, which keeps its reference as long as it lives.
    unsafe { BUFFER.load(Ordering::Acquire).as_ref() }
}

/// Returns the stack's own module, with which interfaces and domains are found. `None` only before any unit had an interface.
#[inline]
pub(crate) fn stack() -> Option<&'static sys::net_stack_module_info> {
    // SAFETY: as in `buffer`.
    unsafe { STACK.load(Ordering::Acquire).as_ref() }
}

/// Returns the module that owns interfaces. `None` only before any unit had one.
#[inline]
pub(crate) fn datalink() -> Option<&'static sys::net_datalink_module_info> {
    // SAFETY: as in `buffer`.
    unsafe { DATALINK.load(Ordering::Acquire).as_ref() }
}

/// Gives a reference to an interface's address back.
///
/// # Safety
/// The reference is the caller's to give.
pub(super) unsafe fn put_interface_address(address: *mut sys::net_interface_address) {
    if let Some(put) = datalink().and_then(|datalink| datalink.put_interface_address) {
        // SAFETY: the caller's promise.
        unsafe { put(address) };
    }
}

/// Tells the stack that an interface's link came or went.
///
/// # Safety
/// The device is one that the stack knows, and stays until this returns.
pub(crate) unsafe fn device_link_changed(device: *mut sys::net_device) {
    if let Some(changed) = stack().and_then(|stack| stack.device_link_changed) {
        // SAFETY: the caller's promise.
        unsafe { changed(device) };
    }
}
