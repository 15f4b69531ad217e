//! poll, select, observers, and the pools behind them.

mod common;

use common::toy::{self, events, notify_last};
use common::{Program, boot, panics};
use core::ptr::null_mut;
use haiku_kernel::devfs::{Observer, observe};
use haiku_kernel::syscalls::{self, Fd, FdSet, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PollFd};
use haiku_kernel::{Fault, FaultPlan, Kernel, fault, thread};
use haiku_sys::*;
use std::sync::{Arc, Mutex};

fn start() -> (Kernel, Fd) {
    let kernel = boot();
    kernel.install("toy", toy::exports(&["toy/0", "toy/1"])).unwrap();
    let fd = syscalls::open("/dev/toy/0", O_RDWR | O_NONBLOCK).unwrap();
    events();
    (kernel, fd)
}

fn entry(fd: Fd, events: u16) -> PollFd {
    PollFd { fd, events, revents: 0 }
}

/// A poll of one descriptor: the count, or the error, and what happened.
fn poll(fd: Fd, events: u16, timeout: i64) -> (Result<usize, status_t>, u16) {
    let mut fds = [entry(fd, events)];
    (syscalls::poll(&mut fds, timeout), fds[0].revents)
}

fn set(fds: &[Fd]) -> FdSet {
    let mut set = FdSet::default();
    fds.iter().for_each(|&fd| set.insert(fd));
    set
}

#[test]
fn poll_reports_events_that_already_hold() {
    let (kernel, fd) = start();
    assert_eq!(poll(fd, POLLOUT, -1), (Ok(1), POLLOUT));
    assert_eq!(poll(fd, POLLIN, 0), (Ok(0), 0));
    syscalls::write(fd, b"x").unwrap();
    assert_eq!(poll(fd, POLLIN | POLLOUT, -1), (Ok(1), POLLIN | POLLOUT));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn poll_selects_waits_and_deselects_errors_and_hang_ups_always() {
    let (kernel, fd) = start();
    let mut fds = [entry(fd, POLLIN)];
    assert_eq!(syscalls::poll(&mut fds, 0), Ok(0));
    assert_eq!(events(), ["select 1 0", "select 3 0", "select 8 0", "deselect 1", "deselect 3", "deselect 8"]);
    // Haiku gives the caller its additions back.
    assert_eq!(fds[0].events, POLLIN | POLLERR | POLLHUP | POLLNVAL);
    assert_eq!(kernel.ledgers().select_pools, 0);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_waiting_poll_is_woken_by_a_notification() {
    let (kernel, fd) = start();
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    syscalls::write(fd, b"x").unwrap();
    assert_eq!(poller.join(), (Ok(1), POLLIN));
    syscalls::read(fd, &mut [0]).unwrap();
    let poller = Program::blocked(move || poll(fd, POLLIN, 10_000_000));
    notify_last(B_SELECT_ERROR as u8);
    assert_eq!(poller.join(), (Ok(1), POLLERR));
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    // An event that was not asked for wakes no waiter.
    notify_last(B_SELECT_WRITE as u8);
    thread::until_blocked(poller.id).unwrap();
    notify_last(B_SELECT_DISCONNECTED as u8);
    assert_eq!(poller.join(), (Ok(1), POLLHUP));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_poll_that_waits_ends_with_its_timeout() {
    let (kernel, fd) = start();
    assert_eq!(poll(fd, POLLIN, 1), (Ok(0), 0));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_signal_interrupts_poll_and_select() {
    let (kernel, fd) = start();
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    thread::signal(poller.id).unwrap();
    assert_eq!(poller.join(), (Err(B_INTERRUPTED), 0));
    let selector = Program::blocked(move || {
        let mut read = set(&[fd]);
        (syscalls::select(fd + 1, Some(&mut read), None, None, -1), read.contains(fd))
    });
    thread::signal(selector.id).unwrap();
    assert_eq!(selector.join(), (Err(B_INTERRUPTED), true));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn an_invalid_descriptor_is_reported_without_waiting() {
    let (kernel, fd) = start();
    let mut fds = [entry(fd, POLLIN), entry(99, POLLIN), entry(-1, POLLIN)];
    assert_eq!(syscalls::poll(&mut fds, -1), Ok(1));
    assert_eq!(fds.map(|entry| entry.revents), [0, POLLNVAL, 0]);
    assert_eq!(syscalls::poll(&mut vec![entry(fd, 0); 257], 0), Err(B_BAD_VALUE));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn closing_a_polled_descriptor_ends_the_poll() {
    let (kernel, fd) = start();
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    events();
    syscalls::close(fd).unwrap();
    assert_eq!(poller.join(), (Ok(1), POLLNVAL));
    assert_eq!(events(), ["deselect 1", "deselect 3", "deselect 8", "close toy/0", "free toy/0"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn closing_a_duplicate_leaves_the_other_number_polled() {
    let (kernel, fd) = start();
    let copy = syscalls::dup(fd).unwrap();
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    syscalls::close(copy).unwrap();
    thread::until_blocked(poller.id).unwrap();
    syscalls::write(fd, b"x").unwrap();
    assert_eq!(poller.join(), (Ok(1), POLLIN));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn replacing_a_polled_number_ends_the_poll() {
    let (kernel, fd) = start();
    let other = syscalls::open("/dev/toy/1", O_RDWR).unwrap();
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    syscalls::dup2(other, fd).unwrap();
    assert_eq!(poller.join(), (Ok(1), POLLNVAL));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn many_polls_of_one_node_are_all_woken() {
    let (kernel, fd) = start();
    let pollers: Vec<_> = (0..3).map(|_| Program::blocked(move || poll(fd, POLLIN, -1))).collect();
    syscalls::write(fd, b"x").unwrap();
    for poller in pollers {
        assert_eq!(poller.join(), (Ok(1), POLLIN));
    }
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn select_reports_by_set() {
    let (kernel, fd) = start();
    let (mut read, mut write) = (set(&[fd]), set(&[fd]));
    assert_eq!(syscalls::select(fd + 1, Some(&mut read), Some(&mut write), None, -1), Ok(1));
    assert!(read.is_empty() && write.contains(fd));
    syscalls::write(fd, b"x").unwrap();
    let (mut read, mut error) = (set(&[fd]), set(&[fd]));
    assert_eq!(syscalls::select(fd + 1, Some(&mut read), None, Some(&mut error), -1), Ok(1));
    assert!(read.contains(fd) && error.is_empty());
    let mut read = set(&[fd]);
    syscalls::read(fd, &mut [0]).unwrap();
    assert_eq!(syscalls::select(fd + 1, Some(&mut read), None, None, 0), Ok(0));
    assert!(read.is_empty());
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn select_refuses_what_is_no_descriptor() {
    let (kernel, fd) = start();
    let mut read = set(&[fd, 9]);
    assert_eq!(syscalls::select(10, Some(&mut read), None, None, -1), Err(B_FILE_ERROR));
    assert_eq!(syscalls::select(-1, None, None, None, -1), Err(B_BAD_VALUE));
    assert_eq!(syscalls::select(0, None, None, None, 1), Ok(0));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_hang_up_makes_select_readable_and_an_error_all_three() {
    let (kernel, fd) = start();
    for (event, expected) in [(B_SELECT_DISCONNECTED, (1, [true, false])), (B_SELECT_ERROR, (2, [true, true]))] {
        let selector = Program::blocked(move || {
            let (mut read, mut error) = (set(&[fd]), set(&[fd]));
            let count = syscalls::select(fd + 1, Some(&mut read), None, Some(&mut error), -1).unwrap();
            (count, [read.contains(fd), error.contains(fd)])
        });
        notify_last(event as u8);
        assert_eq!(selector.join(), expected);
    }
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_driver_that_refuses_an_event_is_not_waited_for() {
    let (kernel, fd) = start();
    toy::toy().select_status = B_NO_MEMORY;
    assert_eq!(poll(fd, POLLIN, 1), (Ok(0), 0));
    // One that says it does not support it counts as ready.
    toy::toy().select_status = B_UNSUPPORTED;
    assert_eq!(poll(fd, POLLIN | POLLOUT, -1), (Ok(1), POLLIN | POLLOUT));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_nth_pool_entry_fails_and_poll_goes_on_with_the_others() {
    let (kernel, fd) = start();
    fault::arm(FaultPlan::Nth(Fault::SelectPoolEntry, 1));
    let poller = Program::blocked(move || poll(fd, POLLIN, -1));
    syscalls::write(fd, b"x").unwrap();
    thread::until_blocked(poller.id).unwrap();
    notify_last(B_SELECT_ERROR as u8);
    assert_eq!(poller.join(), (Ok(1), POLLERR));
    fault::arm(FaultPlan::Nth(Fault::CreateSem, 1));
    assert_eq!(poll(fd, POLLIN, -1), (Err(B_NO_MORE_SEMS), 0));
    assert!(kernel.shutdown().is_zero());
}

fn watch(fd: Fd, events: u16) -> (Observer, Arc<Mutex<Vec<u16>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    (observe(fd, events, move |events| log.lock().unwrap().push(events)).unwrap(), seen)
}

#[test]
fn an_observer_gets_every_notification_until_it_is_dropped() {
    let (kernel, fd) = start();
    let (observer, seen) = watch(fd, POLLIN | POLLOUT);
    assert_eq!(*seen.lock().unwrap(), [POLLOUT]);
    syscalls::write(fd, b"x").unwrap();
    syscalls::write(fd, b"y").unwrap();
    assert_eq!(*seen.lock().unwrap(), [POLLOUT, POLLIN, POLLIN]);
    drop(observer);
    syscalls::write(fd, b"z").unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn an_observer_is_notified_of_the_close() {
    let (kernel, fd) = start();
    let (observer, seen) = watch(fd, POLLIN);
    syscalls::close(fd).unwrap();
    assert_eq!(*seen.lock().unwrap(), [POLLNVAL]);
    drop(observer);
    assert_eq!(observe(fd, POLLIN, |_| ()).unwrap_err(), B_FILE_ERROR);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn pools_are_made_with_their_first_entry_and_deleted_with_their_last() {
    let kernel = boot();
    let mut pool = null_mut();
    let sync = 8 as *mut selectsync;
    // SAFETY: a pool of the test's; its entry is never notified.
    let add = |pool: &mut *mut select_sync_pool, event| unsafe { add_select_sync_pool_entry(pool, sync, event) };
    // SAFETY: as above.
    let remove = |pool: &mut *mut select_sync_pool, event| unsafe { remove_select_sync_pool_entry(pool, sync, event) };
    assert_eq!(remove(&mut pool, 1), B_ENTRY_NOT_FOUND);
    assert_eq!((add(&mut pool, 1), add(&mut pool, 1), add(&mut pool, 2)), (B_OK, B_OK, B_OK));
    assert_eq!(kernel.ledgers().select_pools, 1);
    // SAFETY: as above; no select waits for this event.
    unsafe { notify_select_event_pool(pool, 3) };
    assert_eq!(remove(&mut pool, 1), B_OK);
    assert_eq!(remove(&mut pool, 1), B_OK);
    assert!(!pool.is_null());
    assert_eq!(remove(&mut pool, 2), B_OK);
    assert!(pool.is_null());
    fault::arm(FaultPlan::Nth(Fault::SelectPoolEntry, 1));
    assert_eq!(add(&mut pool, 1), B_NO_MEMORY);
    assert!(pool.is_null());
    add(&mut pool, 1);
    // SAFETY: the test's pool, and null.
    unsafe { delete_select_sync_pool(pool) };
    // SAFETY: as above.
    unsafe { delete_select_sync_pool(null_mut()) };
    // SAFETY: as above.
    assert_eq!(unsafe { notify_select_event(null_mut(), 1) }, B_BAD_VALUE);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_notification_after_the_deselection_stops_the_kernel() {
    panics("a_notification_after_the_deselection_stops_the_kernel", "has ended, and its memory is reused", || {
        static SYNC: Mutex<usize> = Mutex::new(0);
        unsafe extern "C" fn keep(_: *mut core::ffi::c_void, _: u8, _: u32, sync: *mut selectsync) -> status_t {
            *SYNC.lock().unwrap() = sync as usize;
            B_OK
        }
        unsafe extern "C" fn find(_: *const core::ffi::c_char) -> *mut device_hooks {
            Box::leak(Box::new(device_hooks { select: Some(keep), deselect: None, ..toy::HOOKS }))
        }
        let kernel = boot();
        let exports = haiku_kernel::Exports { find_device: Some(find), ..toy::exports(&["toy/0"]) };
        kernel.install("toy", exports).unwrap();
        let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
        let _ = poll(fd, POLLIN, 0);
        // SAFETY: none; this is the fault to be found.
        unsafe { notify_select_event(*SYNC.lock().unwrap() as *mut _, B_SELECT_READ as u8) };
    });
}

#[test]
fn a_node_that_vanishes_under_a_poll_stops_the_kernel_at_the_close() {
    panics(
        "a_node_that_vanishes_under_a_poll_stops_the_kernel_at_the_close",
        "Haiku calls deselect through a null pointer",
        || {
            let (_kernel, fd) = start();
            let _poller = Program::blocked(move || poll(fd, POLLIN, -1));
            toy::publish(&["toy/1"]);
            // SAFETY: a C string.
            unsafe { devfs_rescan_driver(c"toy".as_ptr()) };
            let _ = syscalls::close(fd);
        },
    );
}

#[test]
fn notifying_with_interrupts_disabled_stops_the_kernel() {
    panics(
        "notifying_with_interrupts_disabled_stops_the_kernel",
        "notify_select_event_pool(): called with interrupts disabled",
        || {
            // SAFETY: a call of the kernel.
            unsafe { disable_interrupts() };
            // SAFETY: a null pool is allowed.
            unsafe { notify_select_event_pool(null_mut(), 1) };
        },
    );
}
