//! The internet checksum (RFC 1071), and what ICMPv6 adds to it (RFC 8200, section 8.1).

use crate::ipv6::{Ipv6Address, next_header};
use zerocopy::IntoBytes;

/// The sum of some bytes, taken as big-endian words of 16 bits; carries are folded in at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes. An odd one at the end counts as if a zero followed, so only the last call may have one.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let sum = bytes.chunks(2).fold(self.0, |sum, word| {
            let word = match *word {
                [high, low] => u16::from_be_bytes([high, low]),
                [high] => u16::from_be_bytes([high, 0]),
                _ => 0,
            };
            sum.wrapping_add(u64::from(word))
        });
        Self(sum)
    }

    /// Adds the pseudo-header of an ICMPv6 message of `length` bytes.
    #[must_use]
    pub fn with_icmpv6(self, source: Ipv6Address, destination: Ipv6Address, length: u16) -> Self {
        self.with(source.as_bytes())
            .with(destination.as_bytes())
            .with(&length.to_be_bytes())
            .with(&[0, next_header::ICMPV6])
    }

    /// The checksum to send. Over bytes that hold a right checksum already it is zero.
    #[must_use]
    pub const fn checksum(self) -> u16 {
        let mut sum = self.0;
        // Each turn at least halves the number of bits above the 16th: 64 bits take four.
        let mut turn = 0;
        while turn < 4 {
            sum = (sum & 0xffff).wrapping_add(sum >> 16);
            turn += 1;
        }
        !(sum as u16)
    }
}
