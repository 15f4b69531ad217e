//! Every accepted packet is accounted for: accepted = delivered + answered + purged + dropped + queued, after any calls in
//! any order; and the counters agree with the callers' results.

use haiku_sys::{B_BAD_ADDRESS, B_WOULD_BLOCK, ENETDOWN, ENXIO};
use haiku_system::Mode;
use proptest::prelude::*;
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{STRANGER, Way, arp_request, frame, program_packet, stack_frame};
use tuntap_testkit::program::{Program, dropped, dropped_for, nowhere};
use tuntap_testkit::rig::Rig;

/// Something that is done to a device.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The stack sends a packet of so many bytes.
    Send(usize),
    /// The stack asks by ARP.
    Ask,
    /// The stack sends what no program reads.
    SendNoise,
    /// The program reads into so much room.
    Read(usize),
    /// The program reads to where there is nothing.
    ReadNowhere,
    /// The program writes a packet of so many bytes.
    Write(usize),
    /// The program writes a frame for another station, or no packet.
    WriteNoise,
    /// The stack receives, if there is something.
    Receive,
    Down,
    Up,
    /// The interface is removed, and made again.
    Remake,
    /// The unit is closed, and opened again.
    Reopen,
    /// The limits become so many packets.
    Limit(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (60usize..1500).prop_map(Step::Send),
        2 => Just(Step::Ask),
        1 => Just(Step::SendNoise),
        5 => (1usize..2000).prop_map(Step::Read),
        1 => Just(Step::ReadNowhere),
        8 => (60usize..1500).prop_map(Step::Write),
        2 => Just(Step::WriteNoise),
        5 => Just(Step::Receive),
        1 => Just(Step::Down),
        3 => Just(Step::Up),
        1 => Just(Step::Remake),
        1 => Just(Step::Reopen),
        1 => (1u32..8).prop_map(Step::Limit),
    ]
}

/// What the callers saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    sent: u64,
    read: u64,
    read_faulted: u64,
    written: u64,
    received: u64,
}

/// A device with the test on both sides of it.
struct Bench<'lab> {
    mode: Mode,
    rig: &'lab Rig,
    card: Option<Card<'lab>>,
    program: Program,
    tally: Tally,
}

impl<'lab> Bench<'lab> {
    fn card(&self) -> &Card<'lab> {
        self.card.as_ref().expect("an interface")
    }

    fn send(&mut self, frame: &[u8]) {
        assert_eq!(self.card().send(frame), Ok(()));
        self.tally.sent += 1;
    }

    fn run(&mut self, step: Step) {
        let (mode, own) = (self.mode, self.card().address());
        match step {
            Step::Send(length) => self.send(&stack_frame(mode, own, length)),
            Step::Ask => self.send(&arp_request(own)),
            Step::SendNoise => self.send(&[0; 10]),
            Step::Read(room) => match self.program.read(room) {
                Ok(_) => self.tally.read += 1,
                Err(error) => assert!(matches!(error, B_WOULD_BLOCK | ENXIO), "{error:#x}"),
            },
            Step::ReadNowhere => match self.program.read_at(nowhere(), 4096) {
                Err(B_BAD_ADDRESS) => self.tally.read_faulted += 1,
                other => assert!(matches!(other, Err(B_WOULD_BLOCK | ENXIO)), "{other:?}"),
            },
            Step::Write(length) => match self.program.write(&program_packet(mode, Way::ToStack, length)) {
                Ok(_) => self.tally.written += 1,
                Err(error) => assert!(matches!(error, B_WOULD_BLOCK | ENETDOWN | ENXIO), "{error:#x}"),
            },
            Step::WriteNoise => {
                let noise = frame(STRANGER, STRANGER, 0x0800, &[0x55; 50]);
                if self.program.write(&noise).is_ok() {
                    self.tally.written += 1;
                }
            }
            Step::Receive => {
                if self.program.statistics().to_stack.queued > 0 && self.card().receive().is_ok() {
                    self.tally.received += 1;
                }
            }
            Step::Down => self.card().down(),
            Step::Up => self.card().up(),
            Step::Remake => {
                self.card = None;
                self.card = Some(Card::new(self.rig, &mode.interface(0)));
            }
            Step::Reopen => {
                self.program.close();
                self.program = Program::new(mode);
            }
            Step::Limit(packets) => self.program.set_limits([packets, 1 << 20, packets, 1 << 20]).unwrap(),
        }
    }

    /// Fails unless all counters say what the callers saw.
    fn check(&self) {
        self.program.check_accounts();
        let statistics = self.program.statistics();
        let (to_user, to_stack, tally) = (&statistics.to_user, &statistics.to_stack, &self.tally);
        assert_eq!(to_user.accepted, tally.sent);
        assert_eq!(to_user.delivered, tally.read);
        assert_eq!(dropped_for(to_user, "bad-address"), tally.read_faulted);
        assert_eq!(to_stack.delivered, tally.received);
        assert_eq!(to_stack.accepted, tally.written + to_user.answered, "answers are the device's own packets");
        let live = self.rig.ledgers().packets;
        assert_eq!(live as u64, to_user.queued + to_stack.queued, "packets are alive in the queues and nowhere else");
    }
}

/// Does all steps to a device, and looks at the accounts after each.
fn follow(mode: Mode, steps: &[Step]) {
    let rig = Rig::boot();
    let card = Some(Card::ready(&rig, &mode.interface(0)));
    let mut bench = Bench { mode, rig: &rig, card, program: Program::new(mode), tally: Tally::default() };
    for &step in steps {
        bench.run(step);
        bench.check();
    }
    drop(bench);
    rig.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_packet_of_a_tun_is_accounted_for(steps in prop::collection::vec(step(), 1..120)) {
        follow(Mode::Tun, &steps);
    }

    #[test]
    fn every_packet_of_a_tap_is_accounted_for(steps in prop::collection::vec(step(), 1..120)) {
        follow(Mode::Tap, &steps);
    }
}

#[test]
fn a_unit_that_is_forgotten_takes_its_counters_along() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    let card = Card::ready(&rig, "tun/0");
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    drop(card);
    assert_eq!(program.statistics().to_user.accepted, 1);
    program.close();
    let program = Program::new(Mode::Tun);
    let statistics = program.statistics();
    assert_eq!((statistics.to_user.accepted, dropped(&statistics.to_user)), (0, 0));
    rig.end();
}
