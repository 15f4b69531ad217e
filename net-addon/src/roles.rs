//! The two roles of the file, which may start and stop in any order.

use core::sync::atomic::{AtomicU32, Ordering};

use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::units::Kind;
use crate::{debugger, log, settings};

static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Starts a role. The first one reads the settings for both: the module role starts with any interface, and a file changed
/// since must not remove the nodes of running programs. (If both start at once, both read it.) The stack's modules are not
/// loaded here: when drivers are probed at boot, the stack's module is still busy, because it starts with the first socket.
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

/// Stops a role that was started.
pub(crate) fn stop(role: &'static str) {
    ::log::debug!(target: role, "stopped");
    if RUNNING.fetch_sub(1, Ordering::Relaxed) == 1 {
        debugger::stop();
        // The image may stay mapped, and must then start with a fresh state.
        Tun::units().forget_unused();
        Tap::units().forget_unused();
    }
}
