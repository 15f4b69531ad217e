//! What a packet costs the kernel: its buffer, and nothing else.

use haiku_kernel::fault::{self, Counts};
use haiku_kernel::{Fault, FaultPlan};
use haiku_system::Mode;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, program_packet, stack_frame};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

/// What the kernel is asked for while something is done.
fn asked(act: impl FnOnce()) -> Counts {
    fault::arm(FaultPlan::Count);
    act();
    let counts = fault::counts();
    fault::arm(FaultPlan::Off);
    counts
}

/// Holds the counts for so many packets against what each may cost, all others being none.
#[track_caller]
fn check(counts: Counts, packets: u64, each: &[(Fault, u64)]) {
    // A look at the interface, each 10 ms at most, holds a protocol's module while it looks. It is no packet's cost.
    assert!(counts.of(Fault::GetModule) <= packets / 10, "get_module: {}", counts.of(Fault::GetModule));
    for kind in Fault::ALL.into_iter().filter(|kind| *kind != Fault::GetModule) {
        let allowed = each.iter().find(|(of, _)| *of == kind).map_or(0, |(_, count)| *count);
        assert_eq!(counts.of(kind), packets * allowed, "{kind:?}, for {packets} packets");
    }
}

#[test]
fn a_packet_is_one_buffer_and_no_memory_of_the_drivers_own() {
    const PACKETS: u64 = 300;
    for mode in Mode::ALL {
        let rig = Rig::boot();
        let card = Card::ready(&rig, &mode.interface(0));
        let program = Program::new(mode);
        for length in [60, 1400] {
            let packet = program_packet(mode, Way::ToStack, length);
            let frame = stack_frame(mode, card.address(), length);
            let written = asked(|| (0..PACKETS).for_each(|_| assert_eq!(program.write(&packet), Ok(packet.len()))));
            // It is fetched in one go. A TUN's gets the link header that it goes through the queue with.
            let headers = u64::from(mode == Mode::Tun);
            let each = [
                (Fault::NetBufferCreate, 1),
                (Fault::NetBufferAppend, 1),
                (Fault::UserMemcpy, 1),
                (Fault::NetBufferPrepend, headers),
            ];
            check(written, PACKETS, &each);
            for _ in 0..PACKETS {
                card.receive().unwrap();
            }
            // What is sent is the stack's own buffer: that the test makes, in one piece.
            let sent = |packets| asked(|| (0..packets).for_each(|_| card.send(&frame).unwrap()));
            let looks = u64::from(mode == Mode::Tun);
            let each =
                |looks| [(Fault::NetBufferCreate, 1), (Fault::NetBufferAppend, 1), (Fault::NetBufferRead, looks)];
            check(sent(1), 1, &each(looks));
            // A short one that finds others waiting is looked at again: is it an acknowledgement that supersedes another?
            let again = u64::from(length == 60);
            check(sent(PACKETS - 1), PACKETS - 1, &each(looks + again));
            let read = asked(|| (0..PACKETS).for_each(|_| drop(program.packet().unwrap())));
            check(read, PACKETS, &[(Fault::NetBufferRead, 1), (Fault::UserMemcpy, 1)]);
        }
        drop(card);
        rig.end();
    }
}
