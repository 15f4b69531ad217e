//! A unit: a device of the core's, and the interface that the stack may have made for it.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use haiku_sys as sys;
use tuntap_driver::{Device, Error, LinkAddress, Lock, Mode, Overview};

use crate::delivery::Delivery;
use crate::kernel::{Haiku, KernelMutex, device_link_changed, give_modules_back, take_modules};
use crate::owner::Owner;
use crate::settings;
use crate::stack::Name;

/// One unit, such as `tun/0`. Lives while it has an opener or an interface.
pub(crate) struct Unit<M: Mode> {
    /// Which of its kind it is.
    pub(crate) number: usize,
    /// The device itself.
    pub(crate) device: Device<M, Haiku>,
    /// Who may open and change it.
    pub(crate) owner: Owner,
    /// The team that opened it, or [`NO_TEAM`]. For those who look at the unit.
    pub(crate) opener: AtomicI32,
    interface: KernelMutex<Interface>,
}

/// No team.
pub(crate) const NO_TEAM: sys::team_id = -1;

/// The stack's side of a unit.
struct Interface {
    /// The stack's view of the interface; null while there is none.
    device: *mut sys::net_device,
    /// Whether the unit has references to the stack's modules. It takes them with its first interface and keeps them as
    /// long as it lives, for whoever has it open may be copying a packet when the interface goes.
    modules: bool,
}

// SAFETY: a `net_device` belongs to no thread; what of it is written here is written atomically.
unsafe impl Send for Interface {}

impl<M: Mode> Unit<M> {
    /// Makes a unit with this link address, configured as the settings say.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`].
    pub(crate) fn new(number: usize, address: LinkAddress) -> Result<Self, Error> {
        let settings = settings::current();
        let device = Device::new(address, settings.mtu, Delivery::new())?;
        device.set_to_user_limits(settings.limits);
        device.set_to_stack_limits(settings.limits);
        Ok(Self {
            number,
            device,
            owner: Owner::none(),
            opener: AtomicI32::new(NO_TEAM),
            interface: KernelMutex::new(Interface { device: core::ptr::null_mut(), modules: false }),
        })
    }

    /// Makes sure that packets can be made, before there is an interface to carry them.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says if the stack's modules cannot be loaded.
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

    /// Brings `IFF_LINK`, by which the stack chooses routes, and `IFM_ACTIVE`, by which `net_server` configures interfaces,
    /// in line with whether a program has the unit open, and notifies the stack of a change.
    pub(crate) fn sync_link(&self) {
        self.interface.with(|interface| {
            if interface.device.is_null() {
                return;
            }
            let link = self.device.has_link() || settings::current().link_always;
            // SAFETY: the interface is alive while it is noted here.
            let media = unsafe { &raw mut (*interface.device).media };
            // SAFETY: the word is aligned and alive; the stack reads it unlocked, whole.
            let media = unsafe { AtomicU32::from_ptr(media) };
            media.store(if link { sys::IFM_ACTIVE } else { 0 }, Ordering::Relaxed);
            // SAFETY: the interface is alive while it is noted here.
            if unsafe { set_flag(interface.device, sys::IFF_LINK, link) } {
                // SAFETY: as above; the stack only sends a notification, and takes no lock of ours.
                unsafe { device_link_changed(interface.device) };
            }
        });
    }

    /// Returns the unit at one moment, with the link as the interface has it. May sleep.
    pub(crate) fn overview(&self) -> Overview {
        let overview = self.device.overview();
        Overview { has_link: overview.has_link || settings::current().link_always, ..overview }
    }

    /// The name by which the stack knows the interface, if there is one.
    pub(crate) fn interface_name(&self) -> Option<Name> {
        self.interface.with(|interface| {
            let device = NonNull::new(interface.device)?.as_ptr();
            // SAFETY: the interface is alive while it is noted here, and keeps its name.
            Some(unsafe { (*device).name })
        })
    }

    /// Looks at what of its interface the stack does not tell a driver, if the last look is old: captures, addresses and
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
    pub(crate) fn set_address(&self, address: LinkAddress) -> Result<(), Error> {
        self.device.set_address(address)?;
        self.interface.with(|interface| self.show_settings(interface));
        Ok(())
    }

    /// Shows the interface the device's MTU and address: those of now, for whoever set others since has yet to come here.
    fn show_settings(&self, interface: &Interface) {
        let Some(device) = NonNull::new(interface.device) else { return };
        let (device, link) = (device.as_ptr(), self.device.link());
        // SAFETY: the interface is alive while it is noted here; the stack reads the word unlocked, as it does that of any
        // device.
        unsafe { (*device).mtu = link.mtu };
        // SAFETY: as above.
        let address = unsafe { &raw mut (*device).address.data };
        // SAFETY: as above, and there is room for the six bytes.
        unsafe { address.cast::<LinkAddress>().write(link.address) };
    }
}

impl<M: Mode> Drop for Unit<M> {
    fn drop(&mut self) {
        // The last interface and the last descriptor emptied the queues, so no packet is left that would need them.
        if self.interface.with(|interface| interface.modules) {
            give_modules_back();
        }
    }
}

/// Sets or clears a flag of an interface, and says whether that changed it. The stack sets others of the same word, so
/// it is one atomic step.
///
/// # Safety
/// `interface` is alive.
pub(crate) unsafe fn set_flag(interface: *mut sys::net_device, flag: u32, on: bool) -> bool {
    // SAFETY: the caller's promise.
    let flags = unsafe { &raw mut (*interface).flags };
    // SAFETY: the word is aligned and alive. The stack's own accesses are not atomic: one at the same time may undo ours,
    // but ours none of its. It sets and clears `IFF_UP` so, and `sync_link` comes again after either.
    let flags = unsafe { AtomicU32::from_ptr(flags) };
    let before = if on { flags.fetch_or(flag, Ordering::Relaxed) } else { flags.fetch_and(!flag, Ordering::Relaxed) };
    (before & flag != 0) != on
}

/// Returns a random unicast address, locally administered (IEEE 802: the second bit set, the first clear).
pub(crate) fn random_address() -> LinkAddress {
    // SAFETY: a plain call.
    let random = || unsafe { sys::secure_random_value() }.to_le_bytes();
    let [a, b, c, d] = random();
    let [e, f, ..] = random();
    [(a & 0xfc) | 0x02, b, c, d, e, f]
}
