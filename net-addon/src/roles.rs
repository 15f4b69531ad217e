//! The two roles of the file, either of which may come first and go last.

use core::sync::atomic::{AtomicU32, Ordering};

use haiku_sys as sys;

use crate::kernel::{give_modules_back, take_modules};
use crate::{debugger, log, settings};

static RUNNING: AtomicU32 = AtomicU32::new(0);

/// A role starts: the stack's modules are loaded and the settings read.
///
/// # Errors
///
/// Whatever the kernel says if the stack cannot be loaded.
pub(crate) fn start(role: &'static str) -> Result<(), sys::status_t> {
    log::start();
    settings::load();
    take_modules().inspect_err(|_| {
        ::log::error!(target: role, "the network stack could not be loaded; is its add-on installed?");
    })?;
    if RUNNING.fetch_add(1, Ordering::Relaxed) == 0 {
        debugger::start();
    }
    ::log::debug!(target: role, "started");
    Ok(())
}

/// A role that started ends.
pub(crate) fn stop(role: &'static str) {
    ::log::debug!(target: role, "stopped");
    if RUNNING.fetch_sub(1, Ordering::Relaxed) == 1 {
        debugger::stop();
    }
    give_modules_back();
}
