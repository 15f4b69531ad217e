//! What a program writes: it gets a link header, and has no other effect at all.

use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

use tuntap_ptp::{HEAD_TO_STACK, MacAddress, PacketError, Responder};

use crate::frames::*;

fn header(packet: &[u8]) -> Result<[u8; 14], PacketError> {
    responder().classify_to_stack(&packet[..packet.len().min(HEAD_TO_STACK)], packet.len())
}

fn expected(to: [u8; 6], ether_type: [u8; 2]) -> Result<[u8; 14], PacketError> {
    let mut header = [0; 14];
    header[..6].copy_from_slice(&to);
    header[6..12].copy_from_slice(&PEER);
    header[12..].copy_from_slice(&ether_type);
    Ok(header)
}

#[test]
fn packets_come_from_the_peer_to_the_interface() {
    assert_eq!(header(&ipv4(FAR4, OWN4, 64, &[1])), expected(INTERFACE, [0x08, 0x00]));
    assert_eq!(header(&ipv6(FAR6, OWN6, 17, 64, &[1])), expected(INTERFACE, [0x86, 0xdd]));
}

#[test]
fn groups_and_the_broadcast_address_get_theirs() {
    let to4 = |address: [u8; 4]| header(&ipv4(FAR4, Ipv4Addr::from(address), 1, &[]));
    assert_eq!(to4([224, 0, 0, 251]), expected([0x01, 0x00, 0x5e, 0, 0, 251], [0x08, 0x00]));
    assert_eq!(to4([239, 129, 2, 3]), expected([0x01, 0x00, 0x5e, 1, 2, 3], [0x08, 0x00]));
    assert_eq!(to4([255, 255, 255, 255]), expected(BROADCAST, [0x08, 0x00]));
    let to6 = |address: &str| header(&ipv6(FAR6, address.parse().unwrap(), 17, 1, &[]));
    assert_eq!(to6("ff02::fb"), expected([0x33, 0x33, 0, 0, 0, 0xfb], [0x86, 0xdd]));
    assert_eq!(to6("ff0e::1234:5678"), expected([0x33, 0x33, 0x12, 0x34, 0x56, 0x78], [0x86, 0xdd]));
}

#[test]
fn no_part_of_a_header_gets_one() {
    for (packet, whole) in [(ipv4(FAR4, OWN4, 64, &[0; 30]), 20), (ipv6(FAR6, OWN6, 17, 64, &[0; 30]), 40)] {
        for length in 0..whole {
            assert_eq!(header(&packet[..length]), Err(PacketError::Short), "{length} bytes");
        }
        assert!(header(&packet).is_ok());
        let padded = [packet, vec![0; 9]].concat();
        assert!(header(&padded).is_ok());
    }
}

#[test]
fn a_packet_that_ends_before_the_length_in_its_header_is_refused() {
    // What the first call of a writev brings, if the header is in a vector of its own.
    for (packet, whole) in [(ipv4(FAR4, OWN4, 64, &[0; 30]), 20), (ipv6(FAR6, OWN6, 17, 64, &[0; 30]), 40)] {
        for length in whole..packet.len() {
            assert_eq!(header(&packet[..length]), Err(PacketError::Short), "{length} bytes");
        }
    }
}

#[test]
fn bytes_after_the_packet_are_ignored() {
    let packet = ipv6(FAR6, OWN6, 17, 64, &[]);
    for length in 0..HEAD_TO_STACK {
        assert_eq!(responder().classify_to_stack(&packet, length), Err(PacketError::Short), "{length} bytes");
    }
}

#[test]
fn a_version_that_is_neither_is_refused_however_short() {
    for version in (0..16).filter(|version| ![4, 6].contains(version)) {
        for length in 1..64 {
            let mut packet = vec![0x5a; length];
            packet[0] = version << 4 | 5;
            assert_eq!(header(&packet), Err(PacketError::Version), "version {version}, {length} bytes");
        }
    }
    assert_eq!(header(&[]), Err(PacketError::Short));
}

/// Packets of either version, half of them with a length that is there, and any other bytes.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()];
    let is_stated = any::<bool>();
    (first, vec(any::<u8>(), 0..200), is_stated).prop_map(|(first, mut bytes, is_stated)| {
        bytes.insert(0, first);
        let field = if first >> 4 == 4 { 2 } else { 4 };
        if is_stated && let Some(length) = bytes.get_mut(field..field + 2) {
            length.copy_from_slice(&[0, 20]);
        }
        bytes
    })
}

proptest! {
    /// Written questions, claims and reports that would teach or provoke any other neighbour.
    #[test]
    fn neighbour_discovery_that_a_program_writes_is_a_packet_like_any_other(message_type in 128..=143_u8) {
        let written = Icmpv6::new(message_type, FAR6, OWN6, &[&[0; 4], &FAR6.octets()[..]].concat()).frame();
        prop_assert_eq!(header(&written[14..]), expected(INTERFACE, [0x86, 0xdd]));
    }

    #[test]
    fn a_header_is_to_one_station_or_to_a_group_as_the_packet_is(packet in packets(), interface in any::<[u8; 6]>()) {
        let interface = MacAddress::from_bytes(interface);
        let header = Responder::new(interface).classify_to_stack(&packet, packet.len());
        let stated = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        match packet[0] >> 4 {
            4 if packet.len() >= 20 && stated(2) <= packet.len() => {
                let address = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
                let is_group = address.is_multicast() || address.is_broadcast();
                prop_assert!(is_group || header.unwrap()[..6] == *interface.as_bytes());
                prop_assert_eq!(&header.unwrap()[12..], &[0x08, 0x00]);
            }
            6 if packet.len() >= 40 && stated(4) + 40 <= packet.len() => {
                let to = header.unwrap();
                let group = [&[0x33, 0x33], &packet[36..40]].concat();
                let expected = if packet[24] == 0xff { &group } else { &interface.as_bytes()[..] };
                prop_assert_eq!(&to[..6], expected);
                prop_assert_eq!(&to[12..], &[0x86, 0xdd]);
            }
            4 | 6 => prop_assert_eq!(header, Err(PacketError::Short)),
            _ => prop_assert_eq!(header, Err(PacketError::Version)),
        }
    }
}
