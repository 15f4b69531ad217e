//! `open` and its variants.

use std::ffi::{CStr, c_char, c_int};

use crate::open::Open;
use crate::{ending, errno, haiku, process, real, table};

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path<'a> {
    /// Linux's: `TUNSETIFF` will say the rest.
    Linux,
    /// One of Haiku's that stands for the lowest free unit.
    Clone(&'a str),
    /// A unit's, or one that shows the units.
    Unit(&'a str),
}

fn parse(path: &[u8]) -> Option<Path<'_>> {
    let rest = path.strip_prefix(b"/dev/")?;
    let text = std::str::from_utf8(path).ok()?;
    if rest == b"net/tun" {
        return Some(Path::Linux);
    }
    if matches!(rest, b"misc/tun_tap" | b"misc/tun_tap_short") {
        return Some(Path::Unit(text));
    }
    let rest = rest.strip_prefix(b"tun").or_else(|| rest.strip_prefix(b"tap"))?;
    match rest {
        b"" => Some(Path::Clone(text)),
        [b'/', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => Some(Path::Unit(text)),
        _ => None,
    }
}

/// Opens a device, if the path is one's.
///
/// # Safety
/// `path` is a C string, or null.
unsafe fn device(path: *const c_char, flags: c_int) -> Option<Result<c_int, c_int>> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let path = parse(unsafe { CStr::from_ptr(path) }.to_bytes())?;
    if process::is_orphan() {
        // The Haiku of this process stayed with its parent, and Linux's own device is not what the program wants.
        return Some(Err(libc::ENXIO));
    }
    Some(open_device(path, flags))
}

fn open_device(path: Path<'_>, flags: c_int) -> Result<c_int, c_int> {
    haiku::boot(matches!(path, Path::Clone(_)))?;
    ending::prepare();
    let node = match path {
        Path::Linux => None,
        Path::Clone(node) | Path::Unit(node) => Some(node),
    };
    let (open, fd) = Open::new(node, (flags & libc::O_ACCMODE).cast_unsigned(), table::replace)?;
    if flags & libc::O_NONBLOCK != 0 {
        // SAFETY: a descriptor that was just made.
        unsafe { real::fcntl()(fd, libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
    }
    if flags & libc::O_CLOEXEC == 0 {
        // SAFETY: as above.
        unsafe { real::fcntl()(fd, libc::F_SETFD, 0) };
    }
    table::insert(fd, open);
    Ok(fd)
}

fn finish(result: Result<c_int, c_int>) -> c_int {
    result.unwrap_or_else(|errno| {
        errno::set(errno);
        -1
    })
}

macro_rules! open_hooks {
    ($($name:ident)*) => {
        $(
            /// `open`. The mode is there only if the flags say so, and in a register either way.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
                // SAFETY: the caller gives a C string.
                match unsafe { device(path, flags) } {
                    Some(result) => finish(result),
                    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged. On this platform
                    // both types of offset are the same.
                    None => unsafe { real::open()(path, flags, mode) },
                }
            }
        )*
    };
}

open_hooks! { open open64 }

macro_rules! fortified_hooks {
    ($($name:ident)*) => {
        $(
            /// `open` with two arguments, as fortified programs call it.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(path: *const c_char, flags: c_int) -> c_int {
                // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                unsafe { open(path, flags, 0) }
            }
        )*
    };
}

fortified_hooks! { __open_2 __open64_2 }

macro_rules! openat_hooks {
    ($($name:ident)*) => {
        $(
            /// `openat`: a device's path is absolute, so that the directory does not matter.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(at: c_int, path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
                // SAFETY: the caller gives a C string.
                match unsafe { device(path, flags) } {
                    Some(result) => finish(result),
                    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                    None => unsafe { real::openat()(at, path, flags, mode) },
                }
            }
        )*
    };
}

openat_hooks! { openat openat64 }
