//! What a program asks for by `ioctl`: any control with any argument, from memory that ends where the argument does.
//!
//! The form of an input: a byte of settings, then calls, each a byte that chooses the control, a byte that chooses the
//! kind of argument, and the argument.

use haiku_kernel::syscalls::{POLLIN, POLLOUT};
use haiku_sys::{
    B_BAD_ADDRESS, B_BAD_VALUE, B_DEVICE_OP_CODES_END, B_SET_BLOCKING_IO, B_SET_NONBLOCKING_IO, B_WOULD_BLOCK,
    EADDRNOTAVAIL, EBUSY, EINVAL, EMSGSIZE, ENETDOWN, ENOTTY, ENXIO, FIONBIO, FIONREAD, status_t,
};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::*;
use zerocopy::IntoBytes;

use super::{Bench, Input};
use crate::card::Card;
use crate::packet::{Way, program_packet, stack_frame};
use crate::program::{Cliff, NO_PI, Program, nowhere, preamble, zeroed};
use crate::suite::Blocking;

/// Setting: a TAP in place of a TUN.
const TAP: u8 = 1;
/// Setting: there is an interface from the beginning.
const INTERFACE: u8 = 2;
/// Setting: it is up.
const UP: u8 = 4;
/// Setting: packets wait both ways.
const PACKETS: u8 = 8;

/// Most calls.
const CALLS: usize = 64;
/// Most bytes of an argument.
const LONGEST: usize = 1 << 10;

/// Every control. An input chooses one of them, or says a number of its own.
pub const CONTROLS: [u32; 30] = [
    TUNSETIFF,
    TUNGETIFF,
    TUNGETFEATURES,
    TUNSETNOCSUM,
    TUNSETPERSIST,
    TUNSETOWNER,
    TUNSETGROUP,
    TUNSETLINK,
    TUNSETCARRIER,
    TUNGETSNDBUF,
    TUNSETSNDBUF,
    SIOCGIFHWADDR,
    SIOCSIFHWADDR,
    TUNSDEBUG,
    TUNGIFINFO,
    TUNSIFINFO,
    TUNSIFMODE,
    TUNSIFHEAD,
    TUNGIFHEAD,
    TAPGIFNAME,
    TUNGETSTATISTICS,
    TUNGETLIMITS,
    TUNSETLIMITS,
    TUNSETPEER,
    TUNREADBATCH,
    TUNWRITEBATCH,
    FIONREAD,
    FIONBIO,
    B_SET_BLOCKING_IO,
    B_SET_NONBLOCKING_IO,
];

/// What a control may answer. Each is in `tun(4)`.
const ERRORS: [status_t; 11] = [
    B_BAD_ADDRESS,
    B_BAD_VALUE,
    B_WOULD_BLOCK,
    EADDRNOTAVAIL,
    EBUSY,
    EINVAL,
    EMSGSIZE,
    ENETDOWN,
    ENOTTY,
    ENXIO,
    haiku_sys::ENOENT,
];

/// Plays an input.
pub fn play(bench: &Bench, input: &[u8]) {
    let mut input = Input::new(input);
    let flags = input.byte();
    let mode = if flags & TAP != 0 { Mode::Tap } else { Mode::Tun };
    let program = Program::new(mode);
    let card = (flags & INTERFACE != 0).then(|| Card::new(bench.lab(), &mode.interface(0)));
    if let Some(card) = card.as_ref().filter(|_| flags & UP != 0) {
        card.up();
        if flags & PACKETS != 0 {
            for length in [60, 61, 62] {
                card.send(&stack_frame(mode, card.address(), length)).expect("room");
                program.write(&program_packet(mode, Way::ToStack, length)).expect("room");
            }
        }
    }
    let mut cliff = Cliff::new();
    for _ in 0..CALLS {
        let Some(choice) = input.step() else { break };
        let op = CONTROLS.get(usize::from(choice)).copied().unwrap_or_else(|| input.long());
        call(program, op, &mut cliff, &mut input);
        check(program, card.as_ref(), mode);
    }
    let card = card.unwrap_or_else(|| Card::new(bench.lab(), &mode.interface(0)));
    check_works(program, &card, mode);
    drop(card);
    program.close();
    bench.check_rest();
}

/// One call.
fn call(program: Program, op: u32, cliff: &mut Cliff, input: &mut Input<'_>) {
    // A batch may otherwise wait for a packet that never comes.
    program.set_blocking(Blocking::DontWait);
    let kind = input.byte();
    let argument = match kind {
        // A number in the pointer's place.
        0 => input.long() as usize,
        1 => nowhere(),
        2 => usize::MAX,
        // Any address, a program's or not, behind which nothing may be touched unless it is a program's: nothing is.
        3 => (input.long() as usize) << 32 | input.long() as usize,
        // One of the driver's own requests, with the preamble that it wants.
        4 => {
            let size = usize::from(input.word()) % LONGEST;
            let mut bytes = preamble::<Preamble>().as_bytes().to_vec();
            bytes[4..].copy_from_slice(&(size as u32).to_ne_bytes());
            bytes.extend(input.bytes(size.saturating_sub(bytes.len())));
            bytes.resize(size.max(8), 0);
            cliff.edge(&bytes)
        }
        // Any bytes.
        _ => {
            let length = usize::from(kind).min(LONGEST);
            let mut bytes = input.bytes(length).to_vec();
            bytes.resize(length, 0);
            cliff.edge(&bytes)
        }
    };
    let answer = program.control(op, argument);
    // Haiku itself answers to some of the numbers that it keeps for all devices.
    if let (Err(status), true) = (answer, op > B_DEVICE_OP_CODES_END) {
        assert!(ERRORS.contains(&status), "{op:#x} answers {status:#x}");
    }
}

/// What holds after every call.
fn check(program: Program, card: Option<&Card<'_>>, mode: Mode) {
    program.check_accounts();
    let [packets, bytes, to_stack_packets, to_stack_bytes] = program.limits();
    assert!((1..=1 << 16).contains(&packets) && (1..=1 << 16).contains(&to_stack_packets));
    assert!((1..=64 << 20).contains(&bytes) && (1..=64 << 20).contains(&to_stack_bytes));
    assert_eq!(program.interface(), mode.interface(0));
    let address = program.exchange(SIOCGIFHWADDR, zeroed::<LinuxRequest>()).expect("an address").address;
    assert!(address[0] & 1 == 0 && address != [0; 6], "{address:02x?} is no station's");
    let mtu = program.exchange(TUNGIFINFO, zeroed::<TunInfo>()).expect("an MTU").mtu;
    assert!(mtu >= 68);
    if let Some(card) = card {
        assert_eq!((card.address(), card.mtu()), (address, usize::from(mtu)), "the stack sees the same");
    }
}

/// Whatever was asked for, a program that then sets what it needs can work.
fn check_works(program: Program, card: &Card<'_>, mode: Mode) {
    let kind = if mode == Mode::Tun { 1 } else { 2 };
    program.set_blocking(Blocking::DontWait);
    program.set_interface(kind | NO_PI).expect("its own kind");
    program.set_limits([512, 1 << 20, 512, 1 << 20]).expect("good limits");
    card.up();
    while program.packet().is_ok() {}
    while program.statistics().to_stack.queued > 0 {
        card.receive().expect("a frame that is queued");
    }
    card.send(&stack_frame(mode, card.address(), 60)).expect("room");
    assert_eq!(program.ready(POLLIN | POLLOUT), POLLIN | POLLOUT);
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(60));
    assert_eq!(program.write(&program_packet(mode, Way::ToStack, 60)), Ok(60));
    card.receive().expect("the packet that was written");
    program.check_accounts();
}
