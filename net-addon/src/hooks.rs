//! The driver role's hooks: a table of them for each mode, made as a constant of a generic type.
//!
//! Each hook is a short shim: it turns the cookie into a reference, calls a safe function, and converts the error.
//!
//! devfs keeps the cookie of `open` in a file descriptor of the kernel. A call in progress holds a reference to the
//! descriptor, and so does a select until `deselect` has returned; `free` is called when the last reference is released
//! (`fd.cpp`, `put_fd`). That is the guarantee behind "`free` has not been called" below.

use core::ffi::{CStr, c_char, c_void};
use core::marker::PhantomData;

use haiku_sys as sys;
use sys::{device_hooks, selectsync, status_t};

use crate::ioctl;
use crate::kernel::{SelectEntry, UserSlice, event};
use crate::open::Open;
use crate::shared::Shared;
use crate::status::{status, transferred};
use crate::units::Kind;

/// The hooks of a mode's nodes.
pub(crate) struct Hooks<M>(PhantomData<M>);

impl<M: Kind> Hooks<M> {
    /// The table that devfs calls through.
    pub(crate) const TABLE: device_hooks = device_hooks {
        open: Some(Self::open),
        close: Some(Self::close),
        free: Some(Self::free),
        control: Some(Self::control),
        read: Some(Self::read),
        write: Some(Self::write),
        select: Some(Self::select),
        deselect: Some(Self::deselect),
        readv: None,
        writev: None,
    };

    /// # Safety
    /// `name` is a C string, and `cookie` points to a place for the cookie.
    unsafe extern "C" fn open(name: *const c_char, flags: u32, cookie: *mut *mut c_void) -> status_t {
        // SAFETY: the caller's promise.
        let name = unsafe { CStr::from_ptr(name) };
        match Open::<M>::new(name.to_bytes(), flags) {
            Ok(open) => {
                // SAFETY: the caller's promise.
                unsafe { *cookie = open.into_cookie() };
                sys::B_OK
            }
            Err(status) => status,
        }
    }

    /// # Safety
    /// `cookie` comes from [`Self::open`], and `free` has not been called.
    unsafe extern "C" fn close(cookie: *mut c_void) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        open.close();
        sys::B_OK
    }

    /// # Safety
    /// `cookie` comes from [`Self::open`], no other hook runs for it, and it is not used again.
    unsafe extern "C" fn free(cookie: *mut c_void) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::from_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        drop(open);
        sys::B_OK
    }

    /// # Safety
    /// `cookie` comes from [`Self::open`], and `free` has not been called. `data` may be anything: it is a number, or an
    /// address that is checked and copied by [`UserSlice`].
    unsafe extern "C" fn control(cookie: *mut c_void, op: u32, data: *mut c_void, _: usize) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        status(ioctl::control(open, op, data))
    }

    /// # Safety
    /// `cookie` comes from [`Self::open`], and `free` has not been called. `length` points to the kernel's own word, which
    /// no other thread uses during the call. `data` may be anything: [`UserSlice`] checks it.
    unsafe extern "C" fn read(cookie: *mut c_void, _: sys::off_t, data: *mut c_void, length: *mut usize) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        // SAFETY: the caller's promise.
        let length = unsafe { &mut *length };
        transferred(length, |length| open.device().read(&open.descriptor, &UserSlice::new(data, length)?))
    }

    /// # Safety
    /// That of [`Self::read`].
    unsafe extern "C" fn write(
        cookie: *mut c_void,
        _: sys::off_t,
        data: *const c_void,
        length: *mut usize,
    ) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        // SAFETY: the caller's promise.
        let length = unsafe { &mut *length };
        open.lease.look_at_interface();
        transferred(length, |length| open.device().write(&open.descriptor, &UserSlice::new(data, length)?))
    }

    /// # Safety
    /// `cookie` comes from [`Self::open`], and `free` has not been called. `sync` is alive until `deselect` has returned
    /// for it.
    unsafe extern "C" fn select(cookie: *mut c_void, event: u8, _: u32, sync: *mut selectsync) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        // SAFETY: the kernel calls the hook with `sync`.
        let entry = unsafe { SelectEntry::new(sync) };
        let (Some(event), Some(entry)) = (self::event(event), entry) else { return sys::B_BAD_VALUE };
        open.device().select(entry, event);
        sys::B_OK
    }

    /// # Safety
    /// `cookie` comes from [`Self::open`], and `free` has not been called. `sync` is alive until this returns.
    unsafe extern "C" fn deselect(cookie: *mut c_void, event: u8, sync: *mut selectsync) -> status_t {
        // SAFETY: the caller's promise.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        // SAFETY: the kernel calls the hook with `sync`.
        let entry = unsafe { SelectEntry::new(sync) };
        let (Some(event), Some(entry)) = (self::event(event), entry) else { return sys::B_BAD_VALUE };
        open.device().deselect(entry, event);
        sys::B_OK
    }
}
