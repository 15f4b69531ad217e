//! Two modes small enough to see through: one that hides the link header and answers, one that does neither.

use tuntap_driver::{
    Counters, DropReason, Error, FrameHeader, Groups, Link, LinkFlags, LinkSpec, MacAddress, Mode, ToStackVerdict,
    ToUserVerdict,
};

/// The interface's address in the tests.
pub(crate) const OWN: MacAddress = [2, 0, 0, 0, 0, 1];
/// Ethernet types.
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const ARP: u16 = 0x0806;

/// A frame for this interface.
pub(crate) fn frame(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&OWN, &[2, 0, 0, 0, 0, 9], &ether_type.to_be_bytes()[..], payload].concat()
}

/// An IPv4 packet, as far as the toy modes parse it, with a distinct value in every byte. Even a single byte has both a
/// version and four bits of `mark`.
pub(crate) fn packet4(mark: u8, length: usize) -> Vec<u8> {
    packet(0x40, mark, length)
}

/// An IPv6 packet likewise.
pub(crate) fn packet6(mark: u8, length: usize) -> Vec<u8> {
    packet(0x60, mark, length)
}

fn packet(version: u8, mark: u8, length: usize) -> Vec<u8> {
    // From 0 to 0x6f: never what untouched or freed memory holds.
    let byte = |at: usize| ((usize::from(mark) * 13 + at) % 0x70) as u8;
    (0..length).map(|at| if at == 0 { version | mark & 15 } else { byte(at) }).collect()
}

/// Why the toy modes drop packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    NotIp,
    NotForUs,
}

/// How many packets a toy mode dropped for this reason.
pub(crate) fn dropped_by_mode(counters: &Counters, reason: Reason) -> u64 {
    counters.dropped_by_reason()[DropReason::COUNT + reason as usize]
}

/// Room for an answer.
#[derive(Debug, Default)]
pub(crate) struct Reply(Vec<u8>);

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// IP packets for the program, frames for the stack. Answers ARP with the interface's address.
#[derive(Debug)]
pub(crate) enum ToyTun {}

impl Mode for ToyTun {
    const NAME: &'static str = "toytun";
    const LINK: LinkSpec = LinkSpec {
        flags: LinkFlags::POINT_TO_POINT,
        header_length: FrameHeader::LENGTH,
        hidden_header: FrameHeader::LENGTH,
        shortest: 1,
        overhead: 0,
    };
    const SHORT_HEAD: usize = 14;
    const HEAD_TO_USER: usize = 20;
    const HEAD_TO_STACK: usize = 4;

    type Reason = Reason;
    type Reply = Reply;

    /// IPv6 takes the longer look.
    fn is_data(head: &[u8], length: usize) -> bool {
        assert_eq!(head.len(), length.min(Self::SHORT_HEAD));
        length > FrameHeader::LENGTH && head[12..] == IPV4.to_be_bytes()
    }

    fn classify_to_user(link: &Link, head: &[u8], length: usize, reply: &mut Reply) -> ToUserVerdict<Reason> {
        assert_eq!(head.len(), length.min(Self::HEAD_TO_USER));
        let Some(&[high, low]) = head.get(12..14) else { return ToUserVerdict::Drop(Reason::Malformed) };
        // Careless: a frame that is all header is delivered too.
        match u16::from_be_bytes([high, low]) {
            IPV4 | IPV6 => ToUserVerdict::Deliver,
            ARP => {
                reply.0 = frame(ARP, &link.address);
                ToUserVerdict::Answer
            }
            _ => ToUserVerdict::Drop(Reason::NotIp),
        }
    }

    fn classify_to_stack(link: &Link, _: &Groups, head: &[u8], length: usize) -> Result<ToStackVerdict<Reason>, Error> {
        assert_eq!(head.len(), length.min(Self::HEAD_TO_STACK));
        let [high, low] = match head.first().map(|byte| byte >> 4) {
            Some(4) => IPV4,
            Some(6) => IPV6,
            _ => return Err(Error::Invalid),
        }
        .to_be_bytes();
        let [a, b, c, d, e, f] = link.address;
        Ok(ToStackVerdict::Deliver(FrameHeader::new([a, b, c, d, e, f, 2, 0, 0, 0, 0, 9, high, low])))
    }

    fn number(reason: Reason) -> usize {
        reason as usize
    }
}

/// Frames on either side, filtered by their destination.
#[derive(Debug)]
pub(crate) enum ToyTap {}

impl Mode for ToyTap {
    const NAME: &'static str = "toytap";
    const LINK: LinkSpec = LinkSpec {
        flags: LinkFlags::BROADCAST.union(LinkFlags::MULTICAST),
        header_length: FrameHeader::LENGTH,
        hidden_header: 0,
        shortest: FrameHeader::LENGTH,
        overhead: FrameHeader::LENGTH + 4,
    };
    const SHORT_HEAD: usize = 0;
    const HEAD_TO_USER: usize = 0;
    const HEAD_TO_STACK: usize = FrameHeader::LENGTH;

    type Reason = Reason;
    type Reply = Reply;

    fn is_data(head: &[u8], length: usize) -> bool {
        assert_eq!(head, []);
        length >= FrameHeader::LENGTH
    }

    fn classify_to_user(_: &Link, head: &[u8], length: usize, _: &mut Reply) -> ToUserVerdict<Reason> {
        assert_eq!(head, []);
        if length < FrameHeader::LENGTH { ToUserVerdict::Drop(Reason::Malformed) } else { ToUserVerdict::Deliver }
    }

    fn classify_to_stack(link: &Link, groups: &Groups, head: &[u8], _: usize) -> Result<ToStackVerdict<Reason>, Error> {
        let header = FrameHeader::new(*head.first_chunk().ok_or(Error::Invalid)?);
        let destination = header.destination();
        if groups.contains(&destination) || link.promiscuous || destination == link.address {
            Ok(ToStackVerdict::Deliver(header))
        } else {
            Ok(ToStackVerdict::Drop(Reason::NotForUs))
        }
    }

    fn number(reason: Reason) -> usize {
        reason as usize
    }
}
