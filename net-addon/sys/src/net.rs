//! The network stack's modules, devices and buffers: `headers/private/net/`.

use core::ffi::{c_char, c_void};

use crate::{list_link, module_info, sockaddr, status_t};

/// An entry of a table that is never called from here, and so has no type.
pub type Unused = Option<unsafe extern "C" fn()>;

/// The name of the network stack's own module.
pub const NET_STACK_MODULE_NAME: &core::ffi::CStr = c"network/stack/v1";
/// The name of the module that owns packets.
pub const NET_BUFFER_MODULE_NAME: &core::ffi::CStr = c"network/stack/buffer/v1";
/// The name of the module that owns interfaces and routes.
pub const NET_DATALINK_MODULE_NAME: &core::ffi::CStr = c"network/stack/datalink/v1";

/// The name of the module that owns IPv4.
pub const NET_IPV4_MODULE_NAME: &core::ffi::CStr = c"network/protocols/ipv4/v1";
/// The name of the module that owns IPv6.
pub const NET_IPV6_MODULE_NAME: &core::ffi::CStr = c"network/protocols/ipv6/v1";

/// `struct net_domain` (`net_stack.h`): an address family's part of the stack.
#[repr(C)]
pub struct net_domain {
    /// Its name.
    pub name: *const c_char,
    /// `AF_*`.
    pub family: i32,
    /// Its protocol.
    pub module: *const net_protocol_module_info,
    /// The functions for its addresses; opaque.
    pub address_module: *const c_void,
}

/// `struct net_protocol_module_info` (`net_protocol.h`), as far as it is used here.
#[repr(C)]
pub struct net_protocol_module_info {
    /// Name, flags and `std_ops`.
    pub info: module_info,
    /// `NET_PROTOCOL_*`.
    pub flags: u32,
    _unlisted: [Unused; 21],
    /// Receives a packet. The protocol owns it only if it returns `B_OK`.
    pub receive_data: Option<unsafe extern "C" fn(buffer: *mut net_buffer) -> status_t>,
}

const _: () = assert!(core::mem::offset_of!(net_domain, module) == 16);
const _: () = assert!(core::mem::offset_of!(net_protocol_module_info, receive_data) == 200);

impl net_protocol_module_info {
    /// Returns a table with this one function.
    #[must_use]
    pub const fn new(
        info: module_info,
        receive_data: unsafe extern "C" fn(buffer: *mut net_buffer) -> status_t,
    ) -> Self {
        Self { info, flags: 0, _unlisted: [None; 21], receive_data: Some(receive_data) }
    }
}

/// `struct net_hardware_address` (`net_device.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct net_hardware_address {
    /// The address, in the first bytes.
    pub data: [u8; 64],
    /// Length of the address in bytes.
    pub length: u8,
}

/// `struct ifreq_stream_stats` (`headers/posix/net/if.h`): one direction's statistics, kept by the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ifreq_stream_stats {
    /// Packets that crossed.
    pub packets: u32,
    /// Calls that failed.
    pub errors: u32,
    /// Bytes that crossed, without the link header on the way in.
    pub bytes: u64,
    /// Multicast packets that crossed.
    pub multicast_packets: u32,
    /// Packets dropped on the stack's side.
    pub dropped: u32,
}

/// `struct ifreq_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ifreq_stats {
    /// From the device to the stack.
    pub receive: ifreq_stream_stats,
    /// From the stack to the device.
    pub send: ifreq_stream_stats,
    /// Unused.
    pub collisions: u32,
}

/// `struct net_device` (`net_device.h`): the state of a device that it shares with the stack. The device owns the memory.
#[repr(C)]
pub struct net_device {
    /// The device's module; set by the stack.
    pub module: *mut net_device_module_info,
    /// The interface's name, such as `tun/0`.
    pub name: [c_char; 32],
    /// Set by the stack.
    pub index: u32,
    /// `IFF_*`; the stack adds and removes `IFF_UP`.
    pub flags: u32,
    /// `IFT_*`: chooses the datalink protocols.
    pub r#type: u32,
    /// Bytes of IP, without the link header.
    pub mtu: usize,
    /// `IFM_*`.
    pub media: u32,
    /// Bits a second.
    pub link_speed: u64,
    /// In thousandths.
    pub link_quality: u32,
    /// Bytes of link header that the stack keeps free in front of a packet.
    pub header_length: usize,
    /// The link-layer address.
    pub address: net_hardware_address,
    /// Statistics; the stack updates most of them.
    pub stats: ifreq_stats,
}

/// `struct net_buffer` (`net_buffer.h`): a packet. Its data is in nodes that only the buffer module accesses.
#[repr(C)]
pub struct net_buffer {
    /// The links with which the packet's owner may queue it.
    pub link: list_link,
    /// The sender; filled by the deframer.
    pub source: *mut sockaddr,
    /// The receiver; filled by the deframer.
    pub destination: *mut sockaddr,
    /// Must be null in a packet that a device hands to the stack.
    pub interface_address: *mut net_interface_address,
    /// A union in C: frame type, fragment, sequence, offset or index, depending on the layer that has the packet.
    pub r#type: i32,
    /// `MSG_*`.
    pub msg_flags: u32,
    /// Bytes in the packet.
    pub size: u32,
    /// The transport protocol.
    pub protocol: u8,
    /// `NET_BUFFER_*`: which checksums are known to be correct.
    pub buffer_flags: u16,
}

/// `struct net_device_monitor` (`net_stack.h`): a packet capture.
#[repr(C)]
pub struct net_device_monitor {
    /// The stack's list.
    pub link: list_link,
    /// The monitor's own.
    pub cookie: *mut c_void,
    /// A frame passed.
    pub receive: Option<unsafe extern "C" fn(monitor: *mut net_device_monitor, buffer: *mut net_buffer) -> status_t>,
    /// The device went up, down or away.
    pub event: Option<unsafe extern "C" fn(monitor: *mut net_device_monitor, event: i32)>,
}

/// `struct net_interface` (`net_datalink.h`).
#[repr(C)]
pub struct net_interface {
    /// Its device.
    pub device: *mut net_device,
    /// Its name.
    pub name: [c_char; 32],
    /// Its index.
    pub index: u32,
    /// `IFF_*`.
    pub flags: u32,
    /// `IFT_*`.
    pub r#type: u8,
    /// Its metric.
    pub metric: u32,
}

/// `struct net_interface_address` (`net_datalink.h`).
#[repr(C)]
pub struct net_interface_address {
    /// The address family's part of the stack.
    pub domain: *mut net_domain,
    /// The interface that has the address.
    pub interface: *mut net_interface,
    /// The address itself.
    pub local: *mut sockaddr,
    /// The broadcast or peer address.
    pub destination: *mut sockaddr,
    /// The mask.
    pub mask: *mut sockaddr,
    /// `IFAF_*`.
    pub flags: u32,
}

/// `struct net_route` (`net_datalink.h`).
#[repr(C)]
pub struct net_route {
    /// Where to.
    pub destination: *mut sockaddr,
    /// Which bits of it count.
    pub mask: *mut sockaddr,
    /// The next hop, or null.
    pub gateway: *mut sockaddr,
    /// `RTF_*`.
    pub flags: u32,
    /// The route's MTU, or 0.
    pub mtu: u32,
    /// The interface address that packets leave by.
    pub interface_address: *mut net_interface_address,
}

/// `struct net_device_module_info` (`net_device.h`).
#[repr(C)]
pub struct net_device_module_info {
    /// Name, flags and `std_ops`.
    pub info: module_info,
    /// Makes the device of a new interface of this name.
    pub init_device: Option<unsafe extern "C" fn(name: *const c_char, device: *mut *mut net_device) -> status_t>,
    /// Frees the device after its interface is gone; the result is ignored.
    pub uninit_device: Option<unsafe extern "C" fn(device: *mut net_device) -> status_t>,
    /// Brings the device up; the reader thread starts after it.
    pub up: Option<unsafe extern "C" fn(device: *mut net_device) -> status_t>,
    /// Takes the device down; a blocked `receive_data` must return.
    pub down: Option<unsafe extern "C" fn(device: *mut net_device)>,
    /// Handles a socket ioctl that the stack does not; `argument` is a user pointer.
    pub control: Option<
        unsafe extern "C" fn(device: *mut net_device, op: i32, argument: *mut c_void, length: usize) -> status_t,
    >,
    /// Sends a frame. The device owns it only if it returns `B_OK`, and must not block.
    pub send_data: Option<unsafe extern "C" fn(device: *mut net_device, buffer: *mut net_buffer) -> status_t>,
    /// Returns the next frame for the stack; called in a loop by the reader thread.
    pub receive_data: Option<unsafe extern "C" fn(device: *mut net_device, buffer: *mut *mut net_buffer) -> status_t>,
    /// Sets the MTU, in bytes of IP.
    pub set_mtu: Option<unsafe extern "C" fn(device: *mut net_device, mtu: usize) -> status_t>,
    /// Sets promiscuous mode.
    pub set_promiscuous: Option<unsafe extern "C" fn(device: *mut net_device, promiscuous: bool) -> status_t>,
    /// Chooses a medium.
    pub set_media: Option<unsafe extern "C" fn(device: *mut net_device, media: u32) -> status_t>,
    /// Joins a link-layer group.
    pub add_multicast: Option<unsafe extern "C" fn(device: *mut net_device, address: *const sockaddr) -> status_t>,
    /// Leaves a link-layer group.
    pub remove_multicast: Option<unsafe extern "C" fn(device: *mut net_device, address: *const sockaddr) -> status_t>,
}

/// `struct net_buffer_module_info` (`net_buffer.h`).
#[repr(C)]
pub struct net_buffer_module_info {
    /// Name, flags and `std_ops`.
    pub info: module_info,
    /// Makes an empty buffer with `header_space` bytes kept free in front; null without memory.
    pub create: Option<unsafe extern "C" fn(header_space: usize) -> *mut net_buffer>,
    /// Frees a buffer with all its nodes.
    pub free: Option<unsafe extern "C" fn(buffer: *mut net_buffer)>,
    /// Makes a deep copy.
    pub duplicate: Option<unsafe extern "C" fn(from: *mut net_buffer) -> *mut net_buffer>,
    /// Makes a copy that shares its data.
    pub clone: Option<unsafe extern "C" fn(from: *mut net_buffer, share_free_space: bool) -> *mut net_buffer>,
    /// `split`; not called from here.
    pub split: Unused,
    /// `merge`; not called from here.
    pub merge: Unused,
    /// Adds uninitialised bytes in front; `place` (or null) gets their address, if they are in one piece.
    pub prepend_size:
        Option<unsafe extern "C" fn(buffer: *mut net_buffer, size: usize, place: *mut *mut c_void) -> status_t>,
    /// Copies bytes to the front.
    pub prepend: Option<unsafe extern "C" fn(buffer: *mut net_buffer, data: *const c_void, bytes: usize) -> status_t>,
    /// Adds uninitialised bytes at the end; `place` (or null) gets their address, if they are in one piece.
    pub append_size:
        Option<unsafe extern "C" fn(buffer: *mut net_buffer, size: usize, place: *mut *mut c_void) -> status_t>,
    /// Copies bytes to the end; `data` may be a user pointer, but a fault is not reported if the packet is in more than one
    /// piece.
    pub append: Option<unsafe extern "C" fn(buffer: *mut net_buffer, data: *const c_void, bytes: usize) -> status_t>,
    /// `insert`; not called from here.
    pub insert: Unused,
    /// `remove`; not called from here.
    pub remove: Unused,
    /// Removes bytes from the front.
    pub remove_header: Option<unsafe extern "C" fn(buffer: *mut net_buffer, bytes: usize) -> status_t>,
    /// Removes bytes from the end.
    pub remove_trailer: Option<unsafe extern "C" fn(buffer: *mut net_buffer, bytes: usize) -> status_t>,
    /// Shortens the buffer to `new_size` bytes.
    pub trim: Option<unsafe extern "C" fn(buffer: *mut net_buffer, new_size: usize) -> status_t>,
    /// `append_cloned`; not called from here.
    pub append_cloned: Unused,
    /// `associate_data`; not called from here.
    pub associate_data: Unused,
    /// `set_ancillary_data`; not called from here.
    pub set_ancillary_data: Unused,
    /// `get_ancillary_data`; not called from here.
    pub get_ancillary_data: Unused,
    /// `transfer_ancillary_data`; not called from here.
    pub transfer_ancillary_data: Unused,
    /// `store_header`; not called from here.
    pub store_header: Unused,
    /// `stored_header_length`; not called from here.
    pub stored_header_length: Unused,
    /// `restore_header`; not called from here.
    pub restore_header: Unused,
    /// `append_restored_header`; not called from here.
    pub append_restored_header: Unused,
    /// `direct_access`; not called from here.
    pub direct_access: Unused,
    /// Copies bytes out; `data` may be a user pointer: it is copied by `user_memcpy`.
    pub read: Option<
        unsafe extern "C" fn(buffer: *mut net_buffer, offset: usize, data: *mut c_void, bytes: usize) -> status_t,
    >,
    /// Overwrites bytes in place; `data` may be a user pointer.
    pub write: Option<
        unsafe extern "C" fn(buffer: *mut net_buffer, offset: usize, data: *const c_void, bytes: usize) -> status_t,
    >,
    /// `checksum`; not called from here.
    pub checksum: Unused,
    /// `get_memory_map`; not called from here.
    pub get_memory_map: Unused,
    /// `get_iovecs`; not called from here.
    pub get_iovecs: Unused,
    /// `count_iovecs`; not called from here.
    pub count_iovecs: Unused,
    /// `swap_addresses`; not called from here.
    pub swap_addresses: Unused,
    /// `dump`; not called from here.
    pub dump: Unused,
}

/// `struct net_stack_module_info` (`net_stack.h`).
#[repr(C)]
pub struct net_stack_module_info {
    /// Name, flags and `std_ops`.
    pub info: module_info,
    /// `register_domain`; not called from here.
    pub register_domain: Unused,
    /// `unregister_domain`; not called from here.
    pub unregister_domain: Unused,
    /// Returns the domain of an address family, or null.
    pub get_domain: Option<unsafe extern "C" fn(family: i32) -> *mut net_domain>,
    /// `register_domain_protocols`; not called from here.
    pub register_domain_protocols: Unused,
    /// `register_domain_datalink_protocols`; not called from here.
    pub register_domain_datalink_protocols: Unused,
    /// `register_domain_receiving_protocol`; not called from here.
    pub register_domain_receiving_protocol: Unused,
    /// `get_domain_receiving_protocol`; not called from here.
    pub get_domain_receiving_protocol: Unused,
    /// `put_domain_receiving_protocol`; not called from here.
    pub put_domain_receiving_protocol: Unused,
    /// `register_device_deframer`; not called from here.
    pub register_device_deframer: Unused,
    /// `unregister_device_deframer`; not called from here.
    pub unregister_device_deframer: Unused,
    /// `register_domain_device_handler`; not called from here.
    pub register_domain_device_handler: Unused,
    /// `register_device_handler`; not called from here.
    pub register_device_handler: Unused,
    /// `unregister_device_handler`; not called from here.
    pub unregister_device_handler: Unused,
    /// Registers a packet capture of a device, which is found by its name.
    pub register_device_monitor:
        Option<unsafe extern "C" fn(device: *mut net_device, monitor: *mut net_device_monitor) -> status_t>,
    /// Unregisters a packet capture.
    pub unregister_device_monitor:
        Option<unsafe extern "C" fn(device: *mut net_device, monitor: *mut net_device_monitor) -> status_t>,
    /// Tells the stack that `IFF_LINK` of the device changed.
    pub device_link_changed: Option<unsafe extern "C" fn(device: *mut net_device) -> status_t>,
    /// `device_removed`; not called from here.
    pub device_removed: Unused,
    /// `device_enqueue_buffer`; not called from here.
    pub device_enqueue_buffer: Unused,
    /// `notify_socket`; not called from here.
    pub notify_socket: Unused,
    /// `checksum`; not called from here.
    pub checksum: Unused,
    /// `init_fifo`; not called from here.
    pub init_fifo: Unused,
    /// `uninit_fifo`; not called from here.
    pub uninit_fifo: Unused,
    /// `fifo_enqueue_buffer`; not called from here.
    pub fifo_enqueue_buffer: Unused,
    /// `fifo_dequeue_buffer`; not called from here.
    pub fifo_dequeue_buffer: Unused,
    /// `clear_fifo`; not called from here.
    pub clear_fifo: Unused,
    _unlisted0: Unused,
    /// `init_timer`; not called from here.
    pub init_timer: Unused,
    /// `set_timer`; not called from here.
    pub set_timer: Unused,
    /// `cancel_timer`; not called from here.
    pub cancel_timer: Unused,
    /// `wait_for_timer`; not called from here.
    pub wait_for_timer: Unused,
    /// `is_timer_active`; not called from here.
    pub is_timer_active: Unused,
    /// `is_timer_running`; not called from here.
    pub is_timer_running: Unused,
    /// `is_syscall`; not called from here.
    pub is_syscall: Unused,
    /// `is_restarted_syscall`; not called from here.
    pub is_restarted_syscall: Unused,
    _unlisted1: Unused,
    _unlisted2: Unused,
    _unlisted3: Unused,
    _unlisted4: Unused,
    _unlisted5: Unused,
    _unlisted6: Unused,
    _unlisted7: Unused,
    _unlisted8: Unused,
}

/// `struct net_datalink_module_info` (`net_datalink.h`).
#[repr(C)]
pub struct net_datalink_module_info {
    /// Name, flags and `std_ops`.
    pub info: module_info,
    /// Handles a control of a socket about an interface; `value` may be kernel memory.
    pub control: Option<
        unsafe extern "C" fn(domain: *mut net_domain, op: i32, value: *mut c_void, length: *mut usize) -> status_t,
    >,
    /// `send_routed_data`; not called from here.
    pub send_routed_data: Unused,
    /// `send_data`; not called from here.
    pub send_data: Unused,
    /// `is_local_address`; not called from here.
    pub is_local_address: Unused,
    /// `is_local_link_address`; not called from here.
    pub is_local_link_address: Unused,
    /// Returns the interface of an index, with a reference; null if there is none, and the first for 0. The index is not that
    /// of the device.
    pub get_interface: Option<unsafe extern "C" fn(domain: *mut net_domain, index: u32) -> *mut net_interface>,
    /// `get_interface_with_address`; not called from here.
    pub get_interface_with_address: Unused,
    /// Releases that reference.
    pub put_interface: Option<unsafe extern "C" fn(interface: *mut net_interface)>,
    /// `get_interface_address`; not called from here.
    pub get_interface_address: Unused,
    /// Replaces `*address` by the next address (the first for null), with a reference; releases the one passed in.
    pub get_next_interface_address:
        Option<unsafe extern "C" fn(interface: *mut net_interface, address: *mut *mut net_interface_address) -> bool>,
    /// Releases that reference.
    pub put_interface_address: Option<unsafe extern "C" fn(address: *mut net_interface_address)>,
    /// `join_multicast`; not called from here.
    pub join_multicast: Unused,
    /// `leave_multicast`; not called from here.
    pub leave_multicast: Unused,
    /// Adds a route; the stack copies it.
    pub add_route: Option<unsafe extern "C" fn(domain: *mut net_domain, route: *const net_route) -> status_t>,
    /// Removes a route.
    pub remove_route: Option<unsafe extern "C" fn(domain: *mut net_domain, route: *const net_route) -> status_t>,
    /// `get_route`; not called from here.
    pub get_route: Unused,
    /// `get_buffer_route`; not called from here.
    pub get_buffer_route: Unused,
    /// `put_route`; not called from here.
    pub put_route: Unused,
    _unlisted0: Unused,
    _unlisted1: Unused,
    _unlisted2: Unused,
}
