//! The module role: the hooks that the stack calls for an interface.
//!
//! Haiku counts the references to a device (`device_interfaces.cpp`, `net_device_interface::ref_count`) and calls
//! [`uninit_device`] when the last is released. Every other hook is called by a holder of one: the interface's protocol
//! chain, a control, or the reader thread, which `down_device_interface` waits for. That is the guarantee behind "the
//! stack has not called `uninit_device`" below.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use haiku_sys as sys;
use sys::{net_buffer, net_device, net_device_module_info, sockaddr, sockaddr_dl, status_t};
use tuntap_driver::{Attachment, LinkFlags, MacAddress, Mode};
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::delivery::StackEnd;
use crate::kernel::NetBuffer;
use crate::node::Node;
use crate::status::{status, to_status};
use crate::unit::{Unit, set_flag};
use crate::units::{Kind, Lease};

/// Returns the module's table of hooks.
pub(crate) const fn module(info: sys::module_info) -> net_device_module_info {
    net_device_module_info {
        info,
        init_device: Some(init_device),
        uninit_device: Some(uninit_device),
        up: Some(up),
        down: Some(down),
        control: Some(control),
        send_data: Some(send_data),
        receive_data: Some(receive_data),
        set_mtu: Some(set_mtu),
        set_promiscuous: Some(set_promiscuous),
        set_media: Some(set_media),
        add_multicast: Some(add_multicast),
        remove_multicast: Some(remove_multicast),
    }
}

/// An interface. The stack's part comes first, so that the stack's pointer to it is a pointer to the whole.
///
/// # Invariants
///
/// It lives in memory of `malloc`, from [`make`] until [`uninit_device`], and does not move. The stack and other threads
/// write to `device` at any time, so no reference to it is made, and single words of it are accessed atomically.
#[repr(C)]
struct NetDevice {
    device: UnsafeCell<net_device>,
    attachment: Attachment,
    /// `IFF_LINK` was synchronized since the interface came up.
    is_link_synced: AtomicBool,
    unit: AnyUnit,
}

/// The unit of an interface, of either mode: the stack has one table of hooks for both.
enum AnyUnit {
    Tun(Lease<Tun>),
    Tap(Lease<Tap>),
}

/// The operations of an interface, for either mode.
trait UnitHooks {
    fn take_modules(&self) -> Result<(), status_t>;
    fn up(&self, end: StackEnd);
    fn down(&self);
    /// Sends a frame. Whether it was dropped.
    fn send(&self, packet: NetBuffer) -> bool;
    fn receive(&self) -> Result<NetBuffer, tuntap_driver::Error>;
    fn set_mtu(&self, mtu: usize) -> Result<(), tuntap_driver::Error>;
    fn set_promiscuous(&self, promiscuous: bool);
    fn attach(&self) -> Attachment;
    fn detach(&self, attachment: Attachment);
    fn join(&self, attachment: Attachment, group: MacAddress);
    fn leave(&self, attachment: Attachment, group: MacAddress);
    fn describe(&self, device: &mut net_device);
    /// # Safety
    /// That of [`Unit::interface_made`].
    unsafe fn made(&self, device: *mut net_device);
    fn gone(&self, device: *mut net_device);
    fn sync_link(&self);
}

impl<M: Mode> UnitHooks for Unit<M> {
    fn take_modules(&self) -> Result<(), status_t> {
        Unit::take_modules(self).inspect_err(|_| {
            ::log::error!(target: M::NAME, "the network stack's modules could not be loaded; is its add-on installed?");
        })
    }

    fn up(&self, end: StackEnd) {
        self.device.up(end);
    }

    fn down(&self) {
        self.device.down();
        self.device.delivery().wait_for_look();
    }

    #[inline]
    fn send(&self, packet: NetBuffer) -> bool {
        self.device.send(packet).is_err()
    }

    #[inline]
    fn receive(&self) -> Result<NetBuffer, tuntap_driver::Error> {
        self.device.receive()
    }

    fn set_mtu(&self, mtu: usize) -> Result<(), tuntap_driver::Error> {
        Unit::set_mtu(self, mtu)
    }

    fn set_promiscuous(&self, promiscuous: bool) {
        self.device.set_promiscuous(promiscuous);
    }

    fn attach(&self) -> Attachment {
        self.device.attach()
    }

    fn detach(&self, attachment: Attachment) {
        self.device.detach(attachment);
    }

    fn join(&self, attachment: Attachment, group: MacAddress) {
        self.device.join(attachment, group);
    }

    fn leave(&self, attachment: Attachment, group: MacAddress) {
        self.device.leave(attachment, group);
    }

    /// Fills in what never changes. The link is always Ethernet, because Haiku's stack carries both IPv4 and IPv6 only
    /// over Ethernet-like links.
    fn describe(&self, device: &mut net_device) {
        device.flags = flags(M::LINK.flags);
        device.r#type = sys::IFT_ETHER;
        device.header_length = M::LINK.header_length;
        device.address.length = sys::ETHER_ADDRESS_LENGTH as u8;
    }

    // The trait's declaration has the safety section.
    unsafe fn made(&self, device: *mut net_device) {
        // SAFETY: the caller's promise.
        unsafe { self.interface_made(device) };
    }

    fn gone(&self, device: *mut net_device) {
        self.interface_gone(device);
    }

    fn sync_link(&self) {
        Unit::sync_link(self);
    }
}

const fn flags(link: LinkFlags) -> u32 {
    let broadcast = if link.contains(LinkFlags::BROADCAST) { sys::IFF_BROADCAST } else { 0 };
    let multicast = if link.contains(LinkFlags::MULTICAST) { sys::IFF_MULTICAST } else { 0 };
    let peer = if link.contains(LinkFlags::POINT_TO_POINT) { sys::IFF_POINTOPOINT } else { 0 };
    broadcast | multicast | peer
}

impl NetDevice {
    /// Returns the interface behind the stack's pointer.
    ///
    /// # Safety
    /// `device` comes from [`init_device`], and [`uninit_device`] does not free it while the reference lives.
    unsafe fn of<'i>(device: *mut net_device) -> &'i Self {
        // SAFETY: the caller's promise, and the invariant of `NetDevice`: `device` is its first field.
        unsafe { &*device.cast::<Self>() }
    }

    fn hooks(&self) -> &dyn UnitHooks {
        self.unit.hooks()
    }
}

impl AnyUnit {
    fn hooks(&self) -> &dyn UnitHooks {
        match self {
            Self::Tun(lease) => &**lease,
            Self::Tap(lease) => &**lease,
        }
    }
}

/// Leases the unit that an interface's name stands for.
fn lease(name: &[u8]) -> Result<AnyUnit, status_t> {
    fn of_kind<M: Kind>(name: &[u8]) -> Option<Result<Lease<M>, status_t>> {
        match Node::parse::<M>(name)? {
            Node::Unit(number) => Some(M::units().lease(number).map_err(to_status)),
            Node::Clone => None,
        }
    }
    if let Some(leased) = of_kind::<Tun>(name) {
        return leased.map(AnyUnit::Tun);
    }
    if let Some(leased) = of_kind::<Tap>(name) {
        return leased.map(AnyUnit::Tap);
    }
    Err(sys::B_BAD_VALUE)
}

/// Makes the device of an interface. `get_device_interface` asks every module under `network/devices` for each new name.
///
/// # Safety
/// `name` is a C string, and `device` points to a place for the device.
unsafe extern "C" fn init_device(name: *const c_char, device: *mut *mut net_device) -> status_t {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    match make(name.to_bytes_with_nul()) {
        Ok(made) => {
            // SAFETY: the caller's promise.
            unsafe { *device = made.as_ptr().cast() };
            sys::B_OK
        }
        Err(status) => status,
    }
}

/// Makes the interface of that name (zero-terminated), and attaches it to its unit.
fn make(name: &[u8]) -> Result<NonNull<NetDevice>, status_t> {
    let Some((_, bare)) = name.split_last() else { return Err(sys::B_BAD_VALUE) };
    let unit = lease(bare)?;
    unit.hooks().take_modules()?;
    // SAFETY: a plain call. The kernel returns null or that much memory, aligned for any type of C.
    let memory = unsafe { sys::malloc(size_of::<NetDevice>()) }.cast::<NetDevice>();
    let interface = NonNull::new(memory).ok_or(sys::B_NO_MEMORY)?;
    // SAFETY: all zeros is a `net_device` without anything in it.
    let mut device: net_device = unsafe { core::mem::zeroed() };
    for (place, &byte) in device.name.iter_mut().zip(name) {
        *place = byte as c_char;
    }
    unit.hooks().describe(&mut device);
    let attachment = unit.hooks().attach();
    let device = UnsafeCell::new(device);
    // SAFETY: `malloc` returned memory of that size above, and no other pointer to it exists.
    unsafe { interface.write(NetDevice { device, attachment, is_link_synced: AtomicBool::new(false), unit }) };
    // SAFETY: initialised by the write above.
    let made = unsafe { interface.as_ref() };
    // SAFETY: `uninit_device` frees the interface after `interface_gone` has returned.
    unsafe { made.hooks().made(interface.as_ptr().cast()) };
    Ok(interface)
}

/// Frees a device. `put_device_interface` calls it when the last reference is released, and `get_device_interface` if it
/// cannot register a new device. Both ignore the result.
///
/// # Safety
/// `device` comes from [`init_device`], no other hook runs for it, and the stack does not use it again.
unsafe extern "C" fn uninit_device(device: *mut net_device) -> status_t {
    // SAFETY: the caller's promise; the reference is not used after the memory is freed below.
    let interface = unsafe { NetDevice::of(device) };
    interface.hooks().gone(device);
    interface.hooks().detach(interface.attachment);
    // The unit accesses the interface until `gone` returns, so the memory is freed only after it.
    // SAFETY: the stack no longer uses the interface, and the field is not used again, so this moves it out.
    let unit = unsafe { (&raw const interface.unit).read() };
    // SAFETY: the invariant of `NetDevice`: memory of `malloc`. The stack, the unit and the core no longer refer to it.
    unsafe { sys::free(device.cast::<c_void>()) };
    drop(unit);
    sys::B_OK
}

/// Brings a device up. `up_device_interface` calls it for the first user of the device, before it starts the reader thread.
///
/// # Safety
/// `device` comes from [`init_device`] and has its index; the stack has not called [`uninit_device`].
unsafe extern "C" fn up(device: *mut net_device) -> status_t {
    // SAFETY: the caller's promise.
    let interface = unsafe { NetDevice::of(device) };
    // SAFETY: the caller's promise; `uninit_device` detaches the interface, which takes the value from the core, before it
    // frees the device. Detaching is ignored once a successor is attached, but the stack makes a successor only after it has
    // released this device, and then calls no `up` for it; `attach` takes the value from the core too.
    interface.hooks().up(unsafe { StackEnd::new(device) });
    // `receive_data` synchronizes the link again: the stack sets `IFF_UP` only after this hook, not atomically, and may
    // undo a change that an opener makes to the same word.
    interface.is_link_synced.store(false, Ordering::Relaxed);
    interface.hooks().sync_link();
    sys::B_OK
}

/// Takes a device down. `down_device_interface` calls it for the last user of the device, then waits for the reader thread.
///
/// # Safety
/// `device` comes from [`init_device`]; the stack has not called [`uninit_device`].
unsafe extern "C" fn down(device: *mut net_device) {
    // SAFETY: the caller's promise.
    let unit = unsafe { NetDevice::of(device) }.hooks();
    unit.down();
    // The stack has just cleared `IFF_UP`, not atomically, and may have undone an opener's change to the same word.
    unit.sync_link();
}

/// Refuses every control that the stack does not handle itself, such as `SIOCSIFMEDIA`.
///
/// # Safety
/// Has no requirements; the arguments are not used.
unsafe extern "C" fn control(_: *mut net_device, _: i32, _: *mut c_void, _: usize) -> status_t {
    sys::B_BAD_VALUE
}

/// Takes a packet from the stack. The last protocol of an interface's chain calls it (`interface_protocol_send_data`).
///
/// # Safety
/// `device` comes from [`init_device`]; the stack has not called [`uninit_device`], except that the packet's own reference
/// to an interface address may be the last. `buffer` is a live packet; ownership passes with a result of `B_OK`.
unsafe extern "C" fn send_data(device: *mut net_device, buffer: *mut net_buffer) -> status_t {
    // SAFETY: the caller's promise; the packet's address reference is held until the end of this function.
    let interface = unsafe { NetDevice::of(device) };
    // SAFETY: the caller's promise; this hook returns `B_OK` whenever it takes the packet.
    let Some(mut packet) = (unsafe { NetBuffer::from_raw(buffer) }) else { return sys::B_BAD_VALUE };
    // A queued packet must not keep an interface alive: the interface would outlive its deletion, and would be freed inside
    // the program's read. The reference is released last, because it may be the one that keeps this interface.
    let address = packet.detach_address();
    if interface.hooks().send(packet) {
        // SAFETY: the interface is alive until `address` is released.
        let dropped = unsafe { &raw mut (*device).stats.send.dropped };
        // SAFETY: the word is aligned and alive; the stack adds to it atomically.
        let dropped = unsafe { AtomicU32::from_ptr(dropped) };
        dropped.fetch_add(1, Ordering::Relaxed);
    }
    drop(address);
    // Never an error: Haiku's callers leak a refused packet, or stop their retransmission timer.
    sys::B_OK
}

/// Returns the next packet for the stack, waiting for one. The reader thread calls it while `IFF_UP` is set
/// (`device_reader_thread`).
///
/// # Safety
/// `device` comes from [`init_device`]; the stack has not called [`uninit_device`]. `buffer` points to a place for the
/// packet, which the caller owns.
unsafe extern "C" fn receive_data(device: *mut net_device, buffer: *mut *mut net_buffer) -> status_t {
    // SAFETY: the caller's promise.
    let interface = unsafe { NetDevice::of(device) };
    if !interface.is_link_synced.load(Ordering::Relaxed) {
        interface.is_link_synced.store(true, Ordering::Relaxed);
        interface.hooks().sync_link();
    }
    match interface.hooks().receive() {
        Ok(packet) => {
            // SAFETY: the caller's promise.
            unsafe { *buffer = packet.into_raw() };
            sys::B_OK
        }
        Err(error) => to_status(error),
    }
}

/// Sets the MTU, in bytes of IP. The stack calls it for `SIOCSIFMTU` (`interface_protocol_control`).
///
/// # Safety
/// `device` comes from [`init_device`]; the stack has not called [`uninit_device`].
unsafe extern "C" fn set_mtu(device: *mut net_device, mtu: usize) -> status_t {
    // SAFETY: the caller's promise.
    let interface = unsafe { NetDevice::of(device) };
    status(interface.hooks().set_mtu(mtu).map_err(to_status))
}

/// Sets promiscuous mode. The stacks of R1/beta5 and master have no caller.
///
/// # Safety
/// `device` comes from [`init_device`]; the stack has not called [`uninit_device`].
unsafe extern "C" fn set_promiscuous(device: *mut net_device, promiscuous: bool) -> status_t {
    // SAFETY: the caller's promise.
    unsafe { NetDevice::of(device) }.hooks().set_promiscuous(promiscuous);
    // SAFETY: the caller's promise.
    unsafe { set_flag(device, sys::IFF_PROMISC, promiscuous) };
    sys::B_OK
}

/// Refuses to choose a medium, for `SIOCSIFMEDIA`.
///
/// # Safety
/// Has no requirements; the arguments are not used.
unsafe extern "C" fn set_media(_: *mut net_device, _: u32) -> status_t {
    status(Err(sys::B_NOT_SUPPORTED))
}

/// Joins a multicast group of the link. The last protocol of an interface's chain calls it
/// (`interface_protocol_join_multicast`).
///
/// # Safety
/// `device` comes from [`init_device`]; the stack has not called [`uninit_device`]. `address` is a complete address of its
/// family.
unsafe extern "C" fn add_multicast(device: *mut net_device, address: *const sockaddr) -> status_t {
    // SAFETY: the caller's promise.
    let interface = unsafe { NetDevice::of(device) };
    // SAFETY: the caller's promise.
    let group = unsafe { group(address) };
    status(group.map(|group| interface.hooks().join(interface.attachment, group)))
}

/// Leaves a multicast group of the link. The last protocol of an interface's chain calls it
/// (`interface_protocol_leave_multicast`).
///
/// # Safety
/// That of [`add_multicast`].
unsafe extern "C" fn remove_multicast(device: *mut net_device, address: *const sockaddr) -> status_t {
    // SAFETY: the caller's promise.
    let interface = unsafe { NetDevice::of(device) };
    // SAFETY: the caller's promise.
    let group = unsafe { group(address) };
    status(group.map(|group| interface.hooks().leave(interface.attachment, group)))
}

/// Returns the Ethernet group of a link address.
///
/// # Errors
/// `B_BAD_VALUE` if it is not an Ethernet address, or not that of a group.
///
/// # Safety
/// `address` is a complete address of its family.
unsafe fn group(address: *const sockaddr) -> Result<MacAddress, status_t> {
    // SAFETY: the caller's promise; the field is a byte, so the address need not be aligned.
    let family = unsafe { (*address).sa_family };
    if family != sys::AF_LINK as u8 {
        return Err(sys::B_BAD_VALUE);
    }
    // SAFETY: the caller's promise: an address of the family `AF_LINK` is a whole `sockaddr_dl`.
    let address = unsafe { address.cast::<sockaddr_dl>().read_unaligned() };
    if address.sdl_type != sys::IFT_ETHER as u8 {
        return Err(sys::B_BAD_VALUE);
    }
    let data = address.sdl_data.get(usize::from(address.sdl_nlen)..).unwrap_or_default();
    let group: &MacAddress = data.first_chunk().ok_or(sys::B_BAD_VALUE)?;
    if group.first().is_some_and(|first| first & 1 != 0) { Ok(*group) } else { Err(sys::B_BAD_VALUE) }
}
