//! TAP: Ethernet frames, as they are.
//!
//! A program reads and writes whole frames, so it is another station on the link. Frames for other stations, and for
//! multicast groups that the interface has not joined, are dropped on the way to the stack, as by an Ethernet card.
#![no_std]
#![forbid(unsafe_code)]

use tuntap_driver::{
    Error, FrameHeader, Groups, Link, LinkFlags, LinkSpec, MacAddress, Mode, ToStackVerdict, ToUserVerdict,
};

/// Length of an Ethernet header.
const ETHERNET_HEADER: usize = FrameHeader::LENGTH;
/// Groups that every station belongs to without joining: broadcast, all hosts of IPv4 (RFC 1112, section 4) and all nodes
/// of IPv6 (RFC 4291, section 2.8). Haiku's stack joins none of them.
const ALL_STATIONS: [MacAddress; 3] = [[0xff; 6], [0x01, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]];
/// Length of an IEEE 802.1Q tag, which a frame may have beyond its header.
const VLAN_TAG: usize = 4;

/// The mode of `tap/0`, `tap/1` and so on.
#[derive(Debug)]
pub enum Tap {}

impl Mode for Tap {
    const NAME: &'static str = "tap";
    const LINK: LinkSpec = LinkSpec {
        flags: LinkFlags::BROADCAST.union(LinkFlags::MULTICAST),
        header_length: ETHERNET_HEADER,
        hidden_header: 0,
        shortest: ETHERNET_HEADER,
        overhead: ETHERNET_HEADER + VLAN_TAG,
    };
    const SHORT_HEAD: usize = 0;
    const HEAD_TO_USER: usize = 0;
    const HEAD_TO_STACK: usize = ETHERNET_HEADER;

    type Reason = Reason;
    type Reply = NoReply;

    #[inline]
    fn is_data(_: &[u8], length: usize) -> bool {
        length >= ETHERNET_HEADER
    }

    fn classify_to_user(_: &Link, head: &[u8], length: usize, _: &mut Self::Reply) -> ToUserVerdict<Reason> {
        if Self::is_data(head, length) { ToUserVerdict::Deliver } else { ToUserVerdict::Drop(Reason::Malformed) }
    }

    #[inline]
    fn classify_to_stack(link: &Link, groups: &Groups, head: &[u8], _: usize) -> Result<ToStackVerdict<Reason>, Error> {
        let header = FrameHeader::new(*head.first_chunk().ok_or(Error::Invalid)?);
        let destination = header.destination();
        let [first, ..] = destination;
        let is_group = first & 1 != 0;
        let for_us = if is_group {
            ALL_STATIONS.contains(&destination) || groups.contains(&destination)
        } else {
            destination == link.address
        };
        if for_us || link.promiscuous {
            Ok(ToStackVerdict::Deliver(header))
        } else {
            Ok(ToStackVerdict::Drop(Reason::NotForUs))
        }
    }

    #[inline]
    fn number(reason: Reason) -> usize {
        reason as usize
    }
}

/// Why a TAP drops a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// No whole Ethernet header.
    Malformed,
    /// A frame for a station that is neither this one nor a group that it belongs to.
    NotForUs,
}

/// A TAP never answers.
#[derive(Debug, Default)]
pub struct NoReply;

impl AsRef<[u8]> for NoReply {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: MacAddress = [2, 0, 0, 0, 0, 1];

    fn frame_to(destination: MacAddress) -> [u8; 14] {
        let mut frame = [0; 14];
        frame[..6].copy_from_slice(&destination);
        frame
    }

    fn judge(destination: MacAddress, promiscuous: bool) -> ToStackVerdict<Reason> {
        let link = Link { address: OWN, promiscuous, mtu: 1500 };
        Tap::classify_to_stack(&link, &Groups::new(), &frame_to(destination), 60).expect("a whole header")
    }

    #[test]
    fn frames_to_the_interface_and_to_all_stations_pass() {
        for destination in [OWN, [0xff; 6], [0x01, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]] {
            assert_eq!(judge(destination, false), ToStackVerdict::Deliver(FrameHeader::new(frame_to(destination))));
        }
    }

    #[test]
    fn frames_to_others_pass_only_when_promiscuous() {
        for other in [[2, 0, 0, 0, 0, 2], [0x01, 0, 0x5e, 0, 0, 0xfb], [0x33, 0x33, 0, 0, 0, 0xfb]] {
            assert_eq!(judge(other, false), ToStackVerdict::Drop(Reason::NotForUs));
            assert_eq!(judge(other, true), ToStackVerdict::Deliver(FrameHeader::new(frame_to(other))));
        }
    }

    #[test]
    fn a_frame_shorter_than_its_header_is_refused_from_either_side() {
        let link = Link { address: OWN, promiscuous: true, mtu: 1500 };
        assert_eq!(Tap::classify_to_stack(&link, &Groups::new(), &[2, 0, 0, 0, 0], 5), Err(Error::Invalid));
        assert_eq!(Tap::classify_to_user(&link, &[], 13, &mut NoReply), ToUserVerdict::Drop(Reason::Malformed));
        assert_eq!(Tap::classify_to_user(&link, &[], 14, &mut NoReply), ToUserVerdict::Deliver);
    }
}
