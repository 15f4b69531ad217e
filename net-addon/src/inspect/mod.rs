//! `/dev/misc/tun_tap` and `/dev/misc/tun_tap_short`: the state of every unit, for people and for scripts. Reading them
//! opens no unit.
//!
//! A read at position 0 takes a [`snapshot`], and reads at later positions continue in it, so that a reader with a small
//! buffer sees one moment. No state is kept for readers: each snapshot asks the units and the kernel for everything.

mod form;
mod report;
mod snapshot;
mod team;
mod text;

use core::ffi::{CStr, c_char, c_void};

use haiku_sys as sys;
use sys::{device_hooks, status_t};
use tuntap_driver::{Error, Lock, UserMemory};

use crate::ioctl;
use crate::kernel::{SpinLock, UserSlice};
use crate::shared::Shared;
use crate::status::{status, to_status, transferred};
use form::Form;
pub(crate) use form::{SHORT_NODE, TABLE_NODE};
use text::Text;

/// Whether this path below /dev is that of one of the nodes.
pub(crate) fn has_node(path: &[u8]) -> bool {
    Form::of(path).is_some()
}

/// Per-open state: what a cookie points to.
struct Inspection {
    form: Form,
    /// The text that reads continue in; none before the first read. Read under no lock: a reader takes a reference.
    text: SpinLock<Option<Shared<Text>>>,
}

impl Inspection {
    fn new(path: &[u8], flags: u32) -> Result<Shared<Self>, status_t> {
        let form = Form::of(path).ok_or(sys::ENOENT)?;
        if flags & sys::O_RWMASK != sys::O_RDONLY {
            return Err(sys::B_READ_ONLY_DEVICE);
        }
        Shared::new(Self { form, text: SpinLock::free(None) }).map_err(to_status)
    }

    /// Reads from `position` on.
    fn read(&self, position: sys::off_t, to: &UserSlice) -> Result<usize, Error> {
        let text = self.text_at(position)?;
        let Ok(start) = usize::try_from(position) else { return Ok(0) };
        let rest = text.bytes().get(start..).unwrap_or_default();
        let part = rest.get(..to.len()).unwrap_or(rest);
        to.write(0, part)?;
        Ok(part.len())
    }

    /// Returns the text to read from: a new one at position 0, or else the one of the last read there.
    fn text_at(&self, position: sys::off_t) -> Result<Shared<Text>, Error> {
        if position != 0
            && let Some(text) = self.text.with(|text| text.clone())
        {
            return Ok(text);
        }
        let fresh = Shared::new(snapshot::take(self.form)?)?;
        // The old text is freed outside the lock.
        let old = self.text.with(|text| text.replace(fresh.clone()));
        drop(old);
        Ok(fresh)
    }
}

/// The hooks of both nodes. devfs reports a node without `select` as ready.
pub(crate) const HOOKS: device_hooks = device_hooks {
    open: Some(open),
    close: Some(close),
    free: Some(free),
    control: Some(control),
    read: Some(read),
    write: Some(write),
    select: None,
    deselect: None,
    readv: None,
    writev: None,
};

// devfs calls `free` when the last reference to the descriptor is released, as `hooks.rs` says.

/// # Safety
/// `name` is a C string, and `cookie` points to a place for the cookie.
unsafe extern "C" fn open(name: *const c_char, flags: u32, cookie: *mut *mut c_void) -> status_t {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    match Inspection::new(name.to_bytes(), flags) {
        Ok(inspection) => {
            // SAFETY: the caller's promise.
            unsafe { *cookie = inspection.into_cookie() };
            sys::B_OK
        }
        Err(status) => status,
    }
}

/// # Safety
/// Has no requirements; the argument is not used.
unsafe extern "C" fn close(_: *mut c_void) -> status_t {
    // No call waits.
    sys::B_OK
}

/// # Safety
/// `cookie` comes from [`open`], no other hook runs for it, and it is not used again.
unsafe extern "C" fn free(cookie: *mut c_void) -> status_t {
    // SAFETY: the caller's promise.
    let Some(inspection) = (unsafe { Shared::<Inspection>::from_cookie(cookie) }) else { return sys::B_BAD_VALUE };
    drop(inspection);
    sys::B_OK
}

/// # Safety
/// Has no requirements: `data` may be anything, because it is only copied, through [`UserSlice`].
unsafe extern "C" fn control(_: *mut c_void, op: u32, data: *mut c_void, _: usize) -> status_t {
    status(ioctl::inspect(op, data))
}

/// # Safety
/// `cookie` comes from [`open`], and `free` has not been called. `length` points to the kernel's own word, which no other
/// thread uses during the call. `data` may be anything: [`UserSlice`] checks it.
unsafe extern "C" fn read(
    cookie: *mut c_void,
    position: sys::off_t,
    data: *mut c_void,
    length: *mut usize,
) -> status_t {
    // SAFETY: the caller's promise.
    let Some(inspection) = (unsafe { Shared::<Inspection>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
    // SAFETY: the caller's promise.
    let length = unsafe { &mut *length };
    transferred(length, |length| inspection.read(position, &UserSlice::new(data, length)?))
}

/// # Safety
/// `length` points to the kernel's own word, which no other thread uses during the call.
unsafe extern "C" fn write(_: *mut c_void, _: sys::off_t, _: *const c_void, length: *mut usize) -> status_t {
    // SAFETY: the caller's promise.
    unsafe { *length = 0 };
    sys::B_READ_ONLY_DEVICE
}
