//! Ethernet framing: the header of a frame on its way in, taken off and noted; on its way out, put on.

use std::net::IpAddr;

use haiku_sys::{
    AF_LINK, B_NET_FRAME_TYPE, B_NET_FRAME_TYPE_IPV4, B_NET_FRAME_TYPE_IPV6, ETHER_HEADER_LENGTH, ETHER_TYPE_IP,
    ETHER_TYPE_IPV6, IFT_ETHER, MSG_BCAST, MSG_MCAST, sockaddr_dl, status_t,
};

use super::buffer::Packet;

/// A link-layer address.
pub type Mac = [u8; 6];

/// The broadcast address.
pub(crate) const BROADCAST: Mac = [0xff; 6];

/// Bytes in front of every frame.
pub(crate) const HEADER: usize = ETHER_HEADER_LENGTH as usize;

/// The group address that an IP group is sent to.
pub(crate) fn multicast(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// A link-layer address in its C form.
pub fn link_address(mac: Mac, ether_type: u16, index: u32) -> sockaddr_dl {
    // SAFETY: all-zero bytes are a valid `sockaddr_dl`: it holds integers only.
    let mut address: sockaddr_dl = unsafe { std::mem::zeroed() };
    address.sdl_len = size_of::<sockaddr_dl>() as u8;
    address.sdl_family = AF_LINK as u8;
    address.sdl_e_type = ether_type.to_be();
    address.sdl_index = index;
    address.sdl_type = IFT_ETHER as u8;
    address.sdl_alen = mac.len() as u8;
    address.sdl_data[..6].copy_from_slice(&mac);
    address
}

/// The bytes of a link-layer address that has no name in front of it.
pub(crate) fn mac_of(address: &sockaddr_dl) -> Mac {
    let [a, b, c, d, e, f, ..] = address.sdl_data;
    [a, b, c, d, e, f]
}

/// Takes the header off a received frame and notes what it said.
pub(crate) fn deframe(packet: &mut Packet, index: u32) -> Result<(), status_t> {
    let mut header = [0; HEADER];
    packet.read(&mut header)?;
    packet.remove_header(HEADER)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = header;
    let destination = [d0, d1, d2, d3, d4, d5];
    let ether_type = u16::from_be_bytes([t0, t1]);
    packet.set_link(
        &link_address([s0, s1, s2, s3, s4, s5], ether_type, index),
        &link_address(destination, ether_type, index),
    );
    if destination == BROADCAST {
        packet.set_flags(packet.flags() | MSG_BCAST);
    } else if d0 & 1 != 0 {
        packet.set_flags(packet.flags() | MSG_MCAST);
    }
    packet.set_frame_type(match u32::from(ether_type) {
        ETHER_TYPE_IP => B_NET_FRAME_TYPE_IPV4,
        ETHER_TYPE_IPV6 => B_NET_FRAME_TYPE_IPV6,
        other => B_NET_FRAME_TYPE(IFT_ETHER, other),
    } as i32);
    Ok(())
}

/// Puts the header on a packet that is about to be sent.
pub(crate) fn frame(
    packet: &mut Packet,
    source: Mac,
    destination: Mac,
    ether_type: u16,
    index: u32,
) -> Result<(), status_t> {
    packet.set_link(&link_address(source, ether_type, index), &link_address(destination, ether_type, 0));
    let mut header = [0; HEADER];
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&ether_type.to_be_bytes());
    packet.prepend(&header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_their_addresses() {
        assert_eq!(multicast("224.129.1.2".parse().unwrap()), [0x01, 0x00, 0x5e, 0x01, 0x01, 0x02]);
        assert_eq!(multicast("ff02::1:ff00:2".parse().unwrap()), [0x33, 0x33, 0xff, 0x00, 0x00, 0x02]);
    }

    #[test]
    fn a_link_address_keeps_its_bytes_and_its_type() {
        let address = link_address([2, 0, 0, 0, 0, 9], 0x0806, 3);
        assert_eq!(mac_of(&address), [2, 0, 0, 0, 0, 9]);
        assert_eq!(u16::from_be(address.sdl_e_type), 0x0806);
        assert_eq!(usize::from(address.sdl_len), size_of::<sockaddr_dl>());
    }
}
