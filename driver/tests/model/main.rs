//! Random sequences of calls, each held against the model of the device, and the books balanced after each.
//!
//! One thread does all of it, so no call may wait; what waiting does is the affair of the loom models and of the
//! schedules. `PROPTEST_CASES` sets how many sequences there are.

#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/threads.rs"]
mod sync;

use std::fmt;
use std::marker::PhantomData;

use proptest::prelude::*;
use tuntap_driver::{
    Attachment, Backlog, Blocking, Counters, Descriptor, DropReason, Dropped, Error, Event, Framing, Groups,
    InterfaceState, Limits, Link, MacAddress, Mode, ToStackVerdict, ToUserVerdict,
};
use tuntap_model::{Line, Model, Rules, Trouble, Verdict, Written};

use fake::{
    ACK, ARP, ECE, Entry, INTERFACE, IPV4, IPV6, OWN, Packet, Rig, TIMESTAMPS, Tcp, ToyTap, ToyTun, User, frame,
    packet4, packet6,
};

/// Bytes that a failure shows in one line.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        write!(formatter, "{} of {:02x?}", bytes.len(), &bytes[..bytes.len().min(20)])
    }
}

/// One call. A call that a kernel would not make, such as closing a device that is not open, is skipped.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Close,
    Free,
    Attach,
    /// The how-manieth attachment from the last.
    Detach(usize),
    Up,
    Down,
    Send {
        frame: Bytes,
        memory: bool,
    },
    Receive,
    Read {
        room: usize,
        fault: bool,
    },
    ReadBatch {
        room: usize,
        most: u32,
        /// A byte of the buffer that is not there.
        fault: Option<usize>,
    },
    Write {
        packet: Bytes,
        fault: bool,
        memory: Option<i64>,
    },
    WriteBatch {
        packets: Vec<Bytes>,
        most: u32,
    },
    SetFraming(Framing),
    SetMtu(usize),
    SetAddress([u8; 6]),
    SetPromiscuous(bool),
    LimitToUser(Limits),
    LimitToStack(Limits),
}

const EVENTS: [Event; 4] = [Event::Read, Event::Write, Event::Error, Event::Disconnected];

/// Lengths about which something is likely to be special.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..4_usize, 10..24_usize, 60..80_usize, 1480..1530_usize]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), any::<u8>(), length())
        .prop_map(|(four, mark, length)| if four { packet4(mark, length) } else { packet6(mark, length) })
}

/// Segments of four flows, pure acknowledgements most of them.
fn acknowledgement() -> impl Strategy<Value = Vec<u8>> {
    let numbers = prop_oneof![0..4_u32, u32::MAX - 3..u32::MAX];
    let flags = prop_oneof![9 => Just(ACK), 1 => Just(ACK | ECE)];
    (any::<bool>(), 1..3_u16, numbers, 0..2_u16, flags, any::<bool>()).prop_map(
        |(four, port, acknowledgement, window, flags, bare)| {
            let (ether_type, options) = (if four { IPV4 } else { IPV6 }, if bare { &[][..] } else { &TIMESTAMPS });
            Tcp { ether_type, window, flags, options, ..Tcp::ack(port, acknowledgement) }.frame()
        },
    )
}

fn stack_frame() -> impl Strategy<Value = Vec<u8>> {
    let ether_type = prop_oneof![3 => Just(IPV4), 3 => Just(IPV6), 2 => Just(ARP), 1 => Just(0x88cc)];
    prop_oneof![
        4 => acknowledgement(),
        9 => (ether_type, payload()).prop_map(|(ether_type, payload)| frame(ether_type, &payload)),
        1 => (0..20_usize).prop_map(|length| vec![2; length]),
    ]
}

/// What programs of either mode write, and what no program should.
fn written() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => payload(),
        4 => (payload(), any::<bool>()).prop_map(|(payload, own)| {
            let mut frame = frame(IPV4, &payload);
            frame[5] ^= u8::from(!own);
            frame
        }),
        2 => payload().prop_map(|payload| [vec![0; 4], payload].concat()),
        1 => Just(vec![0x50; 40]),
    ]
}

fn written_batch(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(written().prop_map(Bytes), count)
}

fn batch_room() -> impl Strategy<Value = usize> {
    prop_oneof![0..400_usize, 0..10_000_usize]
}

fn limits() -> impl Strategy<Value = Limits> {
    let bytes = prop_oneof![Just(0), Just(100), Just(3000), Just(1 << 20)];
    (prop_oneof![9 => 0..5_u32, 1 => 10..50_u32], bytes).prop_map(|(packets, bytes)| Limits { packets, bytes })
}

fn step() -> impl Strategy<Value = Step> {
    let framing = prop_oneof![Just(Framing::Bare), Just(Framing::PacketInformation), Just(Framing::AddressFamily)];
    prop_oneof![
        4 => Just(Step::Open),
        2 => Just(Step::Close),
        3 => Just(Step::Free),
        3 => Just(Step::Attach),
        2 => (0..3_usize).prop_map(Step::Detach),
        8 => Just(Step::Up),
        2 => Just(Step::Down),
        20 => (stack_frame(), prop::bool::weighted(0.9)).prop_map(|(frame, memory)| Step::Send { frame: Bytes(frame), memory }),
        12 => Just(Step::Receive),
        12 => (length(), prop::bool::weighted(0.1)).prop_map(|(room, fault)| Step::Read { room, fault }),
        4 => (batch_room(), 0..40_u32, prop::option::weighted(0.3, 0..200_usize))
            .prop_map(|(room, most, fault)| Step::ReadBatch { room, most, fault }),
        20 => (written(), prop::bool::weighted(0.1), prop::option::weighted(0.1, 0..2_i64))
            .prop_map(|(packet, fault, memory)| Step::Write { packet: Bytes(packet), fault, memory }),
        4 => (prop_oneof![15 => written_batch(0..4), 1 => written_batch(14..40)], 0..40_u32)
            .prop_map(|(packets, most)| Step::WriteBatch { packets, most }),
        3 => framing.prop_map(Step::SetFraming),
        2 => prop_oneof![Just(67), Just(68), Just(100), Just(1500), Just(65536)].prop_map(Step::SetMtu),
        1 => any::<[u8; 6]>().prop_map(Step::SetAddress),
        1 => any::<bool>().prop_map(Step::SetPromiscuous),
        2 => limits().prop_map(Step::LimitToUser),
        2 => limits().prop_map(Step::LimitToStack),
    ]
}

/// A toy mode, as the model asks it.
struct Toy<M>(PhantomData<M>);

impl<M: Mode> Rules for Toy<M> {
    fn hidden(&self) -> usize {
        M::LINK.hidden_header
    }

    fn lengths(&self) -> (usize, usize) {
        (M::LINK.shortest, 65535 + M::LINK.overhead)
    }

    fn waits(&self) -> bool {
        false
    }

    fn number(&self, reason: DropReason) -> usize {
        reason as usize
    }

    fn judge_sent(&self, link: &Link, frame: &[u8]) -> Verdict {
        let mut reply = M::Reply::default();
        match M::classify_to_user(link, &frame[..frame.len().min(M::HEAD_TO_USER)], frame.len(), &mut reply) {
            ToUserVerdict::Deliver => Verdict::Deliver,
            ToUserVerdict::Answer => Verdict::Answer(reply.as_ref().to_vec()),
            ToUserVerdict::Drop(reason) => Verdict::Drop(number::<M>(Dropped::ByMode(reason))),
        }
    }

    fn judge_written(&self, link: &Link, _: &[MacAddress], packet: &[u8]) -> Result<Written, Error> {
        let head = &packet[..packet.len().min(M::HEAD_TO_STACK)];
        Ok(match M::classify_to_stack(link, &Groups::new(), head, packet.len())? {
            // A program whose mode hides nothing has written the header itself.
            ToStackVerdict::Deliver(header) => Written::Deliver(header.bytes()[..M::LINK.hidden_header].to_vec()),
            ToStackVerdict::Drop(reason) => Written::Drop(number::<M>(Dropped::ByMode(reason))),
        })
    }
}

/// The number of a drop reason: that of its counter.
fn number<M: Mode>(dropped: Dropped<M::Reason>) -> usize {
    match dropped {
        Dropped::ByCore(reason) => reason as usize,
        Dropped::ByMode(reason) => DropReason::COUNT + M::number(reason),
    }
}

/// A device and its model, side by side.
struct Pair<M: Mode> {
    rig: Rig<M>,
    model: Model<Toy<M>>,
    descriptor: Option<Descriptor>,
    attachments: Vec<Attachment>,
    /// A select that was there from the beginning.
    watch: Entry,
}

impl<M: Mode> Pair<M> {
    fn new() -> Self {
        let rig = Rig::new();
        let watch = Entry::new();
        for event in EVENTS {
            rig.device.select(watch.sync(), event);
        }
        Self { rig, model: Model::new(Toy(PhantomData), OWN), descriptor: None, attachments: vec![], watch }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open => {
                let opened = self.rig.device.open(Blocking::DontWait);
                assert_eq!(opened.as_ref().map(|_| ()).map_err(|error| *error), self.model.open());
                self.descriptor = opened.ok().or(self.descriptor.take());
            }
            Step::Close if self.model.open => {
                self.rig.device.close();
                self.model.close();
            }
            Step::Free if self.model.taken && !self.model.open => {
                self.descriptor = None;
                self.rig.device.free();
                self.model.free();
            }
            Step::Attach => {
                self.model.attach(self.attachments.len() as u64);
                self.attachments.push(self.rig.device.attach());
            }
            Step::Detach(back) => {
                if let Some(number) = self.attachments.len().checked_sub(back + 1) {
                    self.rig.device.detach(self.attachments[number]);
                    self.model.detach(number as u64);
                }
            }
            Step::Up => {
                self.rig.device.up(INTERFACE);
                self.model.up();
            }
            Step::Down => {
                self.rig.device.down();
                self.model.down();
            }
            Step::Send { frame: Bytes(frame), memory } => {
                self.rig.world.fail_allocation(if memory { -1 } else { 0 });
                let trouble = if memory { Trouble::None } else { Trouble::Memory };
                let sent = self.rig.device.send(Packet::new(&frame)).map_err(number::<M>);
                assert_eq!(sent, self.model.send(&frame, trouble));
            }
            Step::Receive => {
                if let Some(expected) = self.model.receive() {
                    assert_eq!(self.rig.receive(), expected);
                }
            }
            Step::SetMtu(mtu) => {
                assert_eq!(self.rig.device.set_mtu(mtu), self.model.set_mtu(mtu));
            }
            Step::SetAddress(address) => {
                // That the mode takes it over is seen in the answers.
                assert_eq!(self.rig.device.set_address(address), self.model.set_address(address));
            }
            Step::SetPromiscuous(promiscuous) => {
                self.rig.device.set_promiscuous(promiscuous);
                self.model.link.promiscuous = promiscuous;
            }
            Step::LimitToUser(limits) => {
                self.rig.device.set_to_user_limits(limits);
                self.model.to_user.limits = limits;
            }
            Step::LimitToStack(limits) => {
                self.rig.device.set_to_stack_limits(limits);
                self.model.to_stack.limits = limits;
            }
            step => {
                if let Some(descriptor) = self.descriptor.take() {
                    self.call(&descriptor, step);
                    self.descriptor = Some(descriptor);
                }
            }
        }
        self.rig.world.fail_allocation(-1);
    }

    /// A call of the program's.
    fn call(&mut self, descriptor: &Descriptor, step: Step) {
        let Self { rig, model, .. } = self;
        match step {
            Step::Read { room, fault } => {
                let user = User::room(room).faulting(0..usize::from(fault));
                let read = rig.device.read(descriptor, &user).map(|length| user.first(length));
                assert_eq!(read, model.read(room, if fault { Trouble::Address } else { Trouble::None }));
            }
            Step::ReadBatch { room, most, fault } => {
                let fault = fault.filter(|&at| at < room);
                let user = User::room(room).faulting(fault.map_or(0..0, |at| at..at + 1));
                let batch = rig.device.read_batch(descriptor, &user, most);
                // Before a fault in it, part of a record may have been copied.
                let filled = |bytes| if fault.is_none() { user.first(bytes) } else { user.bytes()[..bytes].to_vec() };
                let expected = model.read_batch(room, most, fault);
                assert_eq!(batch.map(|batch| (batch.packets, filled(batch.bytes))), expected);
            }
            Step::Write { packet: Bytes(packet), fault, memory } => {
                let start = descriptor.framing().length();
                let user = User::holding(&packet).faulting(start..start + usize::from(fault));
                rig.world.fail_allocation(memory.unwrap_or(-1));
                let trouble = match memory {
                    // Without room nothing is allocated.
                    Some(0) if model.readiness()[1] => Trouble::Memory,
                    _ if fault => Trouble::Address,
                    _ => Trouble::None,
                };
                let expected = model.write(&packet, trouble);
                assert_eq!(rig.device.write(descriptor, &user), expected.map(|()| packet.len()));
            }
            Step::WriteBatch { packets, most } => {
                let mut records = Vec::new();
                for Bytes(packet) in &packets {
                    records.extend_from_slice(&(packet.len() as u32).to_ne_bytes());
                    records.extend_from_slice(packet);
                    records.resize(records.len().next_multiple_of(4), 0);
                }
                let written = rig.device.write_batch(descriptor, &User::holding(&records), most);
                let expected = model.write_batch(&records, most);
                assert_eq!(written.map(|batch| (batch.packets, batch.bytes)), expected);
            }
            Step::SetFraming(framing) => {
                descriptor.set_framing(framing);
                model.framing = framing;
            }
            _ => {}
        }
    }

    /// Everything that can be seen without disturbing it.
    fn compare(&self, before: [bool; EVENTS.len()]) {
        self.rig.check_accounts();
        let statistics = self.rig.device.statistics();
        compare_line(&statistics.to_user, statistics.to_user_queued, &self.model.to_user);
        compare_line(&statistics.to_stack, statistics.to_stack_queued, &self.model.to_stack);
        let snapshot = self.rig.device.try_snapshot().expect("no lock is held");
        assert_eq!((snapshot.statistics, snapshot.up), (statistics, self.model.up));
        let overview = self.rig.device.overview();
        assert_eq!((overview.statistics, overview.open), (statistics, self.model.open));
        assert_eq!(overview.interface == InterfaceState::Up, self.model.up);
        assert_eq!((self.rig.device.is_up(), self.rig.device.has_link()), (self.model.up, self.model.open));
        let now = ready(&self.model);
        for (at, event) in EVENTS.into_iter().enumerate() {
            let fresh = Entry::new();
            self.rig.device.select(fresh.sync(), event);
            assert_eq!(fresh.told(event), u32::from(now[at]), "{event:?}");
            self.rig.device.deselect(fresh.sync(), event);
            // A waiting select has been notified by now.
            assert!(self.watch.told(event) > 0 || before[at] || !now[at], "{event:?} was not told");
        }
    }
}

/// Whether a select for each of [`EVENTS`] would be told at once.
fn ready<R: Rules>(model: &Model<R>) -> [bool; EVENTS.len()] {
    let [readable, writable, hung_up] = model.readiness();
    [readable, writable, hung_up, hung_up]
}

/// The counters without those of drops: accepted, delivered, answered, purged, truncated.
fn totals(it: &Counters) -> [u64; 7] {
    let Counters { accepted, accepted_bytes, delivered, delivered_bytes, answered, purged, truncated, .. } = *it;
    [accepted, accepted_bytes, delivered, delivered_bytes, answered, purged, truncated]
}

fn compare_line(counters: &Counters, queued: Backlog, line: &Line) {
    assert_eq!(totals(counters), totals(&line.counters));
    let (dropped, rest) = line.dropped.split_at(counters.dropped_by_reason().len());
    assert_eq!(
        (&counters.dropped_by_reason()[..], counters.all_dropped()),
        (dropped, line.dropped.iter().sum()),
        "{rest:?}"
    );
    let next = line.queue.front().map_or(0, |frame| frame.len());
    let (packets, bytes) = (line.queue.len(), line.queued_bytes());
    assert_eq!(queued, Backlog { packets: packets as u32, bytes: bytes as u32, next: next as u32 });
}

fn run<M: Mode>(steps: Vec<Step>) {
    let mut pair = Pair::<M>::new();
    for step in steps {
        let before = ready(&pair.model);
        pair.step(step);
        pair.compare(before);
    }
    for event in EVENTS {
        pair.rig.device.deselect(pair.watch.sync(), event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mode_that_hides_its_header_does_as_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        run::<ToyTun>(steps);
    }

    #[test]
    fn a_mode_that_strips_no_header_follows_the_model(steps in prop::collection::vec(step(), 1..80)) {
        run::<ToyTap>(steps);
    }
}
