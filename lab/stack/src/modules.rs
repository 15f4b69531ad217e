//! The stack's two modules as drivers see them: `network/stack/v1` and `network/stack/datalink/v1`.
//!
//! Only what the project's driver calls is there; the rest of either table is null, so that a call of anything else
//! is noticed at once.

use std::ffi::{CStr, c_char, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use haiku_kernel::fault::{self, Fault};
use haiku_kernel::modules;
use haiku_kernel::net_buffer;
use haiku_kernel::sync::Mutex;
use haiku_sys::{
    AF_INET, AF_INET6, B_BAD_VALUE, B_ERROR, B_NO_MEMORY, B_OK, NET_DATALINK_MODULE_NAME, NET_IPV4_MODULE_NAME,
    NET_IPV6_MODULE_NAME, NET_STACK_MODULE_NAME, SIOCGIFINDEX, ifreq, module_info, net_buffer as Raw,
    net_datalink_module_info, net_device, net_device_monitor, net_domain, net_interface, net_interface_address,
    net_protocol_module_info, net_route, net_stack_module_info, status_t,
};

use super::Stack;
use super::address::{Family, from_sockaddr};
use super::buffer::Packet;
use super::device::Device;
use super::fifo::lock;
use super::interface::{Interface, InterfaceAddress};
use super::routes::Description;

/// The stack that the modules speak for.
static CURRENT: Mutex<Option<Arc<Stack>>> = Mutex::new(None);

/// The domains with their protocols, made once and never freed: modules are statics.
struct Domains([*mut net_domain; 2], [*mut net_protocol_module_info; 2]);

// SAFETY: the tables are never written after they were made.
unsafe impl Send for Domains {}
// SAFETY: as above.
unsafe impl Sync for Domains {}

fn domains() -> &'static Domains {
    static DOMAINS: std::sync::OnceLock<Domains> = std::sync::OnceLock::new();
    DOMAINS.get_or_init(|| {
        let ipv4 = net_protocol_module_info::new(info(NET_IPV4_MODULE_NAME.as_ptr()), receive_data);
        let ipv6 = net_protocol_module_info::new(info(NET_IPV6_MODULE_NAME.as_ptr()), receive_data);
        let protocols = [ipv4, ipv6].map(|protocol| Box::into_raw(Box::new(protocol)));
        let families = [(c"internet", AF_INET), (c"internet6", AF_INET6)];
        let [inet, inet6] = [0, 1].map(|at| {
            let (name, family) = families[at];
            let (family, module, address_module) = (family as i32, protocols[at].cast_const(), ptr::null());
            Box::into_raw(Box::new(net_domain { name: name.as_ptr(), family, module, address_module }))
        });
        Domains([inet, inet6], protocols)
    })
}

/// The domain of a family.
pub(crate) fn domain(family: Family) -> *mut net_domain {
    let [inet, inet6] = domains().0;
    match family {
        Family::Inet => inet,
        Family::Inet6 => inet6,
    }
}

/// `receive_data` of either protocol: a packet whose source and destination are link-layer addresses.
///
/// # Safety
/// `buffer` is a live packet; it passes to the stack with a result of `B_OK`.
unsafe extern "C" fn receive_data(buffer: *mut Raw) -> status_t {
    // SAFETY: the caller hands over a live packet, which stays its own unless this returns `B_OK`.
    let Some((stack, packet)) = current().zip(unsafe { Packet::from_raw(buffer) }) else { return B_BAD_VALUE };
    let index = packet.index();
    match stack.input_direct(packet, index) {
        Ok(()) => B_OK,
        Err(packet) => {
            std::mem::forget(packet);
            B_ERROR
        }
    }
}

/// The family of a domain, if it is one of ours.
fn family(of: *const net_domain) -> Option<Family> {
    Family::ALL.into_iter().find(|family| ptr::eq(domain(*family), of))
}

/// Makes `stack` the one that the modules speak for, or none.
pub(crate) fn set_current(stack: Option<Arc<Stack>>) {
    let before = std::mem::replace(&mut *lock(&CURRENT), stack);
    drop(before);
}

fn current() -> Option<Arc<Stack>> {
    lock(&CURRENT).clone()
}

/// Registers both tables with the emulated kernel.
pub(crate) fn register() {
    /// The tables, made once and never freed: modules are statics.
    struct Tables(*mut net_stack_module_info, *mut net_datalink_module_info);
    // SAFETY: the tables are never written after they were made.
    unsafe impl Send for Tables {}
    // SAFETY: as above.
    unsafe impl Sync for Tables {}
    static TABLES: std::sync::OnceLock<Tables> = std::sync::OnceLock::new();
    let tables = TABLES.get_or_init(|| Tables(stack_table(), datalink_table()));
    // SAFETY: the tables live for ever.
    unsafe { modules::register_builtin(tables.0.cast()) };
    // SAFETY: as above.
    unsafe { modules::register_builtin(tables.1.cast()) };
    for protocol in domains().1 {
        // SAFETY: as above.
        unsafe { modules::register_builtin(protocol.cast()) };
    }
    net_buffer::set_release(release);
}

/// # Safety
/// Has no requirements; it is unsafe because the type of `std_ops` is.
unsafe extern "C" fn std_ops(_op: i32) -> status_t {
    B_OK
}

/// The C type of `std_ops`, whose variadic tail is unused and cannot be defined in Rust.
type StdOps = unsafe extern "C" fn(op: i32, ...) -> status_t;

fn info(name: *const c_char) -> module_info {
    let plain: unsafe extern "C" fn(i32) -> status_t = std_ops;
    // SAFETY: on this ABI a variadic call with one integer argument is a plain call with it.
    let std_ops = unsafe { std::mem::transmute::<unsafe extern "C" fn(i32) -> status_t, StdOps>(plain) };
    module_info { name, flags: 0, std_ops: Some(std_ops) }
}

fn stack_table() -> *mut net_stack_module_info {
    // SAFETY: all-zero bytes are a table without functions.
    let mut table: Box<net_stack_module_info> = Box::new(unsafe { std::mem::zeroed() });
    table.info = info(NET_STACK_MODULE_NAME.as_ptr());
    table.get_domain = Some(get_domain);
    table.device_link_changed = Some(device_link_changed);
    table.register_device_monitor = Some(register_device_monitor);
    table.unregister_device_monitor = Some(unregister_device_monitor);
    Box::into_raw(table)
}

fn datalink_table() -> *mut net_datalink_module_info {
    // SAFETY: all-zero bytes are a table without functions.
    let mut table: Box<net_datalink_module_info> = Box::new(unsafe { std::mem::zeroed() });
    table.info = info(NET_DATALINK_MODULE_NAME.as_ptr());
    table.control = Some(control);
    table.get_interface = Some(get_interface);
    table.put_interface = Some(put_interface);
    table.get_next_interface_address = Some(get_next_interface_address);
    table.put_interface_address = Some(put_interface_address);
    table.add_route = Some(add_route);
    table.remove_route = Some(remove_route);
    Box::into_raw(table)
}

/// IPv6's domain is there once an interface has its protocols: Haiku registers it with the first socket or address.
///
/// # Safety
/// Has no requirements; it is unsafe because the table's type is.
unsafe extern "C" fn get_domain(family: i32) -> *mut net_domain {
    match u32::try_from(family) {
        Ok(AF_INET) => domain(Family::Inet),
        Ok(AF_INET6) if current().is_some_and(|stack| stack.has_chain(Family::Inet6)) => domain(Family::Inet6),
        _ => ptr::null_mut(),
    }
}

/// # Safety
/// `device` is alive, and `monitor` is alive until it is unregistered.
unsafe extern "C" fn register_device_monitor(device: *mut net_device, monitor: *mut net_device_monitor) -> status_t {
    current().map_or(B_BAD_VALUE, |stack| stack.register_monitor(device, monitor))
}

/// # Safety
/// `device` and `monitor` are alive.
unsafe extern "C" fn unregister_device_monitor(device: *mut net_device, monitor: *mut net_device_monitor) -> status_t {
    current().map_or(B_BAD_VALUE, |stack| stack.unregister_monitor(device, monitor))
}

/// # Safety
/// `device` is alive.
unsafe extern "C" fn device_link_changed(device: *mut net_device) -> status_t {
    // SAFETY: the driver shows one of its devices, which is alive.
    if let Some((stack, device)) = current().zip(unsafe { Device::borrow(device) }) {
        stack.link_changed(device);
    }
    B_OK
}

/// Of the controls, a driver asks for an interface's index.
///
/// # Safety
/// `value` points to a request of the control's type.
unsafe extern "C" fn control(of: *mut net_domain, op: i32, value: *mut c_void, _: *mut usize) -> status_t {
    let Some((stack, family)) = current().zip(family(of)) else { return B_BAD_VALUE };
    if u32::try_from(op) != Ok(SIOCGIFINDEX) {
        return B_BAD_VALUE;
    }
    // SAFETY: the driver's request, which begins with a C string.
    let request = unsafe { &mut *value.cast::<ifreq>() };
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(request.ifr_name.as_ptr()) }.to_string_lossy();
    let found = stack.find_interface(&name).and_then(|found| stack.get_interface_at(family, found.index));
    let Some(interface) = found else { return B_BAD_VALUE };
    request.u.ifr_index = interface.index as i32;
    B_OK
}

/// # Safety
/// Has no requirements; it is unsafe because the table's type is.
unsafe extern "C" fn get_interface(of: *mut net_domain, index: u32) -> *mut net_interface {
    let interface = current().zip(family(of)).and_then(|(stack, family)| stack.get_interface_at(family, index));
    interface.map_or(ptr::null_mut(), |interface| Arc::into_raw(interface).cast_mut().cast())
}

/// # Safety
/// `interface` comes from `get_interface`, and the reference is not used again.
unsafe extern "C" fn put_interface(interface: *mut net_interface) {
    if !interface.is_null() {
        // SAFETY: the pointer came from `get_interface`, whose reference this is.
        drop(unsafe { Arc::from_raw(interface.cast::<Interface>()) });
    }
}

/// # Safety
/// `interface` is alive. `*address` is null or comes from this function, and its reference passes to it.
unsafe extern "C" fn get_next_interface_address(
    interface: *mut net_interface,
    address: *mut *mut net_interface_address,
) -> bool {
    // SAFETY: the caller holds a reference to the interface; this borrows it without taking it over.
    let interface = ManuallyDrop::new(unsafe { Arc::from_raw(interface.cast::<Interface>()) });
    // SAFETY: the caller's variable.
    let before = unsafe { *address };
    let list = interface.addresses();
    let next = if before.is_null() {
        list.first().cloned()
    } else {
        let at = list.iter().position(|candidate| ptr::eq(candidate.as_c(), before));
        // SAFETY: the reference to the previous address is taken over, as documented.
        drop(unsafe { Arc::from_raw(before.cast::<InterfaceAddress>()) });
        at.and_then(|at| list.get(at + 1).cloned())
    };
    let found = next.is_some();
    // SAFETY: the caller's variable.
    unsafe { *address = next.map_or(ptr::null_mut(), |next| Arc::into_raw(next).cast_mut().cast()) };
    found
}

/// # Safety
/// `address` comes from this stack, and the reference is not used again.
unsafe extern "C" fn put_interface_address(address: *mut net_interface_address) {
    if !address.is_null() {
        release(address);
    }
}

/// Gives back a reference that was handed out in C's form: by `get_next_interface_address`, or in a packet.
fn release(address: *mut net_interface_address) {
    // SAFETY: the reference is the caller's, who had it from the stack.
    drop(unsafe { Arc::from_raw(address.cast::<InterfaceAddress>()) });
}

/// A driver's route in the table's terms.
///
/// # Safety
/// The pointers of the route are null or valid, and the interface address is referenced by the caller.
unsafe fn describe(route: &net_route) -> Description<Arc<InterfaceAddress>> {
    let target = (!route.interface_address.is_null()).then(|| {
        // SAFETY: the caller holds a reference; this borrows it and takes one of its own.
        let borrowed = unsafe { Arc::from_raw(route.interface_address.cast::<InterfaceAddress>()) };
        Arc::clone(&*ManuallyDrop::new(borrowed))
    });
    Description {
        // SAFETY: the caller's promise.
        destination: unsafe { from_sockaddr(route.destination) },
        // SAFETY: as above.
        mask: unsafe { from_sockaddr(route.mask) },
        // SAFETY: as above.
        gateway: unsafe { from_sockaddr(route.gateway) },
        flags: route.flags,
        target,
    }
}

/// # Safety
/// `route` and the addresses that it points to are alive during the call.
unsafe extern "C" fn add_route(of: *mut net_domain, route: *const net_route) -> status_t {
    if fault::hit(Fault::AddRoute) {
        return B_NO_MEMORY;
    }
    let Some((stack, family)) = current().zip(family(of)) else { return B_BAD_VALUE };
    // SAFETY: the caller's route, null or valid.
    let Some(route) = (unsafe { route.as_ref() }) else { return B_BAD_VALUE };
    // SAFETY: the caller's addresses.
    stack.add_route(family, &unsafe { describe(route) }).err().unwrap_or(B_OK)
}

/// # Safety
/// `route` and the addresses that it points to are alive during the call.
unsafe extern "C" fn remove_route(of: *mut net_domain, route: *const net_route) -> status_t {
    let Some((stack, family)) = current().zip(family(of)) else { return B_BAD_VALUE };
    // SAFETY: the caller's route, null or valid.
    let Some(route) = (unsafe { route.as_ref() }) else { return B_BAD_VALUE };
    // SAFETY: the caller's addresses.
    stack.remove_route(family, &unsafe { describe(route) }).err().unwrap_or(B_OK)
}
