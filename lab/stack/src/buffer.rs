//! A packet of the emulated kernel, owned.
//!
//! Everything goes through the table of `network/stack/buffer/v1`, as it would on Haiku, so that the kernel's ledger
//! and its fault injection see what the stack does with packets.

use std::ptr::{self, NonNull};

use haiku_kernel::net_buffer;
use haiku_sys::{
    B_NO_MEMORY, B_OK, net_buffer as Raw, net_buffer_module_info, net_interface_address, sockaddr_dl, status_t,
};

/// Bytes that the stack keeps free in front of what it sends, for the headers of the layers below.
const HEADER_SPACE: usize = 256;

/// The table that owns packets.
fn module() -> &'static net_buffer_module_info {
    net_buffer::module()
}

/// Success as `Ok`, anything else as the error it is.
pub(crate) fn check(status: status_t) -> Result<(), status_t> {
    if status == B_OK { Ok(()) } else { Err(status) }
}

/// What came of sending a packet: with an error it still belongs to the caller.
pub(crate) type Sent = Result<(), Unsent>;

/// A packet that was not sent, and why. Dropping it frees the packet.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// What the layer below returned.
    pub(crate) status: status_t,
    packet: Option<Packet>,
    /// Whether it was the driver that did not take it.
    refused: bool,
}

impl Unsent {
    /// A packet that the driver refused.
    pub(crate) fn refused(packet: Packet, status: status_t) -> Self {
        Self { status, packet: Some(packet), refused: true }
    }

    /// Loses the packet and the interface address it refers to, as Haiku does where it ignores the status. Returns
    /// whether it did: a packet that got no further than the stack is freed here, so that the ledgers hold nothing
    /// against a driver that has never seen it.
    pub(crate) fn leak(self) -> bool {
        if self.refused {
            std::mem::forget(self.packet);
        }
        self.refused
    }
}

impl From<status_t> for Unsent {
    /// An error before there was a packet.
    fn from(status: status_t) -> Self {
        Self { status, packet: None, refused: false }
    }
}

/// A packet; freed when dropped.
#[derive(Debug)]
pub(crate) struct Packet(NonNull<Raw>);

// SAFETY: a packet has one owner at a time and the module does not care on which thread that is.
unsafe impl Send for Packet {}

impl Packet {
    /// A packet with these bytes.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, status_t> {
        let create = module().create.ok_or(B_NO_MEMORY)?;
        // SAFETY: `create` takes any size.
        let raw = NonNull::new(unsafe { create(HEADER_SPACE) }).ok_or(B_NO_MEMORY)?;
        let packet = Self(raw);
        let append = module().append.ok_or(B_NO_MEMORY)?;
        // SAFETY: the packet is ours and the bytes are there for as long as the call lasts.
        check(unsafe { append(raw.as_ptr(), bytes.as_ptr().cast(), bytes.len()) })?;
        Ok(packet)
    }

    /// Takes over a packet that a device handed up.
    ///
    /// # Safety
    /// The packet is alive and the caller's to give away.
    pub(crate) unsafe fn from_raw(raw: *mut Raw) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    /// Returns the packet to the caller with an error.
    pub(crate) fn unsent(self, status: status_t) -> Sent {
        Err(Unsent { status, packet: Some(self), refused: false })
    }

    /// The packet's address, for a call that does not take it over.
    pub(crate) fn as_ptr(&self) -> *mut Raw {
        self.0.as_ptr()
    }

    /// Bytes in the packet.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: the packet is alive.
        unsafe { (*self.as_ptr()).size as usize }
    }

    /// Puts bytes in front.
    pub(crate) fn prepend(&mut self, bytes: &[u8]) -> Result<(), status_t> {
        let prepend = module().prepend.ok_or(B_NO_MEMORY)?;
        // SAFETY: the packet is ours and the bytes are there for as long as the call lasts.
        check(unsafe { prepend(self.as_ptr(), bytes.as_ptr().cast(), bytes.len()) })
    }

    /// Copies bytes out, from the front.
    pub(crate) fn read(&self, bytes: &mut [u8]) -> Result<(), status_t> {
        let read = module().read.ok_or(B_NO_MEMORY)?;
        // SAFETY: the packet is ours and there is room for what is asked for.
        check(unsafe { read(self.as_ptr(), 0, bytes.as_mut_ptr().cast(), bytes.len()) })
    }

    /// Removes bytes from the front.
    pub(crate) fn remove_header(&mut self, bytes: usize) -> Result<(), status_t> {
        let remove = module().remove_header.ok_or(B_NO_MEMORY)?;
        // SAFETY: the packet is ours.
        check(unsafe { remove(self.as_ptr(), bytes) })
    }

    /// All of the packet's bytes.
    pub(crate) fn to_vec(&self) -> Result<Vec<u8>, status_t> {
        let mut bytes = vec![0; self.len()];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the link-layer addresses, as the framing layer does.
    pub(crate) fn set_link(&mut self, source: &sockaddr_dl, destination: &sockaddr_dl) {
        // SAFETY: the packet is alive.
        let to = unsafe { (*self.as_ptr()).source };
        // SAFETY: the module gives every packet room for two addresses of any kind.
        unsafe { ptr::write_unaligned(to.cast::<sockaddr_dl>(), *source) };
        // SAFETY: the packet is alive.
        let to = unsafe { (*self.as_ptr()).destination };
        // SAFETY: as above.
        unsafe { ptr::write_unaligned(to.cast::<sockaddr_dl>(), *destination) };
    }

    /// The link-layer address that the framing layer noted as the sender's.
    pub(crate) fn link_source(&self) -> sockaddr_dl {
        // SAFETY: the packet is alive.
        let source = unsafe { (*self.as_ptr()).source };
        // SAFETY: the framing layer wrote a whole link-layer address there.
        unsafe { ptr::read_unaligned(source.cast::<sockaddr_dl>()) }
    }

    /// `MSG_*`.
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: the packet is alive.
        unsafe { (*self.as_ptr()).msg_flags }
    }

    /// Sets `MSG_*`.
    pub(crate) fn set_flags(&mut self, flags: u32) {
        // SAFETY: the packet is ours.
        unsafe { (*self.as_ptr()).msg_flags = flags };
    }

    /// The frame's type, generic or specific.
    pub(crate) fn frame_type(&self) -> i32 {
        // SAFETY: the packet is alive.
        unsafe { (*self.as_ptr()).r#type }
    }

    /// The index of the device that the packet came by, which the consumer thread puts in the place of the frame's type.
    pub(crate) fn index(&self) -> u32 {
        self.frame_type().cast_unsigned()
    }

    /// Sets the frame's type.
    pub(crate) fn set_frame_type(&mut self, frame_type: i32) {
        // SAFETY: the packet is ours.
        unsafe { (*self.as_ptr()).r#type = frame_type };
    }

    /// Has the packet refer to an interface address in C's form, with a reference that it gives back when it is freed.
    pub(crate) fn set_interface_address(&mut self, address: *mut net_interface_address) {
        // SAFETY: the packet is ours, and refers to no address yet.
        unsafe { (*self.as_ptr()).interface_address = address };
    }

    /// Whether an interface address is attached, which no device may do.
    pub(crate) fn has_interface_address(&self) -> bool {
        // SAFETY: the packet is alive.
        unsafe { !(*self.as_ptr()).interface_address.is_null() }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        if let Some(free) = module().free {
            // SAFETY: the packet is owned by `self`, which is not used again.
            unsafe { free(self.as_ptr()) };
        }
    }
}
