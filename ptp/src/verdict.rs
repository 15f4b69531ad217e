//! The verdicts on a frame: each frame gets exactly one.

use core::fmt;

/// What to do with a frame that the stack sent through the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Strip the Ethernet header and hand the IP packet to the program.
    Deliver,
    /// The frame is a request: hand the reply to the stack, and drop the frame.
    Answer(Answered),
    /// Drop the frame, and count it under this name.
    Drop(Reason),
}

/// The kind of request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// An ARP request (RFC 826).
    Arp,
    /// A neighbour solicitation (RFC 4861, section 4.3).
    Neighbour,
}

/// Why a packet that a program wrote is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// It is neither IPv4 nor IPv6.
    Version,
    /// It is shorter than its header, or than the length that its header states.
    Short,
}

/// Declares [`Reason`], its list and its names together, so that none can be forgotten.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame was dropped. Each is a counter of the device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Returns the name in statistics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// No whole Ethernet or IP header, or an IP version that contradicts the type of the frame.
    Malformed = "malformed",
    /// Neither IPv4, IPv6 nor ARP.
    NotIp = "not-ip",
    /// ARP that does not parse, or that no host may send.
    ArpMalformed = "arp-malformed",
    /// An ARP packet in which the sender claims its own address (RFC 5227, section 2.3).
    ArpAnnouncement = "arp-announcement",
    /// An ARP reply, although the far side sends no requests.
    ArpReply = "arp-reply",
    /// A solicitation that fails a check of RFC 4861, section 7.1.1.
    NeighbourMalformed = "neighbour-malformed",
    /// A solicitation from `::`: duplicate address detection (RFC 4862, section 5.4.2).
    DuplicateDetection = "duplicate-detection",
    /// A neighbour advertisement, although the far side sends no solicitations.
    NeighbourAdvertisement = "neighbour-advertisement",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::string::ToString;

    use super::Reason;

    #[test]
    fn a_reason_is_its_own_index_in_the_list() {
        assert_eq!(Reason::COUNT, 8);
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }

    #[test]
    fn no_two_reasons_share_a_name() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), Reason::COUNT);
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())));
        assert_eq!(Reason::NeighbourAdvertisement.name(), "neighbour-advertisement");
    }
}
