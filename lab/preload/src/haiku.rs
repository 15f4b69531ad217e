//! The Haiku in this process: booted at the first open of a device, configured through a socket.

use std::io::{BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use haiku_system::control;
use haiku_system::{Lab, LabOptions};

use crate::hidden;
use crate::signals::Blocked;

static LAB: Mutex<Option<Arc<Lab>>> = Mutex::new(None);
/// Whether one node stands for all units of a mode.
static CLONES: AtomicBool = AtomicBool::new(false);

/// Whether `/dev/tun` is a node that stands for the lowest free unit.
pub(crate) fn clones() -> bool {
    CLONES.load(Ordering::Relaxed)
}

/// The Haiku, if it has been booted.
pub(crate) fn running() -> Option<Arc<Lab>> {
    LAB.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Boots Haiku, unless that was done; with `clone` it publishes one node a mode.
///
/// # Errors
/// `errno`; what went wrong is said on standard error.
pub(crate) fn boot(clone: bool) -> Result<Arc<Lab>, i32> {
    let mut lab = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lab) = &*lab {
        return Ok(Arc::clone(lab));
    }
    let _blocked = Blocked::new();
    let mut settings = std::env::var(control::SETTINGS).unwrap_or_default();
    if clone {
        settings += "\nnodes clone\n";
    }
    CLONES.store(settings.lines().any(|line| line.split_whitespace().eq(["nodes", "clone"])), Ordering::Relaxed);
    let options = LabOptions {
        settings: vec![(haiku_system::addon::NAME.to_owned(), settings)],
        pcap: std::env::var_os(control::PCAP).map(PathBuf::from),
        log: log(),
        seed: std::env::var(control::SEED).ok().and_then(|seed| seed.parse().ok()),
        ..LabOptions::default()
    };
    let booted = Lab::boot(options).map_err(|error| {
        eprintln!("haiku-preload: no Haiku in this process: {error}");
        libc::ENXIO
    })?;
    let booted = Arc::new(booted);
    *lab = Some(Arc::clone(&booted));
    drop(lab);
    listen();
    Ok(booted)
}

/// A file for the system's log, if one is wanted.
fn log() -> Option<haiku_system::LogSink> {
    let path = std::env::var_os(control::LOG)?;
    let file = std::fs::File::options().create(true).append(true).open(path).ok()?;
    let hidden = hidden::hide(file.as_raw_fd());
    drop(file);
    // SAFETY: the descriptor is new, and nothing else closes it.
    let file = Mutex::new(unsafe { std::fs::File::from_raw_fd(hidden) });
    Some(Box::new(move |line| {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{}", line.trim_end());
    }))
}

/// Serves the control socket, if the environment names one.
fn listen() {
    let Some(path) = std::env::var_os(control::SOCKET) else { return };
    // The socket of a killed process is replaced; a live process keeps its socket.
    if UnixStream::connect(&path).is_ok() {
        return;
    }
    let _ = std::fs::remove_file(&path);
    let fd = match UnixListener::bind(&path) {
        Ok(listener) => hidden::hide(listener.as_raw_fd()),
        Err(error) => {
            eprintln!("haiku-preload: no control socket {}: {error}", PathBuf::from(path).display());
            return;
        }
    };
    let serve = move || {
        // SAFETY: the descriptor stays open, and is not closed by this.
        let listener = std::mem::ManuallyDrop::new(unsafe { UnixListener::from_raw_fd(fd) });
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let hidden = hidden::hide(stream.as_raw_fd());
            drop(stream);
            let name = "haiku control".to_owned();
            let _ = std::thread::Builder::new().name(name).spawn(move || connection(hidden));
        }
    };
    let _ = std::thread::Builder::new().name("haiku control".to_owned()).spawn(serve);
}

/// Serves one connection.
fn connection(fd: RawFd) {
    {
        // SAFETY: the descriptor is this thread's, and is closed below.
        let stream = std::mem::ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(fd) });
        let _ = control::serve(&mut BufReader::new(&*stream), &mut &*stream, &mut execute);
    }
    hidden::unhide(fd);
}

/// Executes a line for a connection to the control socket, or for the program itself.
pub(crate) fn execute(line: &str) -> Result<String, haiku_stack::Error> {
    let Some(lab) = running() else {
        return Err(haiku_stack::Error::Failed("no Haiku runs in this process now".to_owned()));
    };
    let _blocked = Blocked::new();
    control::execute(&lab, line)
}

/// Ends Haiku. Returns `None` if there is none, or another thread does not stop using it.
pub(crate) fn end() -> Option<haiku_system::Ledgers> {
    let mut lab = LAB.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match Arc::try_unwrap(lab) {
            Ok(lab) => return Some(lab.shutdown()),
            Err(busy) if Instant::now() < deadline => {
                lab = busy;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return None,
        }
    }
}
