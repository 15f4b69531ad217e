//! The argument of a control, and the copies from and to user memory.

use core::ffi::c_void;

use haiku_sys as sys;
use tuntap_driver::UserMemory;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::kernel::UserSlice;
use crate::status::{Controlled, to_status};

/// A control's argument: a number, or an address.
///
/// # Invariants
///
/// It is never dereferenced, only copied from and to through [`UserSlice`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument(pub(super) *mut c_void);

impl Argument {
    /// Returns the argument as a number.
    pub(super) fn number(self) -> u32 {
        self.0 as usize as u32
    }

    /// Returns the memory that it points to, if that is user memory.
    pub(super) fn memory(self, length: usize) -> Result<UserSlice, sys::status_t> {
        UserSlice::new(self.0, length).map_err(to_status)
    }

    /// Copies in what it points to.
    pub(super) fn fetch<T: FromBytes + IntoBytes>(self) -> Result<T, sys::status_t> {
        let mut value = T::new_zeroed();
        self.memory(size_of::<T>())?.read(0, value.as_mut_bytes()).map_err(to_status)?;
        Ok(value)
    }

    /// Copies out to what it points to.
    pub(super) fn store<T: IntoBytes + Immutable>(self, value: &T) -> Controlled {
        self.memory(size_of::<T>())?.write(0, value.as_bytes()).map_err(to_status)
    }
}
