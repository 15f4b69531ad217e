//! Linux's side of the bridge: an interface with addresses.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use haiku_stack::Error;
use tuntap_testkit::linux_tun;

/// How long the reader waits before it looks whether it is to end, in milliseconds.
const LOOK: libc::c_int = 50;

/// The interface; it is deleted when this is dropped.
#[derive(Debug)]
pub(super) struct LinuxTun {
    file: File,
    ended: AtomicBool,
    name: String,
}

impl LinuxTun {
    /// Makes the interface.
    pub(super) fn create(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['/', ' ', '%']) {
            return Err(Error::Usage(format!(
                "bridge: \"{name}\" cannot be an interface of Linux's: up to {} characters, no slash, no space",
                libc::IFNAMSIZ - 1
            )));
        }
        let file = linux_tun::open(name, libc::IFF_TUN | libc::IFF_NO_PI)
            .map_err(|error| explain(error, &format!("making the interface {name}")))?;
        Ok(Self { file, ended: AtomicBool::new(false), name: name.to_owned() })
    }

    /// Gives the interface its addresses and brings it up.
    pub(super) fn configure(&self, addresses: &[(IpAddr, u8)]) -> Result<(), Error> {
        for (address, prefix) in addresses {
            self.ip(&["addr", "add", &format!("{address}/{prefix}"), "dev", &self.name])?;
        }
        self.ip(&["link", "set", "dev", &self.name, "up"])
    }

    fn ip(&self, arguments: &[&str]) -> Result<(), Error> {
        let output = Command::new("ip")
            .args(arguments)
            .output()
            .map_err(|error| Error::io("bridge: running ip, of the package iproute2", error))?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(Error::Failed(format!("bridge: `ip {}` failed: {}", arguments.join(" "), why.trim())))
    }

    /// Hands Linux a packet.
    pub(super) fn write(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write_all(packet)
    }

    /// Waits for a packet of Linux's; `None` ends the reader.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        while !self.ended.load(Ordering::SeqCst) {
            let mut wait = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one live descriptor.
            unsafe { libc::poll(&raw mut wait, 1, LOOK) };
            match (&self.file).read(buffer) {
                Ok(length) => return Some(length),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Ends the reader.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// What went wrong, and what to do about it.
fn explain(error: io::Error, what: &str) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "this machine has no TUN driver; load it with `modprobe tun`, or bridge elsewhere",
        io::ErrorKind::PermissionDenied => "only root may; try `sudo unshare -n haiku-lab bridge ...`",
        io::ErrorKind::ResourceBusy => "another program has an interface of this name; choose another",
        _ => return Error::io(format!("bridge: {what}"), error),
    };
    Error::Failed(format!("bridge: {what}: {error}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_linux_cannot_have_is_refused_before_anything_is_opened() {
        for name in ["", "tun/0", "a name", "sixteen-letters!"] {
            assert!(matches!(LinuxTun::create(name), Err(Error::Usage(_))), "{name}");
        }
    }

    #[test]
    fn a_missing_requirement_is_reported_with_what_to_do() {
        let error = explain(io::Error::from(io::ErrorKind::PermissionDenied), "opening /dev/net/tun");
        assert!(error.to_string().contains("only root may"));
        let error = explain(io::Error::from(io::ErrorKind::NotFound), "opening /dev/net/tun");
        assert!(error.to_string().contains("modprobe tun"));
    }
}
