//! Interfaces and their addresses, in the C form in which drivers meet them.
//!
//! Both are reference counted, and a driver that keeps a reference keeps the interface: its device is then never
//! uninitialised, as on Haiku. The stack's census finds such leaks.

use std::cell::UnsafeCell;
use std::ffi::c_char;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use haiku_kernel::sync::{Condvar, Mutex};
use haiku_sys::{IFF_LINK, IFF_UP, net_domain, net_interface, net_interface_address, sockaddr, sockaddr_storage};

use super::Stack;
use super::address::{Family, to_storage};
use super::device::{Device, DeviceInterface};
use super::ethernet::Mac;
use super::fifo::lock;
use super::host::Host;
use super::routes::Target;

/// How many interfaces and addresses exist, wherever their references are.
#[derive(Debug, Default)]
pub(crate) struct Census {
    interfaces: Mutex<i64>,
    gone: Condvar,
    addresses: AtomicI64,
}

impl Census {
    /// Waits until every interface has gone, but not for ever: a driver may have kept one. Returns how many
    /// interfaces and addresses are left.
    pub(crate) fn settle(&self, patience: Duration) -> (i64, i64) {
        let left = self.gone.wait_timeout_while(lock(&self.interfaces), patience, |interfaces| *interfaces > 0);
        (*left, self.addresses.load(Ordering::SeqCst))
    }
}

/// What one family's datalink protocol knows: nothing until the interface was up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// The address that frames leave with.
    pub(crate) hardware: Option<Mac>,
    /// The address that questions are asked from.
    pub(crate) local: Option<IpAddr>,
}

/// The parts of an interface that change.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) addresses: Vec<Arc<InterfaceAddress>>,
    /// The families that have a chain of datalink protocols, in the order in which they got it.
    pub(crate) chains: Vec<Family>,
    pub(crate) inet: Link,
    pub(crate) inet6: Link,
}

impl Inner {
    /// The datalink protocol's part for a family.
    pub(crate) fn link(&mut self, family: Family) -> &mut Link {
        match family {
            Family::Inet => &mut self.inet,
            Family::Inet6 => &mut self.inet6,
        }
    }
}

/// An interface. Its C form comes first, so that a pointer to one is a pointer to the other.
#[repr(C)]
pub(crate) struct Interface {
    c: UnsafeCell<net_interface>,
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) stack: Arc<Stack>,
    pub(crate) device_interface: Arc<DeviceInterface>,
    pub(crate) busy: AtomicBool,
    pub(crate) inner: Mutex<Inner>,
    /// The IP stack; a waiter for its packets does not keep the interface alive.
    pub(crate) host: Arc<Host>,
}

// SAFETY: of the C form only the flags change, and those atomically.
unsafe impl Send for Interface {}
// SAFETY: as above.
unsafe impl Sync for Interface {}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interface({})", self.name)
    }
}

impl Interface {
    /// A new interface on a device; holds a reference to it.
    pub(crate) fn new(
        stack: &Arc<Stack>,
        name: &str,
        index: u32,
        device_interface: Arc<DeviceInterface>,
    ) -> Arc<Interface> {
        let device = device_interface.device;
        let mut c_name = [0 as c_char; 32];
        for (to, from) in c_name.iter_mut().zip(name.bytes().take(31)) {
            *to = from as c_char;
        }
        *lock(&stack.census.interfaces) += 1;
        Arc::new(Interface {
            c: UnsafeCell::new(net_interface {
                device: device.as_ptr(),
                name: c_name,
                index,
                flags: 0,
                r#type: 0,
                metric: 0,
            }),
            name: name.to_owned(),
            index,
            stack: Arc::clone(stack),
            host: Arc::new(Host::new(index, device.mtu())),
            device_interface,
            busy: AtomicBool::new(false),
            inner: Mutex::default(),
        })
    }

    /// The C form.
    pub(crate) fn as_c(&self) -> *mut net_interface {
        self.c.get()
    }

    /// The device.
    pub(crate) fn device(&self) -> Device {
        self.device_interface.device
    }

    fn atomic_flags(&self) -> &AtomicU32 {
        // SAFETY: the C form is ours, and this only says where the flags are.
        let flags = unsafe { &raw mut (*self.c.get()).flags };
        // SAFETY: the word lives as long as the interface and is only touched atomically.
        unsafe { AtomicU32::from_ptr(flags) }
    }

    /// The interface's own `IFF_*`.
    pub(crate) fn own_flags(&self) -> u32 {
        self.atomic_flags().load(Ordering::SeqCst)
    }

    /// Replaces the interface's own `IFF_*`.
    pub(crate) fn set_own_flags(&self, flags: u32) {
        self.atomic_flags().store(flags, Ordering::SeqCst);
    }

    /// The flags that `ifconfig` shows: the interface's and the device's together.
    pub(crate) fn flags(&self) -> u32 {
        self.own_flags() | self.device().flags()
    }

    /// Whether the interface itself is up.
    pub(crate) fn is_up(&self) -> bool {
        self.own_flags() & IFF_UP != 0
    }

    /// The first address of a family.
    pub(crate) fn first_of(&self, family: Family) -> Option<Arc<InterfaceAddress>> {
        lock(&self.inner).addresses.iter().find(|address| address.family == family).cloned()
    }

    /// All addresses.
    pub(crate) fn addresses(&self) -> Vec<Arc<InterfaceAddress>> {
        lock(&self.inner).addresses.clone()
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        let device = Arc::clone(&self.device_interface);
        self.stack.put_device_interface(&device);
        *lock(&self.stack.census.interfaces) -= 1;
        self.stack.census.gone.notify_all();
    }
}

/// The three addresses of an interface address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) local: Option<IpAddr>,
    pub(crate) mask: Option<IpAddr>,
    /// The broadcast address, or the peer: Haiku has one field for both.
    pub(crate) destination: Option<IpAddr>,
}

/// The memory behind the C form's pointers.
struct Storage {
    local: sockaddr_storage,
    mask: sockaddr_storage,
    destination: sockaddr_storage,
}

/// An address of an interface. Its C form comes first.
#[repr(C)]
pub(crate) struct InterfaceAddress {
    c: UnsafeCell<net_interface_address>,
    storage: UnsafeCell<Storage>,
    addresses: Mutex<Addresses>,
    pub(crate) family: Family,
    pub(crate) interface: Arc<Interface>,
}

// SAFETY: the C form and its storage are only written under the lock of `addresses`. A driver that reads them at that
// moment reads what it would on Haiku, where nothing protects them either.
unsafe impl Send for InterfaceAddress {}
// SAFETY: as above.
unsafe impl Sync for InterfaceAddress {}

impl fmt::Debug for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceAddress({}, {:?})", self.interface.name, self.get())
    }
}

impl InterfaceAddress {
    /// An empty address of a family, whose domain this is.
    pub(crate) fn new(interface: &Arc<Interface>, family: Family, domain: *mut net_domain) -> Arc<Self> {
        interface.stack.census.addresses.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self {
            c: UnsafeCell::new(net_interface_address {
                domain,
                interface: interface.as_c(),
                local: std::ptr::null_mut(),
                destination: std::ptr::null_mut(),
                mask: std::ptr::null_mut(),
                flags: 0,
            }),
            storage: UnsafeCell::new(Storage {
                local: to_storage(None),
                mask: to_storage(None),
                destination: to_storage(None),
            }),
            addresses: Mutex::default(),
            family,
            interface: Arc::clone(interface),
        })
    }

    /// The C form.
    pub(crate) fn as_c(&self) -> *mut net_interface_address {
        self.c.get()
    }

    /// The addresses.
    pub(crate) fn get(&self) -> Addresses {
        *lock(&self.addresses)
    }

    /// The address itself.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        self.get().local
    }

    /// Changes the addresses, in Rust's and in C's form.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Addresses)) {
        let mut addresses = lock(&self.addresses);
        change(&mut addresses);
        let storage = self.storage.get();
        let c = self.c.get();
        // SAFETY: the storage is this object's and the lock is held.
        let local = set(unsafe { &mut (*storage).local }, addresses.local);
        // SAFETY: as above.
        let mask = set(unsafe { &mut (*storage).mask }, addresses.mask);
        // SAFETY: as above.
        let destination = set(unsafe { &mut (*storage).destination }, addresses.destination);
        // SAFETY: the C form is this object's and the lock is held.
        unsafe { (*c).local = local };
        // SAFETY: as above.
        unsafe { (*c).mask = mask };
        // SAFETY: as above.
        unsafe { (*c).destination = destination };
    }
}

/// Writes an address into its storage and returns the pointer that the C form has for it.
fn set(storage: &mut sockaddr_storage, address: Option<IpAddr>) -> *mut sockaddr {
    if address.is_none() {
        return std::ptr::null_mut();
    }
    *storage = to_storage(address);
    (&raw mut *storage).cast()
}

impl Drop for InterfaceAddress {
    fn drop(&mut self) {
        self.interface.stack.census.addresses.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An interface address as the routing table holds it.
pub(crate) type AddressRef = Arc<InterfaceAddress>;

impl Target for AddressRef {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn has_link(&self) -> bool {
        self.interface.device().flags() & IFF_LINK != 0
    }

    fn link_speed(&self) -> u64 {
        self.interface.device().link_speed()
    }
}
