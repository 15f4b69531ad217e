//! The far side: a small program that opens a node, reads and writes packets, and answers with a smoltcp of its own.
//!
//! It knows nothing of the driver. Like a VPN tool it has `open`, `read`, `write`, `poll` and `select`, and like a VPN
//! tool it is ended by a signal.

pub mod network;
mod program;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use haiku_kernel::sync::{Condvar, Mutex};
use haiku_kernel::syscalls::Fd;
use haiku_kernel::thread;
use haiku_sys::thread_id;

pub use self::network::FarState;
use self::network::Network;
use crate::mode::Mode;
use haiku_stack::Error;
use haiku_stack::lock;

/// How the program waits for packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// A blocking `read`.
    #[default]
    Read,
    /// `poll`, with the descriptor non-blocking.
    Poll,
    /// `select`, with the descriptor non-blocking.
    Select,
}

impl Waiting {
    /// All of them.
    pub const ALL: [Waiting; 3] = [Waiting::Read, Waiting::Poll, Waiting::Select];

    /// The name of the call.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Poll => "poll",
            Self::Select => "select",
        }
    }
}

impl FromStr for Waiting {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|waiting| waiting.name() == word);
        found.ok_or_else(|| "expected read, poll or select".to_owned())
    }
}

/// Which way a packet went, from the program's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The program read it.
    Read,
    /// The program wrote it.
    Written,
}

/// A function that sees every packet.
pub type Watcher = Box<dyn FnMut(Way, &[u8]) + Send>;

/// What the program is started with.
pub struct Options {
    /// What the node carries.
    pub mode: Mode,
    /// Which unit of it.
    pub unit: usize,
    /// The far side's addresses with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// How it waits.
    pub waiting: Waiting,
    /// Sees every packet.
    pub watcher: Option<Watcher>,
}

/// What the program did.
#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    written: AtomicU64,
    refused: AtomicU64,
    waits: AtomicU64,
}

/// What the program did, at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets read.
    pub read: u64,
    /// Packets written.
    pub written: u64,
    /// Packets that `write` refused for good.
    pub refused: u64,
    /// How often it waited.
    pub waits: u64,
}

/// What the program's thread and its owner share.
struct Shared {
    network: Mutex<Network>,
    /// Told after every packet.
    changed: Condvar,
    counts: Counts,
    fd: AtomicI32,
    stop: AtomicBool,
    watcher: Mutex<Option<Watcher>>,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn fd(&self) -> Fd {
        self.fd.load(Ordering::SeqCst)
    }

    fn watch(&self, way: Way, packet: &[u8]) {
        if let Some(watcher) = &mut *lock(&self.watcher) {
            watcher(way, packet);
        }
    }
}

/// A running far side; it ends when dropped.
pub struct FarSide {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), Error>>>,
    id: thread_id,
    mode: Mode,
}

impl std::fmt::Debug for FarSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FarSide({}, {:?})", self.mode, self.traffic())
    }
}

impl FarSide {
    /// Starts the program; returns once it has opened its node.
    pub fn start(options: Options) -> Result<Self, Error> {
        let node = options.mode.node(options.unit);
        let shared = Arc::new(Shared {
            network: Mutex::new(Network::new(options.mode, &options.addresses)),
            changed: Condvar::new(),
            counts: Counts::default(),
            fd: AtomicI32::new(-1),
            stop: AtomicBool::new(false),
            watcher: Mutex::new(options.watcher),
        });
        let (opened, opening) = mpsc::channel();
        let run = Arc::clone(&shared);
        let waiting = options.waiting;
        let thread = std::thread::Builder::new()
            .name(format!("far side of {}", options.mode.interface(options.unit)))
            .spawn(move || program::run(&run, &node, waiting, &opened))
            .map_err(|error| Error::io("starting the far side's thread", error))?;
        match opening.recv() {
            Ok(id) => Ok(Self { shared, thread: Some(thread), id, mode: options.mode }),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                _ => Err(Error::Failed("the far side ended before it began".into())),
            },
        }
    }

    /// The program's descriptor, for calls that it would make itself.
    #[must_use]
    pub fn fd(&self) -> Fd {
        self.shared.fd()
    }

    /// What the program did so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let counts = &self.shared.counts;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            read: get(&counts.read),
            written: get(&counts.written),
            refused: get(&counts.refused),
            waits: get(&counts.waits),
        }
    }

    /// Does something with the program's own sockets, then writes what they emit.
    ///
    /// # Errors
    /// What `write` answered.
    pub fn with<R>(&self, act: impl FnOnce(&mut FarState) -> R) -> Result<R, Error> {
        let (result, packets) = {
            let mut network = lock(&self.shared.network);
            let result = act(network.state());
            let packets = network.poll();
            (result, packets)
        };
        program::write_blocking(&self.shared, packets)?;
        Ok(result)
    }

    /// Waits until `ready` has an answer about the program's own sockets; it is asked again after every packet. What it
    /// does to them is sent with the next packet, or by [`FarSide::with`].
    pub fn wait_until<R>(&self, deadline: Instant, mut ready: impl FnMut(&mut FarState) -> Option<R>) -> Option<R> {
        let mut network = lock(&self.shared.network);
        loop {
            if let Some(answer) = ready(network.state()) {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            network = self.shared.changed.wait_timeout(network, left);
        }
    }

    /// Ends the program as a signal would, and says how it ended.
    ///
    /// # Errors
    /// What made the program give up before.
    pub fn stop(mut self) -> Result<Traffic, Error> {
        self.end()?;
        Ok(self.traffic())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(running) = self.thread.take() else { return Ok(()) };
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = thread::signal(self.id);
        running.join().unwrap_or_else(|_| Err(Error::Failed("the far side panicked".into())))
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
