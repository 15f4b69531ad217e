//! What a program writes: any bytes, one packet a call or in batches, from memory that may end too early.
//!
//! The form of an input: a byte of settings, then writes, each a word of flags and length and that many bytes.

use std::collections::VecDeque;

use haiku_sys::{B_BAD_ADDRESS, EINVAL, EMSGSIZE, status_t};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{BatchRequest, Preamble, TUNSIFHEAD, TUNWRITEBATCH};
use zerocopy::{FromBytes, IntoBytes};

use super::{Bench, Input};
use crate::card::Card;
use crate::packet::{ETHER_TYPE_IP, ETHER_TYPE_IPV6, ETHERNET_HEADER};
use crate::program::{Cliff, NO_PI, Program, preamble, user_address};

/// Setting: a TAP in place of a TUN.
const TAP: u8 = 1;
/// Setting: packet information in front.
const INFORMATION: u8 = 2;
/// Setting: an address family in front.
const FAMILY: u8 = 4;
/// Setting: the interface hears everything.
const PROMISCUOUS: u8 = 8;
/// Two bits of settings choose from these.
const MTUS: [usize; 4] = [1500, 68, 3000, 65535];

/// Flag of a write: the bytes are the records of a batch.
const BATCH: u16 = 1 << 15;
/// Flag: the memory ends before the packet does.
const CLIFF: u16 = 1 << 14;
/// Flag: the stack takes a frame first.
const FETCH: u16 = 1 << 13;

/// Longest write.
const LONGEST: usize = 4095;
/// Most writes.
const WRITES: usize = 64;
/// Limits of the queues that so many never reach.
const LIMITS: [u32; 4] = [1 << 16, 64 << 20, 1 << 16, 64 << 20];

/// Groups that every station belongs to; no other was joined.
const ALL_STATIONS: [[u8; 6]; 3] = [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]];

/// How a unit is set.
struct Settings {
    mode: Mode,
    framing: usize,
    promiscuous: bool,
    mtu: usize,
    own: [u8; 6],
}

/// The expected outcome of a write.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The stack gets this frame.
    Arrives(Vec<u8>),
    /// It is for another station: dropped and counted.
    Ignored,
    Refused(status_t),
}

impl Settings {
    /// Returns the expected outcome for a packet, by `tun(4)` and `tap(4)`.
    fn fate(&self, written: &[u8]) -> Fate {
        let Some(packet) = written.get(self.framing..) else { return Fate::Refused(EINVAL) };
        let (shortest, longest) = match self.mode {
            Mode::Tun => (1, 65_535),
            Mode::Tap => (14, 65_535 + 18),
        };
        if packet.len() < shortest {
            return Fate::Refused(EINVAL);
        }
        if packet.len() > longest {
            return Fate::Refused(EMSGSIZE);
        }
        match self.mode {
            Mode::Tun => self.tun(packet),
            Mode::Tap => {
                let for_us = ALL_STATIONS.iter().any(|group| packet[..6] == *group) || packet[..6] == self.own;
                if for_us || self.promiscuous { Fate::Arrives(packet.to_vec()) } else { Fate::Ignored }
            }
        }
    }

    fn tun(&self, packet: &[u8]) -> Fate {
        let stated =
            |at: usize| packet.get(at..at + 2).map_or(0, |word| usize::from(word[0]) << 8 | usize::from(word[1]));
        let is_cut = match packet[0] >> 4 {
            4 => stated(2) > packet.len(),
            _ => stated(4) + 40 > packet.len(),
        };
        let (ether_type, destination) = match (packet[0] >> 4, packet.len()) {
            _ if is_cut => return Fate::Refused(EINVAL),
            (4, 20..) => match packet[16..20] {
                [255, 255, 255, 255] => (ETHER_TYPE_IP, [0xff; 6]),
                [224..240, b, c, d] => (ETHER_TYPE_IP, [1, 0, 0x5e, b & 0x7f, c, d]),
                _ => (ETHER_TYPE_IP, self.own),
            },
            (6, 40..) => match packet[24..40] {
                [0xff, .., a, b, c, d] => (ETHER_TYPE_IPV6, [0x33, 0x33, a, b, c, d]),
                _ => (ETHER_TYPE_IPV6, self.own),
            },
            _ => return Fate::Refused(EINVAL),
        };
        let mut frame = destination.to_vec();
        // The far side's address is the driver's own affair; it is not compared.
        frame.extend([0; 6]);
        frame.extend(ether_type.to_be_bytes());
        frame.extend(packet);
        Fate::Arrives(frame)
    }
}

/// Plays an input.
pub fn play(bench: &Bench, input: &[u8]) {
    let mut input = Input::new(input);
    let flags = input.byte();
    let mode = if flags & TAP != 0 { Mode::Tap } else { Mode::Tun };
    let card = Card::ready(bench.lab(), &mode.interface(0));
    let program = Program::new(mode);
    let settings = Settings {
        mode,
        framing: if flags & (INFORMATION | FAMILY) != 0 { 4 } else { 0 },
        promiscuous: flags & PROMISCUOUS != 0,
        mtu: MTUS[usize::from(flags >> 6)],
        own: card.address(),
    };
    let kind = if mode == Mode::Tun { 1 } else { 2 };
    program.set_interface(if flags & INFORMATION != 0 { kind } else { kind | NO_PI }).expect("its own kind");
    if flags & (INFORMATION | FAMILY) == FAMILY {
        program.exchange(TUNSIFHEAD, 1i32).expect("a framing");
    }
    program.set_limits(LIMITS).expect("the most there can be");
    card.set_mtu(settings.mtu).expect("a good MTU");
    card.set_promiscuous(settings.promiscuous).expect("it can");

    let mut expected = VecDeque::new();
    let mut cliff = Cliff::new();
    for _ in 0..WRITES {
        let word = input.word();
        let bytes = input.bytes(usize::from(word) & LONGEST);
        if word == 0 && bytes.is_empty() {
            break;
        }
        if word & FETCH != 0 {
            fetch(&card, mode, &mut expected);
        }
        match (word & BATCH != 0, word & CLIFF != 0) {
            (true, _) => batch(program, &settings, bytes, &mut expected),
            (false, true) => {
                let there = usize::from(input.byte()).min(bytes.len());
                write_from_cliff(program, &settings, bytes, cliff.edge(&bytes[..there]), there, &mut expected);
            }
            (false, false) => {
                let written = program.write(bytes);
                if bytes.is_empty() {
                    assert_eq!(written, Ok(0), "nothing asked for is not asked of the driver");
                    continue;
                }
                match settings.fate(bytes) {
                    Fate::Arrives(frame) => {
                        assert_eq!(written, Ok(bytes.len()));
                        expected.push_back(frame);
                    }
                    Fate::Ignored => assert_eq!(written, Ok(bytes.len())),
                    Fate::Refused(status) => assert_eq!(written, Err(status)),
                }
            }
        }
        program.check_accounts();
        assert_eq!(bench.packets(), expected.len(), "packets are those that were accepted");
    }
    while !expected.is_empty() {
        fetch(&card, mode, &mut expected);
    }
    assert_eq!(program.statistics().to_stack.queued, 0, "and no other");
    program.close();
    drop(card);
    bench.check_rest();
}

/// The stack takes the frame that is next, if there is one.
fn fetch(card: &Card<'_>, mode: Mode, expected: &mut VecDeque<Vec<u8>>) {
    let Some(mut frame) = expected.pop_front() else { return };
    let arrived = card.receive().expect("the frame that was accepted");
    if mode == Mode::Tun {
        assert!(arrived.len() >= ETHERNET_HEADER, "a frame without a header: {arrived:02x?}");
        assert!(arrived[6] & 1 == 0 && arrived[6..12] != card.address(), "the far side is another station");
        frame[6..12].copy_from_slice(&arrived[6..12]);
    }
    assert_eq!(arrived, frame);
}

/// A write from memory that ends too early: it fails, unless the rest is not needed.
fn write_from_cliff(
    program: Program,
    settings: &Settings,
    bytes: &[u8],
    address: usize,
    there: usize,
    expected: &mut VecDeque<Vec<u8>>,
) {
    let written = program.write_at(address, bytes.len());
    match settings.fate(bytes) {
        Fate::Arrives(frame) if there == bytes.len() && !bytes.is_empty() => {
            assert_eq!(written, Ok(bytes.len()));
            expected.push_back(frame);
        }
        _ if bytes.is_empty() => assert_eq!(written, Ok(0)),
        Fate::Ignored if there == bytes.len() => assert_eq!(written, Ok(bytes.len())),
        // Its length, or what is there of its headers, may be refused before the memory is missed.
        Fate::Refused(status) => assert!(written == Err(status) || written == Err(B_BAD_ADDRESS), "{written:x?}"),
        Fate::Arrives(_) | Fate::Ignored => assert_eq!(written, Err(B_BAD_ADDRESS)),
    }
}

/// The bytes are the records of a batch.
fn batch(program: Program, settings: &Settings, records: &[u8], expected: &mut VecDeque<Vec<u8>>) {
    let header = size_of::<BatchRequest>();
    let size = (header + records.len()) as u32;
    let request =
        BatchRequest { preamble: Preamble { size, ..preamble::<BatchRequest>() }, packets: u32::MAX, bytes: 0 };
    let mut memory = request.as_bytes().to_vec();
    memory.extend(records);
    let status = program.control(TUNWRITEBATCH, user_address(&mut memory));
    assert_eq!(&memory[header..], records, "what is written from is not written to");

    let (mut packets, mut at, mut error) = (0, 0, None);
    while at < records.len() {
        let Some(word) = records.get(at..at + 4) else {
            error = Some(EINVAL);
            break;
        };
        let length = u32::from_ne_bytes(word.try_into().expect("four bytes")) as usize;
        let end = (at + 4).saturating_add(length);
        let Some(record) = records.get(at + 4..end) else {
            error = Some(EINVAL);
            break;
        };
        match settings.fate(record) {
            Fate::Arrives(frame) => expected.push_back(frame),
            Fate::Ignored => {}
            Fate::Refused(status) => {
                error = Some(status);
                break;
            }
        }
        packets += 1;
        at = end.next_multiple_of(4).min(records.len());
    }
    match error {
        Some(error) if packets == 0 => assert_eq!(status, Err(error)),
        _ => {
            assert_eq!(status, Ok(()), "part of a batch is a success");
            let (done, _) = BatchRequest::read_from_prefix(&memory).expect("the request");
            assert_eq!((done.packets, done.bytes as usize), (packets, at));
        }
    }
}
