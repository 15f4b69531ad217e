//! What makes a TUN a TUN and a TAP a TAP.

use bitflags::bitflags;

use crate::{Error, Groups, Link, MacAddress, Protocol};

bitflags! {
    /// What kind of link an interface says it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LinkFlags: u8 {
        /// The link has a broadcast address.
        const BROADCAST = 1;
        /// The link has multicast groups.
        const MULTICAST = 1 << 1;
        /// The link has one peer.
        const POINT_TO_POINT = 1 << 2;
    }
}

/// How an interface of a mode presents itself to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// What kind of link it is.
    pub flags: LinkFlags,
    /// Bytes of link header on every frame that the stack sees.
    pub header_length: usize,
    /// How many of those the program does not see.
    pub hidden_header: usize,
    /// The fewest bytes a program may write.
    pub shortest: usize,
    /// How much longer than its IP packet a program's packet may be, in bytes.
    pub overhead: usize,
}

/// A mode of the device. Implementors are empty enums, never constructed.
///
/// The mode classifies packets by a bounded copy of their headers. It keeps no state, never waits and never allocates.
pub trait Mode: Send + Sync + 'static {
    /// The name: prefix of the nodes, and what the log calls it.
    const NAME: &'static str;
    /// How the interface presents itself.
    const LINK: LinkSpec;
    /// How many bytes of a frame from the stack [`Mode::is_data`] needs; at most [`SHORT_HEAD`].
    const SHORT_HEAD: usize;
    /// How many bytes of a frame from the stack [`Mode::classify_to_user`] needs; at most [`HEAD_MAX`].
    const HEAD_TO_USER: usize;
    /// How many bytes of a packet from the program [`Mode::classify_to_stack`] needs; at most
    /// [`HEAD_TO_STACK_MAX`].
    const HEAD_TO_STACK: usize;

    /// Why the mode drops packets: an enum without data, of [`MODE_REASONS`](crate::MODE_REASONS) variants at most.
    type Reason: Copy + PartialEq;
    /// Space for the device's own answer to a frame.
    type Reply: Default + AsRef<[u8]>;

    /// Whether a frame of `length` bytes that the stack sends is the program's without a closer look. `head` is its beginning.
    /// If not, [`Mode::classify_to_user`] decides.
    fn is_data(head: &[u8], length: usize) -> bool;

    /// Classifies a frame of `length` bytes that the stack sends. `head` is its beginning. `reply` is written only for
    /// [`ToUserVerdict::Answer`].
    fn classify_to_user(
        link: &Link,
        head: &[u8],
        length: usize,
        reply: &mut Self::Reply,
    ) -> ToUserVerdict<Self::Reason>;

    /// Classifies a packet of `length` bytes that a program wrote. `head` is its beginning; `groups` are the multicast
    /// groups that the interface has joined.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is no packet of this mode.
    fn classify_to_stack(
        link: &Link,
        groups: &Groups,
        head: &[u8],
        length: usize,
    ) -> Result<ToStackVerdict<Self::Reason>, Error>;

    /// Returns the number of a reason, by which it is counted: its place in the enum.
    fn number(reason: Self::Reason) -> usize;
}

/// The longest head of a frame from the stack that a mode may ask for.
pub const HEAD_MAX: usize = 128;
/// The longest that it may ask for in order to tell data from other frames.
pub const SHORT_HEAD: usize = 24;
/// The longest head of a packet from the program that a mode may ask for: a header of IPv6.
pub const HEAD_TO_STACK_MAX: usize = 40;

/// The verdict on a frame from the stack: one type, so that every frame ends in exactly one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToUserVerdict<R> {
    /// Queue it for the program.
    Deliver,
    /// Hand the reply to the stack, and free the frame.
    Answer,
    /// Free it, and count it under this reason.
    Drop(R),
}

/// The verdict on a packet from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToStackVerdict<R> {
    /// Hand it to the stack with this link header, which the mode has made or found in the packet.
    Deliver(FrameHeader),
    /// Drop it silently, as a wire would, and count it under this reason.
    Drop(R),
}

/// The Ethernet header of a frame to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    bytes: [u8; Self::LENGTH],
}

impl FrameHeader {
    /// Bytes of an Ethernet header.
    pub const LENGTH: usize = 14;

    /// Returns the header with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self { bytes }
    }

    /// Returns the bytes as they are sent.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.bytes
    }

    /// Returns the receiver's address.
    #[must_use]
    pub const fn destination(&self) -> MacAddress {
        let [a, b, c, d, e, f, ..] = self.bytes;
        [a, b, c, d, e, f]
    }

    /// Returns the sender's address.
    #[must_use]
    pub const fn source(&self) -> MacAddress {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = self.bytes;
        [a, b, c, d, e, f]
    }

    /// Returns the Ethernet type.
    #[must_use]
    pub const fn ether_type(&self) -> u16 {
        let [.., high, low] = self.bytes;
        u16::from_be_bytes([high, low])
    }

    /// Returns the protocol that takes such packets straight, if one does.
    #[must_use]
    pub const fn protocol(&self) -> Option<Protocol> {
        match self.ether_type() {
            0x0800 => Some(Protocol::Ipv4),
            0x86dd => Some(Protocol::Ipv6),
            _ => None,
        }
    }
}
