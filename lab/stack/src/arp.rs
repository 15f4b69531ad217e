//! ARP, as Haiku's stack speaks it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use haiku_sys::{B_BAD_DATA, B_ERROR, ETHER_TYPE_ARP, status_t};
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

use super::Stack;
use super::address::Family;
use super::buffer::{Packet, Sent};
use super::ethernet::{self, BROADCAST, Mac};
use super::fifo::lock;
use super::interface::Interface;

/// Bytes of an ARP packet for Ethernet and IPv4.
const LENGTH: usize = 28;

/// An ARP packet's bytes.
fn packet(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> [u8; LENGTH] {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(sender.0),
        source_protocol_addr: sender.1,
        target_hardware_addr: EthernetAddress(target.0),
        target_protocol_addr: target.1,
    };
    let mut bytes = [0; LENGTH];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
    bytes
}

impl Stack {
    /// An ARP packet came in. What is not a question for one of our own addresses ends here.
    pub(crate) fn receive_arp(self: &Arc<Self>, frame: &Packet) -> Result<(), status_t> {
        let bytes = frame.to_vec()?;
        let arp = ArpPacket::new_checked(&bytes[..]).map_err(|_| B_BAD_DATA)?;
        let Ok(ArpRepr::EthernetIpv4 { operation, source_protocol_addr, target_protocol_addr, .. }) =
            ArpRepr::parse(&arp)
        else {
            return Err(B_BAD_DATA);
        };
        // Haiku believes the frame's sender, not the one inside the packet.
        let sender = ethernet::mac_of(&frame.link_source());
        match operation {
            ArpOperation::Request => {
                self.learn_neighbour(IpAddr::V4(source_protocol_addr), sender);
                self.answer_arp(sender, source_protocol_addr, target_protocol_addr).map_err(|unsent| unsent.status)
            }
            ArpOperation::Reply => {
                self.learn_neighbour(IpAddr::V4(source_protocol_addr), sender);
                Ok(())
            }
            ArpOperation::Unknown(_) => Err(B_ERROR),
        }
    }

    /// Answers a request, with the cache locked. A refused reply is freed.
    fn answer_arp(self: &Arc<Self>, asker: Mac, asker_ip: Ipv4Addr, wanted: Ipv4Addr) -> Sent {
        let sent = self.arp.with_own(IpAddr::V4(wanted), |own| {
            let bytes = packet(ArpOperation::Reply, (own.mac, wanted), (asker, asker_ip));
            self.send_frame(&own.interface, Packet::new(&bytes)?, own.mac, asker, ETHER_TYPE_ARP as u16)
        });
        sent.unwrap_or(Err(B_ERROR.into()))
    }

    /// Broadcasts a request for an address.
    pub(crate) fn ask_who_has(&self, interface: &Arc<Interface>, address: Ipv4Addr) -> Sent {
        let local = match lock(&interface.inner).link(Family::Inet).local {
            Some(IpAddr::V4(local)) => local,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let mac = interface.device().address();
        let bytes = packet(ArpOperation::Request, (mac, local), ([0; 6], address));
        self.send_frame(interface, Packet::new(&bytes)?, mac, BROADCAST, ETHER_TYPE_ARP as u16)
    }
}
