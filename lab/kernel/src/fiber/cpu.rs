//! The Linux thread for what no program carries: fibers that were woken from elsewhere, and those whose time has come.

use core::sync::atomic::{AtomicI64, Ordering};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use haiku_sys::bigtime_t;

use super::{CARRIES, FiberRef, every_fiber, run_ready};
use crate::locks::Guarded;
use crate::wait;

/// No time at all.
pub(super) const NEVER: bigtime_t = bigtime_t::MAX;

struct Cpu {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// When the thread looks at the fibers' times again, if nobody calls it before.
    next: AtomicI64,
}

struct Queue {
    ready: VecDeque<FiberRef>,
    stopped: bool,
    handle: Option<JoinHandle<()>>,
}

static CPU: Cpu = Cpu {
    queue: Mutex::new(Queue { ready: VecDeque::new(), stopped: false, handle: None }),
    changed: Condvar::new(),
    next: AtomicI64::new(NEVER),
};

/// Has the thread run a fiber.
pub(super) fn queue(fiber: FiberRef) {
    CPU.queue.guarded().ready.push_back(fiber);
    CPU.changed.notify_one();
}

/// Some fiber wants to be notified at this time, which it has written down.
pub(super) fn notify_by(time: bigtime_t) {
    if time < CPU.next.load(Ordering::SeqCst) {
        // The thread sleeps whenever the queue is free, or is about to look.
        drop(CPU.queue.guarded());
        CPU.changed.notify_one();
    }
}

/// Notifies the fibers whose time has come; returns whether there were any, and the next time.
fn notify_due() -> (bool, bigtime_t) {
    // Whoever writes a time down from here on finds that it has to call.
    CPU.next.store(NEVER, Ordering::SeqCst);
    let (now, mut next, mut any) = (wait::now(), NEVER, false);
    every_fiber(|fiber| match fiber.deadline() {
        time if time <= now => any |= fiber.notify_in_time(time),
        time => next = next.min(time),
    });
    CPU.next.store(next, Ordering::SeqCst);
    (any, next.saturating_sub(now))
}

fn serve() {
    CARRIES.set(true);
    let mut queue = CPU.queue.guarded();
    loop {
        if let Some(fiber) = queue.ready.pop_front() {
            drop(queue);
            fiber.run();
            run_ready();
            queue = CPU.queue.guarded();
            continue;
        }
        if queue.stopped {
            return;
        }
        match notify_due() {
            (true, _) => {
                drop(queue);
                run_ready();
                queue = CPU.queue.guarded();
            }
            (false, rest) => {
                let rest = Duration::from_micros(rest.unsigned_abs().min(1 << 32));
                queue = CPU.changed.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// Starts the thread.
pub(super) fn start() {
    let mut queue = CPU.queue.guarded();
    queue.stopped = false;
    queue.handle = std::thread::Builder::new().name("cpu".to_owned()).spawn(serve).ok();
}

/// Ends it, once there is nothing left to run.
pub(super) fn stop() {
    let handle = {
        let mut queue = CPU.queue.guarded();
        queue.stopped = true;
        queue.handle.take()
    };
    CPU.changed.notify_one();
    if let Some(handle) = handle {
        let _ = handle.join();
    }
}
