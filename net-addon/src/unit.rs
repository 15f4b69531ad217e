//! A unit: a device of the core, and its interface if the stack has made one.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use haiku_sys as sys;
use tuntap_driver::{Device, Error, Lock, MacAddress, Mode, Overview, WaitPoints};

use crate::delivery::Delivery;
use crate::haiku::Haiku;
use crate::kernel::{KernelMutex, device_link_changed, give_modules_back, take_modules};
use crate::owner::Owner;
use crate::settings;
use crate::stack::Name;

/// One unit, such as `tun/0`. Lives while it has an opener or an interface.
pub(crate) struct Unit<M: Mode> {
    /// Its number within its mode.
    pub(crate) number: usize,
    /// The device itself.
    pub(crate) device: Device<M, Haiku>,
    /// Who may open and change it.
    pub(crate) owner: Owner,
    /// The team that opened it, or [`NO_TEAM`]. For inspection.
    pub(crate) opener: AtomicI32,
    interface: KernelMutex<StackSide>,
}

/// No team.
pub(crate) const NO_TEAM: sys::team_id = -1;

/// The stack's side of a unit.
///
/// # Invariants
///
/// `device` is null, or was passed to [`Unit::interface_made`] and is alive: [`Unit::interface_gone`] clears it under the
/// same mutex before the device is freed.
struct StackSide {
    /// The stack's view of the interface; null while there is none.
    device: *mut sys::net_device,
    /// Whether the unit has references to the stack's modules. It takes them with its first interface and keeps them as
    /// long as it lives, because its opener may be copying a packet when the interface is deleted.
    modules: bool,
}

// SAFETY: a `net_device` belongs to no thread, and words that the stack reads unlocked are written atomically.
unsafe impl Send for StackSide {}

impl<M: Mode> Unit<M> {
    /// Makes a unit with this link address. Cannot fail, so that it is built in its place.
    #[inline(always)]
    pub(crate) fn new(number: usize, address: MacAddress, mtu: usize, wait_points: WaitPoints<Haiku>) -> Self {
        Self {
            number,
            device: Device::new(address, mtu, Delivery::new(), wait_points),
            owner: Owner::none(),
            opener: AtomicI32::new(NO_TEAM),
            interface: KernelMutex::new(StackSide { device: core::ptr::null_mut(), modules: false }),
        }
    }

    /// Takes references to the stack's modules, without which there are no packets. Called before the first interface is
    /// made.
    ///
    /// # Errors
    ///
    /// The kernel's, if the stack's modules cannot be loaded.
    pub(crate) fn take_modules(&self) -> Result<(), sys::status_t> {
        self.interface.with(|interface| {
            if !interface.modules {
                take_modules()?;
                interface.modules = true;
            }
            Ok(())
        })
    }

    /// Sets the interface pointer, and shows the interface the unit's settings.
    ///
    /// # Safety
    /// `interface` stays alive until [`Self::interface_gone`] has returned.
    pub(crate) unsafe fn interface_made(&self, interface: *mut sys::net_device) {
        self.interface.with(|current| {
            current.device = interface;
            self.show_settings(current);
        });
        self.sync_link();
    }

    /// Clears the interface pointer. It is not dereferenced after this returns.
    pub(crate) fn interface_gone(&self, interface: *mut sys::net_device) {
        self.interface.with(|current| {
            if current.device == interface {
                current.device = core::ptr::null_mut();
            }
        });
    }

    /// Synchronizes `IFF_LINK`, by which the stack chooses routes, and `IFM_ACTIVE`, by which `net_server` configures
    /// interfaces, with whether a program has the unit open, and notifies the stack of a change.
    pub(crate) fn sync_link(&self) {
        self.interface.with(|interface| {
            if interface.device.is_null() {
                return;
            }
            let link = self.device.has_link() || settings::current().link_always;
            // SAFETY: the invariant of `StackSide`: the device is alive.
            let media = unsafe { &raw mut (*interface.device).media };
            // SAFETY: the word is aligned and alive; the stack only reads it, as a whole.
            let media = unsafe { AtomicU32::from_ptr(media) };
            media.store(if link { sys::IFM_ACTIVE } else { 0 }, Ordering::Relaxed);
            // SAFETY: the invariant of `StackSide`: the device is alive.
            if unsafe { set_flag(interface.device, sys::IFF_LINK, link) } {
                // SAFETY: the same invariant. The stack only sends a notification, and does not call back into the driver.
                unsafe { device_link_changed(interface.device) };
            }
        });
    }

    /// Returns the unit at one moment, with the link as the interface has it. May sleep.
    pub(crate) fn overview(&self) -> Overview {
        let overview = self.device.overview();
        Overview { has_link: overview.has_link || settings::current().link_always, ..overview }
    }

    /// Returns the interface's name, if there is an interface.
    pub(crate) fn interface_name(&self) -> Option<Name> {
        self.interface.with(|interface| {
            let device = NonNull::new(interface.device)?.as_ptr();
            // SAFETY: the invariant of `StackSide`: the device is alive. Its name is written once, before it is shared.
            Some(unsafe { (*device).name })
        })
    }

    /// Reads what the stack does not tell a driver about its interface, if the last look is old: captures, addresses and
    /// promiscuous mode. Called by writers, with no lock held.
    #[inline]
    pub(crate) fn look_at_interface(&self) {
        if let Some(look) = self.device.delivery().look(|| self.interface_name()) {
            self.device.set_promiscuous(look.promiscuous);
        }
    }

    /// Sets the MTU, in bytes of IP, and shows it to the interface.
    pub(crate) fn set_mtu(&self, mtu: usize) -> Result<(), Error> {
        self.device.set_mtu(mtu)?;
        self.interface.with(|interface| self.show_settings(interface));
        Ok(())
    }

    /// Sets the address, and shows it to the interface.
    pub(crate) fn set_address(&self, address: MacAddress) -> Result<(), Error> {
        self.device.set_address(address)?;
        self.interface.with(|interface| self.show_settings(interface));
        Ok(())
    }

    /// Copies the device's current MTU and address to the interface. With several setters at once the last call here copies
    /// the last values, because each reads them under the mutex.
    fn show_settings(&self, interface: &StackSide) {
        let Some(device) = NonNull::new(interface.device) else { return };
        let (device, link) = (device.as_ptr(), self.device.link());
        // SAFETY: the invariant of `StackSide`: the device is alive.
        let mtu = unsafe { &raw mut (*device).mtu };
        // SAFETY: the word is aligned and alive; the stack only reads it, as a whole.
        unsafe { AtomicUsize::from_ptr(mtu) }.store(link.mtu, Ordering::Relaxed);
        // SAFETY: the invariant of `StackSide`: the device is alive.
        let address = unsafe { &raw mut (*device).address.data }.cast::<MacAddress>();
        // SAFETY: the field has room for six bytes; only this function writes them, under the mutex.
        if unsafe { address.read() } != link.address {
            // SAFETY: as above. The core changes the address only while the interface is down, so no sender reads it now.
            unsafe { address.write(link.address) };
        }
    }
}

impl<M: Mode> Drop for Unit<M> {
    fn drop(&mut self) {
        // The last interface and the last descriptor emptied the queues, so no packet is left that needs the modules.
        if self.interface.with(|interface| interface.modules) {
            give_modules_back();
        }
    }
}

/// Sets or clears a flag of an interface atomically, because the stack sets others of the same word. Returns whether the
/// flag changed.
///
/// # Safety
/// `interface` is alive.
pub(crate) unsafe fn set_flag(interface: *mut sys::net_device, flag: u32, on: bool) -> bool {
    // SAFETY: the caller's promise.
    let flags = unsafe { &raw mut (*interface).flags };
    // SAFETY: the word is aligned and alive. The stack sets and clears `IFF_UP` without an atomic operation, so it may undo
    // this change, but this change cannot undo the stack's. `sync_link` runs again after either.
    let flags = unsafe { AtomicU32::from_ptr(flags) };
    let before = if on { flags.fetch_or(flag, Ordering::Relaxed) } else { flags.fetch_and(!flag, Ordering::Relaxed) };
    (before & flag != 0) != on
}

/// Returns a random unicast address, locally administered (IEEE 802: the second bit set, the first clear).
pub(crate) fn random_address() -> MacAddress {
    // SAFETY: a plain call.
    let random = || unsafe { sys::secure_random_value() }.to_le_bytes();
    let [a, b, c, d] = random();
    let [e, f, ..] = random();
    [(a & 0xfc) | 0x02, b, c, d, e, f]
}
