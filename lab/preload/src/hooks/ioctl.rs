//! `ioctl`: the device's own controls, and those of a socket that name an interface of ours.

use std::ffi::{c_int, c_ulong};

use haiku_kernel::syscalls::{self, Fd};
use haiku_kernel::user;
use haiku_sys::{FIONREAD, status_t};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{
    SIOCGIFHWADDR, TUNGETFEATURES, TUNGETIFF, TUNREADBATCH, TUNSETIFF, TUNWRITEBATCH, TunFlags,
};

use crate::errno::{fail, from_status};
use crate::interface::{self, Request};
use crate::open::{Open, interface_of};
use crate::{haiku, names, process, real, table};

/// Below are numbers, above are pointers.
const FIRST_PAGES: usize = 1 << 16;

/// `ioctl`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, op: c_ulong, argument: usize) -> c_int {
    let result = match table::find(fd) {
        Some(_) if process::is_orphan() => Err(libc::EBADFD),
        Some(open) => {
            // SAFETY: the caller's promise to libc.
            match unsafe { device(&open, op as u32, argument) } {
                Some(result) => result,
                // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                None => return unsafe { real::ioctl()(fd, op, argument) },
            }
        }
        // SAFETY: the caller's promise to libc.
        None => match unsafe { named(op as u32, argument) } {
            Some(result) => result.map(|()| 0),
            // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
            None => return unsafe { real::ioctl()(fd, op, argument) },
        },
    };
    result.unwrap_or_else(|errno| fail(errno) as c_int)
}

/// A control of a socket that names an interface of ours.
///
/// # Safety
/// As libc's `ioctl`.
unsafe fn named(op: u32, argument: usize) -> Option<Result<(), c_int>> {
    if !interface::is_ours(op) || argument < FIRST_PAGES || process::is_orphan() {
        return None;
    }
    // SAFETY: each of these controls points to a request.
    let request = unsafe { &mut *(argument as *mut Request) };
    interface::control(op, request)
}

/// A control of a device. `None` is for Linux itself: the flags of the real descriptor.
///
/// # Safety
/// As libc's `ioctl`.
unsafe fn device(open: &Open, op: u32, argument: usize) -> Option<Result<c_int, c_int>> {
    if u64::from(op) == libc::FIONBIO || u64::from(op) == libc::FIOCLEX || u64::from(op) == libc::FIONCLEX {
        return None;
    }
    let pointer = argument as *mut Request;
    Some(match op {
        // SAFETY: the control points to a request, or nowhere.
        TUNSETIFF => match unsafe { pointer.as_mut() } {
            Some(request) => set_interface(open, request),
            None => Err(libc::EFAULT),
        },
        TUNGETIFF | SIOCGIFHWADDR => {
            let result = pass(open, op, argument);
            // The program knows its interface by the name that it gave it.
            // SAFETY: as above; the device has just filled it.
            if let (Ok(_), Some(request), Some(alias)) = (result, unsafe { pointer.as_mut() }, names::of(open.id())) {
                request.name = names::padded(&alias.linux);
            }
            result
        }
        TUNGETFEATURES if open.fd().is_err() => {
            // SAFETY: the control points to a word, or nowhere.
            match unsafe { (argument as *mut u32).as_mut() } {
                Some(word) => {
                    *word = u32::from(TunFlags::all().bits());
                    Ok(0)
                }
                None => Err(libc::EFAULT),
            }
        }
        TUNREADBATCH => open.read(|fd| batch(fd, op, argument)).map(|status| status as c_int),
        TUNWRITEBATCH => open.write(|fd| batch(fd, op, argument)).map(|status| status as c_int),
        _ if u64::from(op) == libc::FIONREAD => pass(open, FIONREAD, argument),
        _ => pass(open, op, argument),
    })
}

/// Hands a batch to the device, which does not wait; whether the program does is known where this is called from.
fn batch(fd: Fd, op: u32, argument: usize) -> Result<usize, status_t> {
    let argument = if argument < FIRST_PAGES { argument } else { user::to_user(argument) };
    syscalls::ioctl(fd, op, argument, 0).map(|status| status.unsigned_abs() as usize)
}

/// Hands a control to the device.
fn pass(open: &Open, op: u32, argument: usize) -> Result<c_int, c_int> {
    let fd = open.fd()?;
    let argument = if argument < FIRST_PAGES { argument } else { user::to_user(argument) };
    syscalls::ioctl(fd, op, argument, 0).map_err(from_status)
}

/// `TUNSETIFF`: what was `/dev/net/tun` becomes a unit; what is one already is asked whether it agrees.
fn set_interface(open: &Open, request: &mut Request) -> Result<c_int, c_int> {
    if open.fd().is_ok() && names::of(open.id()).is_none() {
        return pass(open, TUNSETIFF, std::ptr::from_mut(request) as usize);
    }
    let [low, high, ..] = request.data;
    let flags = u16::from_ne_bytes([low, high]);
    let mode = match TunFlags::from_bits(flags).map(|flags| flags.intersection(TunFlags::TUN | TunFlags::TAP)) {
        Some(TunFlags::TUN) => Mode::Tun,
        Some(TunFlags::TAP) => Mode::Tap,
        _ => return Err(libc::EINVAL),
    };
    let wanted = names::text(&request.name).to_owned();
    if names::find(&wanted).is_some() {
        return Err(libc::EBUSY);
    }
    open.choose(mode, names::unit(mode, &wanted), flags, haiku::clones())?;
    let haiku = interface_of(open.fd()?).unwrap_or_else(|| mode.interface(0));
    let linux = names::chosen(&wanted, mode, &haiku);
    names::remember(open.id(), &linux, &haiku, mode);
    request.name = names::padded(&linux);
    Ok(0)
}
