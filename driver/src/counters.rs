//! Counters for every outcome of a packet.
//!
//! In each direction, once the device is at rest: accepted = delivered + answered + purged + dropped + queued.

/// Declares [`DropReason`] with its list and names, so that none can be forgotten.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why an accepted packet was dropped. Each reason is one counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// All of them, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in statistics.
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
    /// The queue was full.
    Full = "full",
    /// No program has the device open.
    NoProgram = "no-program",
    /// The interface was down.
    Down = "down",
    /// The program's buffer was not mapped.
    BadAddress = "bad-address",
    /// The device had an answer, but no memory or no room in the queue to the stack for it.
    AnswerLost = "answer-lost",
    /// A frame for a station that is neither this one nor a group.
    NotForUs = "not-for-us",
    /// No whole link or IP header, or one that contradicts the other.
    Malformed = "malformed",
    /// Neither IPv4, IPv6 nor ARP, on a link that carries nothing else.
    NotIp = "not-ip",
    /// An ARP request that does not parse, or that no host may send.
    ArpMalformed = "arp-malformed",
    /// An ARP announcement (RFC 5227, section 2.3).
    ArpAnnouncement = "arp-announcement",
    /// An ARP reply, though the far side asks nothing.
    ArpReply = "arp-reply",
    /// A neighbour solicitation that fails a check.
    NeighbourMalformed = "neighbour-malformed",
    /// Duplicate address detection: the address is free.
    DuplicateDetection = "duplicate-detection",
    /// A neighbour advertisement, though the far side asks nothing.
    NeighbourAdvertisement = "neighbour-advertisement",
}

/// One direction's counters, in packets unless they say bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Accepted from the sender.
    pub accepted: u64,
    /// Their bytes, link headers included.
    pub accepted_bytes: u64,
    /// Handed to the receiver.
    pub delivered: u64,
    /// Their bytes, link headers included.
    pub delivered_bytes: u64,
    /// Answered by the device itself.
    pub answered: u64,
    /// Dropped with the whole queue, on close, down or removal of the interface.
    pub purged: u64,
    /// Delivered, but longer than the reader's buffer.
    pub truncated: u64,
    dropped: [u64; DropReason::COUNT],
}

impl Counters {
    /// All zero.
    pub const ZERO: Self = Self {
        accepted: 0,
        accepted_bytes: 0,
        delivered: 0,
        delivered_bytes: 0,
        answered: 0,
        purged: 0,
        truncated: 0,
        dropped: [0; DropReason::COUNT],
    };

    /// How many were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many were dropped for any reason.
    #[must_use]
    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// How many are accounted for: equals `accepted` when the queue is empty.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.delivered + self.answered + self.purged + self.all_dropped()
    }

    pub(crate) fn accept(&mut self, bytes: usize) {
        self.accepted += 1;
        self.accepted_bytes += bytes as u64;
    }

    pub(crate) fn deliver(&mut self, bytes: usize) {
        self.delivered += 1;
        self.delivered_bytes += bytes as u64;
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter += 1;
        }
    }
}

/// Both directions at one time, with what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// From the stack to the program.
    pub to_user: Counters,
    /// What is queued for the program.
    pub to_user_queued: crate::Backlog,
    /// From the program to the stack.
    pub to_stack: Counters,
    /// What is queued for the stack.
    pub to_stack_queued: crate::Backlog,
}
