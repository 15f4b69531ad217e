//! The frame that answers a request or a solicitation.

use core::fmt;

use crate::ETHERNET_HEADER;
use crate::ipv6::IPV6_HEADER;
use crate::neighbour::ADVERTISEMENT;

/// Length of the longest reply: a neighbour advertisement with its link address.
pub const REPLY_MAX: usize = ETHERNET_HEADER + IPV6_HEADER + ADVERTISEMENT;

/// A complete Ethernet frame to hand to the stack. The caller provides it and may reuse it.
#[derive(Clone)]
pub struct Reply {
    bytes: [u8; REPLY_MAX],
    length: usize,
}

impl Reply {
    /// Returns an empty reply.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; REPLY_MAX], length: 0 }
    }

    /// Returns the frame; empty before the first answer.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Returns the length of the frame.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no frame.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Makes `frame` the reply. What does not fit cannot be a reply, which the compiler checks.
    pub(crate) fn set<const N: usize>(&mut self, frame: &[u8; N]) {
        const { assert!(N <= REPLY_MAX) };
        if let Some(start) = self.bytes.first_chunk_mut() {
            *start = *frame;
            self.length = N;
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::{REPLY_MAX, Reply};

    #[test]
    fn there_is_no_frame_at_first() {
        assert_eq!(Reply::new().bytes(), []);
        assert_eq!(Reply::default().len(), 0);
        assert!(Reply::new().is_empty());
    }

    #[test]
    fn a_short_reply_leaves_nothing_of_a_longer_one_behind() {
        let mut reply = Reply::new();
        reply.set(&[7; REPLY_MAX]);
        assert_eq!(reply.bytes(), [7; REPLY_MAX]);
        assert!(!reply.is_empty());
        reply.set(&[8; 3]);
        assert_eq!(reply.bytes(), [8, 8, 8]);
        assert_eq!(reply.len(), 3);
        assert_eq!(format!("{reply:?}"), "Reply([8, 8, 8])");
    }
}
