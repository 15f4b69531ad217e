//! The ABI is pinned: every layout and every constant of this crate is held against figures that were measured by
//! compiling Haiku's own headers (`abi/x86_64.json`). A figure that differs, or is missing here, fails.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{align_of, offset_of, size_of};

use haiku_sys::*;
use serde_json::Value;

fn figures() -> Value {
    serde_json::from_str(include_str!("../abi/x86_64.json")).expect("the figures are valid JSON")
}

/// Offset and size of each field of a struct, and the struct's own size and alignment, as Rust lays them out.
struct Layout {
    size: usize,
    align: usize,
    fields: BTreeMap<&'static str, (usize, usize)>,
}

fn size_of_pointee<T, U>(_: fn(&T) -> &U) -> usize {
    size_of::<U>()
}

macro_rules! layout {
    ($layouts:ident: $($name:literal $type:ty { $($field:literal $($path:ident).+,)* })*) => {
        $($layouts.insert($name, Layout {
            size: size_of::<$type>(),
            align: align_of::<$type>(),
            fields: BTreeMap::from([
                $(($field, (offset_of!($type, $($path).+), size_of_pointee(|it: &$type| layout!(@field it $($path).+))))),*
            ]),
        });)*
    };
    (@field $it:ident u.$path:ident) => {
        // SAFETY: only the field's type is wanted; the function is never called.
        unsafe { &$it.u.$path }
    };
    (@field $it:ident $($path:ident).+) => { &$it.$($path).+ };
}

fn layouts() -> BTreeMap<&'static str, Layout> {
    let mut layouts = BTreeMap::new();
    layout! { layouts:
        "module_info" module_info {
            "name" name,
            "flags" flags,
            "std_ops" std_ops,
        }
        "module_dependency" module_dependency {
            "name" name,
            "info" info,
        }
        "team_info" team_info {
            "team" team,
            "thread_count" thread_count,
            "image_count" image_count,
            "area_count" area_count,
            "debugger_nub_thread" debugger_nub_thread,
            "debugger_nub_port" debugger_nub_port,
            "argc" argc,
            "args" args,
            "uid" uid,
            "gid" gid,
            "real_uid" real_uid,
            "real_gid" real_gid,
            "group_id" group_id,
            "session_id" session_id,
            "parent" parent,
            "name" name,
            "start_time" start_time,
        }
        "device_hooks" device_hooks {
            "open" open,
            "close" close,
            "free" free,
            "control" control,
            "read" read,
            "write" write,
            "select" select,
            "deselect" deselect,
            "readv" readv,
            "writev" writev,
        }
        "net_hardware_address" net_hardware_address {
            "data" data,
            "length" length,
        }
        "net_device" net_device {
            "module" module,
            "name" name,
            "index" index,
            "flags" flags,
            "type" r#type,
            "mtu" mtu,
            "media" media,
            "link_speed" link_speed,
            "link_quality" link_quality,
            "header_length" header_length,
            "address" address,
            "stats" stats,
        }
        "ifreq_stream_stats" ifreq_stream_stats {
            "packets" packets,
            "errors" errors,
            "bytes" bytes,
            "multicast_packets" multicast_packets,
            "dropped" dropped,
        }
        "ifreq_stats" ifreq_stats {
            "receive" receive,
            "send" send,
            "collisions" collisions,
        }
        "net_device_module_info" net_device_module_info {
            "info" info,
            "init_device" init_device,
            "uninit_device" uninit_device,
            "up" up,
            "down" down,
            "control" control,
            "send_data" send_data,
            "receive_data" receive_data,
            "set_mtu" set_mtu,
            "set_promiscuous" set_promiscuous,
            "set_media" set_media,
            "add_multicast" add_multicast,
            "remove_multicast" remove_multicast,
        }
        "net_buffer" net_buffer {
            "link" link,
            "source" source,
            "destination" destination,
            "interface_address" interface_address,
            "type" r#type,
            "index" r#type,
            "offset" r#type,
            "sequence" r#type,
            "fragment" r#type,
            "msg_flags" msg_flags,
            "size" size,
            "protocol" protocol,
            "buffer_flags" buffer_flags,
        }
        "net_buffer_module_info" net_buffer_module_info {
            "info" info,
            "create" create,
            "free" free,
            "duplicate" duplicate,
            "clone" clone,
            "split" split,
            "merge" merge,
            "prepend_size" prepend_size,
            "prepend" prepend,
            "append_size" append_size,
            "append" append,
            "insert" insert,
            "remove" remove,
            "remove_header" remove_header,
            "remove_trailer" remove_trailer,
            "trim" trim,
            "append_cloned" append_cloned,
            "associate_data" associate_data,
            "set_ancillary_data" set_ancillary_data,
            "get_ancillary_data" get_ancillary_data,
            "transfer_ancillary_data" transfer_ancillary_data,
            "store_header" store_header,
            "stored_header_length" stored_header_length,
            "restore_header" restore_header,
            "append_restored_header" append_restored_header,
            "direct_access" direct_access,
            "read" read,
            "write" write,
            "checksum" checksum,
            "get_memory_map" get_memory_map,
            "get_iovecs" get_iovecs,
            "count_iovecs" count_iovecs,
            "swap_addresses" swap_addresses,
            "dump" dump,
        }
        "net_stack_module_info" net_stack_module_info {
            "info" info,
            "register_domain" register_domain,
            "unregister_domain" unregister_domain,
            "get_domain" get_domain,
            "register_domain_protocols" register_domain_protocols,
            "register_domain_datalink_protocols" register_domain_datalink_protocols,
            "register_domain_receiving_protocol" register_domain_receiving_protocol,
            "get_domain_receiving_protocol" get_domain_receiving_protocol,
            "put_domain_receiving_protocol" put_domain_receiving_protocol,
            "register_device_deframer" register_device_deframer,
            "unregister_device_deframer" unregister_device_deframer,
            "register_domain_device_handler" register_domain_device_handler,
            "register_device_handler" register_device_handler,
            "unregister_device_handler" unregister_device_handler,
            "register_device_monitor" register_device_monitor,
            "unregister_device_monitor" unregister_device_monitor,
            "device_link_changed" device_link_changed,
            "device_removed" device_removed,
            "device_enqueue_buffer" device_enqueue_buffer,
            "notify_socket" notify_socket,
            "checksum" checksum,
            "init_fifo" init_fifo,
            "uninit_fifo" uninit_fifo,
            "fifo_enqueue_buffer" fifo_enqueue_buffer,
            "fifo_dequeue_buffer" fifo_dequeue_buffer,
            "clear_fifo" clear_fifo,
            "init_timer" init_timer,
            "set_timer" set_timer,
            "cancel_timer" cancel_timer,
            "wait_for_timer" wait_for_timer,
            "is_timer_active" is_timer_active,
            "is_timer_running" is_timer_running,
            "is_syscall" is_syscall,
            "is_restarted_syscall" is_restarted_syscall,
        }
        "net_device_monitor" net_device_monitor {
            "link" link,
            "cookie" cookie,
            "receive" receive,
            "event" event,
        }
        "list_link" list_link {
        }
        "list" list {
        }
        "sockaddr_dl" sockaddr_dl {
            "sdl_len" sdl_len,
            "sdl_family" sdl_family,
            "sdl_e_type" sdl_e_type,
            "sdl_index" sdl_index,
            "sdl_type" sdl_type,
            "sdl_nlen" sdl_nlen,
            "sdl_alen" sdl_alen,
            "sdl_slen" sdl_slen,
            "sdl_data" sdl_data,
        }
        "sockaddr" sockaddr {
            "sa_len" sa_len,
            "sa_family" sa_family,
            "sa_data" sa_data,
        }
        "sockaddr_storage" sockaddr_storage {
        }
        "sockaddr_in" sockaddr_in {
            "sin_len" sin_len,
            "sin_family" sin_family,
            "sin_port" sin_port,
            "sin_addr" sin_addr,
        }
        "sockaddr_in6" sockaddr_in6 {
            "sin6_len" sin6_len,
            "sin6_family" sin6_family,
            "sin6_port" sin6_port,
            "sin6_flowinfo" sin6_flowinfo,
            "sin6_addr" sin6_addr,
            "sin6_scope_id" sin6_scope_id,
        }
        "ifreq" ifreq {
            "ifr_name" ifr_name,
            "ifr_addr" u.ifr_addr,
            "ifr_stats" u.ifr_stats,
            "ifr_flags" u.ifr_flags,
            "ifr_mtu" u.ifr_mtu,
            "ifr_index" u.ifr_index,
            "ifr_media" u.ifr_media,
            "ifr_data" u.ifr_data,
            "ifr_route" u.ifr_route,
        }
        "ifaliasreq" ifaliasreq {
            "ifra_name" ifra_name,
            "ifra_index" ifra_index,
            "ifra_addr" ifra_addr,
            "ifra_broadaddr" ifra_destination,
            "ifra_destination" ifra_destination,
            "ifra_mask" ifra_mask,
            "ifra_flags" ifra_flags,
        }
        "route_entry" route_entry {
            "destination" destination,
            "mask" mask,
            "gateway" gateway,
            "source" source,
            "flags" flags,
            "mtu" mtu,
        }
        "iovec" iovec {
        }
        "spinlock" spinlock {
        }
        "cpu_status" cpu_status {
        }
        "bigtime_t" bigtime_t {
        }
        "off_t" off_t {
        }
        "size_t" usize {
        }
        "sem_id" sem_id {
        }
        "thread_id" thread_id {
        }
        "area_id" area_id {
        }
        "team_id" team_id {
        }
        "status_t" status_t {
        }
        "bool" bool {
        }
        "net_datalink_module_info" net_datalink_module_info {
            "info" info,
            "control" control,
            "send_routed_data" send_routed_data,
            "send_data" send_data,
            "is_local_address" is_local_address,
            "is_local_link_address" is_local_link_address,
            "get_interface" get_interface,
            "get_interface_with_address" get_interface_with_address,
            "put_interface" put_interface,
            "get_interface_address" get_interface_address,
            "get_next_interface_address" get_next_interface_address,
            "put_interface_address" put_interface_address,
            "join_multicast" join_multicast,
            "leave_multicast" leave_multicast,
            "add_route" add_route,
            "remove_route" remove_route,
            "get_route" get_route,
            "get_buffer_route" get_buffer_route,
            "put_route" put_route,
        }
        "net_route" net_route {
            "destination" destination,
            "mask" mask,
            "gateway" gateway,
            "flags" flags,
            "mtu" mtu,
            "interface_address" interface_address,
        }
        "net_interface_address" net_interface_address {
            "domain" domain,
            "interface" interface,
            "local" local,
            "destination" destination,
            "mask" mask,
        }
        "net_interface" net_interface {
            "device" device,
            "name" name,
            "index" index,
            "flags" flags,
            "type" r#type,
            "metric" metric,
        }
        "driver_settings" driver_settings {
            "parameter_count" parameter_count,
            "parameters" parameters,
        }
        "driver_parameter" driver_parameter {
            "name" name,
            "value_count" value_count,
            "values" values,
            "parameter_count" parameter_count,
            "parameters" parameters,
        }
    }
    layouts
}

/// Structs that grow at the end from one release to the next: ours may end where the listed entries end.
const GROWING: &[&str] = &["net_stack_module_info", "net_datalink_module_info"];
/// Listed because other drivers need them; this project has no use for them.
const UNUSED: &[&str] = &["device_module_info"];

#[test]
fn every_layout_is_that_of_the_headers() {
    let figures = figures();
    let layouts = layouts();
    for (name, expected) in figures["structs"].as_object().expect("structs") {
        if UNUSED.contains(&name.as_str()) {
            continue;
        }
        let layout = layouts.get(name.as_str()).unwrap_or_else(|| panic!("{name} is missing from haiku-sys"));
        let figure = |value: &Value| usize::try_from(value.as_u64().expect("a figure")).expect("it fits");
        if GROWING.contains(&name.as_str()) {
            assert!(layout.size <= figure(&expected["size"]), "{name} ends after the real one");
        } else {
            assert_eq!(layout.size, figure(&expected["size"]), "size of {name}");
        }
        assert_eq!(layout.align, figure(&expected["align"]), "alignment of {name}");
        let fields = expected["fields"].as_object().expect("fields");
        let names: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        let ours: BTreeSet<&str> = layout.fields.keys().copied().collect();
        assert_eq!(ours, names, "fields of {name}");
        for (field, expected) in fields {
            let ours = layout.fields[field.as_str()];
            let theirs = (figure(&expected["offset"]), figure(&expected["size"]));
            assert_eq!(ours, theirs, "offset and size of {name}.{field}");
        }
    }
}

#[test]
fn every_constant_is_that_of_the_headers() {
    let figures = figures();
    let mut ours: BTreeMap<&str, i64> = CONSTANTS.iter().map(|&(name, value)| (name, i64::from(value))).collect();
    ours.extend(ERRORS.iter().map(|&(name, value)| (name, i64::from(value))));
    ours.insert("B_OK", i64::from(B_OK));
    ours.insert("B_INFINITE_TIMEOUT", B_INFINITE_TIMEOUT);
    ours.insert("B_NET_FRAME_TYPE(IFT_ETHER,0x0806)", i64::from(B_NET_FRAME_TYPE(IFT_ETHER, 0x0806)));
    for (name, value) in figures["constants"].as_object().expect("constants") {
        let ours = ours.remove(name.as_str()).unwrap_or_else(|| panic!("{name} is missing from haiku-sys"));
        assert_eq!(ours, value.as_i64().expect("an integer"), "{name}");
    }
    assert!(ours.is_empty(), "constants without a measured value: {ours:?}");
}

#[test]
fn module_names_are_those_of_the_headers() {
    let names = &figures()["module_names"];
    assert_eq!(names["stack"], NET_STACK_MODULE_NAME.to_str().expect("ASCII"));
    assert_eq!(names["buffer"], NET_BUFFER_MODULE_NAME.to_str().expect("ASCII"));
    assert_eq!(names["datalink"], NET_DATALINK_MODULE_NAME.to_str().expect("ASCII"));
}

#[test]
fn a_kernel_lock_fits_its_opaque_block() {
    assert_eq!((size_of::<recursive_lock>(), align_of::<recursive_lock>()), (64, 8));
}
