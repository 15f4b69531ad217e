//! The place where threads wait: a semaphore of the kernel.

use core::ffi::CStr;

use haiku_sys as sys;
use tuntap_driver::{Error, Interruptible, WaitPoint};

/// A counting semaphore.
pub(crate) struct Semaphore(sys::sem_id);

impl WaitPoint for Semaphore {
    fn new(name: &'static CStr) -> Result<Self, Error> {
        // SAFETY: a C string; the kernel copies it.
        let id = unsafe { sys::create_sem(0, name.as_ptr()) };
        if id < sys::B_OK { Err(Error::NoMemory) } else { Ok(Self(id)) }
    }

    fn wait(&self, interruptible: Interruptible) -> Result<(), Error> {
        let flags = match interruptible {
            Interruptible::Yes => sys::B_CAN_INTERRUPT,
            Interruptible::No => 0,
        };
        // SAFETY: the semaphore lives as long as `self`; the core calls this with no lock held.
        let status = unsafe { sys::acquire_sem_etc(self.0, 1, flags, 0) };
        if status == sys::B_OK { Ok(()) } else { Err(Error::Interrupted) }
    }

    fn wake(&self, count: u32) {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        // Without `B_DO_NOT_RESCHEDULE` the kernel would hand the caller's CPU to the waiter inside the program's `write`.
        // SAFETY: the semaphore lives as long as `self`.
        unsafe { sys::release_sem_etc(self.0, count, sys::B_DO_NOT_RESCHEDULE) };
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        // SAFETY: the semaphore belongs to `self`, and a waiter would have a reference to `self`.
        unsafe { sys::delete_sem(self.0) };
    }
}
