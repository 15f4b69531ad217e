//! Linux's controls: `<linux/if_tun.h>`, and two of `<linux/sockios.h>` that its TAP accepts on the descriptor.

use core::fmt::Write;

use haiku_sys as sys;
use tuntap_driver::{Error, Framing, Limits};

use super::argument::Argument;
use super::wire::{LinuxRequest, TunFlags};
use crate::log::Line;
use crate::node::Node;
use crate::open::Open;
use crate::status::{Controlled, to_status};
use crate::units::Kind;

/// Linux's `ARPHRD_ETHER`: the family of an Ethernet address, and the only link type there is here.
const ARPHRD_ETHER: u16 = 1;
/// Linux's `ARPHRD_NONE`: the link type of its TUNs.
const ARPHRD_NONE: u16 = 0xfffe;

/// `TUNSETIFF`: checks the kind of interface and its name, and sets the framing of packets.
pub(super) fn set_interface<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let mut request = argument.fetch::<LinuxRequest>()?;
    let flags = TunFlags::from_bits(request.flags).ok_or(sys::EINVAL)?;
    if flags.intersection(TunFlags::TUN | TunFlags::TAP) != M::FLAG || !is_name::<M>(&request.name, open.lease.number) {
        return Err(sys::EINVAL);
    }
    request.name = name::<M>(open.lease.number);
    argument.store(&request)?;
    let bare = flags.contains(TunFlags::NO_PI);
    open.descriptor.set_framing(if bare { Framing::Bare } else { Framing::PacketInformation });
    Ok(())
}

/// `TUNGETIFF`: returns the unit's name, which a program needs when one node serves all units.
pub(super) fn get_interface<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let framing = match open.descriptor.framing() {
        Framing::PacketInformation => TunFlags::empty(),
        Framing::Bare | Framing::AddressFamily => TunFlags::NO_PI,
    };
    let flags = (M::FLAG | framing).bits();
    argument.store(&LinuxRequest { name: name::<M>(open.lease.number), flags, address: [0; 6], rest: [0; 16] })
}

/// `TUNGETFEATURES`: returns the flags that `TUNSETIFF` accepts.
pub(super) fn get_features(argument: Argument) -> Controlled {
    argument.store(&u32::from(TunFlags::all().bits()))
}

/// `TUNSETPERSIST`: changes nothing, because every interface stays until `ifconfig --delete`.
pub(super) fn set_persistent<M: Kind>(open: &Open<M>) -> Controlled {
    open.lease.owner.check_change()
}

/// `TUNSETOWNER`: sets the user that may open and change the unit beside root; -1 means none.
pub(super) fn set_owner<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    open.lease.owner.check_change()?;
    open.lease.owner.set_user(argument.number());
    Ok(())
}

/// `TUNSETGROUP`: sets the group that may open the unit; -1 means none.
pub(super) fn set_group<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    open.lease.owner.check_change()?;
    open.lease.owner.set_group(argument.number());
    Ok(())
}

/// `TUNSETLINK`: accepts a link type, and changes nothing, because Haiku's stack carries everything over Ethernet.
pub(super) fn set_link_type<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    open.lease.owner.check_change()?;
    if open.device().is_up() {
        return Err(sys::EBUSY);
    }
    match u16::try_from(argument.number()) {
        Ok(ARPHRD_ETHER | ARPHRD_NONE) => Ok(()),
        _ => Err(sys::EINVAL),
    }
}

/// `TUNSETCARRIER`: sets whether the link is up. The stack skips routes through an interface without a link.
pub(super) fn set_carrier<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let carrier = argument.fetch::<i32>()? != 0;
    open.lease.owner.check_change()?;
    open.device().set_carrier(carrier);
    open.lease.sync_link();
    Ok(())
}

/// `TUNGETSNDBUF`: returns the limit in bytes of the queue to the stack.
pub(super) fn get_send_buffer<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let (_, to_stack) = open.device().limits();
    argument.store(&i32::try_from(to_stack.bytes).unwrap_or(i32::MAX))
}

/// `TUNSETSNDBUF`: sets the limit in bytes of the queue to the stack.
pub(super) fn set_send_buffer<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let bytes = u32::try_from(argument.fetch::<i32>()?).ok().filter(|&bytes| bytes > 0).ok_or(sys::EINVAL)?;
    open.lease.owner.check_change()?;
    let (_, to_stack) = open.device().limits();
    open.device().set_to_stack_limits(Limits { bytes: bytes.min(Limits::MOST.bytes), ..to_stack });
    Ok(())
}

/// `SIOCGIFHWADDR`: returns the interface's own address.
pub(super) fn get_address<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    argument.store(&LinuxRequest {
        name: name::<M>(open.lease.number),
        flags: ARPHRD_ETHER,
        address: open.device().link().address,
        rest: [0; 16],
    })
}

/// `SIOCSIFHWADDR`: sets the interface's own address.
pub(super) fn set_address<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let request = argument.fetch::<LinuxRequest>()?;
    open.lease.owner.check_change()?;
    if request.flags != ARPHRD_ETHER {
        return Err(sys::EINVAL);
    }
    open.lease.set_address(request.address).map_err(|error| match error {
        // Linux's error for an address that no station can have.
        Error::Invalid => sys::EADDRNOTAVAIL,
        other => to_status(other),
    })
}

/// The interface's name, zero-padded: `tun/0`.
fn name<M: Kind>(number: usize) -> [u8; 16] {
    let mut line = Line::new();
    // It is no longer than seven bytes.
    let _ = write!(line, "{}/{number}", M::NAME);
    line.prefix()
}

/// Whether a name can mean this unit: its own, as Haiku or as Linux spells it, or one that leaves the choice to the driver.
fn is_name<M: Kind>(name: &[u8; 16], number: usize) -> bool {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let name = name.get(..length).unwrap_or_default();
    match name.strip_prefix(M::NAME.as_bytes()) {
        None => name.is_empty(),
        Some(b"" | b"%d" | b"/%d") => true,
        Some(rest) => Node::number(rest.strip_prefix(b"/").unwrap_or(rest)) == Some(number),
    }
}
