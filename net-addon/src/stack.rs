//! References to the stack's objects: modules, interfaces and interface addresses.

use core::ffi::{CStr, c_char};
use core::ptr::null_mut;

use haiku_sys as sys;
use sys::{net_datalink_module_info, net_domain, net_interface, net_interface_address, status_t};

/// An interface's name, as the stack has it.
pub(crate) type Name = [c_char; 32];

/// A reference to a module, given back when dropped.
///
/// # Invariants
///
/// `table` is the module's table, which the kernel keeps while the reference is held.
pub(crate) struct Module<T: 'static> {
    name: &'static CStr,
    table: *const T,
}

impl<T> Module<T> {
    /// Takes a reference to a module.
    ///
    /// # Errors
    ///
    /// The kernel's, if the module cannot be loaded.
    pub(crate) fn take(name: &'static CStr) -> Result<Self, status_t> {
        let mut module = null_mut();
        // SAFETY: a C string, and a place for the module's address.
        match unsafe { sys::get_module(name.as_ptr(), &raw mut module) } {
            sys::B_OK => Ok(Self { name, table: module.cast_const().cast() }),
            status => Err(status),
        }
    }

    /// Returns the module's table.
    pub(crate) fn table(&self) -> &T {
        // SAFETY: the invariant of `table`.
        unsafe { &*self.table }
    }
}

impl<T> Drop for Module<T> {
    fn drop(&mut self) {
        // SAFETY: taken in `take`.
        unsafe { sys::put_module(self.name.as_ptr()) };
    }
}

/// A reference to an interface of the stack, given back when dropped. While it is held, the stack keeps the device.
///
/// # Invariants
///
/// `interface` came from `get_interface`, with a reference that is given back in `drop`.
pub(crate) struct NetInterface<'m> {
    datalink: &'m net_datalink_module_info,
    interface: *mut net_interface,
}

impl<'m> NetInterface<'m> {
    /// Finds the interface of a name. The stack finds one by its index only, which is not its device's, so the index is asked
    /// for first.
    ///
    /// # Errors
    ///
    /// `ENXIO` without such an interface.
    pub(crate) fn find(
        datalink: &'m net_datalink_module_info,
        domain: *mut net_domain,
        name: &Name,
    ) -> Result<Self, status_t> {
        let control = datalink.control.ok_or(sys::B_NOT_SUPPORTED)?;
        let get = datalink.get_interface.ok_or(sys::B_NOT_SUPPORTED)?;
        // SAFETY: all zeros is a request about nothing.
        let mut request: sys::ifreq = unsafe { core::mem::zeroed() };
        request.ifr_name = *name;
        let mut length = size_of::<sys::ifreq>();
        // SAFETY: the domain is the stack's, and is never freed while the stack is loaded; the request is ours.
        let status = unsafe { control(domain, sys::SIOCGIFINDEX as i32, (&raw mut request).cast(), &raw mut length) };
        if status != sys::B_OK {
            return Err(sys::ENXIO);
        }
        // SAFETY: the stack has filled in the index; any bytes would be one.
        let index = unsafe { request.u.ifr_index };
        // 0 would be any interface.
        let index = u32::try_from(index).ok().filter(|&index| index > 0).ok_or(sys::ENXIO)?;
        // SAFETY: as above.
        let interface = unsafe { get(domain, index) };
        if interface.is_null() { Err(sys::ENXIO) } else { Ok(Self { datalink, interface }) }
    }

    /// Checks that both are the same interface.
    pub(crate) fn check_is(&self, other: &Self) -> Result<&Self, status_t> {
        if self.interface == other.interface { Ok(self) } else { Err(sys::ENXIO) }
    }

    /// Checks that the interface is up.
    ///
    /// # Errors
    ///
    /// `ENETDOWN`.
    pub(crate) fn check_up(&self) -> Result<(), status_t> {
        if self.flags() & sys::IFF_UP == 0 { Err(sys::ENETDOWN) } else { Ok(()) }
    }

    /// Returns the interface's `IFF_*`.
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: the invariant of `interface`.
        let flags = unsafe { &raw const (*self.interface).flags };
        // SAFETY: the interface is alive; the stack itself reads and writes the word unlocked, whole.
        unsafe { flags.read_volatile() }
    }

    /// Returns the interface's device, which stays while this reference is held.
    pub(crate) fn device(&self) -> *mut sys::net_device {
        // SAFETY: the invariant of `interface`; the stack sets the field once.
        unsafe { (*self.interface).device }
    }

    /// Returns the first address of the interface in a domain. An entry without an address in it does not count.
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` without one.
    pub(crate) fn address(&self, domain: *mut net_domain) -> Result<Address<'_>, status_t> {
        let next = self.datalink.get_next_interface_address.ok_or(sys::B_NOT_SUPPORTED)?;
        let mut address = null_mut();
        // SAFETY: we have a reference to the interface; the walk takes over the one to each address before.
        while unsafe { next(self.interface, &raw mut address) } {
            // SAFETY: we have a reference to the address.
            let found = unsafe { &*address };
            if found.domain == domain && !found.local.is_null() {
                return Ok(Address { datalink: self.datalink, address });
            }
        }
        Err(sys::EADDRNOTAVAIL)
    }
}

impl Drop for NetInterface<'_> {
    fn drop(&mut self) {
        if let Some(put) = self.datalink.put_interface {
            // SAFETY: the reference came from `get_interface`.
            unsafe { put(self.interface) };
        }
    }
}

/// A reference to an address of an interface, given back when dropped.
///
/// # Invariants
///
/// `address` came from `get_next_interface_address`, with a reference that is given back in `drop`.
pub(crate) struct Address<'m> {
    pub(crate) datalink: &'m net_datalink_module_info,
    pub(crate) address: *mut net_interface_address,
}

impl Drop for Address<'_> {
    fn drop(&mut self) {
        if let Some(put) = self.datalink.put_interface_address {
            // SAFETY: the reference came from `get_next_interface_address`.
            unsafe { put(self.address) };
        }
    }
}
