//! [`Card`]: an interface of the driver's whose stack is the test.
//!
//! It is made through the module as the stack would make it, but has no reader and no consumer thread: frames are
//! received when the test says so, which is the only way to fill a queue. Nothing else of the stack takes part. The
//! simulation, which keeps its own account of what is up and who receives, uses the [`Hooks`] alone.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use haiku_kernel::{modules, net_buffer};
use haiku_sys::{
    B_NO_MEMORY, B_OK, ETHER_TYPE_IPV6, IFF_UP, net_buffer as Buffer, net_device, net_device_module_info, sockaddr_dl,
    status_t,
};
use haiku_system::Lab;

/// The driver's module.
const MODULE: &CStr = c"network/devices/tun_tap/v1";
/// Bytes that the stack keeps free in front of what it sends.
const HEADER_SPACE: usize = 256;
/// An index that no device of the lab's own stack has.
const INDEX: u32 = 1000;

/// A reference to the driver's module.
pub struct Module<'lab> {
    table: &'lab net_device_module_info,
}

impl std::fmt::Debug for Module<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{MODULE:?}")
    }
}

// SAFETY: the table is constant, and its hooks may be called from any thread.
unsafe impl Send for Module<'_> {}
// SAFETY: as above.
unsafe impl Sync for Module<'_> {}

impl<'lab> Module<'lab> {
    /// Loads the module.
    #[must_use]
    pub fn get(lab: &'lab Lab) -> Self {
        Self::try_get(lab).expect("the driver's module")
    }

    /// The same where a test has the kernel fail.
    pub fn try_get(_: &'lab Lab) -> Result<Self, status_t> {
        let module = modules::get(MODULE)?;
        // SAFETY: the module is of this type, and stays until the reference is given back.
        Ok(Self { table: unsafe { &*module.cast() } })
    }

    /// The hooks.
    #[must_use]
    pub fn table(&self) -> &'lab net_device_module_info {
        self.table
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        modules::put(MODULE).expect("the reference was ours");
    }
}

/// Success as `Ok`, anything else as the error it is.
///
/// # Errors
/// The status, if it is one.
pub const fn check(status: status_t) -> Result<(), status_t> {
    if status == B_OK { Ok(()) } else { Err(status) }
}

/// A packet, freed when dropped.
#[derive(Debug)]
pub struct Packet(*mut Buffer);

// SAFETY: a packet has one owner at a time, on whichever thread.
unsafe impl Send for Packet {}

impl Packet {
    /// A packet with these bytes.
    ///
    /// # Errors
    /// `B_NO_MEMORY`, where a test has the kernel say so.
    pub fn new(bytes: &[u8]) -> Result<Self, status_t> {
        let module = net_buffer::module();
        let (create, append) = (module.create.expect("a function"), module.append.expect("a function"));
        // SAFETY: `create` takes any size.
        let packet = Self(unsafe { create(HEADER_SPACE) });
        if packet.0.is_null() {
            return Err(B_NO_MEMORY);
        }
        // SAFETY: the packet is ours, and the bytes are there.
        check(unsafe { append(packet.0, bytes.as_ptr().cast(), bytes.len()) })?;
        Ok(packet)
    }

    /// A packet that a hook handed over.
    ///
    /// # Safety
    /// `packet` must be alive, and the caller's.
    pub unsafe fn from_raw(packet: *mut Buffer) -> Self {
        Self(packet)
    }

    /// The packet, for a caller who frees it.
    #[must_use]
    pub fn into_raw(self) -> *mut Buffer {
        std::mem::ManuallyDrop::new(self).0
    }

    /// All of its bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, status_t> {
        // SAFETY: the packet is alive.
        let mut bytes = vec![0; unsafe { (*self.0).size } as usize];
        let read = net_buffer::module().read.expect("a function");
        // SAFETY: the packet is ours, and there is room for what is asked for.
        check(unsafe { read(self.0, 0, bytes.as_mut_ptr().cast(), bytes.len()) })?;
        Ok(bytes)
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let free = net_buffer::module().free.expect("a function");
        if !self.0.is_null() {
            // SAFETY: the packet is owned by `self`, which is not used again.
            unsafe { free(self.0) };
        }
    }
}

/// The driver's hooks for one device, called as the stack calls them. Nothing is counted, and nothing is removed with it.
///
/// # Invariants
/// `device` came from `init_device` of `table`, whose module stays loaded. The maker calls nothing else after
/// [`Hooks::uninit`].
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    device: *mut net_device,
    table: *const net_device_module_info,
}

// SAFETY: the driver expects its hooks from any thread, and what else is looked at is read in one piece.
unsafe impl Send for Hooks {}
// SAFETY: as above.
unsafe impl Sync for Hooks {}

/// Calls a hook that takes the device and perhaps more.
macro_rules! hook {
    ($hooks:expr, $name:ident $(, $argument:expr)*) => {{
        let hook = $hooks.table().$name.expect("a hook");
        let device = $hooks.device;
        // SAFETY: the device is alive by the type's invariant, and the arguments are of the hook's types.
        unsafe { hook(device $(, $argument)*) }
    }};
}

/// Reads a field of the device, which the driver may change at any time.
macro_rules! field {
    ($hooks:expr, $($name:ident).+) => {
        // SAFETY: the device is alive by the type's invariant.
        unsafe { (&raw const (*$hooks.device).$($name).+).read_volatile() }
    };
}

impl Hooks {
    /// The stack makes a device by this module's `init_device`.
    pub fn init(table: &net_device_module_info, name: &str) -> Result<Self, status_t> {
        let name = CString::new(name).expect("a name");
        let mut device = std::ptr::null_mut();
        let init = table.init_device.expect("a hook");
        // SAFETY: a C string, and a place for the device.
        check(unsafe { init(name.as_ptr(), &mut device) })?;
        // SAFETY: the driver just made the device, which nothing else knows yet.
        unsafe { (*device).index = INDEX };
        // SAFETY: as above.
        unsafe { (*device).module = std::ptr::from_ref(table).cast_mut() };
        Ok(Self { device, table })
    }

    /// The last call: the device is gone.
    pub fn uninit(self) {
        hook!(self, uninit_device);
    }

    /// The hooks themselves.
    #[must_use]
    pub fn table<'lab>(self) -> &'lab net_device_module_info {
        // SAFETY: the module's table is there while the module is loaded, by the type's invariant.
        unsafe { &*self.table }
    }

    /// The device, for hooks that are called as they should not be.
    #[must_use]
    pub fn device(self) -> *mut net_device {
        self.device
    }

    /// `up`.
    pub fn up(self) -> Result<(), status_t> {
        check(hook!(self, up))
    }

    /// `down`.
    pub fn down(self) {
        hook!(self, down);
    }

    /// The stack sends a frame.
    ///
    /// # Errors
    /// The driver's; the frame is the stack's then, and freed.
    pub fn send(self, frame: &[u8]) -> Result<(), status_t> {
        self.send_packet(Packet::new(frame)?)
    }

    /// The same with a packet that was made before.
    pub fn send_packet(self, packet: Packet) -> Result<(), status_t> {
        check(hook!(self, send_data, packet.0))?;
        let _ = packet.into_raw();
        Ok(())
    }

    /// The stack's reader takes the next frame, waiting for it.
    pub fn receive(self) -> Result<Vec<u8>, status_t> {
        let mut buffer = std::ptr::null_mut();
        check(hook!(self, receive_data, &mut buffer))?;
        Packet(buffer).bytes()
    }

    /// `ifconfig mtu`.
    pub fn set_mtu(self, mtu: usize) -> Result<(), status_t> {
        check(hook!(self, set_mtu, mtu))
    }

    /// Promiscuous or not.
    pub fn set_promiscuous(self, promiscuous: bool) -> Result<(), status_t> {
        check(hook!(self, set_promiscuous, promiscuous))
    }

    /// A socket joins a group of that link address.
    pub fn join(self, group: [u8; 6]) -> Result<(), status_t> {
        let address = link_layer(group);
        check(hook!(self, add_multicast, (&raw const address).cast()))
    }

    /// It leaves it.
    pub fn leave(self, group: [u8; 6]) -> Result<(), status_t> {
        let address = link_layer(group);
        check(hook!(self, remove_multicast, (&raw const address).cast()))
    }

    /// The MTU.
    #[must_use]
    pub fn mtu(self) -> usize {
        field!(self, mtu)
    }

    fn atomic_flags<'lab>(self) -> &'lab AtomicU32 {
        // SAFETY: the device is alive by the type's invariant.
        let flags = unsafe { &raw mut (*self.device).flags };
        // SAFETY: an aligned word that is only changed atomically.
        unsafe { AtomicU32::from_ptr(flags) }
    }

    /// `IFF_*`.
    #[must_use]
    pub fn flags(self) -> u32 {
        self.atomic_flags().load(Ordering::SeqCst)
    }

    /// Whether all of these flags are set.
    #[must_use]
    pub fn has(self, flags: u32) -> bool {
        self.flags() & flags == flags
    }

    /// The link-layer address.
    #[must_use]
    pub fn address(self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = field!(self, address.data);
        [a, b, c, d, e, f]
    }

    /// `IFT_*`.
    #[must_use]
    pub fn kind(self) -> u32 {
        field!(self, r#type)
    }

    /// Bytes of link header that the stack is to expect.
    #[must_use]
    pub fn header_length(self) -> usize {
        field!(self, header_length)
    }
}

/// An interface.
pub struct Card<'lab> {
    // Kept loaded as long as the hooks may be called.
    _module: Module<'lab>,
    hooks: Hooks,
    _lab: PhantomData<&'lab Lab>,
}

impl std::fmt::Debug for Card<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Card({:?}, flags {:#x})", self.address(), self.flags())
    }
}

impl Deref for Card<'_> {
    type Target = Hooks;

    fn deref(&self) -> &Hooks {
        &self.hooks
    }
}

impl<'lab> Card<'lab> {
    /// The stack makes an interface.
    pub fn make(lab: &'lab Lab, name: &str) -> Result<Self, status_t> {
        let module = Module::try_get(lab)?;
        Ok(Self { hooks: Hooks::init(module.table, name)?, _module: module, _lab: PhantomData })
    }

    /// The same for a test that expects nothing else.
    #[must_use]
    pub fn new(lab: &'lab Lab, name: &str) -> Self {
        Self::make(lab, name).expect("an interface")
    }

    /// An interface that is up.
    #[must_use]
    pub fn ready(lab: &'lab Lab, name: &str) -> Self {
        let card = Self::new(lab, name);
        card.up();
        card
    }

    /// The hooks.
    #[must_use]
    pub fn hooks(&self) -> &'lab net_device_module_info {
        self.hooks.table()
    }

    /// `ifconfig up`.
    pub fn up(&self) {
        self.hooks.up().expect("up");
        self.atomic_flags().fetch_or(IFF_UP, Ordering::SeqCst);
    }

    /// `ifconfig down`.
    pub fn down(&self) {
        self.forget_up();
        self.hooks.down();
    }

    /// The stack takes it for down without having said so to the driver.
    pub fn forget_up(&self) {
        self.atomic_flags().fetch_and(!IFF_UP, Ordering::SeqCst);
    }

    /// Sends a frame, which the driver takes, and says whether it dropped it, by the interface's own statistics.
    #[must_use]
    pub fn drops(&self, frame: &[u8]) -> bool {
        let dropped = || field!(self.hooks, stats.send.dropped);
        let before = dropped();
        self.send(frame).expect("the driver takes every frame");
        dropped() != before
    }
}

impl Drop for Card<'_> {
    /// The stack removes the interface: down first, if it is up.
    fn drop(&mut self) {
        if self.has(IFF_UP) {
            self.down();
        }
        self.hooks.uninit();
    }
}

/// A link address as the stack writes it for a group.
#[must_use]
pub fn link_layer(group: [u8; 6]) -> sockaddr_dl {
    haiku_stack::link_address(group, ETHER_TYPE_IPV6 as u16, 0)
}
