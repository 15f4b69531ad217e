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

/// Returns the module of a family's protocol, which registers the family's domain.
pub(crate) const fn protocol_module(family: u32) -> &'static CStr {
    if family == sys::AF_INET6 { sys::NET_IPV6_MODULE_NAME } else { sys::NET_IPV4_MODULE_NAME }
}

/// Returns a family's domain, or null while nothing has loaded its protocol. It may be freed as soon as this returns, unless
/// a reference to the protocol's module is held.
pub(crate) fn domain(stack: &sys::net_stack_module_info, family: u32) -> *mut net_domain {
    // SAFETY: a plain call.
    stack.get_domain.map_or(null_mut(), |get_domain| unsafe { get_domain(family as i32) })
}

/// A family's domain, with a reference to the module of its protocol.
///
/// # Invariants
///
/// `domain` is registered while `_module` is held: `unregister_domain`, which frees it, is called by the module's end.
pub(crate) struct HeldDomain {
    _module: Module<sys::module_info>,
    domain: *mut net_domain,
}

impl HeldDomain {
    /// Takes a reference to the module of a family's protocol.
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` while nothing has loaded the protocol, because then no interface has an address of the family.
    pub(crate) fn take(stack: &sys::net_stack_module_info, family: u32) -> Result<Self, status_t> {
        if domain(stack, family).is_null() {
            return Err(sys::EADDRNOTAVAIL);
        }
        let module = Module::take(protocol_module(family))?;
        // Again, because the domain may have been registered anew before the reference was taken.
        let domain = domain(stack, family);
        if domain.is_null() { Err(sys::EADDRNOTAVAIL) } else { Ok(Self { _module: module, domain }) }
    }

    /// Returns the domain, which stays registered while this reference is held.
    pub(crate) fn domain(&self) -> *mut net_domain {
        self.domain
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
    /// Finds the interface of a name. The caller holds `domain`. The stack finds one by its index only, which is not its device's, so the index is asked
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
        // SAFETY: the caller holds the domain; the request is ours.
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
