//! Which acknowledgements of TCP a later one supersedes while they wait for the program.

use std::collections::BTreeMap;

/// A TCP segment in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) flow: Vec<u8>,
    sequence: [u8; 4],
    acknowledgement: [u8; 4],
    window: [u8; 2],
    length: usize,
    is_pure: bool,
}

impl Segment {
    /// The segment in a frame whose IP header has neither options nor a fragment's marks.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(usize::from(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?)));
        let (start, addresses, length) = match (word(12)?, *frame.get(14)?) {
            (0x0800, 0x45) if word(20)? & 0x3fff == 0 && *frame.get(23)? == 6 => (34, 26..34, 14 + word(16)?),
            (0x86dd, 0x60..0x70) if *frame.get(20)? == 6 => (54, 22..54, 54 + word(18)?),
            _ => return None,
        };
        let tcp = frame.get(start..).filter(|tcp| tcp.len() >= 20)?;
        let is_bare = match tcp[12..14] {
            [0x50, 0x10] => tcp.len() == 20,
            [0x80, 0x10] => tcp.len() == 32 && tcp[20..24] == [1, 1, 8, 10],
            _ => false,
        };
        Some(Self {
            flow: [&frame[addresses], &tcp[..4]].concat(),
            sequence: tcp[4..8].try_into().ok()?,
            acknowledgement: tcp[8..12].try_into().ok()?,
            window: tcp[14..16].try_into().ok()?,
            length,
            is_pure: is_bare && length == frame.len(),
        })
    }

    /// Whether it says all that another acknowledgement of its flow says, and more.
    fn supersedes(&self, other: &Self) -> bool {
        let number = |segment: &Self| u32::from_be_bytes(segment.acknowledgement);
        let ahead = number(self).wrapping_sub(number(other));
        let is_later = ahead > 0 && ahead < 1 << 31 || ahead == 0 && self.window != other.window;
        self.is_pure && is_later && (self.sequence, self.length) == (other.sequence, other.length)
    }
}

/// The last segment of each flow, if it was a pure acknowledgement that was queued behind another packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acks(BTreeMap<Vec<u8>, (u64, Segment, bool)>);

impl Acks {
    /// The position of the acknowledgement whose place one takes.
    pub(crate) fn place(&mut self, segment: Segment, front: u64) -> Option<u64> {
        let (position, last, is_repeated) = self.0.get_mut(&segment.flow)?;
        let supersedes = !*is_repeated && *position >= front && segment.supersedes(last);
        supersedes.then(|| {
            *last = segment;
            *position
        })
    }

    /// A segment is queued at a position.
    pub(crate) fn note(&mut self, segment: Segment, position: u64) {
        let last = self.0.remove(&segment.flow);
        if segment.is_pure {
            let repeats =
                |last: &Segment| (last.acknowledgement, last.window) == (segment.acknowledgement, segment.window);
            let is_repeated = last.is_some_and(|(_, last, _)| repeats(&last));
            self.0.insert(segment.flow.clone(), (position, segment, is_repeated));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
