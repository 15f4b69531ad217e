//! Controls: the `ioctl`s of an open unit.
//!
//! The length that the kernel passes is not reliable, so each control knows its own; and the kernel does not check the
//! address, so [`UserSlice`](crate::kernel::UserSlice) does. Every argument is copied in once, checked, and copied out once.

mod argument;
mod bsd;
mod inspect;
mod linux;
mod own;
pub mod wire;

use core::ffi::c_void;

use haiku_sys as sys;
use tuntap_driver::Blocking;

pub(crate) use inspect::inspect;

use crate::open::Open;
use crate::status::Controlled;
use crate::units::Kind;
use argument::Argument;

/// Carries out one control.
pub(crate) fn control<M: Kind>(open: &Open<M>, op: u32, data: *mut c_void) -> Controlled {
    let argument = Argument(data);
    match op {
        sys::B_SET_NONBLOCKING_IO => {
            open.descriptor.set_blocking(Blocking::DontWait);
            Ok(())
        }
        sys::B_SET_BLOCKING_IO => {
            open.descriptor.set_blocking(Blocking::Wait);
            Ok(())
        }
        // devfs turns it into one of the above, but a caller inside the kernel need not go through devfs.
        sys::FIONBIO => {
            let wait = argument.fetch::<i32>()? == 0;
            open.descriptor.set_blocking(if wait { Blocking::Wait } else { Blocking::DontWait });
            Ok(())
        }
        sys::FIONREAD => argument.store(&readable(open)),

        wire::TUNSETIFF => linux::set_interface(open, argument),
        wire::TUNGETIFF => linux::get_interface(open, argument),
        wire::TUNGETFEATURES => linux::get_features(argument),
        wire::TUNSETNOCSUM => Ok(()),
        wire::TUNSETPERSIST => linux::set_persistent(open),
        wire::TUNSETOWNER => linux::set_owner(open, argument),
        wire::TUNSETGROUP => linux::set_group(open, argument),
        wire::TUNSETLINK => linux::set_link_type(open, argument),
        wire::TUNSETCARRIER => linux::set_carrier(open, argument),
        wire::TUNGETSNDBUF => linux::get_send_buffer(open, argument),
        wire::TUNSETSNDBUF => linux::set_send_buffer(open, argument),
        wire::SIOCGIFHWADDR => linux::get_address(open, argument),
        wire::SIOCSIFHWADDR => linux::set_address(open, argument),

        wire::TUNSDEBUG => argument.fetch::<i32>().map(drop),
        wire::TUNGIFINFO => bsd::get_info(open, argument),
        wire::TUNSIFINFO => bsd::set_info(open, argument),
        wire::TUNSIFMODE => bsd::set_mode::<M>(argument),
        wire::TUNGIFHEAD => bsd::get_head(open, argument),
        wire::TUNSIFHEAD => bsd::set_head(open, argument),
        wire::TAPGIFNAME => linux::get_interface(open, argument),

        wire::TUNGETSTATISTICS => own::get_statistics(open, argument),
        wire::TUNGETLIMITS => own::get_limits(open, argument),
        wire::TUNSETLIMITS => own::set_limits(open, argument),
        wire::TUNSETPEER => own::set_peer(open, argument),
        wire::TUNREADBATCH => own::read_batch(open, argument),
        wire::TUNWRITEBATCH => own::write_batch(open, argument),
        _ => Err(sys::B_DEV_INVALID_IOCTL),
    }
}

/// Bytes that the next read would return, as `FIONREAD` says them.
fn readable<M: Kind>(open: &Open<M>) -> i32 {
    let next = open.device().readable().next as usize;
    if next == 0 {
        return 0;
    }
    let packet = next.saturating_sub(M::LINK.hidden_header) + open.descriptor.framing().length();
    i32::try_from(packet).unwrap_or(i32::MAX)
}
