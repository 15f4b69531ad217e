//! TUN and TAP as programs and the stack see them: the rules of the device's model.
//!
//! Like the model, written from what is promised, not from how the driver does it.

use haiku_kernel::syscalls::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use haiku_sys::{
    B_BAD_ADDRESS, B_FILE_ERROR, B_INTERRUPTED, B_NO_MEMORY, B_WOULD_BLOCK, EBUSY, EINVAL, EMSGSIZE, ENETDOWN, ENXIO,
    O_NONBLOCK, status_t,
};
use tuntap_driver::{Counters, DropReason, Error, Link, MacAddress};
pub(super) use tuntap_model::{Line, Trouble, UNTOUCHED};
use tuntap_model::{Model, Rules, Verdict, Written};
use tuntap_net_addon::ioctl::wire::DirectionStatistics;

use super::packet::{self, position};

/// The group that packets are for, if they are for one.
pub(super) const GROUP: [u8; 6] = [0x33, 0x33, 0, 7, 8, 9];

/// The model of a unit.
pub(super) type Device = Model<Unit>;

/// What a unit has besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) tun: bool,
    /// The flags of its file.
    pub(super) flags: u32,
}

/// A unit of this mode, whose address is not known yet.
pub(super) fn new(tun: bool) -> Device {
    Model::new(Unit { tun, flags: 0 }, [0; 6])
}

/// A program opens the unit, which is free.
pub(super) fn open(device: &mut Device, flags: u32) {
    device.rules.flags = flags;
    device.open().expect("a unit that was freed");
}

/// A program closes the unit. When it can be opened again is left to [`super::possible`].
pub(super) fn close(device: &mut Device) {
    device.close();
    device.free();
}

impl Rules for Unit {
    fn hidden(&self) -> usize {
        if self.tun { 14 } else { 0 }
    }

    /// 65,535 bytes of IP, and a frame has its header and maybe a VLAN tag.
    fn lengths(&self) -> (usize, usize) {
        if self.tun { (1, 65_535) } else { (14, 65_535 + 18) }
    }

    fn waits(&self) -> bool {
        self.flags & O_NONBLOCK == 0
    }

    fn number(&self, reason: DropReason) -> usize {
        position(match reason {
            DropReason::Full => "full",
            DropReason::NoProgram => "no-program",
            DropReason::Down => "down",
            DropReason::BadAddress => "bad-address",
            DropReason::AnswerLost => "answer-lost",
            DropReason::Malformed => "malformed",
            DropReason::Superseded => "superseded",
        })
    }

    fn judge_sent(&self, link: &Link, frame: &[u8]) -> Verdict {
        packet::judge(self.tun, frame, packet::peer(link.address))
    }

    fn judge_written(&self, link: &Link, groups: &[MacAddress], packet: &[u8]) -> Result<Written, Error> {
        if self.tun {
            return packet::header(packet, link.address).map(Written::Deliver).ok_or(Error::Invalid);
        }
        let is_for_group = packet[0] & 1 == 1 && groups.iter().any(|group| packet.starts_with(group));
        let is_for_us = is_for_group || link.promiscuous || packet.starts_with(&link.address);
        Ok(if is_for_us { Written::Deliver(vec![]) } else { Written::Drop(position("not-for-us")) })
    }
}

/// Haiku's word for an error of the device.
pub(super) fn status(error: Error) -> status_t {
    match error {
        Error::WouldBlock => B_WOULD_BLOCK,
        Error::Interrupted => B_INTERRUPTED,
        Error::Closed => B_FILE_ERROR,
        Error::Gone => ENXIO,
        Error::NetworkDown => ENETDOWN,
        Error::Busy => EBUSY,
        Error::Invalid => EINVAL,
        Error::TooLong => EMSGSIZE,
        Error::BadAddress => B_BAD_ADDRESS,
        Error::NoMemory => B_NO_MEMORY,
    }
}

/// What a direction's statistics are for a program.
pub(super) fn statistics(line: &Line) -> DirectionStatistics {
    let Counters { accepted, accepted_bytes, delivered, delivered_bytes, answered, purged, truncated, .. } =
        line.counters;
    let (queued, queued_bytes) = (line.queue.len() as u64, line.queued_bytes() as u64);
    let mut statistics =
        DirectionStatistics { accepted, accepted_bytes, delivered, delivered_bytes, ..Default::default() };
    (statistics.answered, statistics.purged, statistics.truncated) = (answered, purged, truncated);
    (statistics.queued, statistics.queued_bytes) = (queued, queued_bytes);
    statistics.dropped[..line.dropped.len()].copy_from_slice(&line.dropped);
    statistics
}

/// What a poll for everything says of a unit.
pub(super) fn revents(device: &Device) -> u16 {
    let [readable, writable, hung_up] = device.readiness();
    let mut revents = if readable { POLLIN } else { 0 };
    revents |= if writable { POLLOUT } else { 0 };
    revents | if hung_up { POLLERR | POLLHUP } else { 0 }
}
