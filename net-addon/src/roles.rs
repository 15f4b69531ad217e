//! The two roles of the file, either of which may come first and go last.

use core::sync::atomic::{AtomicU32, Ordering};

use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::units::Kind;
use crate::{debugger, log, settings};

static RUNNING: AtomicU32 = AtomicU32::new(0);

/// A role starts. The first to start has the settings read, and they hold for the other too: the module role starts with
/// any interface, and a file changed since must not take nodes from under their programs. (Should both start at once, both
/// read it.) The stack's modules are not wanted yet: when drivers are probed at boot, the stack says that it is busy, for
/// it starts with the first socket.
pub(crate) fn start(role: &'static str) {
    log::start();
    if RUNNING.load(Ordering::Relaxed) == 0 {
        settings::load();
    }
    if RUNNING.fetch_add(1, Ordering::Relaxed) == 0 {
        debugger::start();
    }
    ::log::debug!(target: role, "started");
}

/// A role that started ends.
pub(crate) fn stop(role: &'static str) {
    ::log::debug!(target: role, "stopped");
    if RUNNING.fetch_sub(1, Ordering::Relaxed) == 1 {
        debugger::stop();
        // The image may stay mapped, but must start afresh.
        Tun::units().forget_unused();
        Tap::units().forget_unused();
    }
}
