//! A lasting interest in a descriptor's events, for what mirrors them elsewhere.

use std::sync::{Arc, OnceLock};

use haiku_sys::{B_OK, status_t};

use crate::fd::{self, Fd};
use crate::select::{INVALID, Info, InfoRef, Waiter};

struct Callback<F> {
    function: F,
    info: OnceLock<InfoRef>,
}

impl<F: Fn(u16) + Send + Sync> Waiter for Callback<F> {
    fn notify(&self, events: u16, selected: u16) -> status_t {
        if events & selected != 0 {
            (self.function)(events & selected);
        }
        B_OK
    }
}

impl<F> Drop for Callback<F> {
    fn drop(&mut self) {
        if let Some(info) = self.info.get() {
            info.end();
        }
    }
}

/// A lasting interest in a descriptor's events; it ends when dropped.
pub struct Observer {
    fd: Fd,
    info: InfoRef,
    _waiter: Arc<dyn Waiter>,
}

impl core::fmt::Debug for Observer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Observer").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = fd::deselect(self.fd, self.info);
    }
}

/// Calls `callback` with the events (bits as `poll` has them) whenever the device notifies one of `events`, and at
/// once for those that hold already; with `POLLNVAL` when the descriptor is closed. The callback may run with the
/// driver's locks held and must not call back.
pub fn observe(fd: Fd, events: u16, callback: impl Fn(u16) + Send + Sync + 'static) -> Result<Observer, status_t> {
    let waiter = Arc::new(Callback { function: callback, info: OnceLock::new() });
    let weak: std::sync::Weak<dyn Waiter> = Arc::downgrade(&waiter) as _;
    let info = *waiter.info.get_or_init(|| Info::new(events | INVALID, weak));
    fd::select(fd, info)?;
    Ok(Observer { fd, info, _waiter: waiter })
}
