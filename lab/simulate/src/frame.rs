//! A `net_buffer` of the stack's, made and read as the stack does.

use std::mem;

use haiku_sys::{B_NO_MEMORY, B_NOT_SUPPORTED, B_OK, net_buffer, net_buffer_module_info, status_t};

/// A packet that is ours.
pub(super) struct Frame(*mut net_buffer);

fn buffers() -> &'static net_buffer_module_info {
    haiku_kernel::net_buffer::module()
}

impl Frame {
    /// A packet with these bytes.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, status_t> {
        let create = buffers().create.ok_or(B_NOT_SUPPORTED)?;
        // SAFETY: a plain call.
        let frame = Self(unsafe { create(0) });
        if frame.0.is_null() {
            return Err(B_NO_MEMORY);
        }
        let append = buffers().append.ok_or(B_NOT_SUPPORTED)?;
        // SAFETY: the packet is ours, and the bytes are there.
        match unsafe { append(frame.0, bytes.as_ptr().cast(), bytes.len()) } {
            B_OK => Ok(frame),
            status => Err(status),
        }
    }

    /// A packet that the driver gave.
    pub(super) fn taken(packet: *mut net_buffer) -> Self {
        Self(packet)
    }

    /// Lends it to the driver.
    pub(super) fn as_ptr(&self) -> *mut net_buffer {
        self.0
    }

    /// The driver has taken it.
    pub(super) fn give(self) {
        mem::forget(self);
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, status_t> {
        // SAFETY: the packet is ours and alive.
        let mut bytes = vec![0; unsafe { (*self.0).size } as usize];
        let read = buffers().read.ok_or(B_NOT_SUPPORTED)?;
        // SAFETY: the packet has so many bytes, and there is room for them.
        match unsafe { read(self.0, 0, bytes.as_mut_ptr().cast(), bytes.len()) } {
            B_OK => Ok(bytes),
            status => Err(status),
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let (Some(free), false) = (buffers().free, self.0.is_null()) {
            // SAFETY: the packet is owned by `self`, which is not used again.
            unsafe { free(self.0) };
        }
    }
}
