//! The far side of the link: classifies what the stack sends, and makes the link header of what it receives.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::arp::{Arp, ArpFrame, ArpPacket};
use crate::ethernet::{ETHERNET_HEADER, EthernetHeader, ether_type};
use crate::groups::{group_of_ipv4, group_of_ipv6};
use crate::ipv4::{IPV4_HEADER, Ipv4Frame, Ipv4Header};
use crate::ipv6::{IPV6_HEADER, Icmpv6, Ipv6Frame, Ipv6Header, next_header};
use crate::neighbour::{AdvertisementFrame, Solicitation, message_type};
use crate::verdict::{Answered, PacketError, Reason, Verdict};
use crate::{MacAddress, Reply};

/// Longest prefix of a frame on its way to the program that the layer looks at. Solicitations are far shorter, and a
/// longer one is dropped as malformed.
pub const HEAD_TO_USER: usize = 128;

/// Prefix of a frame on its way to the program that [`is_data`] looks at: up to the protocol of an IPv6 packet.
pub const SHORT_HEAD: usize = ETHERNET_HEADER + size_of::<Ipv6Start>();

/// Longest prefix of a packet on its way to the stack that the layer looks at.
pub const HEAD_TO_STACK: usize = IPV6_HEADER;

const _: () = assert!(IPV4_HEADER <= HEAD_TO_STACK);

/// The beginning of an IP packet, up to the byte in which IPv6 names the header that follows.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Ipv6Start {
    version_and_length: u8,
    _flow_and_payload_length: [u8; 5],
    next_header: u8,
}

/// Whether a frame that the stack sends carries an IP packet that cannot be address resolution. The verdict on such a frame is
/// [`Verdict::Deliver`]; the others' takes a longer look, at [`Responder::classify_to_user`].
///
/// `head` is the start of the frame, [`SHORT_HEAD`] bytes or all `frame_len` of them.
#[must_use]
#[inline]
pub fn is_data(head: &[u8], frame_len: usize) -> bool {
    let Ok((ethernet, ip)) = EthernetHeader::ref_from_prefix(head) else { return false };
    let Ok((ip, _)) = Ipv6Start::ref_from_prefix(ip) else { return false };
    match ethernet.ether_type.get() {
        ether_type::IPV4 => frame_len >= size_of::<Ipv4Frame>() && matches!(ip.version_and_length, 0x45..=0x4f),
        ether_type::IPV6 => {
            frame_len >= size_of::<Ipv6Frame>()
                && ip.version_and_length >> 4 == 6
                && !may_lead_to_icmpv6(ip.next_header)
        }
        _ => false,
    }
}

/// The only neighbour on the link. It answers for every address.
///
/// It has no memory: each frame is classified by its own form. The stack never asks for an address of its own, because
/// it resolves only destinations that are not local, so there is nothing to learn from what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responder {
    /// The link header of an IPv4 packet from the peer to the interface.
    header: EthernetHeader,
}

impl Responder {
    /// Returns the far side of a link whose near side is an interface with this address.
    #[must_use]
    #[inline]
    pub const fn new(interface: MacAddress) -> Self {
        Self { header: EthernetHeader::new(interface, interface.peer(), ether_type::IPV4) }
    }

    /// Returns the interface's link address.
    #[must_use]
    pub const fn interface(&self) -> MacAddress {
        self.header.destination
    }

    /// Returns the far side's link address.
    #[must_use]
    pub const fn peer(&self) -> MacAddress {
        self.header.source
    }

    /// Classifies a frame that the stack sends through the interface.
    ///
    /// `head` is the start of the frame, [`HEAD_TO_USER`] bytes or all `frame_len` of them. Bytes after these are not
    /// read, so a buffer may have a stale tail. `reply` is written only for [`Verdict::Answer`].
    #[inline]
    #[must_use = "the verdict says who owns the frame next"]
    pub fn classify_to_user(&self, head: &[u8], frame_len: usize, reply: &mut Reply) -> Verdict {
        let head = head.get(..frame_len.min(HEAD_TO_USER)).unwrap_or(head);
        let Ok((ethernet, _)) = EthernetHeader::ref_from_prefix(head) else {
            return Verdict::Drop(Reason::Malformed);
        };
        match ethernet.ether_type.get() {
            ether_type::IPV4 => ipv4_to_user(head),
            ether_type::IPV6 => self.ipv6_to_user(head, reply),
            ether_type::ARP => self.arp_to_user(head, reply),
            _ => Verdict::Drop(Reason::NotIp),
        }
    }

    #[inline]
    fn ipv6_to_user(&self, head: &[u8], reply: &mut Reply) -> Verdict {
        let Ok((frame, payload)) = Ipv6Frame::ref_from_prefix(head) else {
            return Verdict::Drop(Reason::Malformed);
        };
        if !frame.ipv6.is_sane() {
            return Verdict::Drop(Reason::Malformed);
        }
        if may_lead_to_icmpv6(frame.ipv6.next_header) {
            return self.icmpv6_to_user(frame, payload, reply);
        }
        Verdict::Deliver
    }

    /// Keeps the two messages of address resolution on the link. Everything else, router discovery, redirects and
    /// multicast listener messages included, is the program's, as on Linux.
    #[inline(never)]
    fn icmpv6_to_user(&self, frame: &Ipv6Frame, payload: &[u8], reply: &mut Reply) -> Verdict {
        let Some(message) = Icmpv6::find(&frame.ipv6, payload) else {
            return Verdict::Deliver;
        };
        match message.message_type() {
            Some(message_type::NEIGHBOUR_SOLICITATION) => match Solicitation::parse(&frame.ipv6, &message) {
                Some(solicitation) => self.solicited(frame, &solicitation, reply),
                None => Verdict::Drop(Reason::NeighbourMalformed),
            },
            Some(message_type::NEIGHBOUR_ADVERTISEMENT) => Verdict::Drop(Reason::NeighbourAdvertisement),
            _ => Verdict::Deliver,
        }
    }

    /// Answers a solicitation (RFC 4861, section 7.2.4), unless it detects duplicates (RFC 4862, section 5.4.3).
    fn solicited(&self, frame: &Ipv6Frame, solicitation: &Solicitation, reply: &mut Reply) -> Verdict {
        if solicitation.source.is_unspecified() {
            return Verdict::Drop(Reason::DuplicateDetection);
        }
        // A sender that does not tell its link address is at the frame's source.
        let asker = solicitation.link.unwrap_or(frame.ethernet.source);
        if !asker.is_unicast() {
            return Verdict::Drop(Reason::NeighbourMalformed);
        }
        reply.set(&AdvertisementFrame::answer(solicitation, asker, self.peer()).to_bytes());
        Verdict::Answer(Answered::Neighbour)
    }

    /// Answers a request (RFC 826, "Packet Reception").
    #[inline(never)]
    fn arp_to_user(&self, head: &[u8], reply: &mut Reply) -> Verdict {
        match head.get(ETHERNET_HEADER..).and_then(ArpPacket::parse) {
            None => Verdict::Drop(Reason::ArpMalformed),
            Some(Arp::Reply) => Verdict::Drop(Reason::ArpReply),
            Some(Arp::Announcement) => Verdict::Drop(Reason::ArpAnnouncement),
            Some(Arp::Request(packet)) => {
                reply.set(&ArpFrame::unicast(packet.reply(self.peer())).to_bytes());
                Verdict::Answer(Answered::Arp)
            }
        }
    }

    /// Returns the Ethernet header for an IP packet that a program wrote.
    ///
    /// `head` is the start of the packet, [`HEAD_TO_STACK`] bytes or all `packet_len` of them.
    ///
    /// # Errors
    ///
    /// [`PacketError::Version`] if the packet is neither IPv4 nor IPv6, [`PacketError::Short`] if it is empty, has no whole
    /// header, or ends before the length that its header states (RFC 791, section 3.1; RFC 8200, section 3).
    #[inline]
    pub fn classify_to_stack(&self, head: &[u8], packet_len: usize) -> Result<[u8; ETHERNET_HEADER], PacketError> {
        let head = head.get(..packet_len).unwrap_or(head);
        let version = head.first().ok_or(PacketError::Short)? >> 4;
        let mut header = self.header;
        let (group, stated_len) = match version {
            4 => {
                let (ipv4, _) = Ipv4Header::ref_from_prefix(head).map_err(|_| PacketError::Short)?;
                (group_of_ipv4(ipv4.destination), usize::from(ipv4.total_length.get()))
            }
            6 => {
                let (ipv6, _) = Ipv6Header::ref_from_prefix(head).map_err(|_| PacketError::Short)?;
                header.ether_type.set(ether_type::IPV6);
                (group_of_ipv6(ipv6.destination), IPV6_HEADER + usize::from(ipv6.payload_length.get()))
            }
            _ => return Err(PacketError::Version),
        };
        if stated_len > packet_len {
            return Err(PacketError::Short);
        }
        if let Some(group) = group {
            header.destination = group;
        }
        Ok(header.to_bytes())
    }
}

#[inline]
fn ipv4_to_user(head: &[u8]) -> Verdict {
    match Ipv4Frame::ref_from_prefix(head) {
        Ok((frame, _)) if frame.ipv4.is_sane() => Verdict::Deliver,
        _ => Verdict::Drop(Reason::Malformed),
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
