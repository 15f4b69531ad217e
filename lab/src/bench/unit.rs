//! One unit of the driver, called as the kernel calls it: the hooks of its node, and those of its interface.

use std::ffi::{CString, c_void};
use std::ptr::{NonNull, null_mut};

use haiku_kernel::{Exports, user};
use haiku_sys::{
    B_OK, B_WOULD_BLOCK, O_NONBLOCK, O_RDWR, device_hooks, net_buffer, net_buffer_module_info, net_device,
    net_device_module_info, status_t,
};

use super::Options;
use crate::addon;
use crate::error::Error;
use crate::lab::{Lab, LabOptions};
use crate::mode::Mode;

/// The driver to measure.
pub(super) struct Driver {
    exports: Exports,
    unchecked_memory: bool,
}

impl Driver {
    /// The one that is linked in.
    pub(super) fn linked(options: &Options) -> Self {
        Self { exports: addon::linked(), unchecked_memory: options.unchecked_memory }
    }

    /// A system with this driver in it.
    pub(super) fn boot(&self) -> Result<Lab, Error> {
        let unchecked_memory = self.unchecked_memory;
        Lab::boot(LabOptions { exports: Some(self.exports), unchecked_memory, ..LabOptions::default() })
    }

    /// A unit of it, open and up. The system must run.
    pub(super) fn unit(&self, mode: Mode, number: usize, blocking: bool) -> Result<Unit, Error> {
        let mut unit = Unit::new(&self.exports, mode, number)?;
        let open = unit.hooks().open.ok_or_else(missing)?;
        let flags = O_RDWR | if blocking { 0 } else { O_NONBLOCK };
        let name = name(mode, number)?;
        // SAFETY: a C string and a place for the cookie.
        check("opening a unit", unsafe { open(name.as_ptr(), flags, &raw mut unit.cookie) })?;
        Ok(unit)
    }
}

/// A unit that is up, and open if there is a cookie.
pub(super) struct Unit {
    hooks: NonNull<device_hooks>,
    module: NonNull<net_device_module_info>,
    cookie: *mut c_void,
    device: *mut net_device,
    /// The address of the interface, for frames to it.
    pub(super) address: [u8; 6],
}

/// The module that owns packets.
fn buffers() -> &'static net_buffer_module_info {
    haiku_kernel::net_buffer::module()
}

fn check(doing: &'static str, status: status_t) -> Result<(), Error> {
    if status == B_OK { Ok(()) } else { Err(Error::status(doing, status)) }
}

fn missing() -> Error {
    Error::Failed("the add-on lacks an export that the benchmark calls".to_owned())
}

fn name(mode: Mode, number: usize) -> Result<CString, Error> {
    CString::new(mode.interface(number)).map_err(|_| missing())
}

impl Unit {
    fn new(exports: &Exports, mode: Mode, number: usize) -> Result<Self, Error> {
        let name = name(mode, number)?;
        let find = exports.find_device.ok_or_else(missing)?;
        // SAFETY: an export of the add-on, called as the kernel does.
        let hooks = NonNull::new(unsafe { find(name.as_ptr()) }).ok_or_else(missing)?;
        // SAFETY: a null-terminated list of modules, of which there is one.
        let module = unsafe { exports.modules.read() };
        let module = NonNull::new(module.cast::<net_device_module_info>()).ok_or_else(missing)?;
        let mut unit = Self { hooks, module, cookie: null_mut(), device: null_mut(), address: [0; 6] };
        let init = unit.module().init_device.ok_or_else(missing)?;
        // SAFETY: a C string and a place for the device.
        check("making its interface", unsafe { init(name.as_ptr(), &raw mut unit.device) })?;
        let up = unit.module().up.ok_or_else(missing)?;
        // SAFETY: the device was made just now.
        check("bringing it up", unsafe { up(unit.device) })?;
        // SAFETY: the device is alive.
        let address = unsafe { &(*unit.device).address };
        unit.address.copy_from_slice(&address.data[..6]);
        Ok(unit)
    }

    fn hooks(&self) -> &device_hooks {
        // SAFETY: the add-on's table, which stays while the unit is open.
        unsafe { self.hooks.as_ref() }
    }

    fn module(&self) -> &net_device_module_info {
        // SAFETY: as above.
        unsafe { self.module.as_ref() }
    }

    /// The program writes a packet; false if that would wait.
    #[inline]
    pub(super) fn write(&self, packet: &[u8]) -> Result<bool, Error> {
        let Some(write) = self.hooks().write else { return Ok(false) };
        let mut length = packet.len();
        let address = user::to_user(packet.as_ptr() as usize) as *const c_void;
        // SAFETY: the cookie of `open`, and a user address.
        match unsafe { write(self.cookie, 0, address, &raw mut length) } {
            B_OK => Ok(true),
            B_WOULD_BLOCK => Ok(false),
            status => Err(Error::status("writing to a unit", status)),
        }
    }

    /// The program reads a packet; `None` if that would wait.
    #[inline]
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let Some(read) = self.hooks().read else { return Ok(None) };
        let mut length = buffer.len();
        let address = user::to_user(buffer.as_mut_ptr() as usize) as *mut c_void;
        // SAFETY: the cookie of `open`, and a user address.
        match unsafe { read(self.cookie, 0, address, &raw mut length) } {
            B_OK => Ok(Some(length)),
            B_WOULD_BLOCK => Ok(None),
            status => Err(Error::status("reading from a unit", status)),
        }
    }

    /// The stack sends a frame.
    #[inline]
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), Error> {
        let packet = Packet::new(frame)?;
        let Some(send) = self.module().send_data else { return Ok(()) };
        // SAFETY: the device is alive, and owns the packet unless it reports an error.
        check("sending to a unit", unsafe { send(self.device, packet.0) })?;
        std::mem::forget(packet);
        Ok(())
    }

    /// The stack receives a frame, and frees it.
    #[inline]
    pub(super) fn receive(&self) -> Result<(), Error> {
        let mut packet = null_mut();
        let Some(receive) = self.module().receive_data else { return Ok(()) };
        // SAFETY: the device is alive, and there is a place for the packet.
        check("receiving from a unit", unsafe { receive(self.device, &raw mut packet) })?;
        drop(Packet(packet));
        Ok(())
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if !self.device.is_null()
            && let (Some(down), Some(uninit)) = (self.module().down, self.module().uninit_device)
        {
            // SAFETY: the device is alive.
            unsafe { down(self.device) };
            // SAFETY: nobody uses the device any more.
            unsafe { uninit(self.device) };
        }
        if !self.cookie.is_null()
            && let (Some(close), Some(free)) = (self.hooks().close, self.hooks().free)
        {
            // SAFETY: the cookie of `open`.
            unsafe { close(self.cookie) };
            // SAFETY: nobody uses the cookie any more.
            unsafe { free(self.cookie) };
        }
    }
}

/// A packet of the stack's, as the floor makes them too.
pub(super) struct Packet(*mut net_buffer);

impl Packet {
    /// Allocates and copies.
    #[inline]
    pub(super) fn new(bytes: &[u8]) -> Result<Self, Error> {
        let (Some(create), Some(append)) = (buffers().create, buffers().append) else {
            return Err(Error::Failed("the buffer module lacks a function".to_owned()));
        };
        // SAFETY: a plain call.
        let packet = Self(unsafe { create(256) });
        if packet.0.is_null() {
            return Err(Error::status("making a packet", haiku_sys::B_NO_MEMORY));
        }
        // SAFETY: the packet is ours, and the bytes are there.
        check("filling a packet", unsafe { append(packet.0, bytes.as_ptr().cast(), bytes.len()) })?;
        Ok(packet)
    }

    /// Copies out.
    #[inline]
    pub(super) fn read(&self, into: &mut [u8]) -> Result<(), Error> {
        let Some(read) = buffers().read else { return Ok(()) };
        // SAFETY: the packet is ours and has so many bytes, for which there is room.
        check("reading a packet", unsafe { read(self.0, 0, into.as_mut_ptr().cast(), into.len()) })
    }
}

impl Drop for Packet {
    #[inline]
    fn drop(&mut self) {
        if let (Some(free), false) = (buffers().free, self.0.is_null()) {
            // SAFETY: the packet is ours, and nobody uses it again.
            unsafe { free(self.0) };
        }
    }
}

/// Packets and frames of a mode, of a length of IP.
pub(super) struct Shape {
    /// What the program writes.
    pub(super) packet: Vec<u8>,
    /// What the stack sends.
    pub(super) frame: Vec<u8>,
}

impl Shape {
    /// UDP between two hosts.
    pub(super) fn new(mode: Mode, unit: &Unit, length: usize) -> Self {
        let mut ip = vec![0x5a; length];
        let header = [0x45, 0, (length >> 8) as u8, length as u8, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2];
        ip[..20].copy_from_slice(&header);
        let framed = |destination: [u8; 6]| {
            let mut frame = Vec::with_capacity(14 + length);
            frame.extend_from_slice(&destination);
            frame.extend_from_slice(&[2, 0, 0, 0, 0, 9, 8, 0]);
            frame.extend_from_slice(&ip);
            frame
        };
        let packet = match mode {
            Mode::Tun => ip.clone(),
            Mode::Tap => framed(unit.address),
        };
        Self { packet, frame: framed([2, 0, 0, 0, 0, 9]) }
    }
}
