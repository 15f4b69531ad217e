//! This driver's own controls: statistics, queue limits, peers, batches. Each request begins with a version and a size, so
//! that later additions do not break existing programs.

use haiku_sys as sys;
use tuntap_driver::{Batch, Error, Limits};

use super::argument::Argument;
use super::wire::{
    self, BatchRequest, LimitsRequest, PeerRequest, Preamble, STATISTICS_VERSION, StatisticsRequest, VERSION,
};
use crate::kernel::UserSlice;
use crate::open::Open;
use crate::routes::{self, Peer};
use crate::status::{Controlled, to_status};
use crate::units::Kind;

impl Preamble {
    /// Checks the version and the size of a request.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(super) fn check(self, version: u32, size: usize) -> Controlled {
        if self.version == version && self.size as usize == size { Ok(()) } else { Err(sys::EINVAL) }
    }
}

/// `TUNGETSTATISTICS`: returns the counters of both directions.
pub(super) fn get_statistics<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let preamble = argument.fetch::<Preamble>()?;
    preamble.check(STATISTICS_VERSION, size_of::<StatisticsRequest>())?;
    let (to_user, to_stack) = wire::statistics(&open.device().statistics(), M::DROPPED);
    argument.store(&StatisticsRequest { preamble, to_user, to_stack })
}

/// `TUNGETLIMITS`: returns the limits of each queue.
pub(super) fn get_limits<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let preamble = argument.fetch::<Preamble>()?;
    preamble.check(VERSION, size_of::<LimitsRequest>())?;
    let (to_user, to_stack) = open.device().limits();
    argument.store(&LimitsRequest {
        preamble,
        to_user_packets: to_user.packets,
        to_user_bytes: to_user.bytes,
        to_stack_packets: to_stack.packets,
        to_stack_bytes: to_stack.bytes,
    })
}

/// `TUNSETLIMITS`: sets the limits of each queue.
pub(super) fn set_limits<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let request = argument.fetch::<LimitsRequest>()?;
    request.preamble.check(VERSION, size_of::<LimitsRequest>())?;
    open.lease.owner.check_change()?;
    let to_user = limits(request.to_user_packets, request.to_user_bytes)?;
    let to_stack = limits(request.to_stack_packets, request.to_stack_bytes)?;
    open.device().set_to_user_limits(to_user);
    open.device().set_to_stack_limits(to_stack);
    Ok(())
}

fn limits(packets: u32, bytes: u32) -> Result<Limits, sys::status_t> {
    let sane = (1..=Limits::MOST.packets).contains(&packets) && (1..=Limits::MOST.bytes).contains(&bytes);
    if sane { Ok(Limits { packets, bytes }) } else { Err(sys::EINVAL) }
}

/// `TUNSETPEER`: adds the routes that the peer needs, because the stack does not.
pub(super) fn set_peer<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    let request = argument.fetch::<PeerRequest>()?;
    request.preamble.check(VERSION, size_of::<PeerRequest>())?;
    open.lease.owner.check_change()?;
    let [a, b, c, d, ..] = request.address;
    let peer = match request.ip_version {
        4 => Peer::V4([a, b, c, d]),
        6 => Peer::V6(request.address),
        _ => return Err(sys::EINVAL),
    };
    routes::add(&open.lease.interface_name().ok_or(sys::ENXIO)?, peer)
}

/// `TUNREADBATCH`: reads as many packets as are queued and fit.
pub(super) fn read_batch<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    open.check_read()?;
    batch(argument, |records, most| open.device().read_batch(&open.descriptor, records, most))
}

/// `TUNWRITEBATCH`: writes as many packets as the device takes.
pub(super) fn write_batch<M: Kind>(open: &Open<M>, argument: Argument) -> Controlled {
    open.check_write()?;
    open.lease.look_at_interface();
    batch(argument, |records, most| open.device().write_batch(&open.descriptor, records, most))
}

/// Runs a batch over the records after the request, and stores how many were done.
fn batch(argument: Argument, transfer: impl FnOnce(&UserSlice, u32) -> Result<Batch, Error>) -> Controlled {
    let request = argument.fetch::<BatchRequest>()?;
    let (header, size) = (size_of::<BatchRequest>(), request.preamble.size as usize);
    if request.preamble.version != VERSION || size < header || request.packets == 0 {
        return Err(sys::EINVAL);
    }
    let records = argument.memory(size)?.skip(header);
    // No queue bounds a batch of frames that are all dropped: without this limit even a killed thread would run for long.
    let most = request.packets.min(Limits::MOST.packets);
    let done = transfer(&records, most).map_err(to_status)?;
    let bytes = u32::try_from(done.bytes).unwrap_or(u32::MAX);
    argument.store(&BatchRequest { packets: done.packets, bytes, ..request })
}
