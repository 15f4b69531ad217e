//! The driver role's nodes: a table of hooks for each mode, made as a constant of a generic type.
//!
//! Each hook is a short shim: it turns the cookie into a reference, calls a safe function, and converts the error.
//!
//! devfs keeps the cookie of `open` in a file descriptor of the kernel. A call in progress holds a reference to the
//! descriptor, and so does a select until `deselect` has returned; `free` is called when the last reference is released
//! (`fd.cpp`, `put_fd`). That is the guarantee behind "`free` has not been called" below.

use core::ffi::{CStr, c_char, c_void};
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use haiku_sys as sys;
use sys::{device_hooks, selectsync, status_t};
use tuntap_driver::{Blocking, Descriptor, Device};

use crate::ioctl;
use crate::kernel::{Haiku, SelectEntry, UserSlice};
use crate::settings;
use crate::shared::Shared;
use crate::status::{status, to_status, transferred};
use crate::unit::NO_TEAM;
use crate::units::{Kind, Lease, UNITS};

/// Per-open state: what a cookie points to.
pub(crate) struct Open<M: Kind> {
    pub(crate) lease: Lease<M>,
    pub(crate) descriptor: Descriptor,
    /// The access mode: `O_RDONLY`, `O_WRONLY` or `O_RDWR`. The kernel checks it for reads and writes, but not for
    /// controls.
    access: u32,
}

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
        let (Some(event), Some(entry)) = (crate::kernel::event(event), entry) else { return sys::B_BAD_VALUE };
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
        let (Some(event), Some(entry)) = (crate::kernel::event(event), entry) else { return sys::B_BAD_VALUE };
        open.device().deselect(entry, event);
        sys::B_OK
    }
}

impl<M: Kind> Open<M> {
    /// Opens the unit that a node's name stands for.
    fn new(name: &[u8], flags: u32) -> Result<Shared<Self>, status_t> {
        let blocking = if flags & sys::O_NONBLOCK != 0 { Blocking::DontWait } else { Blocking::Wait };
        let node = Node::parse::<M>(name).ok_or(sys::ENOENT)?;
        let (lease, descriptor) = match node {
            Node::Unit(number) => Self::open_unit(number, blocking)?,
            Node::Clone => Self::open_lowest(blocking)?,
        };
        let open = Shared::new(Self { lease, descriptor, access: flags & sys::O_RWMASK }).map_err(to_status)?;
        open.lease.sync_link();
        // SAFETY: a plain call.
        open.lease.opener.store(unsafe { sys::getpid() }, Ordering::Relaxed);
        ::log::debug!(target: M::NAME, "unit {} opened", open.lease.number);
        Ok(open)
    }

    fn open_unit(number: usize, blocking: Blocking) -> Result<(Lease<M>, Descriptor), status_t> {
        let lease = M::units().lease(number).map_err(to_status)?;
        lease.owner.check_open()?;
        let descriptor = lease.device.open(blocking).map_err(to_status)?;
        Ok((lease, descriptor))
    }

    /// Opens the lowest unit that has no opener and that the caller may open. It may already have an interface, configured
    /// before its program started or left by an earlier one.
    fn open_lowest(blocking: Blocking) -> Result<(Lease<M>, Descriptor), status_t> {
        let mut refusal = sys::EBUSY;
        for number in 0..UNITS {
            match Self::open_unit(number, blocking) {
                Err(sys::EBUSY) => {}
                Err(sys::EPERM) => refusal = sys::EPERM,
                opened => return opened,
            }
        }
        Err(refusal)
    }

    /// Returns the device that was opened.
    #[inline]
    pub(crate) fn device(&self) -> &Device<M, Haiku> {
        &self.lease.device
    }

    /// Checks that the descriptor was not opened with `O_WRONLY`.
    pub(crate) fn check_read(&self) -> Result<(), status_t> {
        if self.access == sys::O_WRONLY { Err(sys::EBADF) } else { Ok(()) }
    }

    /// Checks that the descriptor was not opened with `O_RDONLY`.
    pub(crate) fn check_write(&self) -> Result<(), status_t> {
        if self.access == sys::O_RDONLY { Err(sys::EBADF) } else { Ok(()) }
    }

    /// Wakes blocked calls, and takes the link down.
    fn close(&self) {
        self.device().close();
        self.lease.opener.store(NO_TEAM, Ordering::Relaxed);
        self.lease.sync_link();
    }
}

impl<M: Kind> Drop for Open<M> {
    /// Ends the open: devfs freed the cookie, or `open` failed halfway.
    fn drop(&mut self) {
        self.close();
        self.device().free();
    }
}

/// The meaning of a node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// `tun/3`: this unit.
    Unit(usize),
    /// `tun`: the lowest unit without an opener.
    Clone,
}

impl Node {
    /// Parses a path below /dev, or an interface's name, as a node of a mode.
    pub(crate) fn parse<M: Kind>(name: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(M::NAME.as_bytes())?;
        if rest.is_empty() {
            return settings::current().clone_nodes.then_some(Self::Clone);
        }
        Self::number(rest.strip_prefix(b"/")?).map(Self::Unit)
    }

    /// Parses a unit's number: decimal, without leading zeros, so that no unit has two names.
    pub(crate) fn number(digits: &[u8]) -> Option<usize> {
        if digits.len() > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        let number = settings::decimal(digits)? as usize;
        (number < UNITS).then_some(number)
    }
}
