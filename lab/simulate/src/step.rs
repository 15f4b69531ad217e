//! The steps of a run: each follows from the seed and its own number alone, so that any of them can be left out.

use haiku_kernel::Fault;
use haiku_kernel::syscalls::{F_DUPFD, O_APPEND};
use haiku_sys::{O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};

use super::model::GROUP;

/// Units, TUNs and TAPs in turn.
pub(super) const UNITS: usize = 4;
/// How many programs there are.
pub(super) const PROGRAMS: usize = 6;
/// Interfaces that can be there at one time.
pub(super) const INTERFACES: usize = 6;
/// Descriptors that steps speak of; a few of them are never open.
pub(super) const DESCRIPTORS: u64 = 10;

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Mapped,
    /// Nothing is there.
    Hole,
    /// The kernel's memory.
    Kernel,
}

/// A packet, whichever way it goes. What depends on the unit is filled in when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) content: Content,
    pub(super) length: usize,
    pub(super) mark: u8,
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Ipv4,
    Ipv4Group,
    Ipv4Broadcast,
    Ipv6,
    Ipv6Group,
    NoVersion,
    /// A frame for another station.
    Elsewhere,
    ArpRequest,
    ArpReply,
    ArpProbe,
    ArpAnnouncement,
    NotIp,
}

/// What is asked for by `ioctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Readable,
    NonBlocking(bool),
    /// `TUNSETIFF` with these flags.
    SetInterface(u16),
    GetInterface,
    SetHead(bool),
    GetHead,
    SetInfo {
        mtu: u16,
        right: bool,
    },
    GetInfo,
    SetCarrier(bool),
    SetLinkType(u16),
    SetSendBuffer(i32),
    GetSendBuffer,
    SetLimits([u32; 4]),
    GetLimits,
    SetAddress([u8; 6]),
    GetAddress,
    Persist,
    SetPeer,
    Unknown,
}

/// A call that a program makes on a thread of its own, with the unit's lowest descriptor or first interface. It may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Read {
        room: usize,
    },
    Write {
        shape: Shape,
    },
    Poll {
        events: u16,
    },
    Close,
    Open {
        flags: u32,
    },
    Send {
        shape: Shape,
    },
    Down,
    /// The interface is deleted, after it is taken down if it has a reader.
    Detach,
    /// A signal for the first program that waits.
    Signal,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open {
        unit: usize,
        flags: u32,
    },
    Close {
        fd: i32,
    },
    Dup {
        fd: i32,
    },
    Dup2 {
        fd: i32,
        to: i32,
    },
    DupAbove {
        fd: i32,
        above: i32,
    },
    SetFlags {
        fd: i32,
        flags: u32,
    },
    GetFlags {
        fd: i32,
    },
    Read {
        fd: i32,
        room: usize,
        place: Place,
    },
    Write {
        fd: i32,
        shape: Shape,
        place: Place,
    },
    ReadVector {
        fd: i32,
        rooms: [usize; 2],
    },
    WriteVector {
        fd: i32,
        shapes: [Shape; 2],
    },
    ReadBatch {
        fd: i32,
        room: usize,
        most: u32,
        place: Place,
    },
    WriteBatch {
        fd: i32,
        shapes: [Shape; 3],
        most: u32,
        cut: usize,
    },
    Poll {
        events: u16,
    },
    Select {
        fds: i32,
    },
    Control {
        fd: i32,
        control: Control,
        place: Place,
    },
    Attach {
        unit: usize,
        interface: usize,
    },
    Detach {
        interface: usize,
    },
    /// The stack brings it up, with or without a reader.
    Up {
        interface: usize,
        reader: bool,
    },
    Down {
        interface: usize,
    },
    Send {
        interface: usize,
        shape: Shape,
    },
    Receive {
        interface: usize,
    },
    SetMtu {
        interface: usize,
        mtu: usize,
    },
    Promiscuous {
        interface: usize,
        on: bool,
    },
    Group {
        interface: usize,
        join: bool,
    },
    /// A program begins a call.
    Start {
        unit: usize,
        call: Call,
    },
    /// Several begin one at the same time.
    Together {
        unit: usize,
        calls: [Call; 4],
    },
    /// A signal for a program that may be inside a call.
    Signal {
        program: usize,
        kill: bool,
    },
}

/// A step and the kernel call within it that fails, if it comes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) step: Step,
    pub(super) fault: Option<(Fault, u64)>,
}

/// A splitmix64 generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Lengths about which something is likely to be special.
    fn length(&mut self) -> usize {
        let (from, count) = self.pick(&[(0, 5), (12, 12), (34, 12), (50, 14), (60, 40), (1490, 40)]);
        (from + self.below(count)) as usize
    }

    fn fd(&mut self) -> i32 {
        // Low numbers are open more often.
        let bound = 1 + self.below(DESCRIPTORS);
        self.below(bound) as i32
    }

    fn interface(&mut self) -> usize {
        self.below(INTERFACES as u64) as usize
    }

    fn unit(&mut self) -> usize {
        self.below(UNITS as u64) as usize
    }

    fn place(&mut self) -> Place {
        match self.below(40) {
            0 | 1 => Place::Hole,
            2 => Place::Kernel,
            _ => Place::Mapped,
        }
    }

    fn shape(&mut self, contents: &[Content]) -> Shape {
        Shape { content: self.pick(contents), length: self.length(), mark: self.next() as u8 }
    }

    fn written(&mut self) -> Shape {
        use Content::{Elsewhere, Ipv4, Ipv4Broadcast, Ipv4Group, Ipv6, Ipv6Group, NoVersion};
        self.shape(&[Ipv4, Ipv4, Ipv6, Ipv6, Ipv4Group, Ipv4Broadcast, Ipv6Group, NoVersion, Elsewhere])
    }

    fn sent(&mut self) -> Shape {
        use Content::{ArpAnnouncement, ArpProbe, ArpReply, ArpRequest, Ipv4, Ipv6, NoVersion, NotIp};
        let contents =
            [Ipv4, Ipv4, Ipv6, Ipv6, ArpRequest, ArpRequest, ArpReply, ArpProbe, ArpAnnouncement, NotIp, NoVersion];
        self.shape(&contents)
    }

    fn limits(&mut self) -> [u32; 4] {
        let packets = [1, 2, 3, 8, 512, 0, 1 << 16, (1 << 16) + 1];
        let bytes = [100, 1600, 4000, 1 << 20, 64 << 20, 0];
        [self.pick(&packets), self.pick(&bytes), self.pick(&packets), self.pick(&bytes)]
    }

    fn control(&mut self) -> Control {
        match self.below(24) {
            0 => Control::NonBlocking(self.one_in(2)),
            1 => Control::SetInterface(self.pick(&[1, 2, 0x1001, 0x1002, 0x3001, 0x9002, 0x4001, 0])),
            2 => Control::GetInterface,
            3 => Control::SetHead(self.one_in(2)),
            4 => Control::GetHead,
            5 => Control::SetInfo { mtu: self.pick(&[67, 68, 576, 1500, 9000, 65535]), right: !self.one_in(5) },
            6 => Control::GetInfo,
            7 => Control::SetCarrier(self.one_in(2)),
            8 => Control::SetLinkType(self.pick(&[1, 0xfffe, 2])),
            9 => Control::SetSendBuffer(self.pick(&[-1, 0, 1, 3000, 1 << 20, i32::MAX])),
            10 => Control::GetSendBuffer,
            11..=13 => Control::SetLimits(self.limits()),
            14 => Control::GetLimits,
            15 => {
                Control::SetAddress(self.pick(&[[2, 1, 2, 3, 4, 5], [6, 0, 0, 0x80, 0, 1], [1, 0, 0, 0, 0, 1], [0; 6]]))
            }
            16 => Control::GetAddress,
            17 => Control::Persist,
            18 => Control::SetPeer,
            19 => Control::Unknown,
            _ => Control::Readable,
        }
    }

    fn call(&mut self) -> Call {
        match self.below(60) {
            0..16 => Call::Read { room: self.pick(&[1, 40, 2000]) },
            16..32 => Call::Write { shape: self.written() },
            32..35 => Call::Signal,
            35..42 => Call::Poll { events: self.pick(&[1, 2, 3, 0]) },
            42..53 => Call::Send { shape: self.sent() },
            53..55 => Call::Close,
            55..58 => Call::Open { flags: self.pick(&[O_RDWR, O_RDWR | O_NONBLOCK]) },
            58 => Call::Down,
            _ => Call::Detach,
        }
    }

    fn step(&mut self) -> Step {
        let modifiers = [0, 0, O_NONBLOCK, O_NONBLOCK, O_APPEND];
        match self.below(200) {
            180..188 => Step::Open { unit: self.unit(), flags: O_RDWR | self.pick(&modifiers) },
            188..194 => Step::Attach { unit: self.unit(), interface: self.interface() },
            194.. => Step::Up { interface: self.interface(), reader: self.one_in(3) },
            100..120 => Step::Start { unit: self.unit(), call: self.call() },
            120..172 => {
                Step::Together { unit: self.unit(), calls: [self.call(), self.call(), self.call(), self.call()] }
            }
            172..180 => Step::Signal { program: self.below(PROGRAMS as u64) as usize, kill: self.one_in(3) },
            0..7 => {
                let access = self.pick(&[O_RDWR, O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY]);
                Step::Open { unit: self.unit(), flags: access | self.pick(&modifiers) }
            }
            7..11 => Step::Close { fd: self.fd() },
            11 => Step::Dup { fd: self.fd() },
            12 => Step::Dup2 { fd: self.fd(), to: self.fd() },
            13 => Step::DupAbove { fd: self.fd(), above: self.fd() },
            14..17 => Step::SetFlags { fd: self.fd(), flags: self.pick(&modifiers) },
            17 => Step::GetFlags { fd: self.fd() },
            18..30 => Step::Read { fd: self.fd(), room: self.length(), place: self.place() },
            30..45 => Step::Write { fd: self.fd(), shape: self.written(), place: self.place() },
            45 => Step::ReadVector { fd: self.fd(), rooms: [self.length(), self.length()] },
            46 => Step::WriteVector { fd: self.fd(), shapes: [self.written(), self.written()] },
            47..50 => {
                let room = self.length() * self.pick(&[1, 2, 3]);
                Step::ReadBatch { fd: self.fd(), room, most: self.below(5) as u32, place: self.place() }
            }
            50..53 => Step::WriteBatch {
                fd: self.fd(),
                shapes: [self.written(), self.written(), self.written()],
                most: self.below(5) as u32,
                cut: self.pick(&[0, 0, 0, 1, 4, 30]),
            },
            53..56 => Step::Poll { events: self.next() as u16 & 3 },
            56 => Step::Select { fds: self.next() as i32 & 0x3ff },
            57..65 => Step::Control { fd: self.fd(), control: self.control(), place: self.place() },
            65..68 => Step::Attach { unit: self.unit(), interface: self.interface() },
            68 => Step::Detach { interface: self.interface() },
            69..74 => Step::Up { interface: self.interface(), reader: self.one_in(3) },
            74 => Step::Down { interface: self.interface() },
            75..90 => Step::Send { interface: self.interface(), shape: self.sent() },
            90..98 => Step::Receive { interface: self.interface() },
            98 if self.one_in(2) => Step::Group { interface: self.interface(), join: !self.one_in(3) },
            98 => Step::SetMtu { interface: self.interface(), mtu: self.pick(&[0, 67, 68, 600, 1500, 65535, 65536]) },
            _ => Step::Promiscuous { interface: self.interface(), on: self.one_in(2) },
        }
    }
}

impl Planned {
    /// The step of this number of the run with this seed.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let step = random.step();
        let kinds: &[Fault] = match step {
            Step::Open { .. } => &[Fault::Malloc, Fault::CreateSem],
            Step::Attach { .. } => &[Fault::Malloc, Fault::CreateSem, Fault::GetModule],
            Step::Read { .. } => &[Fault::UserMemcpy, Fault::NetBufferRead],
            Step::Write { .. } => &[Fault::UserMemcpy, Fault::NetBufferCreate, Fault::NetBufferAppend],
            Step::Send { .. } => &[Fault::NetBufferCreate, Fault::NetBufferAppend, Fault::NetBufferRead],
            _ => &[],
        };
        let faulty = !kinds.is_empty() && random.one_in(12);
        let fault = faulty.then(|| (random.pick(kinds), 1 + random.below(3)));
        Self { step, fault }
    }
}

/// `F_DUPFD`, for the world.
pub(super) const DUPFD: u32 = F_DUPFD;

impl Shape {
    /// The packet or frame, for an interface of this address: IP only, or with a link header in front.
    pub(super) fn bytes(&self, address: [u8; 6], framed: bool) -> Vec<u8> {
        let v4 = |first: u8, destination: [u8; 4]| {
            let mut ip = vec![first, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1];
            ip.extend_from_slice(&destination);
            ip
        };
        let v6 = |first: u8| {
            let mut ip = vec![0x60, 0, 0, 0, 0, 0, 17, 64, 0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            ip.extend_from_slice(&[first, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9]);
            ip
        };
        let arp = |operation: u8, sender: [u8; 4], target: [u8; 4]| {
            [&[0, 1, 8, 0, 6, 4, 0, operation][..], &address, &sender, &[0; 6], &target].concat()
        };
        let (near, far) = ([10, 9, 0, 1], [10, 9, 0, 2]);
        let (kind, start) = match self.content {
            Content::Ipv4 | Content::Elsewhere => ([8, 0], v4(0x45, far)),
            Content::Ipv4Group => ([8, 0], v4(0x45, [239, 200, 1, 2])),
            Content::Ipv4Broadcast => ([8, 0], v4(0x45, [255; 4])),
            Content::NoVersion => ([8, 0], v4(0x50, far)),
            Content::Ipv6 => ([0x86, 0xdd], v6(0xfd)),
            Content::Ipv6Group => ([0x86, 0xdd], v6(0xff)),
            Content::ArpRequest => ([8, 6], arp(1, near, far)),
            Content::ArpReply => ([8, 6], arp(2, far, near)),
            Content::ArpProbe => ([8, 6], arp(1, [0; 4], far)),
            Content::ArpAnnouncement => ([8, 6], arp(1, near, near)),
            Content::NotIp => ([0x88, 0xcc], vec![]),
        };
        let to = match self.content {
            Content::Elsewhere => [2, 9, 9, 9, 9, 9],
            Content::Ipv4Group | Content::Ipv6Group => GROUP,
            _ => address,
        };
        let mut bytes = if framed { [&to[..], &[2, 0, 0, 0, 0, 9], &kind].concat() } else { vec![] };
        bytes.extend_from_slice(&start);
        bytes.resize(self.length, self.mark);
        bytes
    }
}
