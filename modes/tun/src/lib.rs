//! TUN: IP packets, through the point-to-point layer.
//!
//! A program reads and writes bare IPv4 and IPv6 packets. Haiku's stack, which supports only Ethernet-like links, sees an
//! Ethernet link with one neighbour: `ptp` makes the headers and answers ARP and neighbour discovery.
#![no_std]
#![forbid(unsafe_code)]

use tuntap_driver::{Error, FrameHeader, Groups, Link, LinkFlags, LinkSpec, Mode, ToStackVerdict, ToUserVerdict};
pub use tuntap_ptp::Reason;
use tuntap_ptp::{ETHERNET_HEADER, HEAD_TO_STACK, HEAD_TO_USER, MacAddress, PacketError, Responder, SHORT_HEAD};

/// The mode of `tun/0`, `tun/1` and so on.
#[derive(Debug)]
pub enum Tun {}

impl Mode for Tun {
    const NAME: &'static str = "tun";
    // Never BROADCAST, because Haiku keeps an IPv4 peer's address in the field of the broadcast address and would take the
    // peer for a broadcast address.
    const LINK: LinkSpec = LinkSpec {
        flags: LinkFlags::POINT_TO_POINT,
        header_length: ETHERNET_HEADER,
        hidden_header: ETHERNET_HEADER,
        shortest: 1,
        overhead: 0,
    };
    const SHORT_HEAD: usize = SHORT_HEAD;
    const HEAD_TO_USER: usize = HEAD_TO_USER;
    const HEAD_TO_STACK: usize = HEAD_TO_STACK;

    type Reason = Reason;
    type Reply = Reply;

    #[inline]
    fn is_data(head: &[u8], length: usize) -> bool {
        tuntap_ptp::is_data(head, length)
    }

    fn classify_to_user(link: &Link, head: &[u8], length: usize, reply: &mut Self::Reply) -> ToUserVerdict<Reason> {
        match responder(link).classify_to_user(head, length, &mut reply.0) {
            tuntap_ptp::Verdict::Deliver => ToUserVerdict::Deliver,
            tuntap_ptp::Verdict::Answer(_) => ToUserVerdict::Answer,
            tuntap_ptp::Verdict::Drop(reason) => ToUserVerdict::Drop(reason),
        }
    }

    #[inline]
    fn classify_to_stack(link: &Link, _: &Groups, head: &[u8], length: usize) -> Result<ToStackVerdict<Reason>, Error> {
        match responder(link).classify_to_stack(head, length) {
            Ok(header) => Ok(ToStackVerdict::Deliver(FrameHeader::new(header))),
            Err(PacketError::Version | PacketError::Short) => Err(Error::Invalid),
        }
    }

    #[inline]
    fn number(reason: Reason) -> usize {
        reason as usize
    }
}

#[inline]
const fn responder(link: &Link) -> Responder {
    Responder::new(MacAddress::from_bytes(link.address))
}

/// Space for an answer of the far side.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_no_known_version_is_refused() {
        let link = Link { address: [2, 0, 0, 0, 0, 1], promiscuous: false, mtu: 1500 };
        assert_eq!(Tun::classify_to_stack(&link, &Groups::new(), &[0x50; 40], 40), Err(Error::Invalid));
        assert_eq!(Tun::classify_to_stack(&link, &Groups::new(), &[], 0), Err(Error::Invalid));
    }
}
