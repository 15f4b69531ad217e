//! Threads: of the kernel, of the team, and any other of the process that makes a call.
//!
//! A thread the kernel has not met is registered with its first call and forgotten with its end.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::Mutex;
use std::thread::JoinHandle;

use haiku_sys::{B_ERROR, B_INTERRUPTED, B_OK, B_WOULD_BLOCK, bigtime_t, status_t, thread_id};

use crate::guarded::Guarded;
use crate::schedule::Place;
use crate::wait::{Claim, Interruption, Parker};
use crate::{held, interrupts, ledger, schedule, wait};

/// `B_BAD_THREAD_ID`.
pub const B_BAD_THREAD_ID: status_t = i32::MIN + 0x1100;
/// `EDEADLK`.
pub const EDEADLK: status_t = i32::MIN + 0x7003;

const SIGNAL: u32 = 1;
const KILL: u32 = 2;

/// A thread, as whatever queues it sees it. Its memory is used again for later threads and never given back, so
/// that a late wake finds a thread, if not the right one; wakes are harmless to those they are not meant for.
#[derive(Debug)]
pub(crate) struct Thread {
    parker: Parker,
    pending: AtomicU32,
    id: AtomicUsize,
}

/// A thread for as long as the kernel knows it.
pub(crate) type ThreadRef = &'static Thread;

impl Thread {
    pub(crate) fn id(&self) -> thread_id {
        self.id.load(Ordering::Relaxed) as thread_id
    }

    pub(crate) fn parker(&self) -> &Parker {
        &self.parker
    }

    /// Whether a signal is pending that ends such a wait.
    pub(crate) fn is_interrupted(&self, by: Interruption) -> bool {
        let mask = match by {
            Interruption::Never => return false,
            Interruption::Signals => SIGNAL | KILL,
            Interruption::KillingSignals => KILL,
        };
        self.pending.load(Ordering::SeqCst) & mask != 0
    }

    fn interrupt(&self, kill: bool) {
        self.pending.fetch_or(if kill { SIGNAL | KILL } else { SIGNAL }, Ordering::SeqCst);
        if self.parker.interrupt(B_INTERRUPTED, kill) == Claim::MustWake {
            self.parker.wake();
        }
    }
}

/// A kernel thread's end: its result once it has returned, and its waiter.
#[derive(Debug, Default)]
struct Exit {
    status: Option<status_t>,
    waiter: Option<ThreadRef>,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Threads {
    next_id: thread_id,
    live: Option<HashMap<thread_id, ThreadRef>>,
    exits: Option<HashMap<thread_id, Exit>>,
    spare: Vec<ThreadRef>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads { next_id: 1, live: None, exits: None, spare: Vec::new() });

impl Threads {
    fn live(&mut self) -> &mut HashMap<thread_id, ThreadRef> {
        self.live.get_or_insert_with(HashMap::new)
    }

    fn exits(&mut self) -> &mut HashMap<thread_id, Exit> {
        self.exits.get_or_insert_with(HashMap::new)
    }

    fn new_id(&mut self) -> thread_id {
        self.next_id += 1;
        self.next_id
    }

    fn enter(&mut self, id: thread_id) -> ThreadRef {
        let thread = self.spare.pop().unwrap_or_else(|| {
            Box::leak(Box::new(Thread { parker: Parker::new(), pending: AtomicU32::new(0), id: AtomicUsize::new(0) }))
        });
        thread.pending.store(0, Ordering::SeqCst);
        thread.id.store(id as usize, Ordering::SeqCst);
        thread.parker.belong_to(None);
        self.live().insert(id, thread);
        thread
    }
}

/// Forgets the thread as its local variables are destroyed.
struct Registration;

impl Drop for Registration {
    fn drop(&mut self) {
        forget_this();
    }
}

/// The thread that runs here has ended.
fn forget_this() {
    if let Some(thread) = CURRENT.take() {
        let mut threads = THREADS.guarded();
        threads.live().remove(&thread.id());
        threads.spare.push(thread);
        drop(threads);
        wait::tell_watchers();
    }
}

thread_local! {
    static CURRENT: Cell<Option<ThreadRef>> = const { Cell::new(None) };
    static REGISTRATION: Registration = const { Registration };
}

/// The calling thread.
pub(crate) fn this() -> ThreadRef {
    CURRENT.get().unwrap_or_else(|| {
        let mut threads = THREADS.guarded();
        let id = threads.new_id();
        register(&mut threads, id)
    })
}

fn register(threads: &mut Threads, id: thread_id) -> ThreadRef {
    let thread = threads.enter(id);
    CURRENT.set(Some(thread));
    // A thread whose local variables are being destroyed already stays in the table; it cannot wait much longer.
    let _ = REGISTRATION.try_with(|_| ());
    thread
}

/// `spawn_kernel_thread` and `resume_thread`: the thread runs at once. Linux schedules it; the priority is ignored.
///
/// # Panics
/// If Linux has no more threads.
pub fn spawn(name: &str, priority: i32, entry: impl FnOnce() -> status_t + Send + 'static) -> thread_id {
    let _ = priority;
    let id = {
        let mut threads = THREADS.guarded();
        let id = threads.new_id();
        threads.exits().insert(id, Exit::default());
        id
    };
    ledger::THREADS.add(1);
    let turn = schedule::make(name);
    let body = move || {
        let _turn = turn.inspect(schedule::Turn::take).map(Scheduled);
        let thread = register(&mut THREADS.guarded(), id);
        thread.parker.belong_to(schedule::current());
        wait::tell_watchers();
        let mut ending = Ending(id, B_ERROR);
        ending.1 = entry();
        held::check_none_held("a kernel thread ended");
    };
    let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body).expect("Linux has no more threads");
    if let Some(exit) = THREADS.guarded().exits().get_mut(&id) {
        exit.handle = Some(handle);
    }
    schedule::point("spawn_kernel_thread");
    id
}

/// A thread in the deterministic mode: it is forgotten in its turn, not at some moment after it.
struct Scheduled(#[expect(dead_code, reason = "it is there to be dropped")] schedule::Turn);

impl Drop for Scheduled {
    fn drop(&mut self) {
        forget_this();
    }
}

/// Tells of a thread's end, even if it panics.
struct Ending(thread_id, status_t);

impl Drop for Ending {
    fn drop(&mut self) {
        exit(self.0, self.1);
    }
}

fn exit(id: thread_id, status: status_t) {
    let waiter = {
        let mut threads = THREADS.guarded();
        let Some(exit) = threads.exits().get_mut(&id) else { return };
        exit.status = Some(status);
        exit.waiter.take()
    };
    ledger::THREADS.add(-1);
    if let Some(waiter) = waiter
        && waiter.parker.claim(B_OK) == Claim::MustWake
    {
        waiter.parker.wake();
    }
}

/// `wait_for_thread`: what the thread returned. A wait after that of another thread, or one for a thread that [`spawn`]
/// did not start, is `B_BAD_THREAD_ID`.
///
/// # Panics
/// With the thread's own panic, if it panicked.
pub fn wait_for(id: thread_id) -> Result<status_t, status_t> {
    interrupts::check("wait_for_thread()");
    let this = this();
    if id == this.id() {
        return Err(EDEADLK);
    }
    {
        let mut threads = THREADS.guarded();
        let exit = threads.exits().get_mut(&id).ok_or(B_BAD_THREAD_ID)?;
        if exit.status.is_none() {
            if exit.waiter.is_some() {
                return Err(B_BAD_THREAD_ID);
            }
            this.parker.prepare(Interruption::Never);
            exit.waiter = Some(this);
            drop(threads);
            this.parker.block(None, Place::Thread(id));
        }
    }
    let exit = THREADS.guarded().exits().remove(&id).ok_or(B_BAD_THREAD_ID)?;
    // The thread has finished; this only waits until its local variables are dropped.
    if let Some(Err(panicked)) = exit.handle.map(JoinHandle::join) {
        std::panic::resume_unwind(panicked);
    }
    exit.status.ok_or(B_BAD_THREAD_ID)
}

/// `find_thread(NULL)`: the caller.
#[must_use]
pub fn current() -> thread_id {
    this().id()
}

/// Waits until a thread sleeps in the kernel, for any reason, so that a test can disturb it there.
pub fn until_blocked(id: thread_id) -> Result<(), status_t> {
    let find = || THREADS.guarded().live().get(&id).map(|thread| &thread.parker);
    if wait::watch(find) { Ok(()) } else { Err(B_BAD_THREAD_ID) }
}

/// Sends a signal: an interruptible wait of the thread ends with `B_INTERRUPTED`, this one or the next. The signal
/// stays pending until the thread returns from its system call; a kernel thread keeps it until [`clear_signals`].
pub fn signal(id: thread_id) -> Result<(), status_t> {
    send(id, false)
}

/// Sends `SIGKILL`, which also ends waits that only a killing signal ends. It stays pending for good.
pub fn kill(id: thread_id) -> Result<(), status_t> {
    send(id, true)
}

fn send(id: thread_id, kill: bool) -> Result<(), status_t> {
    let thread = THREADS.guarded().live().get(&id).copied().ok_or(B_BAD_THREAD_ID)?;
    thread.interrupt(kill);
    schedule::point("send_signal");
    Ok(())
}

/// Handles the caller's pending signals, as returning to a program does. A killing signal stays.
pub fn clear_signals() {
    let thread = this();
    if thread.pending.load(Ordering::Relaxed) != 0 {
        thread.pending.fetch_and(!SIGNAL, Ordering::SeqCst);
    }
}

/// `snooze`, in microseconds: signals do not shorten it.
pub fn snooze(microseconds: bigtime_t) -> status_t {
    interrupts::check("snooze()");
    if microseconds <= 0 {
        return B_WOULD_BLOCK;
    }
    let parker = &this().parker;
    parker.prepare(Interruption::Never);
    parker.block(Some(wait::now().saturating_add(microseconds)), Place::Snooze);
    B_OK
}

/// `system_time`: microseconds since some moment.
#[must_use]
pub fn system_time() -> bigtime_t {
    wait::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};
    use haiku_sys::B_NORMAL_PRIORITY;

    #[test]
    fn a_thread_returns_its_status_once() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        let id = spawn("worker", B_NORMAL_PRIORITY as i32, || B_ERROR);
        assert_eq!(wait_for(id), Ok(B_ERROR));
        assert_eq!(wait_for(id), Err(B_BAD_THREAD_ID));
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    #[should_panic(expected = "in the thread")]
    fn a_threads_panic_is_its_waiters() {
        let _kernel = Kernel::boot(Options::default()).unwrap();
        let id = spawn("worker", 10, || panic!("in the thread"));
        let _ = wait_for(id);
    }

    #[test]
    fn a_thread_does_not_wait_for_itself() {
        assert_eq!(wait_for(current()), Err(EDEADLK));
    }

    #[test]
    fn each_thread_has_its_own_id() {
        let mine = current();
        assert_eq!(current(), mine);
        assert_ne!(std::thread::spawn(current).join().unwrap(), mine);
    }

    #[test]
    fn a_thread_that_ended_gets_no_signals() {
        let id = std::thread::spawn(current).join().unwrap();
        assert_eq!(signal(id), Err(B_BAD_THREAD_ID));
    }

    #[test]
    fn a_signal_stays_pending_until_it_is_handled_and_a_kill_stays_for_good() {
        std::thread::spawn(|| {
            let this = this();
            signal(current()).unwrap();
            assert!(this.is_interrupted(Interruption::Signals));
            assert!(!this.is_interrupted(Interruption::KillingSignals));
            clear_signals();
            assert!(!this.is_interrupted(Interruption::Signals));
            kill(current()).unwrap();
            clear_signals();
            assert!(this.is_interrupted(Interruption::KillingSignals));
        })
        .join()
        .unwrap();
    }
}
