//! What the tests share: a toy driver, threads that report who they are, and processes that are expected to die.

#![allow(dead_code, reason = "each test uses its own part of this")]

pub(crate) mod toy;

use core::cell::RefCell;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use haiku_kernel::{Kernel, Options, thread};
use haiku_sys::thread_id;

/// One test at a time, until its thread ends: what the test drivers note is the process's.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static MY_TURN: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// A kernel with nothing special about it.
pub(crate) fn boot() -> Kernel {
    MY_TURN.with_borrow_mut(|turn| {
        turn.get_or_insert_with(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    });
    Kernel::boot(Options::default()).unwrap()
}

/// A thread of the team, with the id that the kernel knows it by.
pub(crate) struct Program<T> {
    pub(crate) id: thread_id,
    handle: JoinHandle<T>,
}

impl<T: Send + 'static> Program<T> {
    pub(crate) fn start(body: impl FnOnce() -> T + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        let handle = std::thread::spawn(move || {
            tell.send(thread::current()).unwrap();
            body()
        });
        Self { id: told.recv().unwrap(), handle }
    }

    /// Starts it and waits until it sleeps in the kernel.
    pub(crate) fn blocked(body: impl FnOnce() -> T + Send + 'static) -> Self {
        let program = Self::start(body);
        thread::until_blocked(program.id).unwrap();
        program
    }

    pub(crate) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}

/// Runs `body` in a process of its own, a copy of the test's, which must end with a kernel panic that says
/// `message`. `test` is the test's own name.
pub(crate) fn panics(test: &str, message: &str, body: impl FnOnce()) {
    const MARK: &str = "HAIKU_KERNEL_TEST_PANICS";
    if std::env::var_os(MARK).is_some() {
        body();
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("PANIC: ") && said.contains(message), "it said:\n{said}");
    assert_eq!(output.status.signal(), Some(6), "it must abort; it said:\n{said}");
}
