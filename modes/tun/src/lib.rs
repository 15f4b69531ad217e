//! TUN: IP packets, through the point-to-point layer.
//!
//! A program reads and writes bare IPv4 and IPv6 packets. Haiku's stack, which knows no links without stations, sees an
//! Ethernet link whose far side is always at home: `ptp` makes the headers and answers ARP and neighbour discovery.
#![no_std]
#![forbid(unsafe_code)]

use tuntap_driver::{
    DropReason, Error, FrameHeader, Groups, Link, LinkAddress, LinkFlags, LinkSpec, Mode, ToStack, Verdict,
};
use tuntap_ptp::{ETHERNET_HEADER, HEAD_TO_STACK, HEAD_TO_USER, MacAddress, Reason, Refusal, Responder};

/// The mode of `tun/0`, `tun/1` and so on.
#[derive(Debug)]
pub enum Tun {}

impl Mode for Tun {
    const NAME: &'static str = "tun";
    // Never BROADCAST: Haiku keeps an IPv4 peer's address where the broadcast address of such a link would be, and
    // takes the peer for everyone.
    const LINK: LinkSpec = LinkSpec {
        flags: LinkFlags::POINT_TO_POINT,
        header_length: ETHERNET_HEADER,
        hidden_header: ETHERNET_HEADER,
        shortest: 1,
        overhead: 0,
    };
    const HEAD_TO_USER: usize = HEAD_TO_USER;
    const HEAD_TO_STACK: usize = HEAD_TO_STACK;

    type State = Responder;
    type Reply = Reply;

    fn state(address: LinkAddress) -> Self::State {
        Responder::new(MacAddress::from_bytes(address))
    }

    fn set_address(state: &mut Self::State, address: LinkAddress) {
        state.set_interface(MacAddress::from_bytes(address));
    }

    #[inline]
    fn to_user(state: &mut Self::State, head: &[u8], length: usize, reply: &mut Self::Reply) -> Verdict {
        match state.to_user(head, length, &mut reply.0) {
            tuntap_ptp::Verdict::Deliver => Verdict::Deliver,
            tuntap_ptp::Verdict::Answer(_) => Verdict::Answer,
            tuntap_ptp::Verdict::Drop(reason) => Verdict::Drop(counter(reason)),
        }
    }

    #[inline]
    fn to_stack(link: &Link, _: &Groups, head: &[u8], length: usize) -> Result<ToStack, Error> {
        let interface = MacAddress::from_bytes(link.address);
        match tuntap_ptp::Link::new(interface).to_stack(head, length) {
            Ok(header) => Ok(ToStack::Deliver(FrameHeader::ethernet(header))),
            Err(Refusal::Version | Refusal::Short) => Err(Error::Invalid),
        }
    }
}

/// Room for an answer of the far side's.
#[derive(Debug)]
pub struct Reply(tuntap_ptp::Reply);

impl Default for Reply {
    fn default() -> Self {
        Self(tuntap_ptp::Reply::new())
    }
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// The device's counter for a reason of the point-to-point layer's.
const fn counter(reason: Reason) -> DropReason {
    match reason {
        Reason::Malformed => DropReason::Malformed,
        Reason::NotIp => DropReason::NotIp,
        Reason::ArpMalformed => DropReason::ArpMalformed,
        Reason::ArpProbe => DropReason::ArpProbe,
        Reason::ArpAnnouncement => DropReason::ArpAnnouncement,
        Reason::ArpOwn => DropReason::ArpOwn,
        Reason::ArpReply => DropReason::ArpReply,
        Reason::NeighbourMalformed => DropReason::NeighbourMalformed,
        Reason::DuplicateDetection => DropReason::DuplicateDetection,
        Reason::NeighbourOwn => DropReason::NeighbourOwn,
        Reason::NeighbourAdvertisement => DropReason::NeighbourAdvertisement,
        Reason::RouterSolicitation => DropReason::RouterSolicitation,
        Reason::RouterAdvertisement => DropReason::RouterAdvertisement,
        Reason::Redirect => DropReason::Redirect,
        Reason::MulticastListener => DropReason::MulticastListener,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_point_to_point_layer_has_a_counter_of_the_same_name() {
        for &reason in Reason::ALL {
            assert_eq!(counter(reason).name(), reason.name());
        }
    }

    #[test]
    fn a_packet_of_no_known_version_is_refused() {
        let link = Link { address: [2, 0, 0, 0, 0, 1], promiscuous: false, mtu: 1500 };
        assert_eq!(Tun::to_stack(&link, &Groups::new(), &[0x50; 40], 40), Err(Error::Invalid));
        assert_eq!(Tun::to_stack(&link, &Groups::new(), &[], 0), Err(Error::Invalid));
    }
}
