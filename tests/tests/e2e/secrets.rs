//! No information leaks: what a program or the stack receives contains only bytes that were sent to it.
//!
//! Everything that could leak holds a pattern: the lab fills fresh and freed memory, and each test fills the kernel's stack
//! before every call. Packets here never have the same byte three times in a row.

use haiku_kernel::heap::{FREED, FRESH};
use haiku_sys::FIONREAD;
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::*;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, arp_request, payload, program_packet, stack_frame};
use tuntap_testkit::program::{NO_PI, Program, preamble, user_address, zeroed};
use tuntap_testkit::rig::Rig;
use zerocopy::{FromBytes, IntoBytes};

/// What the kernel's stack is filled with.
const STACK: u8 = 0x5e;
/// What a program's memory is filled with.
const OWN: u8 = 0x77;

/// Fills the stack below the caller's frame, where the next call's will be.
#[inline(never)]
fn fill_stack() {
    let mut below = [0u8; 64 << 10];
    below.fill(STACK);
    std::hint::black_box(&mut below);
}

/// Fails if a pattern is in there.
#[track_caller]
fn check(what: &str, received: &[u8]) {
    for (at, bytes) in received.windows(3).enumerate() {
        let secret = [FRESH, FREED, STACK].iter().any(|&pattern| bytes == [pattern; 3]);
        assert!(!secret, "{what} has kernel memory in it, at {at}: {received:02x?}");
    }
}

/// A packet in which no pattern can be mistaken.
fn program_bytes(mode: Mode, length: usize) -> Vec<u8> {
    let packet = program_packet(mode, Way::ToStack, length);
    check("the test's own packet", &packet);
    packet
}

#[test]
fn packets_leak_no_memory() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        let kind = if mode == Mode::Tun { 1 } else { 2 };
        for flags in [kind | NO_PI, kind] {
            program.set_interface(flags).unwrap();
            let framing = if flags & NO_PI == 0 { 4 } else { 0 };
            for length in (60..1500).step_by(61) {
                let written = [&payload(framing)[..], &program_bytes(mode, length)].concat();
                fill_stack();
                program.write(&written).unwrap();
                let frame = card.receive().unwrap();
                check("a frame for the stack", &frame);
                assert_eq!(frame.len(), written.len() - framing + if mode == Mode::Tun { 14 } else { 0 });
                card.send(&stack_frame(mode, card.address(), length)).unwrap();
                let mut memory = vec![OWN; 2000];
                fill_stack();
                let read = haiku_kernel::syscalls::read(program.fd(), &mut memory).unwrap();
                assert_eq!(read, length + framing);
                check("a packet for the program", &memory[..read]);
                assert!(memory[read..].iter().all(|&byte| byte == OWN), "and nothing was written behind it");
            }
        }
        drop(card);
        rig.end();
    }
}

#[test]
fn answers_of_the_far_side_leak_no_memory() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let _program = Program::new(Mode::Tun);
    for _ in 0..4 {
        fill_stack();
        card.send(&arp_request(card.address())).unwrap();
        let answer = card.receive().unwrap();
        assert_eq!(answer.len(), 42, "an Ethernet header and ARP, and no padding");
        check("an answer", &answer);
    }
    drop(card);
    rig.end();
}

#[test]
fn a_batch_writes_nothing_but_lengths_and_packets() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    let lengths = [61usize, 62, 63, 64];
    for &length in &lengths {
        card.send(&stack_frame(Mode::Tap, card.address(), length)).unwrap();
    }
    let header = size_of::<BatchRequest>();
    let mut memory = vec![OWN; header + 1000];
    let request = BatchRequest {
        preamble: Preamble { size: memory.len() as u32, ..preamble::<BatchRequest>() },
        packets: 10,
        bytes: 0,
    };
    memory[..header].copy_from_slice(request.as_bytes());
    fill_stack();
    program.control(TUNREADBATCH, user_address(&mut memory)).unwrap();
    check("a batch", &memory);
    let mut at = header;
    for length in lengths {
        assert_eq!(memory[at..at + 4], (length as u32).to_ne_bytes());
        let end = at + 4 + length;
        at = end + (4 - length % 4) % 4;
        assert!(memory[end..at].iter().all(|&byte| byte == OWN), "the padding is the program's own");
    }
    assert!(memory[at..].iter().all(|&byte| byte == OWN), "nothing was written behind it");
    drop(card);
    rig.end();
}

/// Controls that answer, and how many bytes.
const ANSWERS: [(u32, usize); 10] = [
    (TUNGETIFF, 40),
    (TAPGIFNAME, 40),
    (SIOCGIFHWADDR, 40),
    (TUNGETFEATURES, 4),
    (TUNGETSNDBUF, 4),
    (TUNGIFINFO, 8),
    (TUNGIFHEAD, 4),
    (FIONREAD, 4),
    (TUNGETSTATISTICS, size_of::<StatisticsRequest>()),
    (TUNGETLIMITS, size_of::<LimitsRequest>()),
];

#[test]
fn answers_to_controls_leak_no_memory() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        for (op, size) in ANSWERS {
            let answer = |own: u8| {
                let mut memory = vec![own; size + 64];
                let version = if op == TUNGETSTATISTICS { STATISTICS_VERSION } else { VERSION };
                let request = Preamble { version, size: size as u32 };
                if [TUNGETSTATISTICS, TUNGETLIMITS].contains(&op) {
                    memory[..8].copy_from_slice(request.as_bytes());
                }
                fill_stack();
                program.control(op, user_address(&mut memory)).unwrap();
                check(&format!("the answer to {op:#x}"), &memory);
                assert!(memory[size..].iter().all(|&byte| byte == own), "{op:#x} writes behind its answer");
                memory.truncate(size);
                memory
            };
            // An address has any bytes in it: what is the program's own still is what it was each time.
            assert_eq!(answer(OWN), answer(!OWN), "{op:#x} leaves out a part of its answer");
        }
        drop(card);
        rig.end();
    }
}

#[test]
fn holes_in_answers_are_zero() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let full = || LinuxRequest::read_from_bytes(&[0xff; 40]).unwrap();
    for op in [TUNGETIFF, TAPGIFNAME, SIOCGIFHWADDR] {
        fill_stack();
        let answer = program.exchange(op, full()).unwrap();
        assert_eq!(answer.name, *b"tun/0\0\0\0\0\0\0\0\0\0\0\0", "{op:#x}");
        assert_eq!(answer.rest, [0; 16], "{op:#x}");
        if op != SIOCGIFHWADDR {
            assert_eq!(answer.address, [0; 6], "{op:#x}");
        }
    }
    // What is behind a name is no part of it.
    let request = LinuxRequest { name: *b"tun0\0secretsecre", flags: 0x1001, ..zeroed() };
    assert_eq!(program.exchange(TUNSETIFF, request).unwrap().name, *b"tun/0\0\0\0\0\0\0\0\0\0\0\0");
    let info = program.exchange(TUNGIFINFO, TunInfo { baudrate: -1, mtu: 1, kind: 1, dummy: 0xff }).unwrap();
    assert_eq!((info.baudrate, info.dummy), (0, 0));
    drop(card);
    rig.end();
}
