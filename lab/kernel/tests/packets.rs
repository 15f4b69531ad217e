//! The packet module, as drivers and the stack use it.

mod common;

use common::{boot, panics};
use haiku_kernel::{Fault, FaultPlan, Kernel, Options, fault, modules, net_buffer as packets, user};
use haiku_sys::*;

/// What fresh memory holds.
const FRESH: u8 = haiku_kernel::heap::FRESH;

type Buffer = *mut net_buffer;

fn module() -> &'static net_buffer_module_info {
    packets::module()
}

fn create(header_space: usize) -> Buffer {
    // SAFETY: a call of the module.
    unsafe { module().create.unwrap()(header_space) }
}

fn free(buffer: Buffer) {
    // SAFETY: a packet of the test's.
    unsafe { module().free.unwrap()(buffer) };
}

fn append(buffer: Buffer, bytes: &[u8]) -> status_t {
    append_at(buffer, bytes.as_ptr() as usize, bytes.len())
}

fn append_at(buffer: Buffer, address: usize, length: usize) -> status_t {
    // SAFETY: a packet of the test's, and memory that is there or must be refused.
    unsafe { module().append.unwrap()(buffer, address as *const _, length) }
}

fn prepend(buffer: Buffer, bytes: &[u8]) -> status_t {
    // SAFETY: a packet of the test's, and its bytes.
    unsafe { module().prepend.unwrap()(buffer, bytes.as_ptr().cast(), bytes.len()) }
}

fn remove_header(buffer: Buffer, bytes: usize) -> status_t {
    // SAFETY: a packet of the test's.
    unsafe { module().remove_header.unwrap()(buffer, bytes) }
}

fn write(buffer: Buffer, offset: usize, bytes: &[u8]) -> status_t {
    // SAFETY: a packet of the test's, and its bytes.
    unsafe { module().write.unwrap()(buffer, offset, bytes.as_ptr().cast(), bytes.len()) }
}

fn read(buffer: Buffer, offset: usize, length: usize) -> Result<Vec<u8>, status_t> {
    let mut bytes = vec![0; length];
    // SAFETY: a packet of the test's, and room for the bytes.
    match unsafe { module().read.unwrap()(buffer, offset, bytes.as_mut_ptr().cast(), length) } {
        B_OK => Ok(bytes),
        error => Err(error),
    }
}

fn size(buffer: Buffer) -> usize {
    // SAFETY: a live packet.
    unsafe { (*buffer).size as usize }
}

fn content(buffer: Buffer) -> Vec<u8> {
    read(buffer, 0, size(buffer)).unwrap()
}

/// Bytes that differ from their neighbours.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

fn boot_with(node_size: usize) -> Kernel {
    Kernel::boot(Options { net_buffer_node_size: Some(node_size), ..Options::default() }).unwrap()
}

#[test]
fn any_content_comes_back_whatever_the_nodes() {
    for node_size in [packets::MIN_NODE_SIZE, 111, 256, packets::HAIKU_NODE_SIZE] {
        let kernel = boot_with(node_size);
        for length in [0, 1, 7, 8, 9, 100, 1500, 1752, 1753, 4000] {
            let bytes = pattern(length);
            let buffer = create(256);
            let (front, back) = bytes.split_at(length / 3);
            assert_eq!(append(buffer, back), B_OK);
            assert_eq!(prepend(buffer, front), B_OK);
            assert_eq!(content(buffer), bytes);
            for offset in [0, length / 2, length] {
                assert_eq!(read(buffer, offset, length - offset).unwrap(), bytes[offset..]);
            }
            free(buffer);
        }
        assert!(kernel.shutdown().is_zero());
    }
}

#[test]
fn the_front_can_be_cut() {
    for node_size in [packets::MIN_NODE_SIZE, packets::HAIKU_NODE_SIZE] {
        let kernel = boot_with(node_size);
        let bytes = pattern(3000);
        let buffer = create(14);
        append(buffer, &bytes);
        assert_eq!(remove_header(buffer, 14), B_OK);
        assert_eq!(content(buffer), bytes[14..]);
        assert_eq!(remove_header(buffer, 2000), B_OK);
        assert_eq!(prepend(buffer, b"header"), B_OK);
        assert_eq!(append(buffer, b"trailer"), B_OK);
        assert_eq!(content(buffer), [b"header", &bytes[2014..], b"trailer"].concat());
        free(buffer);
        assert!(kernel.shutdown().is_zero());
    }
}

#[test]
fn writing_changes_bytes_in_place() {
    let kernel = boot_with(packets::MIN_NODE_SIZE);
    let buffer = create(0);
    append(buffer, &[0; 40]);
    assert_eq!(write(buffer, 5, &[1; 30]), B_OK);
    assert_eq!(content(buffer), [vec![0; 5], vec![1; 30], vec![0; 5]].concat());
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn ranges_outside_the_packet_are_refused() {
    let kernel = boot();
    let buffer = create(0);
    append(buffer, b"12345");
    assert_eq!(read(buffer, 3, 3), Err(B_BAD_VALUE));
    assert_eq!(read(buffer, 6, 0), Err(B_BAD_VALUE));
    assert_eq!(read(buffer, usize::MAX, 1), Err(B_BAD_VALUE));
    assert_eq!(write(buffer, 5, b"x"), B_BAD_VALUE);
    assert_eq!(remove_header(buffer, 6), B_BAD_VALUE);
    assert_eq!(content(buffer), b"12345");
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_fresh_packet_has_what_haiku_sets_and_patterns_elsewhere() {
    let kernel = boot();
    let buffer = create(0);
    // SAFETY: a live packet.
    let header = unsafe { &*buffer };
    assert!(header.interface_address.is_null());
    assert_eq!((header.size, header.msg_flags, header.buffer_flags, header.r#type), (0, 0, 0, 0));
    assert_eq!(header.protocol, FRESH);
    assert_eq!(header.link.next as usize, usize::from_ne_bytes([FRESH; 8]));
    // SAFETY: the storage of the packet.
    assert_eq!(unsafe { (*header.source).sa_len }, 0);
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_fault_in_one_piece_is_reported_and_the_packet_keeps_the_room() {
    let kernel = boot();
    let buffer = create(256);
    assert_eq!(append_at(buffer, USER_BASE, 1752), B_BAD_ADDRESS);
    assert_eq!(content(buffer), [FRESH; 1752]);
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_fault_in_a_packet_of_several_pieces_is_not_reported_as_on_haiku() {
    let kernel = boot();
    let buffer = create(256);
    let missing = USER_BASE;
    assert_eq!(append_at(buffer, missing, 1753), B_OK);
    assert_eq!(content(buffer), [FRESH; 1753]);
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn room_first_and_then_write_reports_every_fault() {
    let kernel = boot();
    let buffer = create(256);
    let mut place = core::ptr::null_mut();
    // SAFETY: a packet of the test's, and a place for the address.
    let mut append_size = |size| unsafe { module().append_size.unwrap()(buffer, size, &mut place) };
    assert_eq!((append_size(100), append_size(4000)), (B_OK, B_OK));
    assert!(place.is_null(), "the second room is in several pieces");
    assert_eq!(content(buffer), vec![FRESH; 4100]);
    // SAFETY: a packet of the test's; there is nothing at the address.
    assert_eq!(unsafe { module().write.unwrap()(buffer, 0, USER_BASE as *const _, 4100) }, B_BAD_ADDRESS);
    assert_eq!(write(buffer, 0, &pattern(4100)), B_OK);
    assert_eq!(content(buffer), pattern(4100));
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_program_may_be_read_from_and_written_to() {
    let kernel = boot();
    let bytes = pattern(2500);
    let buffer = create(0);
    assert_eq!(append_at(buffer, user::to_user(bytes.as_ptr() as usize), bytes.len()), B_OK);
    let mut back = vec![0; bytes.len()];
    let place = user::to_user(back.as_mut_ptr() as usize);
    // SAFETY: a packet of the test's, and room in the program.
    assert_eq!(unsafe { module().read.unwrap()(buffer, 0, place as *mut _, back.len()) }, B_OK);
    assert_eq!(std::hint::black_box(back), bytes);
    // SAFETY: as above; there is nothing at the address.
    assert_eq!(unsafe { module().read.unwrap()(buffer, 0, USER_BASE as *mut _, 10) }, B_BAD_ADDRESS);
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_nth_call_of_each_kind_fails_and_changes_nothing() {
    let kernel = boot();
    fault::arm(FaultPlan::Nth(Fault::NetBufferCreate, 1));
    assert!(create(0).is_null());
    let buffer = create(0);
    fault::arm(FaultPlan::Nth(Fault::NetBufferAppend, 1));
    assert_eq!((append(buffer, b"a"), append(buffer, b"b")), (B_NO_MEMORY, B_OK));
    fault::arm(FaultPlan::Nth(Fault::NetBufferPrepend, 1));
    assert_eq!((prepend(buffer, b"a"), prepend(buffer, b"c")), (B_NO_MEMORY, B_OK));
    fault::arm(FaultPlan::Nth(Fault::NetBufferRead, 1));
    assert_eq!(read(buffer, 0, 1), Err(B_BAD_ADDRESS));
    assert_eq!(content(buffer), b"cb");
    free(buffer);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_module_is_found_by_its_name() {
    let kernel = boot();
    let table = modules::get(NET_BUFFER_MODULE_NAME).unwrap();
    assert_eq!(table.cast_const().cast(), core::ptr::from_ref(module()));
    assert_eq!(kernel.ledgers().module_references, 1);
    modules::put(NET_BUFFER_MODULE_NAME).unwrap();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn packets_come_and_go_by_the_thousand() {
    let kernel = boot();
    for round in 0..2000 {
        let buffer = create(0);
        append(buffer, &pattern(round));
        assert_eq!(size(buffer), round);
        free(buffer);
    }
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn freeing_twice_stops_the_kernel() {
    panics("freeing_twice_stops_the_kernel", "was freed before", || {
        let buffer = create(0);
        free(buffer);
        free(buffer);
    });
}

#[test]
fn using_a_freed_packet_stops_the_kernel() {
    panics("using_a_freed_packet_stops_the_kernel", "append: the net_buffer", || {
        let buffer = create(0);
        free(buffer);
        append(buffer, b"x");
    });
}

#[test]
fn writing_to_a_freed_packet_is_found() {
    panics("writing_to_a_freed_packet_is_found", "was written at offset", || {
        let kernel = boot();
        let buffer = create(0);
        free(buffer);
        // SAFETY: the memory is kept; this is the fault to be found.
        unsafe { (*buffer).msg_flags = 1 };
        drop(kernel);
    });
}

#[test]
fn changing_the_size_by_hand_stops_the_kernel() {
    panics("changing_the_size_by_hand_stops_the_kernel", "size != sum of its data node sizes (3 vs. 2)", || {
        let buffer = create(0);
        append(buffer, b"ab");
        // SAFETY: a live packet.
        unsafe { (*buffer).size = 3 };
        free(buffer);
    });
}

#[test]
fn prepending_to_an_emptied_packet_stops_the_kernel() {
    panics("prepending_to_an_emptied_packet_stops_the_kernel", "Haiku loses a node here", || {
        let buffer = create(64);
        append(buffer, b"ab");
        remove_header(buffer, 2);
        prepend(buffer, b"x");
    });
}

#[test]
fn a_pointer_to_nowhere_stops_the_kernel() {
    panics("a_pointer_to_nowhere_stops_the_kernel", "page fault: a net_buffer was given the address 0x0", || {
        append_at(create(0), 0, 1);
    });
}

#[test]
fn packets_with_interrupts_disabled_stop_the_kernel() {
    panics("packets_with_interrupts_disabled_stop_the_kernel", "net_buffer create(): called with interrupts", || {
        // SAFETY: a call of the kernel.
        unsafe { disable_interrupts() };
        create(0);
    });
}
