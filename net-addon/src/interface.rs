//! The module role's interfaces: what the stack calls when `ifconfig` names one.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use haiku_sys as sys;
use sys::{net_buffer, net_device, net_device_module_info, sockaddr, sockaddr_dl, status_t};
use tuntap_driver::{Attachment, DropReason, LinkAddress, LinkFlags, Mode};
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::kernel::NetBuffer;
use crate::node::Node;
use crate::status::{status, to_status};
use crate::unit::{Unit, set_flag};
use crate::units::{Kind, Lease};

/// The hooks that the stack calls through, without the module's name around them.
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

/// An interface: the stack's part first, so that the stack's pointer is ours.
#[repr(C)]
struct Interface {
    /// The stack writes into it as it likes.
    device: UnsafeCell<net_device>,
    attachment: Attachment,
    /// The link was brought in line since the interface came up.
    is_linked: AtomicBool,
    unit: AnyUnit,
}

/// The unit of an interface, of either mode: the stack has one table of hooks for both.
enum AnyUnit {
    Tun(Lease<Tun>),
    Tap(Lease<Tap>),
}

/// What an interface does, whatever its mode.
trait Station {
    fn take_modules(&self) -> Result<(), status_t>;
    fn up(&self);
    fn down(&self);
    fn send(&self, packet: NetBuffer) -> Result<(), DropReason>;
    fn receive(&self) -> Result<NetBuffer, tuntap_driver::Error>;
    fn set_mtu(&self, mtu: usize) -> Result<(), tuntap_driver::Error>;
    fn set_promiscuous(&self, promiscuous: bool);
    fn attach(&self) -> Attachment;
    fn detach(&self, attachment: Attachment);
    fn join(&self, attachment: Attachment, group: LinkAddress);
    fn leave(&self, attachment: Attachment, group: LinkAddress);
    fn describe(&self, device: &mut net_device);
    /// # Safety
    /// As [`Unit::interface_made`].
    unsafe fn made(&self, device: *mut net_device);
    fn gone(&self, device: *mut net_device);
    fn sync_link(&self);
}

impl<M: Mode> Station for Unit<M> {
    fn take_modules(&self) -> Result<(), status_t> {
        Unit::take_modules(self).inspect_err(|_| {
            ::log::error!(target: M::NAME, "the network stack's modules could not be loaded; is its add-on installed?");
        })
    }

    fn up(&self) {
        self.device.up();
    }

    fn down(&self) {
        self.device.down();
    }

    #[inline]
    fn send(&self, packet: NetBuffer) -> Result<(), DropReason> {
        self.device.send(packet)
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

    fn join(&self, attachment: Attachment, group: LinkAddress) {
        self.device.join(attachment, group);
    }

    fn leave(&self, attachment: Attachment, group: LinkAddress) {
        self.device.leave(attachment, group);
    }

    /// How the interface presents itself: always as Ethernet, for that is the only link that Haiku's stack carries both
    /// IPv4 and IPv6 over. What can change later is shown to it when it is made.
    fn describe(&self, device: &mut net_device) {
        device.flags = flags(M::LINK.flags);
        device.r#type = sys::IFT_ETHER;
        device.header_length = M::LINK.header_length;
        device.address.length = sys::ETHER_ADDRESS_LENGTH as u8;
    }

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

impl Interface {
    /// The interface behind the stack's pointer.
    ///
    /// # Safety
    /// `device` comes from [`init_device`], and [`uninit_device`] is not called while the reference lives: the stack
    /// does so after the last other call has returned.
    unsafe fn of<'i>(device: *mut net_device) -> &'i Self {
        // SAFETY: the caller's promise; the stack's part is the first of ours.
        unsafe { &*device.cast::<Self>() }
    }

    fn station(&self) -> &dyn Station {
        self.unit.station()
    }
}

impl AnyUnit {
    fn station(&self) -> &dyn Station {
        match self {
            Self::Tun(lease) => &**lease,
            Self::Tap(lease) => &**lease,
        }
    }
}

/// The unit that an interface's name stands for.
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

unsafe extern "C" fn init_device(name: *const c_char, device: *mut *mut net_device) -> status_t {
    // SAFETY: the stack gives a C string.
    let name = unsafe { CStr::from_ptr(name) };
    match make(name.to_bytes_with_nul()) {
        Ok(made) => {
            // SAFETY: the stack gives a place for the device.
            unsafe { *device = made.as_ptr().cast() };
            sys::B_OK
        }
        Err(status) => status,
    }
}

/// Makes the interface of that name (zero-terminated), and attaches it to its unit.
fn make(name: &[u8]) -> Result<NonNull<Interface>, status_t> {
    let Some((_, bare)) = name.split_last() else { return Err(sys::B_BAD_VALUE) };
    let unit = lease(bare)?;
    unit.station().take_modules()?;
    // SAFETY: the size of an interface; the kernel returns null or that much memory, aligned for any type of C.
    let memory = unsafe { sys::malloc(size_of::<Interface>()) }.cast::<Interface>();
    let interface = NonNull::new(memory).ok_or(sys::B_NO_MEMORY)?;
    // SAFETY: all zeros is a `net_device` without anything in it.
    let mut device: net_device = unsafe { core::mem::zeroed() };
    for (place, &byte) in device.name.iter_mut().zip(name) {
        *place = byte as c_char;
    }
    unit.station().describe(&mut device);
    let attachment = unit.station().attach();
    let device = UnsafeCell::new(device);
    // SAFETY: fresh memory of that size, which nobody else knows.
    unsafe { interface.write(Interface { device, attachment, is_linked: AtomicBool::new(false), unit }) };
    // SAFETY: written just now.
    let made = unsafe { interface.as_ref() };
    // SAFETY: the interface is freed in `uninit_device`, after it has told the unit that it is gone.
    unsafe { made.station().made(interface.as_ptr().cast()) };
    Ok(interface)
}

unsafe extern "C" fn uninit_device(device: *mut net_device) -> status_t {
    // SAFETY: the stack's last call for this device.
    let interface = unsafe { Interface::of(device) };
    interface.station().gone(device);
    interface.station().detach(interface.attachment);
    // Only now: until it was told, the unit may have set a flag in there.
    // SAFETY: nobody knows the interface any more, and it is not used again.
    let unit = unsafe { (&raw const interface.unit).read() };
    // SAFETY: the memory came from `malloc`, what was in it has been moved out, and nobody knows it any more.
    unsafe { sys::free(device.cast::<c_void>()) };
    drop(unit);
    sys::B_OK
}

unsafe extern "C" fn up(device: *mut net_device) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    let interface = unsafe { Interface::of(device) };
    interface.station().up();
    // Again once the reader runs: the stack has yet to set `IFF_UP`, and may undo with it what somebody who opens the unit
    // meanwhile does to the same word.
    interface.is_linked.store(false, Ordering::Relaxed);
    interface.station().sync_link();
    sys::B_OK
}

unsafe extern "C" fn down(device: *mut net_device) {
    // SAFETY: the stack calls hooks only for devices it has.
    let station = unsafe { Interface::of(device) }.station();
    station.down();
    // The stack has just cleared `IFF_UP`, and may have undone what somebody did to the same word.
    station.sync_link();
}

unsafe extern "C" fn control(_: *mut net_device, _: i32, _: *mut c_void, _: usize) -> status_t {
    sys::B_BAD_VALUE
}

unsafe extern "C" fn send_data(device: *mut net_device, buffer: *mut net_buffer) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    let interface = unsafe { Interface::of(device) };
    // SAFETY: the stack hands over a live packet, which is ours because this hook returns `B_OK`.
    let Some(mut packet) = (unsafe { NetBuffer::from_raw(buffer) }) else { return sys::B_BAD_VALUE };
    // A queued packet must keep no interface alive: the interface would outlive its deletion, and end in the middle of the
    // program's read. The reference is released last, because it may be the one that keeps this interface.
    let address = packet.detach_address();
    if interface.station().send(packet).is_err() {
        // SAFETY: the interface is alive until `address` is released.
        let dropped = unsafe { &raw mut (*device).stats.send.dropped };
        // SAFETY: the word is aligned and alive; the stack adds to it atomically too.
        let dropped = unsafe { AtomicU32::from_ptr(dropped) };
        dropped.fetch_add(1, Ordering::Relaxed);
    }
    drop(address);
    // Never an error: Haiku's callers leak a packet that is refused, or stop their retransmission timer.
    sys::B_OK
}

unsafe extern "C" fn receive_data(device: *mut net_device, buffer: *mut *mut net_buffer) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    let interface = unsafe { Interface::of(device) };
    if !interface.is_linked.load(Ordering::Relaxed) {
        interface.is_linked.store(true, Ordering::Relaxed);
        interface.station().sync_link();
    }
    match interface.station().receive() {
        Ok(packet) => {
            // SAFETY: the stack gives a place for the packet, and owns it from now on.
            unsafe { *buffer = packet.into_raw() };
            sys::B_OK
        }
        Err(error) => to_status(error),
    }
}

unsafe extern "C" fn set_mtu(device: *mut net_device, mtu: usize) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    let interface = unsafe { Interface::of(device) };
    status(interface.station().set_mtu(mtu).map_err(to_status))
}

unsafe extern "C" fn set_promiscuous(device: *mut net_device, promiscuous: bool) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    unsafe { Interface::of(device) }.station().set_promiscuous(promiscuous);
    // SAFETY: as above.
    unsafe { set_flag(device, sys::IFF_PROMISC, promiscuous) };
    sys::B_OK
}

unsafe extern "C" fn set_media(_: *mut net_device, _: u32) -> status_t {
    status(Err(sys::B_NOT_SUPPORTED))
}

unsafe extern "C" fn add_multicast(device: *mut net_device, address: *const sockaddr) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    let interface = unsafe { Interface::of(device) };
    // SAFETY: the stack gives an address.
    let group = unsafe { group(address) };
    status(group.map(|group| interface.station().join(interface.attachment, group)))
}

unsafe extern "C" fn remove_multicast(device: *mut net_device, address: *const sockaddr) -> status_t {
    // SAFETY: the stack calls hooks only for devices it has.
    let interface = unsafe { Interface::of(device) };
    // SAFETY: the stack gives an address.
    let group = unsafe { group(address) };
    status(group.map(|group| interface.station().leave(interface.attachment, group)))
}

/// The group that an address of the stack's is.
///
/// # Safety
/// `address` is a whole address of its family.
unsafe fn group(address: *const sockaddr) -> Result<LinkAddress, status_t> {
    // SAFETY: the caller's promise. The stack has it on its own stack, as bytes for all it is concerned.
    let family = unsafe { (*address).sa_family };
    if family != sys::AF_LINK as u8 {
        return Err(sys::B_BAD_VALUE);
    }
    // SAFETY: so it is one of these.
    let address = unsafe { address.cast::<sockaddr_dl>().read_unaligned() };
    if address.sdl_type != sys::IFT_ETHER as u8 {
        return Err(sys::B_BAD_VALUE);
    }
    let data = address.sdl_data.get(usize::from(address.sdl_nlen)..).unwrap_or_default();
    let group: &LinkAddress = data.first_chunk().ok_or(sys::B_BAD_VALUE)?;
    if group.first().is_some_and(|first| first & 1 != 0) { Ok(*group) } else { Err(sys::B_BAD_VALUE) }
}
