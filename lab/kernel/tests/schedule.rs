//! The deterministic mode: same seed, same run; virtual time; deadlocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use haiku_kernel::schedule::{self, Trace};
use haiku_kernel::sync::{Condvar, Mutex};
use haiku_kernel::{Kernel, Options, Schedule, sem, thread};
use haiku_sys::{B_OK, B_RELATIVE_TIMEOUT, B_TIMED_OUT};

fn boot(seed: u64) -> Kernel {
    Kernel::boot(Options { schedule: Some(Schedule { seed }), ..Options::default() }).unwrap()
}

fn create(count: i32) -> i32 {
    // SAFETY: a C string.
    unsafe { haiku_sys::create_sem(count, c"test".as_ptr()) }
}

fn acquire(id: i32, flags: u32, timeout: i64) -> i32 {
    // SAFETY: a plain call.
    unsafe { haiku_sys::acquire_sem_etc(id, 1, flags, timeout) }
}

fn release(id: i32) {
    // SAFETY: a plain call.
    assert_eq!(unsafe { haiku_sys::release_sem_etc(id, 1, 0) }, B_OK);
}

fn delete(id: i32) {
    // SAFETY: a plain call.
    assert_eq!(unsafe { haiku_sys::delete_sem(id) }, B_OK);
}

/// Threads that compete for a semaphore and for a mutex; who got them, in which order, and the trace.
fn competition(seed: u64) -> (Vec<u32>, Trace) {
    let kernel = boot(seed);
    let (sem, order) = (create(1), Arc::new(Mutex::new(Vec::new())));
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let order = Arc::clone(&order);
            thread::spawn("worker", 10, move || {
                for _ in 0..20 {
                    assert_eq!(acquire(sem, 0, 0), B_OK);
                    order.lock().push(number);
                    release(sem);
                }
                B_OK
            })
        })
        .collect();
    for worker in workers {
        assert_eq!(thread::wait_for(worker), Ok(B_OK));
    }
    delete(sem);
    let (order, trace) = (order.lock().clone(), schedule::trace());
    assert!(kernel.shutdown().is_zero());
    (order, trace)
}

#[test]
fn a_seed_is_the_whole_of_a_run_and_another_one_is_another_run() {
    let first = competition(3);
    assert!(first.1.switches > 10, "{:?}", first.1);
    assert_eq!(first, competition(3));
    let orders: std::collections::BTreeSet<_> = (0..10).map(|seed| competition(seed).0).collect();
    assert!(orders.len() > 5, "ten seeds gave {} orders", orders.len());
}

#[test]
fn time_jumps_to_the_next_deadline_without_waiting() {
    let began = Instant::now();
    let kernel = boot(1);
    let (sem, start) = (create(0), thread::system_time());
    let late = thread::spawn("late", 10, || {
        thread::snooze(7_200_000_000);
        B_OK
    });
    assert_eq!(acquire(sem, B_RELATIVE_TIMEOUT, 3_600_000_000), B_TIMED_OUT);
    assert_eq!(thread::system_time() - start, 3_600_000_000);
    assert_eq!(thread::wait_for(late), Ok(B_OK));
    assert_eq!(thread::system_time() - start, 7_200_000_000);
    delete(sem);
    assert!(kernel.shutdown().is_zero());
    assert!(began.elapsed() < Duration::from_secs(600));
}

#[test]
fn quiet_is_when_all_other_threads_wait() {
    let kernel = boot(5);
    let (sem, done) = (create(0), Arc::new(AtomicU32::new(0)));
    let worker = thread::spawn("worker", 10, {
        let done = Arc::clone(&done);
        move || {
            for _ in 0..3 {
                assert_eq!(acquire(sem, 0, 0), B_OK);
                done.fetch_add(1, Ordering::SeqCst);
            }
            B_OK
        }
    });
    for round in 0..3 {
        schedule::quiesce();
        assert_eq!(done.load(Ordering::SeqCst), round);
        assert_eq!(thread::until_blocked(worker), Ok(()));
        release(sem);
    }
    assert_eq!(thread::wait_for(worker), Ok(B_OK));
    delete(sem);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_condition_is_waited_for_with_its_mutex_free() {
    let kernel = boot(9);
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let pair = Arc::clone(&pair);
            thread::spawn("waiter", 10, move || {
                let mut number = pair.0.lock();
                while *number == 0 {
                    number = pair.1.wait(number);
                }
                *number += 1;
                B_OK
            })
        })
        .collect();
    schedule::quiesce();
    let number = pair.1.wait_timeout(pair.0.lock(), Duration::from_secs(5));
    assert_eq!(*number, 0);
    drop(number);
    *pair.0.lock() = 1;
    pair.1.notify_all();
    for waiter in waiters {
        assert_eq!(thread::wait_for(waiter), Ok(B_OK));
    }
    assert_eq!(*pair.0.lock(), 4);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn outside_the_mode_nothing_is_traced_and_quiesce_returns_at_once() {
    let kernel = Kernel::boot(Options::default()).unwrap();
    schedule::quiesce();
    assert!(!schedule::is_deterministic());
    assert_eq!(schedule::trace(), Trace::default());
    // Before the end: after it, another test's kernel may run already, with semaphores of that name.
    assert!(sem::live().iter().all(|(_, name, _)| name != "test"));
    assert!(kernel.shutdown().is_zero());
}
