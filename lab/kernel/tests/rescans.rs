//! Rescans: nodes and drivers that go while programs have them open.

mod common;

use common::toy::{self, TOY_NOTHING, events, names, rescan, start};
use common::{Program, boot, panics};
use haiku_kernel::{Exports, syscalls, thread};
use haiku_sys::*;

#[test]
fn a_vanished_node_is_closed_at_once_if_no_call_is_inside() {
    let kernel = start(&["toy/0", "toy/1"]);
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    events();
    rescan(&["toy/1"]);
    assert_eq!(events(), ["close toy/0", "free toy/0"]);
    assert_eq!(syscalls::read(fd, &mut [0]), Err(B_FILE_ERROR));
    assert_eq!(syscalls::ioctl(fd, TOY_NOTHING, 0, 0), Err(B_FILE_ERROR));
    assert_eq!(syscalls::dup(fd), Err(B_FILE_ERROR));
    // The number is taken until the program closes it, and nothing is called again.
    syscalls::close(fd).unwrap();
    assert_eq!(events(), Vec::<String>::new());
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_vanished_node_does_not_wake_its_reader() {
    let kernel = start(&["toy/0", "toy/1"]);
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    let reader = Program::blocked(move || syscalls::read(fd, &mut [0; 8]));
    events();
    rescan(&["toy/1"]);
    assert_eq!(events(), Vec::<String>::new());
    thread::until_blocked(reader.id).unwrap();
    syscalls::close(fd).unwrap();
    assert_eq!(reader.join(), Err(B_FILE_ERROR));
    assert_eq!(events(), ["close toy/0", "free toy/0"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_reader_of_a_vanished_node_closes_it_as_it_leaves() {
    let kernel = start(&["toy/0", "toy/1"]);
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    let reader = Program::blocked(move || syscalls::read(fd, &mut [0; 8]));
    rescan(&["toy/1"]);
    events();
    thread::signal(reader.id).unwrap();
    assert_eq!(reader.join(), Err(B_INTERRUPTED));
    assert_eq!(events(), ["close toy/0", "free toy/0"]);
    syscalls::close(fd).unwrap();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_node_forgets_its_driver_with_the_first_last_close() {
    let kernel = start(&["toy/0", "toy/1"]);
    let path = |fd| syscalls::ioctl(fd, syscalls::B_GET_DRIVER_FOR_DEVICE, 0, 0);
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    assert_ne!(path(fd), Err(ENODEV));
    syscalls::close(fd).unwrap();
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    assert_eq!(path(fd), Err(ENODEV));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_driver_without_nodes_stays_while_haiku_counts_an_open() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    let reader = Program::blocked(move || syscalls::read(fd, &mut [0; 8]));
    events();
    rescan(&[]);
    assert_eq!(events(), Vec::<String>::new());
    syscalls::close(fd).unwrap();
    reader.join().unwrap_err();
    assert_eq!(events(), ["close toy", "free toy", "uninit"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn unloading_a_driver_under_an_open_that_haiku_does_not_count_stops_the_kernel() {
    panics(
        "unloading_a_driver_under_an_open_that_haiku_does_not_count_stops_the_kernel",
        "the driver toy was unloaded while 1 descriptor(s) of it are open",
        || {
            let _kernel = start(&["toy"]);
            syscalls::close(syscalls::open("/dev/toy", O_RDWR).unwrap()).unwrap();
            let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
            let _reader = Program::blocked(move || syscalls::read(fd, &mut [0; 8]));
            rescan(&[]);
        },
    );
}

#[test]
fn a_rescan_from_a_hook_that_a_rescan_called_stops_the_kernel() {
    panics(
        "a_rescan_from_a_hook_that_a_rescan_called_stops_the_kernel",
        "Haiku goes on with a list that has changed under it",
        || {
            let _kernel = start(&["toy/0", "toy/1", "toy/2"]);
            syscalls::open("/dev/toy/0", O_RDWR).unwrap();
            toy::toy().on_free = Some(|_| {
                rescan(&["toy/2"]);
            });
            rescan(&["toy/2"]);
        },
    );
}

#[test]
fn a_rescan_from_free_is_fine_otherwise() {
    let kernel = start(&["toy/0", "toy/1"]);
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    toy::toy().on_free = Some(|_| {
        rescan(&["toy/1"]);
    });
    syscalls::close(fd).unwrap();
    assert_eq!(names("toy"), ["1"]);
    toy::toy().on_free = None;
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_rescan_from_init_driver_stops_the_kernel() {
    panics("a_rescan_from_init_driver_stops_the_kernel", "Haiku loads it again and again", || {
        unsafe extern "C" fn init() -> status_t {
            rescan(&["toy"])
        }
        let kernel = boot();
        let _ = kernel.install("toy", Exports { init_driver: Some(init), ..toy::exports(&["toy"]) });
    });
}
