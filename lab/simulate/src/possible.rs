//! The possible outcomes of calls at the same time: every order of their steps, tried on the model.
//!
//! A call is a few atomic steps: it finds its descriptor, and does its work when it can; a request is answered, then
//! counted; a closed number is removed, then its unit closed. The outcomes are found by running every call that can go
//! on, again and again, until none can. A thread that could go on in the end and has not lost a wake.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use haiku_kernel::syscalls::{POLLERR, POLLHUP, POLLIN, POLLNVAL};
use haiku_sys::{
    B_FILE_ERROR, B_INTERRUPTED, B_WOULD_BLOCK, EBUSY, O_NONBLOCK, O_RDONLY, O_RWMASK, O_WRONLY, status_t,
};

use super::model::{self, Device, Line, Trouble, revents, status};
use haiku_stack::strerror;

/// How far a writer is that found no room.
const ASLEEP: u8 = 2;

/// What a call came to: bytes of some kind, or an error.
pub(super) type Answer = Result<Vec<u8>, status_t>;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read {
        fd: i32,
        room: usize,
    },
    Write {
        fd: i32,
        bytes: Rc<[u8]>,
    },
    Poll {
        fd: i32,
        events: u16,
    },
    Close {
        fd: i32,
    },
    Open {
        flags: u32,
    },
    Send {
        frame: Rc<[u8]>,
    },
    Down,
    /// The interface of this serial number is deleted, after it is taken down if it has a reader.
    Detach {
        serial: u64,
        reader: bool,
    },
    /// A signal for this program.
    Signal {
        program: usize,
    },
    /// The stack's reader, which receives for as long as the interface is up.
    Reader,
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) kind: Kind,
    /// Whose it is, if it is a program's.
    pub(super) program: Option<usize>,
    stage: u8,
    /// It may wait; decided as it begins.
    waits: bool,
    /// A signal was sent to it.
    pub(super) signalled: bool,
    /// The interface is about to go down, and its reader may have seen that.
    pub(super) leaving: bool,
    /// For a poll: what happened since it began.
    seen: u16,
    /// For a poll: what it may be told besides, if it returns.
    hearsay: u16,
    /// For a question: whether the answer to it was queued.
    answered: bool,
    /// For the reader: what it received.
    received: Vec<Vec<u8>>,
    answer: Option<Answer>,
}

/// What really came of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Real {
    /// Nothing, if it still waits.
    pub(super) answer: Option<Answer>,
    pub(super) received: Vec<Vec<u8>>,
}

/// A unit and the calls that are inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) device: Device,
    /// The numbers by which it is open.
    pub(super) fds: Vec<i32>,
    /// The numbers by which others are.
    pub(super) others: Vec<i32>,
    /// It was closed, and may not be free yet.
    pub(super) closed: bool,
    pub(super) ops: Vec<Op>,
}

impl Hash for State {
    /// Hashes the fields that differ most, because there are many lookups and few distinct states.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.device.to_user.queue.len(), self.device.to_stack.queue.len(), self.device.up).hash(hasher);
        let latest =
            |line: &Line| line.queue.iter().rev().take(3).map(|frame| frame.last().copied()).collect::<Vec<_>>();
        (latest(&self.device.to_user), latest(&self.device.to_stack)).hash(hasher);
        for op in &self.ops {
            (op.stage, op.seen, op.received.len(), op.answer.is_some()).hash(hasher);
        }
    }
}

impl Op {
    /// A call that begins.
    pub(super) fn new(kind: Kind, program: Option<usize>) -> Self {
        Self {
            kind,
            program,
            stage: 0,
            waits: true,
            signalled: false,
            leaving: false,
            seen: 0,
            hearsay: 0,
            answered: false,
            received: Vec::new(),
            answer: None,
        }
    }

    /// Whether this is what really came of it.
    fn is(&self, real: &Real) -> bool {
        match (&self.kind, &real.answer) {
            // Whichever of the things that happened it was told of in time; but of one at least.
            (Kind::Poll { .. }, Some(Ok(bytes))) if self.answer.is_none() => {
                let revents = bytes.first_chunk().map_or(0, |word| u16::from_ne_bytes(*word));
                revents & self.seen != 0 && revents & !(self.seen | self.hearsay) == 0
            }
            (Kind::Poll { .. }, Some(Err(B_INTERRUPTED))) => self.signalled,
            (Kind::Poll { .. }, None) => self.seen == 0 && !self.signalled && self.answer.is_none(),
            (Kind::Reader, answer) => answer.is_some() == self.answer.is_some() && self.received == real.received,
            (_, answer) => self.answer == *answer,
        }
    }

    /// Whether this may yet become what really came of it.
    fn may_be(&self, real: &Real) -> bool {
        self.is(real) || self.answer.is_none() && real.received.starts_with(&self.received)
    }

    /// Whether a signal would end it: it got as far as waiting, before this step.
    pub(super) fn has_waited(&self) -> bool {
        matches!(self.kind, Kind::Read { .. } | Kind::Write { .. } | Kind::Poll { .. }) && self.stage > 0
    }

    /// The number went that the call may be about.
    pub(super) fn lose(&mut self, number: i32) {
        if matches!(self.kind, Kind::Poll { fd, .. } if fd == number) {
            self.seen |= POLLNVAL;
        }
    }

    /// It is still there after this, for the next step.
    pub(super) fn go_on(&mut self) {
        self.received.clear();
    }
}

impl State {
    /// What a poll of this number would be told now.
    fn ready(&self, fd: i32) -> u16 {
        if self.fds.contains(&fd) { revents(&self.device) } else { POLLNVAL }
    }

    /// Updates what each poll has seen.
    fn notice(&mut self) {
        for index in 0..self.ops.len() {
            if let Kind::Poll { fd, events } = self.ops[index].kind
                && self.ops[index].stage == 1
            {
                let ready = self.ready(fd) & (events | POLLERR | POLLHUP | POLLNVAL);
                self.ops[index].seen |= ready;
                // A poll that is just returning may still report that the unit was closed, and that a read would not
                // wait.
                self.ops[index].hearsay |= if self.closed { POLLIN | POLLERR | POLLHUP } else { 0 };
            }
        }
    }

    /// The states to which a call going on leads: none if it waits or is done.
    fn after(&self, index: usize) -> Vec<Self> {
        let op = &self.ops[index];
        if op.answer.is_some() || self.waits_on(op) {
            return Vec::new();
        }
        let mut next = self.clone();
        let done = match (&op.kind, op.stage) {
            (Kind::Read { fd, .. } | Kind::Write { fd, .. }, 0) => next.enter(index, *fd),
            (Kind::Read { room, .. }, _) => {
                let read = next.device.read(*room, Trouble::None).map_err(status);
                match self.unless_it_waits(op, read) {
                    Some(answer) => Some(answer),
                    None => return Vec::new(),
                }
            }
            (Kind::Write { bytes, .. }, 1) => {
                let written = next.device.write(bytes, Trouble::None).map_err(status);
                let answer = self.unless_it_waits(op, written.map(|()| (bytes.len() as u32).to_ne_bytes().to_vec()));
                next.ops[index].stage = if answer.is_none() { ASLEEP } else { 1 };
                answer
            }
            (Kind::Write { .. }, _) => {
                let mut interrupted = self.clone();
                interrupted.ops[index].answer = Some(Err(B_INTERRUPTED));
                // Woken, it looks for itself.
                next.ops[index].stage = 1;
                return match (op.signalled, self.calls_writers()) {
                    (true, true) => vec![interrupted, next],
                    (true, false) => vec![interrupted],
                    _ => vec![next],
                };
            }
            (Kind::Poll { fd, .. }, 0) => {
                next.ops[index].stage = 1;
                (!self.fds.contains(fd)).then(|| Ok(POLLNVAL.to_ne_bytes().to_vec()))
            }
            (Kind::Poll { .. }, _) => return Vec::new(),
            (Kind::Close { fd }, 0) => {
                let there = next.fds.contains(fd);
                next.fds.retain(|other| other != fd);
                next.ops[index].stage = 1;
                match (there, next.fds.is_empty()) {
                    (false, _) => Some(Err(B_FILE_ERROR)),
                    (true, false) => Some(Ok(Vec::new())),
                    (true, true) => None,
                }
            }
            (Kind::Close { .. }, _) => {
                model::close(&mut next.device);
                next.closed = true;
                Some(Ok(Vec::new()))
            }
            (Kind::Open { flags }, _) => return self.opened(index, *flags),
            (Kind::Send { frame }, 0) => {
                let verdict = next.device.judge_sent(frame, Trouble::None);
                next.ops[index].answered = next.device.answer(&verdict, Trouble::None);
                next.ops[index].stage = 1;
                None
            }
            (Kind::Send { frame }, _) => {
                let verdict = next.device.judge_sent(frame, Trouble::None);
                let _ = next.device.account(frame, verdict, op.answered);
                Some(Ok(Vec::new()))
            }
            (Kind::Detach { reader: false, .. }, 0) => {
                next.ops[index].stage = 3;
                None
            }
            (Kind::Down | Kind::Detach { .. }, 0) => {
                for other in next.ops.iter_mut().filter(|other| other.kind == Kind::Reader) {
                    other.leaving = true;
                }
                next.ops[index].stage = 1;
                None
            }
            (Kind::Down | Kind::Detach { .. }, 1) => {
                next.device.down();
                next.ops[index].stage = 2;
                None
            }
            (Kind::Down | Kind::Detach { .. }, 2) => {
                if self.ops.iter().any(|other| other.kind == Kind::Reader && other.answer.is_none()) {
                    return Vec::new();
                }
                next.ops[index].stage = 3;
                (op.kind == Kind::Down).then(|| Ok(Vec::new()))
            }
            (Kind::Detach { serial, .. }, _) => {
                next.device.detach(*serial);
                Some(Ok(Vec::new()))
            }
            (Kind::Down, _) => return Vec::new(),
            (Kind::Signal { program }, _) => {
                let op = next.ops.iter_mut().find(|op| op.program == Some(*program));
                op.into_iter().for_each(|op| op.signalled = true);
                Some(Ok(Vec::new()))
            }
            (Kind::Reader, _) => return self.received(index),
        };
        next.ops[index].answer = done;
        next.notice();
        vec![next]
    }

    /// Whether writers that found no room are called.
    fn calls_writers(&self) -> bool {
        !self.device.open || !self.device.up || self.device.wakes_writers()
    }

    /// Whether a call has to wait, as things are.
    fn waits_on(&self, op: &Op) -> bool {
        match op.kind {
            Kind::Poll { .. } => op.stage == 1,
            Kind::Write { .. } => op.stage == ASLEEP && !op.signalled && !self.calls_writers(),
            Kind::Reader => self.device.up && !op.leaving && self.device.to_stack.queue.is_empty(),
            _ => false,
        }
    }

    /// A call finds its descriptor, opened for what it wants to do.
    fn enter(&mut self, index: usize, fd: i32) -> Option<Answer> {
        let wrong = if matches!(self.ops[index].kind, Kind::Read { .. }) { O_WRONLY } else { O_RDONLY };
        if !self.fds.contains(&fd) || self.device.rules.flags & O_RWMASK == wrong {
            return Some(Err(B_FILE_ERROR));
        }
        self.ops[index].stage = 1;
        self.ops[index].waits = self.device.rules.flags & O_NONBLOCK == 0;
        None
    }

    /// The answer to a call, unless it has to wait for one.
    fn unless_it_waits(&self, op: &Op, result: Answer) -> Option<Answer> {
        match result {
            Err(B_WOULD_BLOCK | B_INTERRUPTED) if !op.waits => Some(Err(B_WOULD_BLOCK)),
            Err(B_WOULD_BLOCK | B_INTERRUPTED) if op.signalled => Some(Err(B_INTERRUPTED)),
            Err(B_WOULD_BLOCK | B_INTERRUPTED) => None,
            answer => Some(answer),
        }
    }

    /// The unit is opened, unless it is open. One that was closed is free when the last call has returned, and a little
    /// later.
    fn opened(&self, index: usize, flags: u32) -> Vec<Self> {
        let entered = |op: &Op| matches!(op.kind, Kind::Read { .. } | Kind::Write { .. }) && op.stage >= 1;
        let held = self.ops.iter().any(|op| entered(op) && op.answer.is_none());
        let mut states = Vec::new();
        if !self.device.open && !held {
            let mut next = self.clone();
            let is_free = |fd: &i32| !self.fds.contains(fd) && !self.others.contains(fd);
            let fd = (0..).find(is_free).unwrap_or_default();
            model::open(&mut next.device, flags);
            next.fds.push(fd);
            next.ops[index].answer = Some(Ok(fd.to_ne_bytes().to_vec()));
            next.notice();
            states.push(next);
        }
        if self.device.open || held || self.closed {
            let mut next = self.clone();
            next.ops[index].answer = Some(Err(EBUSY));
            states.push(next);
        }
        states
    }

    /// The reader receives a packet, or ends.
    fn received(&self, index: usize) -> Vec<Self> {
        let mut states = Vec::new();
        let mut next = self.clone();
        if let Some(result) = next.device.receive() {
            match result {
                Ok(frame) => next.ops[index].received.push(frame),
                Err(error) => next.ops[index].answer = Some(Err(status(error))),
            }
            next.notice();
            states.push(next);
        }
        if self.ops[index].leaving {
            let mut next = self.clone();
            next.ops[index].answer = Some(Ok(Vec::new()));
            states.push(next);
        }
        states
    }

    /// Everything that this can come to; or, where what really came of the calls is given, what of it fits that.
    pub(super) fn outcomes(mut self, real: Option<&[Real]>) -> Vec<Self> {
        let happens =
            |state: &Self| real.is_none_or(|real| state.ops.iter().zip(real).all(|(op, real)| op.may_be(real)));
        self.notice();
        // Without a close, a descriptor is found whenever it is looked for: at once, which saves many orders.
        if !self.ops.iter().any(|op| matches!(op.kind, Kind::Close { .. })) {
            for index in 0..self.ops.len() {
                if let (Kind::Read { fd, .. } | Kind::Write { fd, .. }, 0) =
                    (&self.ops[index].kind, self.ops[index].stage)
                {
                    self.ops[index].answer = self.enter(index, *fd);
                }
            }
        }
        let mut seen = HashSet::new();
        let mut open = vec![self];
        let mut outcomes = Vec::new();
        while let Some(state) = open.pop() {
            let next: Vec<Self> = (0..state.ops.len()).flat_map(|index| state.after(index)).collect();
            if next.is_empty() && real.is_none_or(|real| state.is(real)) {
                outcomes.push(state);
                continue;
            }
            for state in next.into_iter().filter(happens) {
                if seen.insert(state.clone()) {
                    open.push(state);
                }
            }
        }
        outcomes
    }

    /// Whether this is what really happened.
    fn is(&self, real: &[Real]) -> bool {
        self.ops.iter().zip(real).all(|(op, real)| op.is(real))
    }

    /// Describes it for messages.
    pub(super) fn describe(&self) -> String {
        let ops = self.ops.iter().map(|op| match &op.kind {
            Kind::Poll { .. } if op.answer.is_none() => format!("poll: some of {:#x}", op.seen),
            _ => describe(&op.kind, op.answer.as_ref(), &op.received),
        });
        ops.collect::<Vec<_>>().join("; ")
    }
}

/// A call and what came of it, in words.
pub(super) fn describe(kind: &Kind, answer: Option<&Answer>, received: &[Vec<u8>]) -> String {
    let name = match kind {
        Kind::Read { .. } => "read",
        Kind::Write { .. } => "write",
        Kind::Poll { .. } => "poll",
        Kind::Close { .. } => "close",
        Kind::Open { .. } => "open",
        Kind::Send { .. } => "send_data",
        Kind::Down => "down",
        Kind::Signal { .. } => "a signal",
        Kind::Detach { .. } => "uninit_device",
        Kind::Reader => "the stack's reader",
    };
    let came = match answer {
        None => "waits".to_owned(),
        Some(Ok(bytes)) if bytes.len() <= 8 => format!("{bytes:02x?}"),
        Some(Ok(bytes)) => format!("{} bytes, {:02x?}...", bytes.len(), &bytes[..8]),
        Some(Err(error)) => strerror(*error),
    };
    if *kind == Kind::Reader {
        format!("{name}: {came}, received {}", received.len())
    } else {
        format!("{name}: {came}")
    }
}
