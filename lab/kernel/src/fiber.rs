//! A Haiku with one CPU: kernel threads without a Linux thread of their own.
//!
//! A fiber has a stack, an id and a way to wait, as every kernel thread, and runs on whichever Linux thread is the CPU
//! at the moment. That is whoever woke it from inside [`carry`], on the way out: on a Haiku with one CPU a program's
//! `write` that wakes a thread of higher priority returns only when that thread waits again. Fibers woken from anywhere
//! else run on a Linux thread that does nothing but that. On many CPUs (the default) nothing here is used.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::locks::Guarded;
use crate::thread::{self, ThreadRef};
use crate::{interrupts, recursive_lock};

/// How many CPUs the kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processors {
    /// As many as Linux has: every thread is one of Linux's.
    #[default]
    Many,
    /// One: the threads of the network stack run on whoever wakes them.
    One,
}

/// Bytes of a fiber's stack, as Linux's own threads have by default; only what is used takes memory.
const STACK: usize = 2 << 20;
/// The page below it that nothing may touch.
const GUARD: usize = 4096;

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
    /// It waits for a time, and so as a thread of Linux's.
    timed: AtomicBool,
    /// The rest belongs to whoever made the state `RUNNING`.
    own: Own,
}

struct Own {
    /// The lowest address of its stack.
    stack: *mut u8,
    /// Where it goes on.
    inside: Cell<*mut u8>,
    /// Where its carrier goes on.
    outside: Cell<*mut u8>,
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
static POOL: Mutex<Vec<FiberRef>> = Mutex::new(Vec::new());

thread_local! {
    /// The fiber that this Linux thread runs now.
    static CURRENT: Cell<Option<FiberRef>> = const { Cell::new(None) };
    /// Whether this Linux thread will run what is in `READY`.
    static CARRIES: Cell<bool> = const { Cell::new(false) };
    static READY: RefCell<VecDeque<FiberRef>> = const { RefCell::new(VecDeque::new()) };
}

// A switch keeps what a function keeps for its caller, on the stack that is left, and takes it up from the other one.
core::arch::global_asm!(
    ".globl haiku_fiber_switch",
    ".type haiku_fiber_switch, @function",
    "haiku_fiber_switch:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    ".size haiku_fiber_switch, . - haiku_fiber_switch",
    ".globl haiku_fiber_begin",
    ".type haiku_fiber_begin, @function",
    "haiku_fiber_begin:",
    "mov rdi, r12",
    "call r13",
    "ud2",
    ".size haiku_fiber_begin, . - haiku_fiber_begin",
);

unsafe extern "C" {
    /// Leaves the current stack, whose place is stored at `from`, for another one.
    fn haiku_fiber_switch(from: *mut *mut u8, to: *mut u8);
    fn haiku_fiber_begin();
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

/// A stack with a page below it that faults.
fn new_stack() -> *mut u8 {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping wherever Linux wants it.
    let stack = unsafe { libc::mmap(core::ptr::null_mut(), STACK, protection, flags, -1, 0) };
    assert_ne!(stack, libc::MAP_FAILED, "Linux has no memory for another kernel thread");
    // SAFETY: the first page of the mapping.
    unsafe { libc::mprotect(stack, GUARD, libc::PROT_NONE) };
    stack.cast()
}

impl Fiber {
    fn new() -> FiberRef {
        POOL.guarded().pop().unwrap_or_else(|| {
            let own = Own {
                stack: new_stack(),
                inside: Cell::new(core::ptr::null_mut()),
                outside: Cell::new(core::ptr::null_mut()),
                body: Cell::new(None),
                ended: Cell::new(false),
                thread: Cell::new(None),
                held: Cell::new(0),
            };
            Box::leak(Box::new(Self { state: AtomicU32::new(SPARE), timed: AtomicBool::new(false), own }))
        })
    }

    /// Writes a stack from which the first switch enters [`main`].
    fn lay_out(&'static self) {
        // What `haiku_fiber_switch` takes up, r15 first, then its return address, then an end for whoever looks
        // further down. The call in `haiku_fiber_begin` finds the stack aligned.
        let entry = main as *const () as usize;
        let words: [usize; 8] =
            [0, 0, entry, core::ptr::from_ref(self) as usize, 0, 0, haiku_fiber_begin as *const () as usize, 0];
        // SAFETY: well within the stack's own memory.
        let top = unsafe { self.own.stack.add(STACK - 8 - size_of_val(&words)) };
        // SAFETY: as above; nobody uses the stack yet.
        unsafe { top.cast::<[usize; 8]>().write(words) };
        self.own.inside.set(top);
    }

    /// Runs it until it waits with nothing to look at, or ends.
    fn run(&'static self) {
        loop {
            let carrier = swap_current(Some(self));
            self.own.thread.set(thread::exchange(self.own.thread.get()));
            self.own.held.set(recursive_lock::exchange_held(self.own.held.get()));
            // SAFETY: its stack was laid out, or left by `suspend`; nobody else runs it.
            unsafe { haiku_fiber_switch(self.own.outside.as_ptr(), self.own.inside.get()) };
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

    /// Lets the carrier go on; returns when somebody wakes the fiber, or too early.
    pub(crate) fn suspend(&'static self) {
        interrupts::check("a kernel thread waits");
        // SAFETY: this is the fiber's own stack, and the carrier waits in `run`.
        unsafe { haiku_fiber_switch(self.own.inside.as_ptr(), self.own.outside.get()) };
    }

    /// Whether it waits for a time. One that is about to finds out by itself that its wait has ended.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed.load(Ordering::SeqCst)
    }

    /// Says that it waits for a time, until the result is dropped.
    pub(crate) fn time(&'static self) -> Timed {
        self.timed.store(true, Ordering::SeqCst);
        Timed(self)
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

/// A fiber that waits for a time.
pub(crate) struct Timed(FiberRef);

impl Drop for Timed {
    fn drop(&mut self) {
        self.0.timed.store(false, Ordering::SeqCst);
    }
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
    fiber.suspend();
    std::process::abort();
}

/// Starts a thread as a fiber.
pub(crate) fn start(body: impl FnOnce() + Send + 'static) {
    let fiber = Fiber::new();
    fiber.own.body.set(Some(Box::new(body)));
    fiber.own.ended.set(false);
    fiber.lay_out();
    fiber.state.store(RUNNING, Ordering::SeqCst);
    queue(fiber);
}

/// Has somebody run it: this Linux thread, if it will, or the one that is there for it.
fn queue(fiber: FiberRef) {
    if carries() {
        READY.with_borrow_mut(|ready| ready.push_back(fiber));
    } else {
        CPU.queue.guarded().ready.push_back(fiber);
        CPU.changed.notify_one();
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
        CPU.queue.guarded().ready.push_back(fiber);
        CPU.changed.notify_one();
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

/// The Linux thread for fibers that nobody carries.
struct Cpu {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    ready: VecDeque<FiberRef>,
    stopped: bool,
    handle: Option<JoinHandle<()>>,
}

static CPU: Cpu =
    Cpu { queue: Mutex::new(Queue { ready: VecDeque::new(), stopped: false, handle: None }), changed: Condvar::new() };

fn serve() {
    CARRIES.set(true);
    let mut queue = CPU.queue.guarded();
    loop {
        if let Some(fiber) = queue.ready.pop_front() {
            drop(queue);
            fiber.run();
            run_ready();
            queue = CPU.queue.guarded();
        } else if queue.stopped {
            return;
        } else {
            queue = CPU.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The kernel boots with so many CPUs.
pub(crate) fn boot(processors: Processors) {
    ENABLED.store(processors == Processors::One, Ordering::SeqCst);
    if processors == Processors::One {
        let mut queue = CPU.queue.guarded();
        queue.stopped = false;
        queue.handle = std::thread::Builder::new().name("cpu".to_owned()).spawn(serve).ok();
    }
}

/// The kernel has shut down, and no thread of its is left.
pub(crate) fn shut_down() {
    ENABLED.store(false, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread::ThreadId;

    use haiku_sys::{B_NORMAL_PRIORITY, B_OK};

    use super::*;
    use crate::bell::Bell;
    use crate::{Kernel, Options};

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
}
