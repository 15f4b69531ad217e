//! Per-open state of a unit's node.

use core::sync::atomic::Ordering;

use haiku_sys as sys;
use sys::status_t;
use tuntap_driver::{Blocking, Descriptor, Device};

use crate::haiku::Haiku;
use crate::node::Node;
use crate::shared::Shared;
use crate::status::to_status;
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

impl<M: Kind> Open<M> {
    /// Opens the unit that a node's name stands for.
    pub(crate) fn new(name: &[u8], flags: u32) -> Result<Shared<Self>, status_t> {
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
    pub(crate) fn close(&self) {
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
