//! The point-to-point layer: makes a TUN look like an Ethernet link with one neighbour that always answers.
//!
//! A TUN carries bare IP packets, but an IP stack without point-to-point links expects an Ethernet interface: it
//! resolves addresses before it sends, and it expects a link header on what it receives. The [`Responder`] is the one
//! neighbour of that link. It answers the stack's ARP requests (RFC 826) and neighbour solicitations (RFC 4861) itself,
//! so that the program never sees them, and it makes the link header of each packet to the stack.
//!
//! A frame to the program:
//!
//! ```text
//! stack -> Responder::classify_to_user(head of the frame)
//!            IPv4, IPv6        -> Verdict::Deliver       strip the header, hand the packet over
//!            ARP, solicitation -> Verdict::Answer        the reply goes back to the stack
//!            anything else     -> Verdict::Drop(reason)  counted under it
//! ```
//!
//! A packet to the stack: `Responder::classify_to_stack(head of the packet)` returns the 14 bytes to put in front of it,
//! or refuses it.
//!
//! The crate holds no packet, does not allocate, has no clock and no state except the interface's link address. It has no
//! path to a panic: outside bytes are only read through checked views, without indexing.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod groups;
pub mod ipv4;
pub mod ipv6;
mod mac;
pub mod neighbour;
mod reply;
mod responder;
mod verdict;

pub use ethernet::ETHERNET_HEADER;
pub use mac::MacAddress;
pub use reply::{REPLY_MAX, Reply};
pub use responder::{HEAD_TO_STACK, HEAD_TO_USER, Responder, SHORT_HEAD, is_data};
pub use verdict::{Answered, PacketError, Reason, Verdict};
