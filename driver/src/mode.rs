//! What makes a TUN a TUN and a TAP a TAP.

use bitflags::bitflags;

use crate::{DropReason, Error, Groups, Link, LinkAddress};

bitflags! {
    /// What kind of link an interface says it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LinkFlags: u8 {
        /// A frame can be for everyone.
        const BROADCAST = 1;
        /// A frame can be for a group.
        const MULTICAST = 1 << 1;
        /// There is just one station on the other side.
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
    /// How much longer than the MTU a program's packet may be.
    pub overhead: usize,
}

impl LinkSpec {
    /// The longest frame that a program can make the stack receive.
    pub(crate) const fn longest(&self, mtu: usize) -> usize {
        mtu + self.overhead + self.hidden_header
    }
}

/// A mode of the device. Implementors are empty enums, never constructed.
///
/// The mode judges a bounded copy of the headers. It never holds a packet, never waits and never allocates, so the
/// core may call it with a lock held.
pub trait Mode: Send + Sync + 'static {
    /// The name: prefix of the nodes, and what the log calls it.
    const NAME: &'static str;
    /// How the interface presents itself.
    const LINK: LinkSpec;
    /// How many bytes of a frame from the stack [`Mode::to_user`] wants to see; at most [`HEAD_MAX`].
    const HEAD_TO_USER: usize;
    /// How many bytes of a packet from the program [`Mode::to_stack`] wants to see; at most [`HEAD_MAX`].
    const HEAD_TO_STACK: usize;

    /// What it remembers of an interface. TUN: the far side's part of ARP and neighbour discovery.
    type State: Send;
    /// Room for an answer of its own to a frame.
    type Reply: Default + AsRef<[u8]>;

    /// The state of an interface that has just been made.
    fn state(address: LinkAddress) -> Self::State;

    /// The interface has a new address; what was learned stays learned.
    fn set_address(state: &mut Self::State, address: LinkAddress);

    /// Judges a frame of `length` bytes that the stack sends. `head` is its beginning.
    fn to_user(state: &mut Self::State, head: &[u8], length: usize, reply: &mut Self::Reply) -> Verdict;

    /// Judges a packet of `length` bytes that a program wrote. `head` is its beginning; `groups` are those that the
    /// interface has joined.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is none that could travel.
    fn to_stack(link: &Link, groups: &Groups, head: &[u8], length: usize) -> Result<ToStack, Error>;
}

/// The longest head that a mode may ask for.
pub const HEAD_MAX: usize = 128;

/// The verdict on a frame from the stack: one type, so that every frame ends in exactly one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The program gets it.
    Deliver,
    /// The device has answered it itself: the reply goes to the stack, and the frame nowhere.
    Answer,
    /// Nobody gets it.
    Drop(DropReason),
}

/// The verdict on a packet from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToStack {
    /// The stack gets it, with this header in front.
    Deliver(FrameHeader),
    /// Nobody gets it, and the program is not told: so does a wire with a frame for somebody else.
    Drop(DropReason),
}

/// A link header to put in front of a packet; empty if it has one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    bytes: [u8; Self::ETHERNET],
    length: usize,
}

impl FrameHeader {
    /// The length of an Ethernet header.
    pub const ETHERNET: usize = 14;
    /// No header: the packet has one.
    pub const NONE: Self = Self { bytes: [0; Self::ETHERNET], length: 0 };

    /// An Ethernet header.
    #[must_use]
    pub const fn ethernet(bytes: [u8; Self::ETHERNET]) -> Self {
        Self { bytes, length: Self::ETHERNET }
    }

    /// The bytes to put in front, at the end of a place that any header fits, and how many they are. There are only
    /// whole headers and none, so they are at its beginning too.
    pub(crate) const fn padded(&self) -> (&[u8; Self::ETHERNET], usize) {
        (&self.bytes, self.length)
    }

    /// The bytes to put in front.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}
