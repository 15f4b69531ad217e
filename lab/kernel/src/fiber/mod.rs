//! A Haiku with one CPU: kernel threads without a Linux thread of their own.
//!
//! A fiber has a stack, an id and a way to wait, as every kernel thread, and runs on whichever Linux thread is the CPU
//! at the moment. That is whoever woke it from inside [`carry`], on the way out: on a Haiku with one CPU a program's
//! `write` that wakes a thread of higher priority returns only when that thread waits again. Fibers woken from anywhere
//! else, and those whose time is up, run on a Linux thread that does nothing but that ([`cpu`]). On many CPUs (the
//! default) nothing here is used.

mod cpu;
mod sanitizer;
mod stack;
#[cfg(test)]
mod tests;

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use haiku_sys::bigtime_t;

use self::cpu::NEVER;
use self::sanitizer::Track;
use self::stack::{Stack, switch};
use crate::locks::Guarded;
use crate::thread::{self, ThreadRef};
use crate::{interrupts, recursive_lock};

/// How many CPUs the kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processors {
    /// As many as Linux has: every thread is one of Linux's.
    #[default]
    Many,
    /// One: the threads of the network stack, and those of programs that the lab has, run on whoever wakes them.
    One,
}

/// Nobody's.
const SPARE: u32 = 0;
/// It waits, and whoever changes this may run it.
const SUSPENDED: u32 = 1;
/// It runs or is in a queue of those to be run.
const RUNNING: u32 = 2;
/// It runs, and was woken meanwhile: it must look again before it waits.
const NOTIFIED: u32 = 3;

/// A thread without a Linux thread. Its memory is used again and never given back: a late wake finds a fiber.
pub(crate) struct Fiber {
    state: AtomicU32,
    /// When it wants to be notified at the latest.
    deadline: AtomicI64,
    /// The rest belongs to whoever made the state `RUNNING`.
    own: Own,
}

struct Own {
    stack: Stack,
    /// Where it goes on.
    inside: Cell<*mut u8>,
    /// Where its carrier goes on.
    outside: Cell<*mut u8>,
    /// What the sanitizer knows both by.
    tracks: (Track, Cell<Track>),
    body: Cell<Option<Box<dyn FnOnce() + Send>>>,
    ended: Cell<bool>,
    thread: Cell<Option<ThreadRef>>,
    held: Cell<u32>,
}

// SAFETY: everything that is not atomic is touched only by whoever runs the fiber, and there is one at a time.
unsafe impl Sync for Fiber {}
// SAFETY: as above.
unsafe impl Send for Fiber {}

impl core::fmt::Debug for Fiber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fiber").field("state", &self.state).finish_non_exhaustive()
    }
}

type FiberRef = &'static Fiber;

static ENABLED: AtomicBool = AtomicBool::new(false);
/// All there ever were.
static FIBERS: Mutex<Vec<FiberRef>> = Mutex::new(Vec::new());
/// Those that are nobody's.
static POOL: Mutex<Vec<FiberRef>> = Mutex::new(Vec::new());

thread_local! {
    /// The fiber that this Linux thread runs now.
    static CURRENT: Cell<Option<FiberRef>> = const { Cell::new(None) };
    /// Whether this Linux thread will run what is in `READY`.
    static CARRIES: Cell<bool> = const { Cell::new(false) };
    static READY: RefCell<VecDeque<FiberRef>> = const { RefCell::new(VecDeque::new()) };
}

/// Whether the kernel has one CPU.
pub(crate) fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// The fiber that runs here. Not inlined: a function that is suspended may go on in another Linux thread, and must not
/// remember where the first one's variables were.
#[inline(never)]
pub(crate) fn current() -> Option<FiberRef> {
    CURRENT.get()
}

#[inline(never)]
fn carries() -> bool {
    CARRIES.get()
}

#[inline(never)]
fn swap_current(fiber: Option<FiberRef>) -> Option<FiberRef> {
    CURRENT.replace(fiber)
}

impl Fiber {
    fn new() -> FiberRef {
        if let Some(spare) = POOL.guarded().pop() {
            return spare;
        }
        let own = Own {
            stack: Stack::new(),
            inside: Cell::new(core::ptr::null_mut()),
            outside: Cell::new(core::ptr::null_mut()),
            tracks: (Track::new(), Cell::new(Track::NONE)),
            body: Cell::new(None),
            ended: Cell::new(false),
            thread: Cell::new(None),
            held: Cell::new(0),
        };
        let fiber: FiberRef =
            Box::leak(Box::new(Self { state: AtomicU32::new(SPARE), deadline: AtomicI64::new(NEVER), own }));
        FIBERS.guarded().push(fiber);
        fiber
    }

    /// Runs it until it waits with nothing to look at, or ends.
    fn run(&'static self) {
        loop {
            let carrier = swap_current(Some(self));
            self.own.thread.set(thread::exchange(self.own.thread.get()));
            self.own.held.set(recursive_lock::exchange_held(self.own.held.get()));
            let (inside, outside) = &self.own.tracks;
            outside.set(Track::current());
            // SAFETY: its stack was laid out, or left by `suspend`; nobody else runs it.
            unsafe { switch(self.own.outside.as_ptr(), self.own.inside.get(), *inside) };
            self.own.held.set(recursive_lock::exchange_held(self.own.held.get()));
            self.own.thread.set(thread::exchange(self.own.thread.get()));
            swap_current(carrier);
            if self.own.ended.get() {
                self.own.thread.set(None);
                self.state.store(SPARE, Ordering::SeqCst);
                POOL.guarded().push(self);
                return;
            }
            if self.state.compare_exchange(RUNNING, SUSPENDED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
            self.state.store(RUNNING, Ordering::SeqCst);
        }
    }

    /// Lets the carrier go on; returns when somebody wakes the fiber, when the deadline has passed, or too early.
    pub(crate) fn suspend(&'static self, deadline: Option<bigtime_t>) {
        interrupts::check("a kernel thread waits");
        if let Some(time) = deadline {
            self.deadline.store(time, Ordering::SeqCst);
            cpu::notify_by(time);
        }
        // SAFETY: this is the fiber's own stack, and the carrier waits in `run`.
        unsafe { switch(self.own.inside.as_ptr(), self.own.outside.get(), self.own.tracks.1.get()) };
        if deadline.is_some() {
            self.deadline.store(NEVER, Ordering::SeqCst);
        }
    }

    fn deadline(&self) -> bigtime_t {
        self.deadline.load(Ordering::SeqCst)
    }

    /// Wakes it if it still waits for this time.
    fn notify_in_time(&'static self, time: bigtime_t) -> bool {
        let due = self.deadline.compare_exchange(time, NEVER, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if due {
            self.notify();
        }
        due
    }

    /// Wakes it: soon it looks again whether it has something to wait for.
    pub(crate) fn notify(&'static self) {
        loop {
            match self.state.load(Ordering::SeqCst) {
                SUSPENDED => {
                    if self.state.compare_exchange(SUSPENDED, RUNNING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                        return queue(self);
                    }
                }
                RUNNING => {
                    if self.state.compare_exchange(RUNNING, NOTIFIED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }
}

/// Looks at every fiber.
fn every_fiber(look: impl FnMut(FiberRef)) {
    FIBERS.guarded().iter().copied().for_each(look);
}

/// Where every fiber begins.
extern "C" fn main(fiber: FiberRef) {
    if let Some(body) = fiber.own.body.take()
        && catch_unwind(AssertUnwindSafe(body)).is_err()
    {
        // There is no Linux thread whose join could tell of it.
        std::process::abort();
    }
    fiber.own.ended.set(true);
    fiber.suspend(None);
    std::process::abort();
}

/// Starts a thread as a fiber.
pub(crate) fn start(body: impl FnOnce() + Send + 'static) {
    let fiber = Fiber::new();
    fiber.own.body.set(Some(Box::new(body)));
    fiber.own.ended.set(false);
    fiber.own.inside.set(fiber.own.stack.lay_out(main, fiber));
    fiber.state.store(RUNNING, Ordering::SeqCst);
    queue(fiber);
}

/// Has somebody run it: this Linux thread, if it will, or the one that is there for it.
fn queue(fiber: FiberRef) {
    if carries() {
        READY.with_borrow_mut(|ready| ready.push_back(fiber));
    } else {
        cpu::queue(fiber);
    }
}

fn next_ready() -> Option<FiberRef> {
    READY.with_borrow_mut(VecDeque::pop_front)
}

/// Runs what became ready, and what that makes ready.
fn run_ready() {
    while let Some(fiber) = next_ready() {
        fiber.run();
    }
}

/// This Linux thread goes to sleep in the middle of something: somebody else has to run what it woke.
pub(crate) fn hand_over() {
    if !carries() {
        return;
    }
    while let Some(fiber) = next_ready() {
        cpu::queue(fiber);
    }
}

/// Makes a call into the kernel, and on the way out runs the threads that it woke, as the one CPU would before it
/// returned to the program. The caller holds nothing that they could want.
pub fn carry<R>(call: impl FnOnce() -> R) -> R {
    if !is_enabled() || carries() {
        return call();
    }
    CARRIES.set(true);
    let result = call();
    run_ready();
    CARRIES.set(false);
    result
}

/// The kernel boots with so many CPUs.
pub(crate) fn boot(processors: Processors) {
    ENABLED.store(processors == Processors::One, Ordering::SeqCst);
    if processors == Processors::One {
        cpu::start();
    }
}

/// The kernel has shut down, and no thread of its is left.
pub(crate) fn shut_down() {
    ENABLED.store(false, Ordering::SeqCst);
    cpu::stop();
}
