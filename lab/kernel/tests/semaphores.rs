//! Semaphores as drivers meet them.

mod common;

use common::{Program, boot, panics};
use haiku_kernel::{Fault, FaultPlan, fault, thread};
use haiku_sys::*;

fn create(count: i32) -> sem_id {
    // SAFETY: a C string.
    unsafe { create_sem(count, c"test".as_ptr()) }
}

fn delete(id: sem_id) -> status_t {
    // SAFETY: a call of the kernel, which judges its arguments.
    unsafe { delete_sem(id) }
}

fn acquire(id: sem_id, count: i32, flags: u32, timeout: i64) -> status_t {
    // SAFETY: as above.
    unsafe { acquire_sem_etc(id, count, flags, timeout) }
}

fn release(id: sem_id, count: i32, flags: u32) -> status_t {
    // SAFETY: as above.
    unsafe { release_sem_etc(id, count, flags) }
}

#[test]
fn counts_are_taken_and_given() {
    let kernel = boot();
    let id = create(2);
    assert_eq!(acquire(id, 1, 0, 0), B_OK);
    assert_eq!(acquire(id, 2, B_RELATIVE_TIMEOUT, 0), B_WOULD_BLOCK);
    assert_eq!(release(id, 1, 0), B_OK);
    assert_eq!(acquire(id, 2, B_RELATIVE_TIMEOUT, 0), B_OK);
    assert_eq!(acquire(id, 1, B_ABSOLUTE_TIMEOUT, -1), B_TIMED_OUT);
    assert_eq!(acquire(id, 1, B_ABSOLUTE_TIMEOUT, 0), B_TIMED_OUT);
    assert_eq!(acquire(id, 1, B_RELATIVE_TIMEOUT, 1), B_TIMED_OUT);
    assert_eq!(delete(id), B_OK);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn wrong_arguments_are_refused() {
    let kernel = boot();
    assert_eq!(create(-1), B_BAD_VALUE);
    let id = create(0);
    assert_eq!(acquire(id, 0, 0, 0), B_BAD_VALUE);
    assert_eq!(acquire(id, 1, B_RELATIVE_TIMEOUT | B_ABSOLUTE_TIMEOUT, 0), B_BAD_VALUE);
    assert_eq!(release(id, 0, 0), B_BAD_VALUE);
    assert_eq!(delete(id), B_OK);
    for id in [id, -1, i32::MAX] {
        assert_eq!((acquire(id, 1, 0, 0), release(id, 1, 0), delete(id)), (B_BAD_SEM_ID, B_BAD_SEM_ID, B_BAD_SEM_ID));
    }
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_deleted_id_does_not_come_back_at_once() {
    let kernel = boot();
    let first = create(0);
    delete(first);
    let second = create(0);
    assert_ne!(second, first);
    assert_eq!(release(first, 1, 0), B_BAD_SEM_ID);
    delete(second);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_release_wakes_the_longest_waiting_first() {
    let kernel = boot();
    let (id, order) = (create(0), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let waiters: Vec<_> = (0..3)
        .map(|number| {
            let order = order.clone();
            Program::blocked(move || {
                let status = acquire(id, 1, 0, 0);
                order.lock().unwrap().push(number);
                status
            })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(release(id, 1, 0), B_OK);
        assert_eq!(waiter.join(), B_OK);
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    delete(id);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_waiter_for_a_large_count_blocks_one_for_a_small_count() {
    let kernel = boot();
    let id = create(0);
    let much = Program::blocked(move || acquire(id, 3, 0, 0));
    let little = Program::blocked(move || acquire(id, 1, B_CAN_INTERRUPT, 0));
    release(id, 2, 0);
    thread::until_blocked(much.id).unwrap();
    thread::until_blocked(little.id).unwrap();
    release(id, 2, 0);
    assert_eq!(much.join(), B_OK);
    // One is left over, but on Haiku it wakes no waiter before the next release.
    thread::until_blocked(little.id).unwrap();
    release(id, 1, 0);
    assert_eq!(little.join(), B_OK);
    assert_eq!(acquire(id, 1, B_RELATIVE_TIMEOUT, 0), B_OK);
    assert_eq!(acquire(id, 1, B_RELATIVE_TIMEOUT, 0), B_WOULD_BLOCK);
    delete(id);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn an_interrupted_waiter_makes_way_for_those_behind() {
    let kernel = boot();
    let id = create(0);
    let much = Program::blocked(move || acquire(id, 3, B_CAN_INTERRUPT, 0));
    let little = Program::blocked(move || acquire(id, 1, 0, 0));
    release(id, 1, 0);
    thread::signal(much.id).unwrap();
    assert_eq!((much.join(), little.join()), (B_INTERRUPTED, B_OK));
    assert_eq!(acquire(id, 1, B_RELATIVE_TIMEOUT, 0), B_WOULD_BLOCK);
    delete(id);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn deletion_wakes_every_waiter() {
    let kernel = boot();
    let id = create(0);
    let waiters: Vec<_> = (0..3).map(|_| Program::blocked(move || acquire(id, 1, 0, 0))).collect();
    assert_eq!(delete(id), B_OK);
    for waiter in waiters {
        assert_eq!(waiter.join(), B_BAD_SEM_ID);
    }
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_pending_signal_ends_only_waits_that_let_it_and_only_if_they_wait() {
    let kernel = boot();
    let id = create(1);
    Program::start(move || {
        thread::signal(thread::current()).unwrap();
        assert_eq!(acquire(id, 1, B_CAN_INTERRUPT, 0), B_OK);
        assert_eq!(acquire(id, 1, B_CAN_INTERRUPT, 0), B_INTERRUPTED);
        assert_eq!(acquire(id, 1, B_KILL_CAN_INTERRUPT | B_RELATIVE_TIMEOUT, 1), B_TIMED_OUT);
        assert_eq!(acquire(id, 1, B_RELATIVE_TIMEOUT, 1), B_TIMED_OUT);
        thread::kill(thread::current()).unwrap();
        assert_eq!(acquire(id, 1, B_KILL_CAN_INTERRUPT, 0), B_INTERRUPTED);
    })
    .join();
    delete(id);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn faults_hit_creation_and_waits() {
    let kernel = boot();
    fault::arm(FaultPlan::Nth(Fault::CreateSem, 2));
    let id = create(0);
    assert!(id >= 0);
    assert_eq!(create(0), B_NO_MORE_SEMS);
    fault::arm(FaultPlan::Nth(Fault::Signal, 1));
    assert_eq!(acquire(id, 1, B_CAN_INTERRUPT, 0), B_INTERRUPTED);
    assert_eq!(fault::fired(), Some(Fault::Signal));
    assert_eq!(acquire(id, 1, B_CAN_INTERRUPT | B_RELATIVE_TIMEOUT, 1), B_TIMED_OUT);
    delete(id);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_ping_pong_of_many_rounds_loses_no_wake() {
    let kernel = boot();
    let (there, back) = (create(0), create(0));
    let other = Program::start(move || {
        for _ in 0..20_000 {
            assert_eq!(acquire(there, 1, 0, 0), B_OK);
            assert_eq!(release(back, 1, B_DO_NOT_RESCHEDULE), B_OK);
        }
    });
    for _ in 0..20_000 {
        assert_eq!(release(there, 1, 0), B_OK);
        assert_eq!(acquire(back, 1, B_CAN_INTERRUPT, 0), B_OK);
    }
    other.join();
    delete(there);
    delete(back);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn acquiring_with_interrupts_disabled_stops_the_kernel() {
    panics(
        "acquiring_with_interrupts_disabled_stops_the_kernel",
        "switch_sem_etc: called with interrupts disabled",
        || {
            let id = create(1);
            // SAFETY: a call of the kernel.
            unsafe { disable_interrupts() };
            acquire(id, 1, 0, 0);
        },
    );
}

#[test]
fn releasing_with_interrupts_disabled_needs_a_flag() {
    let kernel = boot();
    let id = create(0);
    // SAFETY: a call of the kernel.
    let state = unsafe { disable_interrupts() };
    assert_eq!(release(id, 1, B_DO_NOT_RESCHEDULE), B_OK);
    // SAFETY: as above.
    unsafe { restore_interrupts(state) };
    delete(id);
    assert!(kernel.shutdown().is_zero());
    panics(
        "releasing_with_interrupts_disabled_needs_a_flag",
        "called with interrupts disabled and rescheduling",
        || {
            let id = create(0);
            // SAFETY: as above.
            unsafe { disable_interrupts() };
            release(id, 1, 0);
        },
    );
}
