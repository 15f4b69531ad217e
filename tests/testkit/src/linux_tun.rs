//! A client of Linux's own `/dev/net/tun`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Linux's device.
pub const NODE: &str = "/dev/net/tun";

/// A `struct ifreq` with a name and flags, as `TUNSETIFF` takes it.
#[must_use]
pub fn request(name: &str, flags: u16) -> [u8; 40] {
    let mut request = [0; 40];
    assert!(name.len() < libc::IFNAMSIZ, "{name}: too long for an interface of Linux's");
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    request
}

/// Makes an interface and returns its descriptor, which does not block; `flags` are `IFF_TUN` or `IFF_TAP` and the like.
///
/// # Errors
/// Linux's: without root, without the device, or with a name that is taken.
pub fn open(name: &str, flags: libc::c_int) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(NODE)?;
    let mut request = request(name, flags as u16);
    // SAFETY: the request lives through the call, and has its size.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, request.as_mut_ptr()) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}
