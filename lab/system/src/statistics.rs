//! The driver's own statistics, through the ioctl that any program may make.

use haiku_kernel::syscalls::{self, Fd};
use tuntap_net_addon::ioctl::wire::{
    DirectionStatistics, Preamble, STATISTICS_VERSION, StatisticsRequest, TUNGETSTATISTICS,
};
use tuntap_net_addon::reasons::NAMES;

use haiku_stack::Error;

/// What became of the packets of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Accepted from the sender.
    pub accepted: u64,
    /// Handed to the receiver.
    pub delivered: u64,
    /// Answered by the device itself.
    pub answered: u64,
    /// Dropped with the whole queue.
    pub purged: u64,
    /// In the queue now.
    pub queued: u64,
    /// Dropped, by reason; only reasons that there were.
    pub dropped: Vec<(&'static str, u64)>,
}

impl Direction {
    /// Dropped for any reason.
    #[must_use]
    pub fn dropped_packets(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Whether every packet that was accepted is accounted for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.accepted == self.delivered + self.answered + self.purged + self.dropped_packets() + self.queued
    }

    fn of(wire: &DirectionStatistics) -> Self {
        let reasons = NAMES.iter().copied().zip(wire.dropped);
        Self {
            accepted: wire.accepted,
            delivered: wire.delivered,
            answered: wire.answered,
            purged: wire.purged,
            queued: wire.queued,
            dropped: reasons.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// What became of a device's packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceStatistics {
    /// From the stack to the program that has the device open.
    pub to_user: Direction,
    /// From the program to the stack.
    pub to_stack: Direction,
}

/// Asks the device behind a descriptor.
///
/// # Errors
/// The driver's refusal; an add-on that is not this project's does not know the question.
pub fn device_statistics(fd: Fd) -> Result<DeviceStatistics, Error> {
    let size = size_of::<StatisticsRequest>() as u32;
    // SAFETY: the structure is made of integers only, for which zeros are a value.
    let mut request: StatisticsRequest = unsafe { std::mem::zeroed() };
    request.preamble = Preamble { version: STATISTICS_VERSION, size };
    syscalls::ioctl_ref(fd, TUNGETSTATISTICS, &mut request)
        .map_err(|status| Error::status("asking the device for its statistics", status))?;
    Ok(DeviceStatistics { to_user: Direction::of(&request.to_user), to_stack: Direction::of(&request.to_stack) })
}
