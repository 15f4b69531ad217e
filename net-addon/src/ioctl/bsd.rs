//! The BSDs' controls: FreeBSD's `<net/if_tun.h>`.

use haiku_sys as sys;
use tuntap_driver::{Framing, LinkFlags};

use super::argument::Argument;
use super::wire::TunInfo;
use crate::open::Open;
use crate::status::{Controlled, to_status};
use crate::units::Kind;

/// FreeBSD's `IFF_BROADCAST`, `IFF_POINTOPOINT` and `IFF_MULTICAST`.
const IFF_BROADCAST: u32 = 0x2;
const IFF_POINTOPOINT: u32 = 0x10;
const IFF_MULTICAST: u32 = 0x8000;

/// `TUNGIFINFO`: returns MTU and type. The baud rate is not used, and 0.
pub(super) fn get_info<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let mtu = u16::try_from(open.device().link().mtu).unwrap_or(u16::MAX);
    argument.store(&TunInfo { baudrate: 0, mtu, kind: M::BSD_TYPE, dummy: 0 })
}

/// `TUNSIFINFO`: sets the MTU. The type cannot change.
pub(super) fn set_info<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let info = argument.fetch::<TunInfo>()?;
    open.lease.owner.check_change()?;
    if info.kind != M::BSD_TYPE {
        return Err(sys::EINVAL);
    }
    open.lease.set_mtu(usize::from(info.mtu)).map_err(to_status)
}

/// `TUNSIFMODE`: accepts the link's own kind, with or without multicast. The kind cannot change.
pub(super) fn set_mode<M: Kind>(argument: Argument) -> Controlled {
    let mode = argument.fetch::<u32>()?;
    let broadcast = if M::LINK.flags.contains(LinkFlags::BROADCAST) { IFF_BROADCAST } else { 0 };
    let peer = if M::LINK.flags.contains(LinkFlags::POINT_TO_POINT) { IFF_POINTOPOINT } else { 0 };
    if mode & !IFF_MULTICAST == broadcast | peer { Ok(()) } else { Err(sys::EINVAL) }
}

/// `TUNGIFHEAD`: returns whether packets have an address family in front.
pub(super) fn get_head<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    argument.store(&i32::from(open.descriptor.framing() == Framing::AddressFamily))
}

/// `TUNSIFHEAD`: sets whether packets have an address family in front.
pub(super) fn set_head<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let head = argument.fetch::<i32>()? != 0;
    open.descriptor.set_framing(if head { Framing::AddressFamily } else { Framing::Bare });
    Ok(())
}
