//! Calls that are under way at the same time: begun by programs, ended when the device lets them, judged when all is quiet.

use haiku_kernel::schedule;
use haiku_kernel::syscalls;
use haiku_sys::{O_NONBLOCK, O_RDWR};

use tuntap_testkit::card::Hooks;

use super::model::{self, Device, status};
use super::possible::{Kind, Op, Real, State, describe};
use super::programs::{Job, Program, Reader, take_down};
use super::step::{Call, Control, PROGRAMS, Step, UNITS};
use super::world::{Checked, Inside, Who, World, agree, name, same};

impl World {
    /// Whether a thread is inside a call of the unit: a program, or with `readers_too` any thread.
    pub(super) fn is_inside(&self, unit: usize, readers_too: bool) -> bool {
        self.inside.iter().any(|inside| inside.unit == unit && (readers_too || inside.op.kind != Kind::Reader))
    }

    /// Whether a step has to be left out, because what it comes to with others inside the unit is not modelled: several
    /// packets that are no one moment, and settings that a call has looked at before it began to wait.
    pub(super) fn has_no_place(&self, step: &Step) -> bool {
        let of_fd = |fd: i32| self.files.get(&fd).copied();
        let of_slot = |slot: usize| self.interfaces[slot].map(|interface| interface.unit);
        let (unit, readers_too) = match *step {
            Step::WriteVector { fd, .. } | Step::WriteBatch { fd, .. } => (of_fd(fd), true),
            Step::ReadVector { fd, .. } | Step::ReadBatch { fd, .. } => (of_fd(fd), false),
            Step::Control {
                fd,
                control:
                    Control::SetInterface(_) | Control::SetHead(_) | Control::SetInfo { .. } | Control::SetAddress(_),
                ..
            } => (of_fd(fd), false),
            Step::SetMtu { interface, .. } | Step::Promiscuous { interface, .. } | Step::Group { interface, .. } => {
                (of_slot(interface), false)
            }
            _ => return false,
        };
        unit.is_some_and(|unit| self.is_inside(unit, readers_too))
    }

    /// A number now means another unit, or counts as new: its polls are notified.
    pub(super) fn number_went(&mut self, number: i32) {
        for inside in &mut self.inside {
            inside.op.lose(number);
        }
    }

    /// How many polls wait.
    pub(super) fn polls(&self) -> i64 {
        self.inside.iter().filter(|inside| matches!(inside.op.kind, Kind::Poll { .. })).count() as i64
    }

    /// An interface's device, for another thread.
    pub(super) fn handle(&self, slot: usize) -> Option<Hooks> {
        self.interfaces[slot].map(|interface| interface.hooks)
    }

    /// The stack starts a reader for an interface that has none.
    pub(super) fn start_reader(&mut self, slot: usize, unit: usize) {
        if let (None, Some(handle)) = (&self.readers[slot], self.handle(slot)) {
            self.readers[slot] = Some(Reader::start(handle));
            self.inside.push(Inside { unit, who: Who::Reader(slot), takes: None, op: Op::new(Kind::Reader, None) });
        }
    }

    /// The stack takes an interface down, and its reader returns.
    pub(super) fn take_down(&mut self, slot: usize) {
        for inside in self.inside.iter_mut().filter(|inside| inside.who == Who::Reader(slot)) {
            inside.op.leaving = true;
        }
        if let Some(handle) = self.handle(slot) {
            take_down(handle, self.readers[slot].as_ref());
        }
    }

    /// A program that is not inside a call begins one with the unit. One that cannot be made is left out, and so is one
    /// that would make the order of packets unknowable.
    pub(super) fn start(&mut self, unit: usize, call: Call) {
        let idle = |index: &usize| !self.inside.iter().any(|inside| inside.who == Who::Program(*index));
        let Some(program) = (0..PROGRAMS).find(idle) else { return };
        let fd = self.files.iter().find(|(_, other)| **other == unit).map(|(fd, _)| *fd);
        let slot = self.interfaces.iter().position(|there| there.is_some_and(|there| there.unit == unit));
        let Some(device) = &self.units[unit] else { return };
        let once =
            |kind: fn(&Kind) -> bool| !self.inside.iter().any(|inside| inside.unit == unit && kind(&inside.op.kind));
        let there = slot.and_then(|slot| self.interfaces[slot]);
        let going = !once(|kind| matches!(kind, Kind::Detach { .. }));
        let mut takes = None;
        let (kind, job) = match (call, fd, slot) {
            (Call::Read { room }, Some(fd), _) => (Kind::Read { fd, room }, Job::Read { fd, room }),
            (Call::Write { shape }, Some(fd), _) => {
                let address = device.link.address;
                let mut bytes = vec![0; device.framing.length()];
                bytes.extend(shape.bytes(address, !device.rules.tun));
                if bytes.is_empty() {
                    return;
                }
                (Kind::Write { fd, bytes: bytes.as_slice().into() }, Job::Write { fd, bytes })
            }
            (Call::Poll { events }, Some(fd), _) => (Kind::Poll { fd, events }, Job::Poll { fd, events }),
            (Call::Close, Some(fd), _) if once(|kind| matches!(kind, Kind::Close { .. })) => {
                (Kind::Close { fd }, Job::Close { fd })
            }
            (Call::Open { flags }, _, Some(_)) if !going && once(|kind| matches!(kind, Kind::Open { .. })) => {
                (Kind::Open { flags }, Job::Open { path: format!("/dev/{}", name(unit)), flags })
            }
            (Call::Send { shape }, _, Some(slot)) if !going && once(|kind| matches!(kind, Kind::Send { .. })) => {
                let Some(to) = self.handle(slot) else { return };
                let bytes = shape.bytes(device.link.address, true);
                (Kind::Send { frame: bytes.as_slice().into() }, Job::Send { to, bytes })
            }
            // The stack's references keep what a call uses, so nothing may be in use.
            (Call::Detach, _, Some(slot))
                if once(|kind| {
                    matches!(kind, Kind::Send { .. } | Kind::Down | Kind::Detach { .. } | Kind::Open { .. })
                }) =>
            {
                let Some((what, there)) = self.handle(slot).zip(there) else { return };
                takes = Some(slot);
                let reader = self.readers[slot].clone();
                (Kind::Detach { serial: there.serial, reader: reader.is_some() }, Job::Detach { what, reader })
            }
            (Call::Down, _, Some(slot)) if device.up && !going && once(|kind| *kind == Kind::Down) => {
                let Some(to) = self.handle(slot) else { return };
                (Kind::Down, Job::Down { to, reader: self.readers[slot].clone() })
            }
            (Call::Signal, ..) => {
                let mut waiting = self.inside.iter().filter(|inside| inside.unit == unit && inside.op.has_waited());
                let Some(other) = waiting.find_map(|inside| inside.op.program) else { return };
                (Kind::Signal { program: other }, Job::Signal { to: self.programs[other].id() })
            }
            _ => return,
        };
        self.programs[program].give(job);
        self.inside.push(Inside { unit, who: Who::Program(program), takes, op: Op::new(kind, Some(program)) });
    }

    /// Several calls begin at the same time, with the first unit from this one on that is open. Programs that wait are
    /// called away for it.
    pub(super) fn start_together(&mut self, unit: usize, calls: [Call; 4]) -> Checked {
        let is_open = |unit: &usize| self.units[*unit].as_ref().is_some_and(|device| device.open);
        let unit = (unit..unit + UNITS).map(|unit| unit % UNITS).find(is_open).unwrap_or(unit);
        let busy = self.inside.iter().filter_map(|inside| match inside.who {
            Who::Program(program) => Some(program),
            Who::Reader(_) => None,
        });
        let busy: Vec<usize> = busy.collect();
        let wanted = (busy.len() + calls.len()).saturating_sub(PROGRAMS);
        for program in busy.into_iter().take(wanted) {
            self.signal(program, false);
            self.settle()?;
        }
        calls.into_iter().for_each(|call| self.start(unit, call));
        Ok(())
    }

    /// A signal for a program, which may be inside a call.
    pub(super) fn signal(&mut self, program: usize, kill: bool) {
        let inside = self.inside.iter_mut().find(|inside| inside.who == Who::Program(program));
        let Some(inside) = inside else { return };
        inside.op.signalled = true;
        self.programs[program].signal(kill);
        if kill {
            // The dead are replaced; the call that the kill ended is still to be judged.
            schedule::quiesce();
            let dead = std::mem::replace(&mut self.programs[program], Program::start(program));
            self.last_words.insert(program, dead.answer());
            dead.end();
        }
    }

    /// All threads wait: the results of the calls under way must be possible ones.
    pub(super) fn settle(&mut self) -> Checked {
        schedule::quiesce();
        let mut units: Vec<usize> = self.inside.iter().map(|inside| inside.unit).collect();
        units.sort_unstable();
        units.dedup();
        units.into_iter().try_for_each(|unit| self.settle_unit(unit))?;
        // Checking the queue takes its packets, and that may let other calls go on.
        if std::mem::take(&mut self.drained) { self.settle() } else { Ok(()) }
    }

    fn settle_unit(&mut self, unit: usize) -> Checked {
        let Some(device) = self.units[unit].clone() else {
            return Err(format!("{} has a call inside, and does not exist", name(unit)));
        };
        let (here, elsewhere) = std::mem::take(&mut self.inside).into_iter().partition(|inside| inside.unit == unit);
        self.inside = elsewhere;
        let mut here: Vec<Inside> = here;
        let real: Vec<Real> = here.iter().map(|inside| self.came(inside.who)).collect();
        let fds: Vec<i32> = self.files.iter().filter(|(_, other)| **other == unit).map(|(fd, _)| *fd).collect();
        let ops = here.iter().map(|inside| inside.op.clone()).collect();
        let others = self.files.iter().filter(|(_, other)| **other != unit).map(|(fd, _)| *fd).collect();
        let before = State { device, fds, others, closed: false, ops };
        let matching = before.clone().outcomes(Some(&real));
        let Some(first) = matching.first() else {
            let outcomes = before.outcomes(None);
            let happened: Vec<String> = (here.iter().zip(&real))
                .map(|(inside, real)| describe(&inside.op.kind, real.answer.as_ref(), &real.received))
                .collect();
            let possible: Vec<String> = outcomes.iter().take(5).map(State::describe).collect();
            return Err(format!(
                "at the same time on {}: [{}] is none of the {} things that the model says can happen: [{}]",
                name(unit),
                happened.join("; "),
                outcomes.len(),
                possible.join("] or [")
            ));
        };
        self.files.retain(|_, other| *other != unit);
        self.files.extend(first.fds.iter().map(|fd| (*fd, unit)));
        for slot in here.iter().filter_map(|inside| inside.takes) {
            let gone = self.interfaces[slot].take().map(|interface| interface.serial);
            if gone.is_some() && self.shown[unit] == gone {
                self.shown[unit] = None;
            }
        }
        for ((inside, op), real) in here.iter_mut().zip(&first.ops).zip(&real) {
            inside.op = op.clone();
            inside.op.go_on();
            if let (Who::Reader(slot), Some(_)) = (inside.who, &real.answer)
                && let Some(reader) = self.readers[slot].take()
            {
                reader.end();
            }
        }
        let left = here.into_iter().zip(&real).filter(|(_, real)| real.answer.is_none()).map(|(inside, _)| inside);
        self.inside.extend(left);
        let mut devices: Vec<Device> = Vec::new();
        for state in &matching {
            if !devices.contains(&state.device) {
                devices.push(state.device.clone());
            }
        }
        self.tell_apart(unit, devices)?;
        self.forget_idle(unit);
        // Its statistics say whether more happened than was seen. After the queue was checked, a call may be going on.
        if !self.drained && real.iter().any(|real| real.answer.is_some()) { self.compare(unit) } else { Ok(()) }
    }

    /// What came of a call, for good.
    fn came(&mut self, who: Who) -> Real {
        match who {
            Who::Program(program) => {
                let answer = self.last_words.remove(&program).unwrap_or_else(|| self.programs[program].answer());
                Real { answer, received: Vec::new() }
            }
            Who::Reader(slot) => self.readers[slot].as_ref().map(Reader::came).unwrap_or_default(),
        }
    }

    /// Finds which possible state the unit is in: by its statistics, for which it is opened unless it is open, and by the
    /// order of the packets that wait for the stack.
    fn tell_apart(&mut self, unit: usize, mut devices: Vec<Device>) -> Checked {
        let probe = devices.len() > 1 && !devices[0].open && self.interfaces.iter().flatten().any(|i| i.unit == unit);
        let mut probed = None;
        if probe {
            let flags = O_RDWR | O_NONBLOCK;
            let fd = syscalls::open(&format!("/dev/{}", name(unit)), flags);
            let free = (0..).find(|fd| !self.files.contains_key(fd)).unwrap_or_default();
            agree("open, to look at the statistics", &fd, &Ok(free))?;
            self.files.insert(free, unit);
            devices.iter_mut().for_each(|device| model::open(device, flags));
            probed = Some(free);
        }
        if devices.len() > 1 {
            let mut wrong = Ok(());
            let mut kept = Vec::new();
            for device in devices {
                self.units[unit] = Some(device);
                match self.compare(unit) {
                    Ok(()) => kept.extend(self.units[unit].clone()),
                    Err(difference) => wrong = Err(difference),
                }
            }
            if kept.is_empty() {
                return wrong;
            }
            devices = kept;
        }
        if let Some(fd) = probed {
            agree("close, after that", &syscalls::close(fd), &Ok(()))?;
            self.files.remove(&fd);
            devices.iter_mut().for_each(model::close);
        }
        let waiting = devices.first().map_or(0, |device| device.to_stack.queue.len());
        if devices.len() > 1 && waiting > 0 {
            self.drained = true;
            let slot = self.interfaces.iter().position(|there| there.is_some_and(|there| there.unit == unit));
            let Some(handle) = slot.and_then(|slot| self.handle(slot)) else {
                return Err(format!("{} has packets for the stack, and no interface", name(unit)));
            };
            for _ in 0..waiting {
                let frame = handle.receive();
                devices.retain_mut(|device| device.receive().map(|it| it.map_err(status)).as_ref() == Some(&frame));
            }
            same("an order in which the packets for the stack can be", &devices.is_empty(), &false)?;
        }
        self.units[unit] = devices.into_iter().next();
        Ok(())
    }
}
