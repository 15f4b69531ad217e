//! What is below /dev.

use haiku_sys::status_t;

use crate::syscalls::Fd;

/// What an entry of /dev is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A driver's node.
    Device,
}

/// An entry of a directory of /dev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the directory.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
}

/// The entries of a directory, by its path below /dev ("" for /dev itself), in Haiku's order: by name.
pub fn list(path: &str) -> Result<Vec<Entry>, status_t> {
    let _ = path;
    todo!("list")
}

/// Every device below /dev, by its path there, in the order of the directories.
#[must_use]
pub fn devices() -> Vec<String> {
    Vec::new()
}

/// A lasting interest in a descriptor's events; it ends when dropped.
#[derive(Debug)]
pub struct Observer {
    _private: (),
}

impl Observer {
    /// Asks the device again for each event, so that those that hold now are reported now.
    pub fn rearm(&self) -> Result<(), status_t> {
        todo!("rearm")
    }
}

/// Calls `callback` with the events (bits as `poll` has them) whenever the device notifies one of `events`, and at
/// once for those that hold already. The callback may run with the driver's locks held and must not call back.
pub fn observe(fd: Fd, events: u16, callback: impl Fn(u16) + Send + Sync + 'static) -> Result<Observer, status_t> {
    let _ = (fd, events, callback);
    todo!("observe")
}
