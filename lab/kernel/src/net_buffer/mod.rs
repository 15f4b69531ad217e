//! Packets: the module `network/stack/buffer/v1`.
//!
//! A packet is a chain of nodes, each with some space before and behind its bytes, as Haiku has it and with its
//! figures: where a packet falls into pieces, and which errors go unreported there, is the same. Freed packets are
//! kept for a while and checked; fresh ones are filled with a pattern wherever Haiku leaves what was there.

mod node;
mod packet;

use core::ffi::c_void;

use haiku_sys::{
    B_BAD_ADDRESS, B_ERROR, B_NO_MEMORY, B_OK, NET_BUFFER_MODULE_NAME, Unused, module_info, net_buffer,
    net_buffer_module_info, net_interface_address, status_t,
};

pub use node::{HAIKU_NODE_SIZE, MAX_NODE_SIZE, MIN_NODE_SIZE};

use crate::fault::{self, Fault};
use crate::guarded::Guarded;
use crate::interrupts;
use crate::panic::kpanic;
use packet::packet;

/// Tells the module how to give back the reference of a packet to an interface address; until the kernel ends.
pub fn set_release(release: fn(*mut net_interface_address)) {
    *packet::RELEASE.guarded() = Some(release);
}

/// A module's table, which is immutable.
struct Table(net_buffer_module_info);

// SAFETY: the table is constant; its pointers are to constants and functions.
unsafe impl Sync for Table {}

/// The module's table, for code inside the kernel.
#[must_use]
pub fn module() -> &'static net_buffer_module_info {
    static MODULE: Table = Table(TABLE);
    &MODULE.0
}

/// Starts with no packets, of nodes of this size.
pub(crate) fn reset(node_size: usize) {
    packet::reset();
    node::reset(Some(node_size));
    *packet::RELEASE.guarded() = None;
}

/// Checks what was freed.
pub(crate) fn flush() {
    packet::reset();
    node::reset(None);
}

const fn status(result: Result<(), status_t>) -> status_t {
    match result {
        Ok(()) => B_OK,
        Err(error) => error,
    }
}

/// # Safety
/// Has no requirements; it is unsafe because the type of `std_ops` is.
unsafe extern "C" fn std_ops(op: i32) -> status_t {
    if matches!(op.cast_unsigned(), haiku_sys::B_MODULE_INIT | haiku_sys::B_MODULE_UNINIT) { B_OK } else { B_ERROR }
}

/// What stands in the table for functions that exist in Haiku and that the add-on does not know how to call. What neither
/// the add-on nor the emulated stack calls is null.
///
/// # Safety
/// Has no requirements: it panics.
unsafe extern "C" fn unused() {
    kpanic!("a function of {NET_BUFFER_MODULE_NAME:?} was called that haiku-sys gives no type to");
}

/// # Safety
/// Has no requirements; it is unsafe because the table's type is.
unsafe extern "C" fn create(header_space: usize) -> *mut net_buffer {
    interrupts::check("net_buffer create()");
    if fault::hit(Fault::NetBufferCreate) {
        return core::ptr::null_mut();
    }
    packet::create(header_space).cast()
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns, and which is not used again.
unsafe extern "C" fn free(buffer: *mut net_buffer) {
    interrupts::check("net_buffer free()");
    // SAFETY: the caller's packet.
    unsafe { packet(buffer, "free") }.free();
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns. `data` is valid for `bytes` bytes.
unsafe extern "C" fn prepend(buffer: *mut net_buffer, data: *const c_void, bytes: usize) -> status_t {
    interrupts::check("net_buffer prepend()");
    // SAFETY: the caller's packet.
    let packet = unsafe { packet(buffer, "prepend") };
    if fault::hit(Fault::NetBufferPrepend) {
        return B_NO_MEMORY;
    }
    // SAFETY: the caller's data.
    status(unsafe { packet.prepend(data as usize, bytes) })
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns. `place` is null or points to a place for an address.
unsafe extern "C" fn append_size(buffer: *mut net_buffer, size: usize, place: *mut *mut c_void) -> status_t {
    interrupts::check("net_buffer append_size()");
    // SAFETY: the caller's packet.
    let packet = unsafe { packet(buffer, "append_size") };
    if fault::hit(Fault::NetBufferAppend) {
        return B_NO_MEMORY;
    }
    status(packet.append_room(size).map(|room| {
        if !place.is_null() {
            // SAFETY: the caller's place.
            unsafe { place.write(room.unwrap_or_default().cast()) };
        }
    }))
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns. `data` is valid for `bytes` bytes, or a user address.
unsafe extern "C" fn append(buffer: *mut net_buffer, data: *const c_void, bytes: usize) -> status_t {
    interrupts::check("net_buffer append()");
    // SAFETY: the caller's packet.
    let packet = unsafe { packet(buffer, "append") };
    if fault::hit(Fault::NetBufferAppend) {
        return B_NO_MEMORY;
    }
    // SAFETY: the caller's data.
    status(unsafe { packet.append(data as usize, bytes) })
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns.
unsafe extern "C" fn remove_header(buffer: *mut net_buffer, bytes: usize) -> status_t {
    interrupts::check("net_buffer remove_header()");
    // SAFETY: the caller's packet.
    status(unsafe { packet(buffer, "remove_header") }.remove_header(bytes))
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns. `data` is valid for `bytes` bytes, or a user address.
unsafe extern "C" fn read(buffer: *mut net_buffer, offset: usize, data: *mut c_void, bytes: usize) -> status_t {
    interrupts::check("net_buffer read()");
    // SAFETY: the caller's packet.
    let packet = unsafe { packet(buffer, "read") };
    if fault::hit(Fault::NetBufferRead) {
        return B_BAD_ADDRESS;
    }
    // SAFETY: the caller's memory.
    status(unsafe { packet.read(offset, data as usize, bytes) })
}

/// # Safety
/// `buffer` is a live packet of this module, which the caller owns. `data` is valid for `bytes` bytes, or a user address.
unsafe extern "C" fn write(buffer: *mut net_buffer, offset: usize, data: *const c_void, bytes: usize) -> status_t {
    interrupts::check("net_buffer write()");
    // SAFETY: the caller's packet.
    let packet = unsafe { packet(buffer, "write") };
    // SAFETY: the caller's memory.
    status(unsafe { packet.write(offset, data as usize, bytes) })
}

const UNUSED: Unused = Some(unused);

const TABLE: net_buffer_module_info = net_buffer_module_info {
    info: module_info {
        name: NET_BUFFER_MODULE_NAME.as_ptr(),
        flags: 0,
        // SAFETY: callers pass the operation and nothing else, so that a function of one argument serves.
        std_ops: Some(unsafe {
            core::mem::transmute::<unsafe extern "C" fn(i32) -> status_t, unsafe extern "C" fn(i32, ...) -> status_t>(
                std_ops,
            )
        }),
    },
    create: Some(create),
    free: Some(free),
    duplicate: None,
    clone: None,
    split: UNUSED,
    merge: UNUSED,
    prepend_size: None,
    prepend: Some(prepend),
    append_size: Some(append_size),
    append: Some(append),
    insert: None,
    remove: None,
    remove_header: Some(remove_header),
    remove_trailer: None,
    trim: None,
    append_cloned: UNUSED,
    associate_data: None,
    set_ancillary_data: UNUSED,
    get_ancillary_data: UNUSED,
    transfer_ancillary_data: UNUSED,
    store_header: UNUSED,
    stored_header_length: UNUSED,
    restore_header: UNUSED,
    append_restored_header: UNUSED,
    direct_access: UNUSED,
    read: Some(read),
    write: Some(write),
    checksum: UNUSED,
    get_memory_map: None,
    get_iovecs: UNUSED,
    count_iovecs: UNUSED,
    swap_addresses: UNUSED,
    dump: UNUSED,
};
