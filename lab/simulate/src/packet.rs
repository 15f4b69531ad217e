//! What the bytes of a packet mean to a TUN, which makes and reads link headers.

use tuntap_model::Verdict;
use tuntap_net_addon::reasons::NAMES;

/// The position of a drop reason in the statistics.
pub(super) fn position(reason: &str) -> usize {
    NAMES.iter().position(|name| *name == reason).expect("the name of a drop reason")
}

/// The outcome of a frame from the stack: a TAP delivers it, a TUN parses it, and answers for its far side.
pub(super) fn judge(tun: bool, frame: &[u8], peer: [u8; 6]) -> Verdict {
    let drop = |reason| Verdict::Drop(position(reason));
    let Some((header, payload)) = frame.split_at_checked(14) else { return drop("malformed") };
    match &header[12..] {
        _ if !tun => Verdict::Deliver,
        [8, 0] if payload.len() >= 20 && payload[0] >> 4 == 4 => Verdict::Deliver,
        [0x86, 0xdd] if payload.len() >= 40 && payload[0] >> 4 == 6 => Verdict::Deliver,
        [8, 0] | [0x86, 0xdd] => drop("malformed"),
        [8, 6] if payload.len() < 28 => drop("arp-malformed"),
        [8, 6] => match (payload[7], &payload[14..18], &payload[24..28]) {
            (_, sender, target) if sender == target => drop("arp-announcement"),
            (1, sender, target) => {
                let asker = &payload[8..14];
                let head = [asker, &peer[..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2][..]].concat();
                Verdict::Answer([&head[..], &peer[..], target, asker, sender].concat())
            }
            _ => drop("arp-reply"),
        },
        _ => drop("not-ip"),
    }
}

/// The far side's address: that of the interface with one bit inverted, locally administered.
pub(super) fn peer([a, b, c, d, e, f]: [u8; 6]) -> [u8; 6] {
    [(a | 2) & !1, b, c, d ^ 0x80, e, f]
}

/// The link header of a program's packet: from the far side to the interface, or to the group that it is for.
pub(super) fn header(packet: &[u8], address: [u8; 6]) -> Option<Vec<u8>> {
    let stated = |at: usize| packet.get(at..at + 2).map_or(0, |word| usize::from(word[0]) << 8 | usize::from(word[1]));
    let (destination, kind) = match packet[0] >> 4 {
        4 if packet.len() >= 20.max(stated(2)) => (&packet[16..20], [8, 0]),
        6 if packet.len() >= 40.max(40 + stated(4)) => (&packet[24..40], [0x86, 0xdd]),
        _ => return None,
    };
    let to = match *destination {
        [224..=239, b, c, d] => [1, 0, 0x5e, b & 0x7f, c, d],
        [255, 255, 255, 255] => [0xff; 6],
        [0xff, .., a, b, c, d] if destination.len() == 16 => [0x33, 0x33, a, b, c, d],
        _ => address,
    };
    Some([&to[..], &peer(address), &kind].concat())
}

/// Whether a frame carries an IP packet that cannot be address resolution.
pub(super) fn is_data(frame: &[u8]) -> bool {
    match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, 0x45..=0x4f, ..] => frame.len() >= 34,
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, 0x60..=0x6f, rest @ ..] => {
            frame.len() >= 54 && !matches!(rest[5], 0 | 43 | 44 | 58 | 60)
        }
        _ => false,
    }
}
