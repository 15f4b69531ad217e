//! The point-to-point layer: it makes a TUN look like an Ethernet link whose far side is always at home.
//!
//! A TUN carries bare IP packets, but an IP stack without point-to-point links wants an Ethernet
//! interface: it resolves addresses before it sends, and it expects a link header on what it receives.
//! The [`Responder`] plays the one neighbour of that link. It answers the stack's questions (ARP,
//! RFC 826; neighbour discovery, RFC 4861) itself, so that a program never sees them, and it writes the
//! link header of what comes the other way.
//!
//! A frame's way to the program:
//!
//! ```text
//! stack -> Responder::classify_to_user(head of the frame)
//!            IPv4, IPv6        -> Verdict::Deliver       strip the header, hand the packet over
//!            ARP, solicitation -> Verdict::Answer        the reply goes back to the stack
//!            anything else     -> Verdict::Drop(reason)  counted under that name
//! ```
//!
//! A packet's way to the stack: `Responder::classify_to_stack(head of the packet)` gives the 14 bytes to put
//! in front of it, or refuses.
//!
//! The crate holds no packet, allocates nothing, keeps no time and has no state but the interface's link
//! address. It has no path to a panic: every access to bytes from outside goes through a checked view, and
//! no index is left for the compiler to check at run time.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arp;
pub mod checksum;
pub mod ethernet;
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
pub use responder::{HEAD_TO_STACK, HEAD_TO_USER, Responder};
pub use verdict::{Answered, Reason, Refusal, Verdict};
