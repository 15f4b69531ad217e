//! The control of `/dev/misc/tun_tap`: any unit's statistics, without opening the unit.

use core::ffi::c_void;

use haiku_sys as sys;
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use super::argument::Argument;
use super::wire::{self, DirectionStatistics, STATISTICS_VERSION, TunFlags, UnitStatisticsRequest};
use crate::status::Controlled;
use crate::units::{Kind, UNITS};

/// Carries out one control of `/dev/misc/tun_tap`.
pub(crate) fn inspect(op: u32, data: *mut c_void) -> Controlled {
    match op {
        wire::TUNGETUNITSTATISTICS => get_unit_statistics(Argument(data)),
        // Nothing here waits.
        sys::B_SET_NONBLOCKING_IO | sys::B_SET_BLOCKING_IO => Ok(()),
        _ => Err(sys::B_DEV_INVALID_IOCTL),
    }
}

/// `TUNGETUNITSTATISTICS`: what became of every packet of a unit so far.
fn get_unit_statistics(argument: Argument) -> Controlled {
    let request = argument.fetch::<UnitStatisticsRequest>()?;
    request.preamble.check(STATISTICS_VERSION, size_of::<UnitStatisticsRequest>())?;
    let number = usize::try_from(request.unit).ok().filter(|&number| number < UNITS).ok_or(sys::EINVAL)?;
    let mode = u16::try_from(request.mode).ok().and_then(TunFlags::from_bits);
    let (to_user, to_stack) = match mode {
        Some(TunFlags::TUN) => statistics::<Tun>(number),
        Some(TunFlags::TAP) => statistics::<Tap>(number),
        _ => return Err(sys::EINVAL),
    }
    .ok_or(sys::ENXIO)?;
    argument.store(&UnitStatisticsRequest { to_user, to_stack, ..request })
}

/// Returns a unit's statistics; `None` if it has neither an opener nor an interface.
fn statistics<M: Kind>(number: usize) -> Option<(DirectionStatistics, DirectionStatistics)> {
    let unit = M::units().next(number).filter(|unit| unit.number == number)?;
    Some(wire::statistics(&unit.device.statistics(), M::DROPPED))
}
