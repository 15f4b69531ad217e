//! A program's memory: only ever copied, only ever by the kernel's `user_memcpy`.

use core::ffi::c_void;

use haiku_sys as sys;
use tuntap_driver::{Error, UserMemory};

/// An address and a length that a program gave. The memory can only be copied, not referenced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserSlice {
    address: usize,
    length: usize,
}

impl UserSlice {
    /// A program's memory.
    ///
    /// Checks the range, because `user_memcpy` also copies kernel memory, and devfs checks the buffers of `read` and `write`
    /// but not those of an ioctl.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if any of it lies outside of user memory.
    pub(crate) fn new(address: *const c_void, length: usize) -> Result<Self, Error> {
        let address = address as usize;
        if sys::is_user_address_range(address, length) { Ok(Self { address, length }) } else { Err(Error::BadAddress) }
    }

    /// Returns what follows the first `bytes`.
    pub(crate) fn skip(self, bytes: usize) -> Self {
        let bytes = bytes.min(self.length);
        Self { address: self.address + bytes, length: self.length - bytes }
    }

    /// Returns the address of `length` bytes at `offset`, if the memory has so many.
    pub(super) fn part(&self, offset: usize, length: usize) -> Result<*mut c_void, Error> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok((self.address + offset) as *mut c_void),
            _ => Err(Error::BadAddress),
        }
    }
}

impl UserMemory for UserSlice {
    fn len(&self) -> usize {
        self.length
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let from = self.part(offset, into.len())?;
        // SAFETY: `into` is a live slice; `from` is user memory, and `user_memcpy` returns an error if it is not mapped.
        copied(unsafe { sys::user_memcpy(into.as_mut_ptr().cast(), from, into.len()) })
    }

    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        let to = self.part(offset, from.len())?;
        // SAFETY: `from` is a live slice; `to` is user memory, and `user_memcpy` returns an error if it is not mapped.
        copied(unsafe { sys::user_memcpy(to, from.as_ptr().cast(), from.len()) })
    }
}

fn copied(status: sys::status_t) -> Result<(), Error> {
    if status == sys::B_OK { Ok(()) } else { Err(Error::BadAddress) }
}
