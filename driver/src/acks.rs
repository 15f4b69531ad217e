//! Acknowledgements that a later one supersedes while they wait for the program: ACK filtering of RFC 3449, section 5.2.1.
//!
//! An acknowledgement says all that the earlier ones of its flow said. So a later one takes the place of the one that waits,
//! and the program reads one packet instead of two. The place stays, so that however many come, the flow is not delayed.
//! Only pure acknowledgements are superseded, and only if nothing of the same flow was queued behind them: see
//! [`Segment::of`] and [`Acks::supersede`].

use core::mem::{self, ManuallyDrop};

use crate::{Fifo, FrameHeader, Packet};

/// How many flows are followed at a time.
const FLOWS: usize = 16;
/// Length of an IPv4 header without options (RFC 791, section 3.1).
const IPV4_HEADER: usize = 20;
/// Length of an IPv6 header (RFC 8200, section 3).
const IPV6_HEADER: usize = 40;
/// Length of a TCP header without options (RFC 9293, section 3.1).
const TCP_HEADER: usize = 20;
/// Length of the only options that a pure acknowledgement may have: the timestamps, behind two bytes of padding.
const TIMESTAMPS: usize = 12;
/// How those options begin (RFC 7323, appendix A).
const TIMESTAMPS_HEAD: [u8; 4] = [1, 1, 8, 10];
/// The protocol's number.
const TCP: u8 = 6;
/// The only flag of a pure acknowledgement.
const ACK: u8 = 0x10;
/// Length of the longest frame with a pure acknowledgement: over IPv6, with timestamps.
const LONGEST: usize = FrameHeader::LENGTH + IPV6_HEADER + TCP_HEADER + TIMESTAMPS;
/// The length of no frame.
const NEVER: usize = 0;
/// No place in the queue.
const NOWHERE: u64 = u64::MAX;

/// One direction of a TCP connection. Ports first, because they differ most often.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Flow {
    ports: u32,
    /// Source and destination. IPv4 addresses are mapped into IPv6 (RFC 4291, section 2.5.5.2).
    addresses: [u128; 2],
}

/// A TCP segment, as far as the filter looks at it.
pub(crate) struct Segment {
    flow: Flow,
    sequence: u32,
    acknowledgement: u32,
    window: u16,
    /// Bytes of its frame.
    length: usize,
    /// Whether it says nothing but how far its sender has received.
    is_pure: bool,
}

impl Segment {
    /// Returns the TCP segment that a frame holds; `None` if it holds none, or an IPv4 header with options, or a fragment, or
    /// an IPv6 extension header.
    ///
    /// It is pure if it has no payload and no padding, of the flags ACK only (so neither ECE nor CWR), and no options but the
    /// timestamps (so no SACK block).
    #[inline(never)]
    pub(crate) fn of<P: Packet>(packet: &P) -> Option<Self> {
        const LINK: usize = FrameHeader::LENGTH;
        let mut buffer = [0; LINK + IPV6_HEADER + TCP_HEADER + TIMESTAMPS_HEAD.len()];
        let head = packet.peek(0, &mut buffer);
        let (addresses, start, claimed) = match head.split_at_checked(LINK)? {
            ([.., 0x08, 0x00], &[0x45, _, high, low, _, _, flags, offset, _, TCP, _, _, ref rest @ ..])
                if flags & 0x3f == 0 && offset == 0 =>
            {
                let (source, rest) = rest.split_first_chunk()?;
                let mapped = |address: &[u8; 4]| 0xffff_0000_0000 | u128::from(u32::from_be_bytes(*address));
                let start = LINK + IPV4_HEADER;
                (
                    [mapped(source), mapped(rest.first_chunk()?)],
                    start,
                    LINK + usize::from(u16::from_be_bytes([high, low])),
                )
            }
            ([.., 0x86, 0xdd], &[version, _, _, _, high, low, TCP, _, ref rest @ ..]) if version >> 4 == 6 => {
                let (source, rest) = rest.split_first_chunk()?;
                let address = |address: &[u8; 16]| u128::from_be_bytes(*address);
                let start = LINK + IPV6_HEADER;
                (
                    [address(source), address(rest.first_chunk()?)],
                    start,
                    start + usize::from(u16::from_be_bytes([high, low])),
                )
            }
            _ => return None,
        };
        let (ports, tcp) = head.get(start..)?.split_first_chunk()?;
        let (sequence, tcp) = tcp.split_first_chunk()?;
        let (acknowledgement, tcp) = tcp.split_first_chunk()?;
        let &[offset, flags, high, low, _, _, _, _, ref options @ ..] = tcp else { return None };
        let length = packet.len();
        let options_length = match offset {
            0x50 => 0,
            0x80 if options.first_chunk() == Some(&TIMESTAMPS_HEAD) => TIMESTAMPS,
            _ => usize::MAX,
        };
        Some(Self {
            flow: Flow { ports: u32::from_be_bytes(*ports), addresses },
            sequence: u32::from_be_bytes(*sequence),
            acknowledgement: u32::from_be_bytes(*acknowledgement),
            window: u16::from_be_bytes([high, low]),
            length,
            is_pure: flags == ACK && claimed == length && options_length == length - start - TCP_HEADER,
        })
    }
}

/// A queued acknowledgement.
struct Slot<P> {
    flow: Flow,
    sequence: u32,
    /// Of `newer`, if there is one; so is `window`.
    acknowledgement: u32,
    window: u16,
    /// Bytes of its frame; [`NEVER`] if it must not be superseded.
    length: usize,
    /// Its position in the queue.
    position: u64,
    /// Nothing of its flow was queued behind it.
    is_last: bool,
    /// The acknowledgement that is delivered in its place. Dropped by [`Acks`], in a loop instead of sixteen times in a row.
    newer: ManuallyDrop<Option<P>>,
}

/// The acknowledgements that wait in a queue. A packet's position is the number of packets that were queued before it.
pub(crate) struct Acks<P: Packet> {
    slots: [Slot<P>; FLOWS],
    /// How many of the slots are in use.
    used: usize,
    /// The position of the packet at the front.
    front: u64,
    /// Positions before this one are invalid.
    since: u64,
    /// The first position at which another packet is delivered than was queued.
    next: u64,
    /// The position behind the last acknowledgement that was noted.
    behind: u64,
}

impl<P: Packet> Acks<P> {
    /// Returns the state of an empty queue.
    #[inline]
    pub(crate) const fn new() -> Self {
        let slots = [const {
            Slot {
                flow: Flow { ports: 0, addresses: [0; 2] },
                sequence: 0,
                acknowledgement: 0,
                window: 0,
                length: 0,
                position: 0,
                is_last: false,
                newer: ManuallyDrop::new(None),
            }
        }; FLOWS];
        Self { slots, used: 0, front: 0, since: 0, next: NOWHERE, behind: 0 }
    }

    /// Returns the slots in use.
    #[inline]
    fn used(&mut self) -> &mut [Slot<P>] {
        self.slots.get_mut(..self.used).unwrap_or_default()
    }

    /// Whether a frame of this length is to be looked at before it is queued behind others: it may be an acknowledgement, or of
    /// the flow of one that waits.
    #[inline]
    pub(crate) const fn concerns(&self, length: usize) -> bool {
        length <= LONGEST || self.front < self.behind
    }

    /// Puts a pure acknowledgement in the place of one that waits, if it supersedes that: same flow, sequence number and
    /// length, and a later acknowledgement number, or the same with another window. A duplicate acknowledgement therefore
    /// never does; the receiver counts them (RFC 5681, section 2).
    ///
    /// Returns whether it did; `packet` is then what the caller frees outside the lock, if anything.
    #[inline(never)]
    pub(crate) fn supersede(&mut self, segment: &Segment, packet: &mut Option<P>) -> bool {
        if !segment.is_pure {
            return false;
        }
        let first = self.front.max(self.since);
        let Some(slot) = self.used().iter_mut().find(|slot| slot.is_last && slot.flow == segment.flow) else {
            return false;
        };
        let progress = segment.acknowledgement.wrapping_sub(slot.acknowledgement);
        let supersedes = slot.position >= first
            && slot.sequence == segment.sequence
            && slot.length == segment.length
            && (progress > 0 || slot.window != segment.window)
            && progress < 1 << 31;
        if supersedes {
            slot.acknowledgement = segment.acknowledgement;
            slot.window = segment.window;
            mem::swap(&mut *slot.newer, packet);
            let position = slot.position;
            self.next = self.next.min(position);
        }
        supersedes
    }

    /// Notes a segment that is being queued behind `queued` packets. The one that was its flow's last is not superseded any
    /// more, and neither is a duplicate acknowledgement.
    #[inline(never)]
    pub(crate) fn note(&mut self, segment: &Segment, queued: u32) {
        let (mut oldest, mut chosen) = (NOWHERE, self.used);
        let mut is_repeated = false;
        for (index, slot) in self.used().iter_mut().enumerate() {
            if slot.is_last && slot.flow == segment.flow {
                slot.is_last = false;
                is_repeated = slot.acknowledgement == segment.acknowledgement && slot.window == segment.window;
            }
            let waits_since = if slot.is_last { slot.position } else { 0 };
            if slot.newer.is_none() && waits_since < oldest {
                (oldest, chosen) = (waits_since, index);
            }
        }
        if !segment.is_pure {
            return;
        }
        if oldest > 0 && self.used < FLOWS {
            chosen = self.used;
            self.used += 1;
        } else if oldest > 0 && oldest >= self.front {
            // Those that wait are kept. If each new one took the place of the oldest, many flows in turn would all lose theirs.
            return;
        }
        let position = self.front + u64::from(queued);
        if let Some(slot) = self.used().get_mut(chosen) {
            slot.flow = segment.flow;
            slot.sequence = segment.sequence;
            slot.acknowledgement = segment.acknowledgement;
            slot.window = segment.window;
            slot.length = if is_repeated { NEVER } else { segment.length };
            slot.position = position;
            slot.is_last = true;
            self.behind = position + 1;
        }
    }

    /// Moves on by the packet that was taken from the front. Returns the packet to deliver in its place, if there is one.
    #[inline]
    pub(crate) fn taken(&mut self) -> Option<P> {
        let position = self.front;
        self.front = position + 1;
        if position == self.next { self.newer(position) } else { None }
    }

    #[inline(never)]
    fn newer(&mut self, position: u64) -> Option<P> {
        let (mut newer, mut next) = (None, NOWHERE);
        for slot in self.used() {
            if slot.position == position && newer.is_none() {
                newer = slot.newer.take();
            } else if slot.newer.is_some() {
                next = next.min(slot.position);
            }
        }
        self.next = next;
        newer
    }

    /// Returns the position of the packet at the front.
    #[inline]
    pub(crate) const fn front(&self) -> u64 {
        self.front
    }

    /// Moves back by packets that were put back to the front. If another reader took packets meanwhile, or some were queued, which
    /// may be of the same flow and not noted, those that were put back are not superseded any more.
    pub(crate) fn put_back(&mut self, packets: u32, is_unchanged: bool) {
        if !is_unchanged {
            self.since = self.since.max(self.front);
        }
        self.front -= u64::from(packets);
    }

    /// Forgets everything, because the queue is emptied. The packets that it holds go to `stale`.
    #[inline(never)]
    pub(crate) fn purge(&mut self, stale: &mut impl Fifo<P>) {
        for slot in self.used() {
            if let Some(newer) = slot.newer.take() {
                stale.push(newer);
            }
        }
        self.used = 0;
        self.next = NOWHERE;
        self.behind = 0;
    }
}

impl<P: Packet> Drop for Acks<P> {
    fn drop(&mut self) {
        for slot in self.used() {
            drop(slot.newer.take());
        }
    }
}
