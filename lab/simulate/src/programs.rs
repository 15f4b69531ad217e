//! The threads of the simulated world: programs that do one call at a time, and the stack's readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haiku_kernel::sync::{Condvar, Mutex};
use haiku_kernel::syscalls::{self, PollFd};
use haiku_kernel::thread;
use haiku_sys::{B_NORMAL_PRIORITY, B_OK, thread_id};
use tuntap_testkit::card::Hooks;

use super::possible::{Answer, Real};

/// A call that a program is to make.
#[derive(Debug)]
pub(super) enum Job {
    Read { fd: i32, room: usize },
    Write { fd: i32, bytes: Vec<u8> },
    Poll { fd: i32, events: u16 },
    Close { fd: i32 },
    Open { path: String, flags: u32 },
    Send { to: Hooks, bytes: Vec<u8> },
    Down { to: Hooks, reader: Option<Reader> },
    Detach { what: Hooks, reader: Option<Reader> },
    Signal { to: thread_id },
}

impl Job {
    fn run(self) -> Answer {
        match self {
            Self::Read { fd, room } => {
                let mut buffer = vec![0; room];
                let length = syscalls::read(fd, &mut buffer)?;
                buffer.truncate(length);
                Ok(buffer)
            }
            Self::Write { fd, bytes } => {
                syscalls::write(fd, &bytes).map(|length| (length as u32).to_ne_bytes().to_vec())
            }
            Self::Poll { fd, events } => {
                let mut fds = [PollFd { fd, events, revents: 0 }];
                syscalls::poll(&mut fds, -1).map(|_| fds[0].revents.to_ne_bytes().to_vec())
            }
            Self::Close { fd } => syscalls::close(fd).map(|()| Vec::new()),
            Self::Send { to, bytes } => to.send(&bytes).map(|()| Vec::new()),
            Self::Open { path, flags } => syscalls::open(&path, flags).map(|fd| fd.to_ne_bytes().to_vec()),
            Self::Detach { what, reader } => {
                if reader.is_some() {
                    take_down(what, reader.as_ref());
                }
                what.uninit();
                Ok(Vec::new())
            }
            Self::Signal { to } => thread::signal(to).map(|()| Vec::new()),
            Self::Down { to, reader } => {
                take_down(to, reader.as_ref());
                Ok(Vec::new())
            }
        }
    }
}

#[derive(Debug, Default)]
struct Desk {
    job: Option<Job>,
    answer: Option<Answer>,
    /// It ends after the call it is in, or at once.
    ended: bool,
}

/// A program.
#[derive(Debug)]
pub(super) struct Program {
    id: thread_id,
    desk: Arc<(Mutex<Desk>, Condvar)>,
}

impl Program {
    /// Starts one.
    pub(super) fn start(number: usize) -> Self {
        let desk = Arc::new((Mutex::default(), Condvar::new()));
        let mine = Arc::clone(&desk);
        let id = thread::spawn(&format!("program {number}"), B_NORMAL_PRIORITY as i32, move || {
            work(&mine.0, &mine.1);
            B_OK
        });
        Self { id, desk }
    }

    /// Its thread.
    pub(super) fn id(&self) -> thread_id {
        self.id
    }

    /// Has it make a call. It must not be inside one.
    pub(super) fn give(&self, job: Job) {
        self.desk.0.lock().job = Some(job);
        self.desk.1.notify_one();
    }

    /// What came of the call, if it has returned.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.desk.0.lock().answer.take()
    }

    /// Sends it a signal; after one that kills it makes no further call.
    pub(super) fn signal(&self, kill: bool) {
        if kill {
            self.desk.0.lock().ended = true;
            let _ = thread::kill(self.id);
        } else {
            let _ = thread::signal(self.id);
        }
    }

    /// Waits for its end.
    pub(super) fn end(self) {
        self.desk.0.lock().ended = true;
        self.desk.1.notify_one();
        let _ = thread::wait_for(self.id);
    }
}

fn work(desk: &Mutex<Desk>, changed: &Condvar) {
    loop {
        let job = {
            let mut desk = desk.lock();
            loop {
                if desk.ended {
                    return;
                }
                match desk.job.take() {
                    Some(job) => break job,
                    None => desk = changed.wait(desk),
                }
            }
        };
        // A signal that came too late for the last call is not this one's.
        thread::clear_signals();
        let answer = job.run();
        desk.lock().answer = Some(answer);
    }
}

#[derive(Debug)]
struct Shared {
    up: AtomicBool,
    came: Mutex<Real>,
}

/// The stack takes an interface down, and its reader comes back.
pub(super) fn take_down(interface: Hooks, reader: Option<&Reader>) {
    if let Some(reader) = reader {
        reader.shared.up.store(false, Ordering::SeqCst);
    }
    interface.down();
    if let Some(reader) = reader {
        reader.end();
    }
}

/// An interface's reader.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    id: thread_id,
    shared: Arc<Shared>,
}

impl Reader {
    /// Starts one, as the stack does when an interface is up.
    pub(super) fn start(from: Hooks) -> Self {
        let shared = Arc::new(Shared { up: AtomicBool::new(true), came: Mutex::default() });
        let mine = Arc::clone(&shared);
        let id = thread::spawn("reader", B_NORMAL_PRIORITY as i32, move || {
            let from = from;
            let end = loop {
                if !mine.up.load(Ordering::SeqCst) {
                    break Ok(Vec::new());
                }
                match from.receive() {
                    Ok(frame) => mine.came.lock().received.push(frame),
                    Err(error) => break Err(error),
                }
            };
            mine.came.lock().answer = Some(end);
            B_OK
        });
        Self { id, shared }
    }

    /// What it received, and whether it has ended.
    pub(super) fn came(&self) -> Real {
        std::mem::take(&mut *self.shared.came.lock())
    }

    /// Waits for one that has ended by itself.
    pub(super) fn end(&self) {
        let _ = thread::wait_for(self.id);
    }
}
