//! The driver role's nodes: a table of hooks for each mode, made as a constant of a generic type.
//!
//! Each hook is one short shim: it finds what the cookie stands for, calls a safe function, and turns the error.

use core::ffi::{CStr, c_char, c_void};
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use haiku_sys as sys;
use sys::{device_hooks, selectsync, status_t};
use tuntap_driver::{Blocking, Descriptor};

use crate::ioctl;
use crate::kernel::{SelectEntry, UserSlice};
use crate::settings;
use crate::shared::Shared;
use crate::status::{status, to_status, transferred};
use crate::unit::NO_TEAM;
use crate::units::{Kind, Lease, UNITS};

/// One open of a unit: what a cookie stands for.
pub(crate) struct Open<M: Kind> {
    pub(crate) lease: Lease<M>,
    pub(crate) descriptor: Descriptor,
    /// How it was opened: `O_RDONLY`, `O_WRONLY` or `O_RDWR`. The kernel checks it for reads and writes, and leaves
    /// controls to us.
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

    unsafe extern "C" fn open(name: *const c_char, flags: u32, cookie: *mut *mut c_void) -> status_t {
        // SAFETY: devfs gives a C string.
        let name = unsafe { CStr::from_ptr(name) };
        match Open::<M>::new(name.to_bytes(), flags) {
            Ok(open) => {
                // SAFETY: devfs gives a place for the cookie.
                unsafe { *cookie = open.into_cookie() };
                sys::B_OK
            }
            Err(status) => status,
        }
    }

    unsafe extern "C" fn close(cookie: *mut c_void) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, and frees it later.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        open.close();
        sys::B_OK
    }

    unsafe extern "C" fn free(cookie: *mut c_void) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, for the last time.
        let Some(open) = (unsafe { Shared::<Open<M>>::from_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        drop(open);
        sys::B_OK
    }

    unsafe extern "C" fn control(cookie: *mut c_void, op: u32, data: *mut c_void, _: usize) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, and frees it when this has returned.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        status(ioctl::control(open, op, data))
    }

    unsafe extern "C" fn read(cookie: *mut c_void, _: sys::off_t, data: *mut c_void, length: *mut usize) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, and frees it when this has returned.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        // SAFETY: devfs gives the length in and takes it out.
        let length = unsafe { &mut *length };
        transferred(length, |length| open.lease.device.read(&open.descriptor, &UserSlice::new(data, length)?))
    }

    unsafe extern "C" fn write(
        cookie: *mut c_void,
        _: sys::off_t,
        data: *const c_void,
        length: *mut usize,
    ) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, and frees it when this has returned.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        // SAFETY: devfs gives the length in and takes it out.
        let length = unsafe { &mut *length };
        open.lease.look_at_interface();
        transferred(length, |length| open.lease.device.write(&open.descriptor, &UserSlice::new(data, length)?))
    }

    unsafe extern "C" fn select(cookie: *mut c_void, event: u8, _: u32, sync: *mut selectsync) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, and frees it when this has returned.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        let (Some(event), Some(entry)) = (crate::kernel::event(event), SelectEntry::new(sync)) else {
            return sys::B_BAD_VALUE;
        };
        open.lease.device.select(entry, event);
        sys::B_OK
    }

    unsafe extern "C" fn deselect(cookie: *mut c_void, event: u8, sync: *mut selectsync) -> status_t {
        // SAFETY: devfs hands back the cookie of `open`, and frees it when this has returned.
        let Some(open) = (unsafe { Shared::<Open<M>>::borrow_cookie(cookie) }) else { return sys::B_BAD_VALUE };
        let (Some(event), Some(entry)) = (crate::kernel::event(event), SelectEntry::new(sync)) else {
            return sys::B_BAD_VALUE;
        };
        open.lease.device.deselect(entry, event);
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
        // SAFETY: a plain call, which any thread may make.
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

    /// Opens the lowest unit that has no opener and that the caller may open. It may have an interface, which was configured
    /// before its program started, or outlived it.
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

    /// Whether packets may be read, or not if it was opened with `O_WRONLY`.
    pub(crate) fn check_read(&self) -> Result<(), status_t> {
        if self.access == sys::O_WRONLY { Err(sys::EBADF) } else { Ok(()) }
    }

    /// Whether packets may be written, or not if it was opened with `O_RDONLY`.
    pub(crate) fn check_write(&self) -> Result<(), status_t> {
        if self.access == sys::O_RDONLY { Err(sys::EBADF) } else { Ok(()) }
    }

    /// Wakes blocked calls, and takes the link down.
    fn close(&self) {
        self.lease.device.close();
        self.lease.opener.store(NO_TEAM, Ordering::Relaxed);
        self.lease.sync_link();
    }
}

impl<M: Kind> Drop for Open<M> {
    /// Ends the open, whether devfs freed it or it never came about.
    fn drop(&mut self) {
        self.close();
        self.lease.device.free();
    }
}

/// What a node's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// `tun/3`: this unit.
    Unit(usize),
    /// `tun`: the lowest unit without an opener.
    Clone,
}

impl Node {
    /// What a path below /dev, or an interface's name, means to a mode.
    pub(crate) fn parse<M: Kind>(name: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(M::NAME.as_bytes())?;
        if rest.is_empty() {
            return settings::current().clone_nodes.then_some(Self::Clone);
        }
        Self::number(rest.strip_prefix(b"/")?).map(Self::Unit)
    }

    /// A unit's number: decimal, without leading zeros, so that no unit has two names.
    pub(crate) fn number(digits: &[u8]) -> Option<usize> {
        if digits.len() > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        let number = settings::decimal(digits)? as usize;
        (number < UNITS).then_some(number)
    }
}
