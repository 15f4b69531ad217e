//! The internet checksum (RFC 1071), and the pseudo-header that ICMPv6 adds to it (RFC 8200, section 8.1).

use crate::ipv6::{Ipv6Address, next_header};
use zerocopy::IntoBytes;

/// A sum of big-endian 16-bit words; carries are folded in at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Returns the sum of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes. An odd number of them is padded with a zero, so only the last call may have one.
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

    /// Returns the checksum to send. Over bytes that include a correct checksum it is zero.
    #[must_use]
    pub fn checksum(self) -> u16 {
        // Four folds reduce 64 bits to 16 and a carry, the fifth adds the carry.
        let sum = (0..5).fold(self.0, |sum, _| (sum & 0xffff).wrapping_add(sum >> 16));
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;
    use crate::ipv6::Ipv6Address;

    /// The example of RFC 1071, section 3.
    const NUMBERS: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    #[test]
    fn carries_are_folded_in() {
        assert_eq!(Sum::new().with(&NUMBERS).checksum(), !0xddf2);
    }

    #[test]
    fn the_sum_of_nothing_is_zero() {
        assert_eq!(Sum::new().checksum(), 0xffff);
        assert_eq!(Sum::new().with(&[]).checksum(), 0xffff);
    }

    #[test]
    fn an_odd_byte_counts_as_the_high_half_of_a_word() {
        assert_eq!(Sum::new().with(&[0xab]).checksum(), !0xab00);
        assert_eq!(Sum::new().with(&[0x12, 0x34, 0xab]).checksum(), !0xbd34);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (start, end) = NUMBERS.split_at(2);
        assert_eq!(Sum::new().with(start).with(end).checksum(), Sum::new().with(&NUMBERS).checksum());
    }

    #[test]
    fn the_checksum_over_a_correct_checksum_is_zero() {
        let checksum = Sum::new().with(&NUMBERS).checksum().to_be_bytes();
        assert_eq!(Sum::new().with(&NUMBERS).with(&checksum).checksum(), 0);
    }

    #[test]
    fn the_longest_carry_chain_is_folded() {
        assert_eq!(Sum(u64::MAX).checksum(), 0);
        assert_eq!(Sum(0xffff_ffff_ffff_0001).checksum(), !1);
        // After three folds this leaves 0x7ffff, the largest value possible.
        assert_eq!(Sum(0xffff_ffff_ffff_ffff - 0xfff8).checksum(), !0x0007);
        for shift in 0..64 {
            let sum = u64::MAX >> shift;
            let expected = if sum % 0xffff == 0 { 0xffff } else { (sum % 0xffff) as u16 };
            assert_eq!(Sum(sum).checksum(), !expected, "{sum:x}");
        }
    }

    #[test]
    fn the_pseudo_header_has_both_addresses_the_length_and_the_protocol() {
        let source = Ipv6Address([0x11; 16]);
        let destination = Ipv6Address([0x22; 16]);
        let sum = u32::from(0x1111_u16) * 8 + u32::from(0x2222_u16) * 8 + 32 + 58;
        let folded = (sum & 0xffff) + (sum >> 16);
        assert_eq!(Sum::new().with_icmpv6(source, destination, 32).checksum(), !(folded as u16));
    }
}
