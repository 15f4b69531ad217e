use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::ThreadId;

use haiku_sys::{B_NORMAL_PRIORITY, B_OK, B_RELATIVE_TIMEOUT, B_TIMED_OUT, status_t};

use super::*;
use crate::bell::Bell;
use crate::{Kernel, Options, sem};

fn kernel() -> Kernel {
    Kernel::boot(Options { processors: Processors::One, ..Options::default() }).unwrap()
}

/// A thread that notes where it runs, once for each time that the bell rings.
fn listener(bell: &Arc<Bell>, times: usize) -> (haiku_sys::thread_id, Arc<Mutex<Vec<ThreadId>>>) {
    let (bell, seen) = (Arc::clone(bell), Arc::new(Mutex::new(Vec::new())));
    let note = Arc::clone(&seen);
    let id = thread::spawn_light("listener", B_NORMAL_PRIORITY as i32, move || {
        for _ in 0..times {
            bell.wait();
            note.guarded().push(std::thread::current().id());
        }
        B_OK
    });
    (id, seen)
}

#[test]
fn whoever_wakes_a_thread_inside_a_call_runs_it_before_the_call_returns() {
    let kernel = kernel();
    let bell = Arc::new(Bell::new());
    // It runs here from its first moment, until it waits.
    let (id, seen) = carry(|| listener(&bell, 100));
    for round in 1..=100 {
        carry(|| bell.ring());
        assert_eq!(*seen.guarded(), vec![std::thread::current().id(); round]);
    }
    assert_eq!(thread::wait_for(id), Ok(B_OK));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_thread_that_is_woken_from_elsewhere_runs_too() {
    let kernel = kernel();
    let bell = Arc::new(Bell::new());
    let (id, seen) = listener(&bell, 1);
    bell.ring();
    assert_eq!(thread::wait_for(id), Ok(B_OK));
    assert_ne!(*seen.guarded(), [std::thread::current().id()]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn threads_wake_each_other_and_no_wake_is_lost() {
    let kernel = kernel();
    let bells: Arc<[Bell; 2]> = Arc::new([Bell::new(), Bell::new()]);
    let rounds = Arc::new(AtomicUsize::new(0));
    let ids = [0, 1].map(|own| {
        let (bells, rounds) = (Arc::clone(&bells), Arc::clone(&rounds));
        thread::spawn_light("player", 10, move || {
            for _ in 0..10_000 {
                bells[own].wait();
                rounds.fetch_add(1, Ordering::SeqCst);
                bells[1 - own].ring();
            }
            B_OK
        })
    });
    // Others disturb: what they wake looks again, and finds nothing or its turn.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while rounds.load(Ordering::SeqCst) < 20_000 {
                    carry(|| bells[0].ring());
                    bells[1].ring();
                }
            });
        }
    });
    bells[0].ring();
    assert_eq!(ids.map(thread::wait_for), [Ok(B_OK); 2]);
    assert!(kernel.shutdown().is_zero());
}

/// Longer than any test may take, in microseconds.
const LONG: bigtime_t = 3_600_000_000;

/// A thread that waits for a semaphore, but no longer than so many microseconds, and returns what came of it.
fn waiter(sem: haiku_sys::sem_id, time: bigtime_t) -> haiku_sys::thread_id {
    thread::spawn_light("waiter", 10, move || sem::acquire(sem, 1, B_RELATIVE_TIMEOUT, time))
}

#[test]
fn who_waits_for_a_time_does_not_keep_whoever_runs_it_and_is_woken_before_it() {
    let kernel = kernel();
    let sem = sem::create(0, "test").unwrap();
    let id = carry(|| waiter(sem, LONG));
    assert_eq!(carry(|| sem::release(sem, 1, 0)), B_OK);
    assert_eq!(thread::wait_for(id), Ok(B_OK));
    assert_eq!(sem::delete(sem), B_OK);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_time_that_comes_before_all_others_is_noticed() {
    let kernel = kernel();
    let sem = sem::create(0, "test").unwrap();
    let long = carry(|| waiter(sem, LONG));
    for time in [5_000, 1_000, 1] {
        assert_eq!(thread::wait_for(carry(|| waiter(sem, time))), Ok(B_TIMED_OUT));
    }
    assert_eq!(sem::release(sem, 1, 0), B_OK);
    assert_eq!(thread::wait_for(long), Ok(B_OK));
    assert_eq!(sem::delete(sem), B_OK);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_time_that_comes_together_with_a_wake_loses_neither() {
    const ROUNDS: status_t = 2_000;
    let kernel = kernel();
    let sem = sem::create(0, "test").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ids = [3, 17, 60].map(|time| {
        thread::spawn_light("waiter", 10, move || {
            (0..ROUNDS).filter(|_| sem::acquire(sem, 1, B_RELATIVE_TIMEOUT, time) == B_OK).count() as status_t
        })
    });
    let releaser = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut released = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(carry(|| sem::release(sem, 1, 0)), B_OK);
                released += 1;
                std::thread::yield_now();
            }
            released
        }
    });
    let acquired: status_t = ids.map(|id| thread::wait_for(id).unwrap()).iter().sum();
    stop.store(true, Ordering::SeqCst);
    let mut left = releaser.join().unwrap() - acquired;
    while sem::acquire(sem, 1, B_RELATIVE_TIMEOUT, 0) == B_OK {
        left -= 1;
    }
    assert_eq!(left, 0);
    assert_eq!(sem::delete(sem), B_OK);
    assert!(kernel.shutdown().is_zero());
}
