//! `haiku-lab bridge`: the far side is Linux itself.
//!
//! Packets are copied between the emulated `/dev/tun/0` and Linux's `/dev/net/tun`, so that this machine's own kernel,
//! with its own `ping`, talks to the emulated Haiku.

mod linux;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Args;
use haiku_kernel::syscalls::{self, Fd};
use haiku_kernel::thread;
use haiku_sys::{B_INTERRUPTED, O_RDWR, status_t};

use self::linux::LinuxTun;
use super::signals::Signals;
use super::{Global, say, settle};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Lab;
use haiku_system::Mode;
use haiku_system::scenario;

const EXAMPLES: &str = "Examples:
  sudo unshare -n haiku-lab bridge --linux-tun tun9
  sudo unshare -n sh -c 'haiku-lab bridge --linux-tun tun9 --for 10 & sleep 1; ping -c 5 10.9.0.1; wait'

The line READY says that Linux has its addresses and that packets flow.";

/// The longest packet.
const BUFFER: usize = 65_536;

/// What `bridge` may be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BridgeArgs {
    /// The name of the interface to make on Linux's side
    #[arg(long, value_name = "NAME")]
    pub linux_tun: String,
    /// End after so many seconds; otherwise with SIGINT or SIGTERM
    #[arg(long = "for", value_name = "SECONDS")]
    pub seconds: Option<f64>,
}

/// What was copied.
#[derive(Debug, Default)]
struct Copied {
    to_linux: AtomicU64,
    to_haiku: AtomicU64,
    refused_by_linux: AtomicU64,
    refused_by_haiku: AtomicU64,
}

/// Bridges until it is stopped.
///
/// # Errors
/// No root, no `/dev/net/tun`, or something that was not given back.
pub fn run(global: &Global, arguments: &BridgeArgs, out: &mut dyn Write) -> Result<(), Error> {
    let signals = Signals::catch().map_err(|error| Error::io("catching signals", error))?;
    let linux = Arc::new(LinuxTun::create(&arguments.linux_tun)?);
    linux
        .configure(&[(scenario::peer(Mode::Tun, Family::Inet), 24), (scenario::peer(Mode::Tun, Family::Inet6), 64)])?;
    let lab = global.boot()?;
    lab.configure(Mode::Tun)?;
    let bridge = Bridge::start(&linux)?;
    say(out, &ready(&arguments.linux_tun))?;
    let time = arguments.seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    signals.wait(time.map_or(-1, |time| i32::try_from(time.as_millis()).unwrap_or(i32::MAX)));
    let copied = bridge.stop()?;
    finish(lab, &copied, out)
}

fn ready(name: &str) -> String {
    let (near, peer) = (|family| scenario::near(Mode::Tun, family), |family| scenario::peer(Mode::Tun, family));
    format!(
        "READY {name}: Linux is {} and {}, Haiku is {} and {}\n",
        peer(Family::Inet),
        peer(Family::Inet6),
        near(Family::Inet),
        near(Family::Inet6)
    )
}

fn finish(lab: Lab, copied: &Copied, out: &mut dyn Write) -> Result<(), Error> {
    let ledgers = lab.shutdown();
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    say(
        out,
        &format!(
            "{} packets to Linux, {} to Haiku; {} refused by Linux, {} by Haiku\n",
            get(&copied.to_linux),
            get(&copied.to_haiku),
            get(&copied.refused_by_linux),
            get(&copied.refused_by_haiku)
        ),
    )?;
    settle(&ledgers)
}

/// The two threads that copy.
struct Bridge {
    fd: Fd,
    stop: Arc<AtomicBool>,
    copied: Arc<Copied>,
    linux: Arc<LinuxTun>,
    upward: (std::thread::JoinHandle<Result<(), status_t>>, haiku_sys::thread_id),
    downward: std::thread::JoinHandle<()>,
}

impl Bridge {
    fn start(linux: &Arc<LinuxTun>) -> Result<Self, Error> {
        let node = Mode::Tun.node(0);
        let fd = syscalls::open(&node, O_RDWR).map_err(|status| Error::status(format!("opening {node}"), status))?;
        let (stop, copied) = (Arc::new(AtomicBool::new(false)), Arc::new(Copied::default()));
        let (started, starting) = mpsc::channel();
        let upward = {
            let (stop, copied, linux) = (Arc::clone(&stop), Arc::clone(&copied), Arc::clone(linux));
            std::thread::spawn(move || {
                let _ = started.send(thread::current());
                to_linux(fd, &linux, &stop, &copied)
            })
        };
        let id = starting.recv().map_err(|_| Error::Failed("the bridge's thread did not start".to_owned()))?;
        let downward = {
            let (copied, linux) = (Arc::clone(&copied), Arc::clone(linux));
            std::thread::spawn(move || to_haiku(fd, &linux, &copied))
        };
        Ok(Self { fd, stop, copied, linux: Arc::clone(linux), upward: (upward, id), downward })
    }

    fn stop(self) -> Result<Arc<Copied>, Error> {
        self.stop.store(true, Ordering::SeqCst);
        self.linux.end();
        let _ = thread::signal(self.upward.1);
        let upward = self.upward.0.join().unwrap_or(Ok(()));
        let _ = self.downward.join();
        let closed = syscalls::close(self.fd);
        upward.and(closed).map_err(|status| Error::status("the bridge's device", status))?;
        Ok(self.copied)
    }
}

/// Copies what Haiku sends.
fn to_linux(fd: Fd, linux: &LinuxTun, stop: &AtomicBool, copied: &Copied) -> Result<(), status_t> {
    let mut buffer = vec![0; BUFFER];
    while !stop.load(Ordering::SeqCst) {
        match syscalls::read(fd, &mut buffer) {
            Ok(length) => {
                let counter = match linux.write(buffer.get(..length).unwrap_or_default()) {
                    Ok(()) => &copied.to_linux,
                    Err(_) => &copied.refused_by_linux,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Err(B_INTERRUPTED) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

/// Copies what Linux sends.
fn to_haiku(fd: Fd, linux: &LinuxTun, copied: &Copied) {
    let mut buffer = vec![0; BUFFER];
    while let Some(length) = linux.read(&mut buffer) {
        let counter = match syscalls::write(fd, buffer.get(..length).unwrap_or_default()) {
            Ok(_) => &copied.to_haiku,
            Err(_) => &copied.refused_by_haiku,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
