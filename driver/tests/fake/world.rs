//! The state of the fake kernel: live objects, planned failures, waiters, and the section that each thread is in.
//!
//! Its own locks are the standard library's with every scheduler: they are held for a moment only, never while
//! another thread can be chosen, and so add nothing to the interleavings that there are to explore.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tuntap_driver::Error;

use crate::fake::select::Told;
use crate::fake::wait::Semaphore;
use crate::sync::thread::{self, JoinHandle};

/// How long a thread may take to come to where it should wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kernel's memory and its threads.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Packets alive.
    packets: AtomicUsize,
    /// Allocations so far, failed ones included.
    allocations: AtomicUsize,
    /// Sections of spinning locks so far.
    sections: AtomicUsize,
    /// The number of calls so far that woke a waiter.
    wakes: AtomicUsize,
    /// How many allocations from now on the one that fails is; negative for none.
    failing: AtomicI64,
    /// Whether a signal and a wake that have both come to a waiter count as a signal.
    pub(crate) signal_wins: AtomicBool,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Selects by their number, until they end. The lock is the scheduler's, so that one may end just before it is notified.
    pub(super) selects: crate::sync::Mutex<Vec<Option<Arc<Told>>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Threads that sleep at a wait point.
    asleep: usize,
    /// Threads held just before they would.
    held: usize,
    /// Whether threads are held there.
    hold: bool,
}

/// A kernel thread.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) world: Arc<World>,
    spinning: AtomicBool,
    sleeping_locks: AtomicUsize,
    /// Packets that it freed and sections of spinning locks that it ran: after either a call may fetch anew, because it has
    /// given up what it fetched, or decides anew.
    restarts: AtomicUsize,
    signal: Mutex<Signal>,
}

/// Whether a signal is pending, and where the thread sleeps that it is to rouse.
#[derive(Debug, Default)]
struct Signal {
    pending: bool,
    at: Option<Arc<Semaphore>>,
}

crate::sync::thread_local! {
    static TASK: RefCell<Option<Arc<Task>>> = RefCell::default();
}

impl World {
    /// A new kernel, with the calling thread as its first.
    pub(crate) fn new() -> Arc<Self> {
        let world = Arc::new(Self { failing: AtomicI64::new(-1), ..Self::default() });
        Task::enter(&world);
        world
    }

    /// A thread of this kernel's, and the handle to signal it by.
    pub(crate) fn spawn<R: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce() -> R + Send + 'static,
    ) -> (JoinHandle<R>, Arc<Task>) {
        let task = Task::new(self);
        let own = Arc::clone(&task);
        let thread = thread::spawn(move || {
            TASK.with(|current| *current.borrow_mut() = Some(own));
            body()
        });
        (thread, task)
    }

    /// Makes the `n`th allocation from now fail, counting from 0.
    pub(crate) fn fail_allocation(&self, n: i64) {
        self.failing.store(n, SeqCst);
    }

    /// How many allocations there were.
    pub(crate) fn allocations(&self) -> usize {
        self.allocations.load(SeqCst)
    }

    /// How many sections of spinning locks there were.
    pub(crate) fn sections(&self) -> usize {
        self.sections.load(SeqCst)
    }

    pub(super) fn section(&self) {
        self.sections.fetch_add(1, SeqCst);
        Task::current().restarts.fetch_add(1, SeqCst);
    }

    /// The number of calls so far that woke a waiter.
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(SeqCst)
    }

    pub(super) fn woken(&self) {
        self.wakes.fetch_add(1, SeqCst);
    }

    /// How many packets are alive.
    pub(crate) fn packets(&self) -> usize {
        self.packets.load(SeqCst)
    }

    pub(super) fn allocate(&self) -> Result<(), Error> {
        self.allocations.fetch_add(1, SeqCst);
        if self.failing.load(SeqCst) >= 0 && self.failing.fetch_sub(1, SeqCst) == 0 {
            return Err(Error::NoMemory);
        }
        Ok(())
    }

    pub(super) fn packet_made(&self) {
        self.packets.fetch_add(1, SeqCst);
    }

    pub(super) fn packet_freed(&self) {
        self.packets.fetch_sub(1, SeqCst);
        Task::current().restarts.fetch_add(1, SeqCst);
    }

    /// How many threads sleep at wait points.
    pub(crate) fn sleepers(&self) -> usize {
        self.waiting.lock().unwrap().asleep
    }

    /// Returns once `count` threads sleep at wait points. Only for a scheduler that needs no telling: real threads.
    pub(crate) fn until_asleep(&self, count: usize) {
        self.until(|waiting| waiting.asleep == count);
    }

    /// From now on threads that are about to sleep at a wait point do not get there. Real threads only, again.
    pub(crate) fn hold(&self) {
        self.waiting.lock().unwrap().hold = true;
    }

    /// Returns once `count` threads are held so.
    pub(crate) fn until_held(&self, count: usize) {
        self.until(|waiting| waiting.held == count);
    }

    fn until(&self, so: impl Fn(&Waiting) -> bool) {
        let mut waiting = self.waiting.lock().unwrap();
        while !so(&waiting) {
            let (changed, end) = self.changed.wait_timeout(waiting, PATIENCE).unwrap();
            assert!(!end.timed_out(), "a thread does not come to where it should wait");
            waiting = changed;
        }
    }

    /// Lets them go on.
    pub(crate) fn release(&self) {
        self.waiting.lock().unwrap().hold = false;
        self.changed.notify_all();
    }

    pub(super) fn about_to_sleep(&self) {
        let mut waiting = self.waiting.lock().unwrap();
        if waiting.hold {
            waiting.held += 1;
            self.changed.notify_all();
            waiting = self.changed.wait_while(waiting, |waiting| waiting.hold).unwrap();
            waiting.held -= 1;
        }
    }

    pub(super) fn asleep(&self) {
        self.waiting.lock().unwrap().asleep += 1;
        self.changed.notify_all();
    }

    pub(super) fn awake(&self) {
        self.waiting.lock().unwrap().asleep -= 1;
        self.changed.notify_all();
    }
}

impl Task {
    fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            spinning: AtomicBool::new(false),
            sleeping_locks: AtomicUsize::new(0),
            restarts: AtomicUsize::new(0),
            signal: Mutex::default(),
        })
    }

    fn enter(world: &Arc<World>) {
        TASK.with(|current| *current.borrow_mut() = Some(Self::new(world)));
    }

    /// The calling thread.
    pub(crate) fn current() -> Arc<Self> {
        TASK.with(|current| current.borrow().clone()).expect("a thread of a World")
    }

    /// How often it could begin anew.
    pub(super) fn restarts(&self) -> usize {
        self.restarts.load(SeqCst)
    }

    /// Sends this thread a signal. It ends one wait: the one the thread is in, or else its next.
    pub(crate) fn signal(&self) {
        let at = {
            let mut signal = self.signal.lock().unwrap();
            signal.pending = true;
            signal.at.clone()
        };
        if let Some(semaphore) = at {
            semaphore.rouse();
        }
    }

    /// Where the thread sleeps, so that a signal can find it.
    pub(super) fn sleeps_at(&self, semaphore: Option<Arc<Semaphore>>) {
        self.signal.lock().unwrap().at = semaphore;
    }

    pub(super) fn has_signal(&self) -> bool {
        self.signal.lock().unwrap().pending
    }

    pub(super) fn take_signal(&self) {
        self.signal.lock().unwrap().pending = false;
    }

    /// What may sleep, fault, allocate or call out must not be done under a spinning lock.
    #[track_caller]
    pub(super) fn must_not_spin(&self, what: &str) {
        // While a failure unwinds, the order in which locks are released does not matter.
        assert!(std::thread::panicking() || !self.spinning.load(SeqCst), "{what} under a spinning lock");
    }

    /// Nor may a thread wait for another one that might want its lock.
    #[track_caller]
    pub(super) fn must_hold_nothing(&self, what: &str) {
        self.must_not_spin(what);
        assert_eq!(self.sleeping_locks.load(SeqCst), 0, "{what} with a lock held");
    }

    pub(super) fn spins(&self, spinning: bool) {
        self.spinning.store(spinning, SeqCst);
    }

    pub(super) fn takes_sleeping_lock(&self) {
        self.sleeping_locks.fetch_add(1, SeqCst);
    }

    pub(super) fn leaves_sleeping_lock(&self) {
        self.sleeping_locks.fetch_sub(1, SeqCst);
    }
}
