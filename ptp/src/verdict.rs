//! The verdicts on a frame: each frame gets exactly one.

/// What to do with a frame that the stack sent through the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Strip the Ethernet header and hand the IP packet to the program.
    Deliver,
    /// The frame is a request: hand the reply to the stack, and drop the frame.
    Answer(Answered),
    /// Drop the frame, and count it under this reason.
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

/// Why a frame was dropped. Each is a counter of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// No whole Ethernet or IP header, or an IP version that contradicts the type of the frame.
    Malformed,
    /// Neither IPv4, IPv6 nor ARP.
    NotIp,
    /// ARP that does not parse, or that no host may send.
    ArpMalformed,
    /// An ARP packet in which the sender claims its own address (RFC 5227, section 2.3).
    ArpAnnouncement,
    /// An ARP reply, although the far side sends no requests.
    ArpReply,
    /// A solicitation that fails a check of RFC 4861, section 7.1.1.
    NeighbourMalformed,
    /// A solicitation from `::`: duplicate address detection (RFC 4862, section 5.4.2).
    DuplicateDetection,
    /// A neighbour advertisement, although the far side sends no solicitations.
    NeighbourAdvertisement,
}
