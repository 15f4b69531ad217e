//! Controls: what `ioctl` can do to an open unit.

use core::ffi::c_void;

use haiku_sys as sys;
use tuntap_driver::{Blocking, UserMemory};

use crate::kernel::UserSlice;
use crate::node::Open;
use crate::status::to_status;
use crate::units::Kind;

/// Carries out one control. `data` is whatever the program gave, and its length is the command's to know.
pub(crate) fn control<M: Kind>(open: &Open<M>, op: u32, data: *mut c_void) -> Result<(), sys::status_t> {
    match op {
        sys::B_SET_NONBLOCKING_IO => open.descriptor.set_blocking(Blocking::DontWait),
        sys::B_SET_BLOCKING_IO => open.descriptor.set_blocking(Blocking::Wait),
        sys::FIONREAD => {
            let bytes = open.lease.device.readable().next as i32;
            let user = UserSlice::new(data, size_of_val(&bytes)).map_err(to_status)?;
            user.write(0, &bytes.to_ne_bytes()).map_err(to_status)?;
        }
        _ => return Err(sys::B_DEV_INVALID_IOCTL),
    }
    Ok(())
}
