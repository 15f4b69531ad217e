//! The far side of the link: judges what the stack sends, and writes the link header of what it receives.

use zerocopy::FromBytes;

use crate::addresses::{Evidence, OwnAddresses};
use crate::arp::{Arp, ArpFrame, ArpPacket};
use crate::ethernet::{ETHERNET_HEADER, EthernetHeader, ether_type};
use crate::ipv4::{Ipv4Address, Ipv4Frame, Ipv4Header};
use crate::ipv6::{Icmpv6, Ipv6Address, Ipv6Frame, Ipv6Header, next_header};
use crate::link::Link;
use crate::neighbour::{AdvertisementFrame, ON_LINK_HOP_LIMIT, Solicitation, message_type};
use crate::verdict::{Answered, Reason, Refusal, Verdict};
use crate::{MacAddress, Reply};

/// Longest prefix of a frame on its way to the program that the layer looks at. Solicitations are far
/// shorter, and one that is longer is refused.
pub const HEAD_TO_USER: usize = 128;

/// The neighbour on the far side of the link, who has every address but the interface's own.
///
/// Its size is constant, and whatever it does takes a bounded time: it may be called under a spinning lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    link: Link,
    own_ipv4: OwnAddresses<Ipv4Address>,
    own_ipv6: OwnAddresses<Ipv6Address>,
}

const _: () = assert!(size_of::<Responder>() <= 512);

impl Responder {
    /// The far side of a link whose near side is an interface with this address.
    #[must_use]
    pub fn new(interface: MacAddress) -> Self {
        Self { link: Link::new(interface), own_ipv4: OwnAddresses::new(), own_ipv6: OwnAddresses::new() }
    }

    /// The interface's link address was changed.
    pub fn set_interface(&mut self, interface: MacAddress) {
        self.link = Link::new(interface);
    }

    /// The interface's link address.
    #[must_use]
    pub const fn interface(&self) -> MacAddress {
        self.link.interface()
    }

    /// The far side's link address.
    #[must_use]
    pub const fn peer(&self) -> MacAddress {
        self.link.peer()
    }

    /// The interface was removed: whoever has its name next may have other addresses.
    pub fn forget(&mut self) {
        *self = Self::new(self.interface());
    }

    /// Judges a frame that the stack sends through the interface.
    ///
    /// `head` is the start of the frame, [`HEAD_TO_USER`] bytes or all `frame_len` of them. Nothing behind these is
    /// looked at, so a buffer may have a stale tail. `reply` is written only for [`Verdict::Answer`].
    #[inline]
    #[must_use = "the frame has to end somewhere"]
    pub fn to_user(&mut self, head: &[u8], frame_len: usize, reply: &mut Reply) -> Verdict {
        let head = head.get(..frame_len.min(HEAD_TO_USER)).unwrap_or(head);
        let Ok((ethernet, _)) = EthernetHeader::ref_from_prefix(head) else {
            return Verdict::Drop(Reason::Malformed);
        };
        match ethernet.ether_type.get() {
            ether_type::IPV4 => self.ipv4_to_user(head),
            ether_type::IPV6 => self.ipv6_to_user(head, reply),
            ether_type::ARP => self.arp_to_user(head, reply),
            _ => Verdict::Drop(Reason::NotIp),
        }
    }

    #[inline]
    fn ipv4_to_user(&mut self, head: &[u8]) -> Verdict {
        let Ok((frame, _)) = Ipv4Frame::ref_from_prefix(head) else {
            return Verdict::Drop(Reason::Malformed);
        };
        if !frame.ipv4.is_sane() {
            return Verdict::Drop(Reason::Malformed);
        }
        if !self.own_ipv4.saw_last(frame.ipv4.source) {
            self.learn_ipv4(&frame.ipv4);
        }
        Verdict::Deliver
    }

    #[inline]
    fn ipv6_to_user(&mut self, head: &[u8], reply: &mut Reply) -> Verdict {
        let Ok((frame, payload)) = Ipv6Frame::ref_from_prefix(head) else {
            return Verdict::Drop(Reason::Malformed);
        };
        if !frame.ipv6.is_sane() {
            return Verdict::Drop(Reason::Malformed);
        }
        if may_lead_to_icmpv6(frame.ipv6.next_header) {
            return self.icmpv6_to_user(frame, payload, reply);
        }
        if !self.own_ipv6.saw_last(frame.ipv6.source) {
            self.learn_ipv6(&frame.ipv6);
        }
        Verdict::Deliver
    }

    #[cold]
    #[inline(never)]
    fn learn_ipv4(&mut self, header: &Ipv4Header) {
        let evidence = if header.time_to_live == u8::MAX { Evidence::Proof } else { Evidence::Hint };
        if header.source.is_host() {
            self.own_ipv4.saw(header.source, evidence);
        }
    }

    /// A link-local source is proof, for no router forwards it (RFC 4291, section 2.5.6).
    #[cold]
    #[inline(never)]
    fn learn_ipv6(&mut self, header: &Ipv6Header) {
        let stays = header.hop_limit == ON_LINK_HOP_LIMIT || header.source.is_link_local();
        let evidence = if stays { Evidence::Proof } else { Evidence::Hint };
        if header.source.is_host() {
            self.own_ipv6.saw(header.source, evidence);
        }
    }

    /// What is only about the link ends here; what has a destination beyond it goes on.
    #[inline(never)]
    fn icmpv6_to_user(&mut self, frame: &Ipv6Frame, payload: &[u8], reply: &mut Reply) -> Verdict {
        self.learn_ipv6(&frame.ipv6);
        let Some(message) = Icmpv6::find(&frame.ipv6, payload) else {
            return Verdict::Deliver;
        };
        match message.message_type() {
            Some(message_type::NEIGHBOUR_SOLICITATION) => match Solicitation::parse(&frame.ipv6, &message) {
                Some(solicitation) => self.solicited(frame, &solicitation, reply),
                None => Verdict::Drop(Reason::NeighbourMalformed),
            },
            Some(message_type::NEIGHBOUR_ADVERTISEMENT) => Verdict::Drop(Reason::NeighbourAdvertisement),
            Some(message_type::ROUTER_SOLICITATION) => Verdict::Drop(Reason::RouterSolicitation),
            Some(message_type::ROUTER_ADVERTISEMENT) => Verdict::Drop(Reason::RouterAdvertisement),
            Some(message_type::REDIRECT) => Verdict::Drop(Reason::Redirect),
            Some(
                message_type::LISTENER_QUERY
                | message_type::LISTENER_REPORT
                | message_type::LISTENER_DONE
                | message_type::LISTENER_REPORT_2,
            ) => Verdict::Drop(Reason::MulticastListener),
            _ => Verdict::Deliver,
        }
    }

    /// Answers a solicitation (RFC 4861, section 7.2.4), unless it is for the interface itself or from nobody
    /// (RFC 4862, section 5.4.3).
    fn solicited(&mut self, frame: &Ipv6Frame, solicitation: &Solicitation, reply: &mut Reply) -> Verdict {
        if solicitation.source.is_unspecified() {
            return Verdict::Drop(Reason::DuplicateDetection);
        }
        // A sender that did not tell its link address is where the frame came from.
        let asker = solicitation.link.unwrap_or(frame.ethernet.source);
        if !asker.is_unicast() {
            return Verdict::Drop(Reason::NeighbourMalformed);
        }
        if solicitation.target == solicitation.source || self.own_ipv6.is_own(solicitation.target) {
            return Verdict::Drop(Reason::NeighbourOwn);
        }
        reply.set(&AdvertisementFrame::answer(solicitation, asker, self.peer()).to_bytes());
        Verdict::Answer(Answered::Neighbour)
    }

    /// Answers a request (RFC 826), unless it is for the interface itself or from nobody (RFC 5227,
    /// section 2.1.1).
    #[inline(never)]
    fn arp_to_user(&mut self, head: &[u8], reply: &mut Reply) -> Verdict {
        match head.get(ETHERNET_HEADER..).and_then(ArpPacket::parse) {
            None => Verdict::Drop(Reason::ArpMalformed),
            Some(Arp::Probe) => Verdict::Drop(Reason::ArpProbe),
            Some(Arp::Reply) => Verdict::Drop(Reason::ArpReply),
            Some(Arp::Announcement(packet)) => {
                self.learn_arp(packet);
                Verdict::Drop(Reason::ArpAnnouncement)
            }
            Some(Arp::Request(packet)) => {
                self.learn_arp(packet);
                if self.own_ipv4.is_own(packet.target) {
                    return Verdict::Drop(Reason::ArpOwn);
                }
                reply.set(&ArpFrame::unicast(packet.reply(self.peer())).to_bytes());
                Verdict::Answer(Answered::Arp)
            }
        }
    }

    fn learn_arp(&mut self, packet: &ArpPacket) {
        if packet.sender_hardware == self.interface() {
            self.own_ipv4.saw(packet.sender, Evidence::Proof);
        }
    }

    /// The Ethernet header for an IP packet that a program wrote: see [`Link::to_stack`].
    ///
    /// # Errors
    ///
    /// As [`Link::to_stack`].
    #[inline]
    pub fn to_stack(&self, head: &[u8], packet_len: usize) -> Result<[u8; ETHERNET_HEADER], Refusal> {
        self.link.to_stack(head, packet_len)
    }
}

/// Whether an ICMPv6 message may follow a header that names this as the next.
#[inline]
const fn may_lead_to_icmpv6(next: u8) -> bool {
    matches!(
        next,
        next_header::ICMPV6
            | next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::FRAGMENT
            | next_header::DESTINATION
    )
}
