//! The emulated Haiku and the model of it, side by side: every step is done to both, and everything compared.

use std::collections::BTreeMap;
use std::fmt::Debug;

use haiku_kernel::syscalls::{self, POLLIN, POLLOUT, PollFd};
use haiku_kernel::{FaultPlan, Ledgers, Schedule, fault, modules, user};
use haiku_sys::{B_FILE_ERROR, B_NO_MEMORY, B_OK, EBUSY, IFF_LINK, O_NONBLOCK, net_device_module_info, status_t};
use tuntap_net_addon::ioctl::wire::{
    LinuxRequest, Preamble, SIOCGIFHWADDR, STATISTICS_VERSION, StatisticsRequest, TUNGETSTATISTICS,
};

use tuntap_testkit::card::Hooks;

use super::model::{self, Device, UNTOUCHED, revents, statistics};
use super::possible::{Answer, Op};
use super::programs::{Program, Reader};
use super::step::{DESCRIPTORS, DUPFD, INTERFACES, PROGRAMS, Place, Planned, Step, UNITS};
use haiku_stack::strerror;
use haiku_system::Mode;
use haiku_system::{Lab, LabOptions};

/// A user address where nothing is.
const HOLE: usize = 0x20_0000;
/// Semaphores of a unit: two to wait for packets, one to wait for room.
const SEMAPHORES: i64 = 3;

/// What differed.
pub(super) type Checked = Result<(), String>;

/// An interface, as its owner, the stack, has it.
#[derive(Clone, Copy)]
pub(super) struct Interface {
    pub(super) hooks: Hooks,
    pub(super) unit: usize,
    pub(super) serial: u64,
}

/// Who is inside a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Program(usize),
    /// The reader of the interface in this place.
    Reader(usize),
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) unit: usize,
    pub(super) who: Who,
    /// The interface that goes with it.
    pub(super) takes: Option<usize>,
    pub(super) op: Op,
}

/// Haiku and its model.
pub(super) struct World {
    lab: Option<Lab>,
    pub(super) module: *mut net_device_module_info,
    at_rest: Ledgers,
    pub(super) buffer: Vec<u8>,
    pub(super) interfaces: [Option<Interface>; INTERFACES],
    pub(super) units: [Option<Device>; UNITS],
    /// The latest interface of each unit: the one that is shown its settings.
    pub(super) shown: [Option<u64>; UNITS],
    pub(super) files: BTreeMap<i32, usize>,
    pub(super) serial: u64,
    pub(super) programs: Vec<Program>,
    /// What came of a call of a program that was killed in it.
    pub(super) last_words: BTreeMap<usize, Option<Answer>>,
    pub(super) readers: [Option<Reader>; INTERFACES],
    /// Who is inside a call.
    pub(super) inside: Vec<Inside>,
    /// Packets were taken for the stack to see their order.
    pub(super) drained: bool,
}

/// Says what differs, if anything does.
pub(super) fn same<T: PartialEq + Debug>(what: &str, real: &T, model: &T) -> Checked {
    if real == model { Ok(()) } else { Err(format!("{what}: the device says {real:?}, the model {model:?}")) }
}

/// The same for results of calls, with Haiku's words for errors.
pub(super) fn agree<T: PartialEq + Debug>(
    what: &str,
    real: &Result<T, status_t>,
    model: &Result<T, status_t>,
) -> Checked {
    let words = |result: &Result<T, status_t>| match result {
        Ok(value) => format!("{value:02x?}"),
        Err(status) => strerror(*status),
    };
    if real == model {
        return Ok(());
    }
    Err(format!("{what}: the device says {}, the model {}", words(real), words(model)))
}

fn mode(unit: usize) -> Mode {
    Mode::ALL[unit % 2]
}

/// Whether a unit is a TUN.
pub(super) fn is_tun(unit: usize) -> bool {
    mode(unit) == Mode::Tun
}

/// The name of its interface and, below /dev, of its node.
pub(super) fn name(unit: usize) -> String {
    mode(unit).interface(unit / 2)
}

impl World {
    /// Boots it, and has every node made.
    pub(super) fn new(seed: u64) -> Result<Self, String> {
        let lab =
            Lab::boot(LabOptions { seed: Some(seed), schedule: Some(Schedule { seed }), ..LabOptions::default() })
                .map_err(|e| e.to_string())?;
        let module = modules::get(c"network/devices/tun_tap/v1").map_err(strerror)?;
        let mut world = Self {
            at_rest: Ledgers::default(),
            lab: Some(lab),
            module: module.cast(),
            buffer: vec![UNTOUCHED; 1 << 16],
            interfaces: [None; INTERFACES],
            units: [const { None }; UNITS],
            shown: [None; UNITS],
            files: BTreeMap::new(),
            serial: 0,
            programs: (0..PROGRAMS).map(Program::start).collect(),
            last_words: BTreeMap::new(),
            readers: [const { None }; INTERFACES],
            inside: Vec::new(),
            drained: false,
        };
        for unit in 0..UNITS {
            world.step(&Planned { step: Step::Attach { unit, interface: 0 }, fault: None })?;
            world.step(&Planned { step: Step::Detach { interface: 0 }, fault: None })?;
        }
        world.at_rest = world.ledgers();
        Ok(world)
    }

    fn ledgers(&self) -> Ledgers {
        self.lab.as_ref().map(|lab| lab.kernel().ledgers()).unwrap_or_default()
    }

    /// Gives everything back.
    pub(super) fn end(mut self) -> Checked {
        self.tidy()?;
        let ledgers = self.lab.take().map(Lab::shutdown).unwrap_or_default();
        if ledgers.is_zero() { Ok(()) } else { Err(format!("not everything was given back:\n{ledgers}")) }
    }

    fn tidy(&mut self) -> Checked {
        for interface in 0..INTERFACES {
            self.step(&Planned { step: Step::Detach { interface }, fault: None })?;
        }
        while let Some((&fd, _)) = self.files.first_key_value() {
            self.step(&Planned { step: Step::Close { fd }, fault: None })?;
        }
        self.programs.drain(..).for_each(Program::end);
        modules::put(c"network/devices/tun_tap/v1").map_err(strerror)
    }

    /// Does one step to both, and compares all that can be seen.
    pub(super) fn step(&mut self, planned: &Planned) -> Checked {
        if self.has_no_place(&planned.step) {
            return Ok(());
        }
        let interface = |slot: usize| self.interfaces[slot];
        let touched = match planned.step {
            Step::Open { unit, .. } | Step::Attach { unit, .. } => Some(unit),
            Step::Detach { interface: slot }
            | Step::Up { interface: slot, .. }
            | Step::Down { interface: slot }
            | Step::Send { interface: slot, .. }
            | Step::Receive { interface: slot }
            | Step::SetMtu { interface: slot, .. }
            | Step::Promiscuous { interface: slot, .. }
            | Step::Group { interface: slot, .. } => interface(slot).map(|interface| interface.unit),
            Step::Close { fd }
            | Step::Dup { fd }
            | Step::Dup2 { fd, .. }
            | Step::DupAbove { fd, .. }
            | Step::SetFlags { fd, .. }
            | Step::GetFlags { fd }
            | Step::Read { fd, .. }
            | Step::Write { fd, .. }
            | Step::ReadVector { fd, .. }
            | Step::WriteVector { fd, .. }
            | Step::ReadBatch { fd, .. }
            | Step::WriteBatch { fd, .. }
            | Step::Control { fd, .. } => self.files.get(&fd).copied(),
            Step::Start { unit, .. } | Step::Together { unit, .. } => Some(unit),
            Step::Poll { .. } | Step::Select { .. } | Step::Signal { .. } => None,
        };
        // Kernel calls fail only for the step itself.
        let plan = planned.fault.map_or(FaultPlan::Off, |(kind, n)| FaultPlan::Nth(kind, n));
        let done = self.act(&planned.step, plan);
        fault::arm(FaultPlan::Off);
        done?;
        self.settle()?;
        if let Some(unit) = touched {
            self.compare(unit)?;
        }
        self.balance()
    }

    fn act(&mut self, step: &Step, plan: FaultPlan) -> Checked {
        match *step {
            Step::Open { unit, flags } => self.open(unit, flags, plan),
            Step::Close { fd } => {
                let real = syscalls::close(fd);
                let model = self.files.contains_key(&fd).then(|| self.close(fd)).ok_or(B_FILE_ERROR);
                agree("close", &real, &model)
            }
            Step::Dup { fd } => self.dup(fd, 0, |fd, _| syscalls::dup(fd)),
            Step::DupAbove { fd, above } => self.dup(fd, above, |fd, above| syscalls::fcntl(fd, DUPFD, above as usize)),
            Step::Dup2 { fd, to } => {
                let real = syscalls::dup2(fd, to);
                let unit = self.files.get(&fd).copied().ok_or(B_FILE_ERROR);
                if let (Ok(unit), true) = (unit, fd != to) {
                    // Counted up first, then down, so that the unit is not closed in between.
                    let evicted = self.files.insert(to, unit);
                    self.number_went(to);
                    self.closed(evicted);
                }
                agree("dup2", &real, &unit.map(|_| to))
            }
            Step::SetFlags { fd, flags } => {
                let real = syscalls::fcntl(fd, syscalls::F_SETFL, flags as usize);
                let model = self.device(fd).map(|device| {
                    let modifiable = O_NONBLOCK | syscalls::O_APPEND;
                    device.rules.flags = device.rules.flags & !modifiable | flags & modifiable;
                    B_OK
                });
                agree("F_SETFL", &real, &model)
            }
            Step::GetFlags { fd } => {
                let model = self.device(fd).map(|device| device.rules.flags as i32);
                agree("F_GETFL", &syscalls::fcntl(fd, syscalls::F_GETFL, 0), &model)
            }
            Step::Read { fd, room, place } => self.read(fd, room, place, plan),
            Step::Write { fd, shape, place } => self.write(fd, shape, place, plan),
            Step::ReadVector { fd, rooms } => self.read_vector(fd, rooms),
            Step::WriteVector { fd, shapes } => self.write_vector(fd, shapes),
            Step::ReadBatch { fd, room, most, place } => self.read_batch(fd, room, most, place),
            Step::WriteBatch { fd, shapes, most, cut } => self.write_batch(fd, shapes, most, cut),
            Step::Poll { events } => self.poll(events),
            Step::Select { fds } => self.select(fds),
            Step::Control { fd, control, place } => self.control(fd, control, place),
            Step::Attach { unit, interface } if self.interfaces[interface].is_none() => {
                self.attach(unit, interface, plan)
            }
            Step::Attach { .. } => Ok(()),
            Step::Start { unit, call } => {
                self.start(unit, call);
                Ok(())
            }
            Step::Together { unit, calls } => self.start_together(unit, calls),
            Step::Signal { program, kill } => {
                self.signal(program, kill);
                Ok(())
            }
            Step::Detach { interface }
            | Step::Up { interface, .. }
            | Step::Down { interface }
            | Step::Send { interface, .. }
            | Step::Receive { interface }
            | Step::SetMtu { interface, .. }
            | Step::Promiscuous { interface, .. }
            | Step::Group { interface, .. } => match self.interfaces[interface] {
                Some(there) => self.stack(step, interface, there, plan),
                None => Ok(()),
            },
        }
    }

    /// The model of an open unit.
    pub(super) fn device(&mut self, fd: i32) -> Result<&mut Device, status_t> {
        let unit = *self.files.get(&fd).ok_or(B_FILE_ERROR)?;
        self.units[unit].as_mut().ok_or(B_FILE_ERROR)
    }

    fn open(&mut self, unit: usize, flags: u32, plan: FaultPlan) -> Checked {
        fault::arm(plan);
        let real = syscalls::open(&format!("/dev/{}", name(unit)), flags);
        let fired = fault::fired().is_some();
        let model = match &mut self.units[unit] {
            Some(device) if device.open => Err(EBUSY),
            Some(device) if fired => {
                // Found out too late to be as if nothing had been.
                model::open(device, flags);
                model::close(device);
                Err(B_NO_MEMORY)
            }
            None if fired => Err(B_NO_MEMORY),
            device => {
                model::open(device.get_or_insert_with(|| model::new(is_tun(unit))), flags);
                let fd = (0..).find(|fd| !self.files.contains_key(fd)).unwrap_or_default();
                self.files.insert(fd, unit);
                Ok(fd)
            }
        };
        agree("open", &real, &model)
    }

    fn close(&mut self, fd: i32) {
        let unit = self.files.remove(&fd);
        self.closed(unit);
    }

    /// A number less stands for a unit; with the last the unit is closed.
    fn closed(&mut self, unit: Option<usize>) {
        let Some(unit) = unit.filter(|unit| !self.files.values().any(|other| other == unit)) else { return };
        if let Some(device) = &mut self.units[unit] {
            model::close(device);
        }
        self.forget_idle(unit);
    }

    /// A unit is deleted with its last descriptor or interface.
    pub(super) fn forget_idle(&mut self, unit: usize) {
        let open = self.files.values().any(|other| *other == unit);
        if !open
            && !self.is_inside(unit, true)
            && !self.interfaces.iter().flatten().any(|interface| interface.unit == unit)
        {
            self.units[unit] = None;
        }
    }

    fn dup(&mut self, fd: i32, above: i32, dup: impl FnOnce(i32, i32) -> Result<i32, status_t>) -> Checked {
        if self.files.len() >= DESCRIPTORS as usize {
            return Ok(());
        }
        let real = dup(fd, above);
        let model = self.files.get(&fd).copied().ok_or(B_FILE_ERROR).map(|unit| {
            let new = (above..).find(|fd| !self.files.contains_key(fd)).unwrap_or_default();
            self.files.insert(new, unit);
            new
        });
        agree("dup", &real, &model)
    }

    /// The user address of the buffer, or of what is said to be one.
    pub(super) fn address(&mut self, place: Place) -> usize {
        match place {
            Place::Mapped => user::to_user(self.buffer.as_mut_ptr() as usize),
            Place::Hole => HOLE,
            Place::Kernel => self.buffer.as_mut_ptr() as usize,
        }
    }

    /// Everything that can be seen of a unit without disturbing it.
    pub(super) fn compare(&mut self, unit: usize) -> Checked {
        let Some(device) = &mut self.units[unit] else { return Ok(()) };
        let shown = self.interfaces.iter().flatten().find(|interface| Some(interface.serial) == self.shown[unit]);
        if let Some(interface) = shown {
            let seen = interface.hooks;
            let address = seen.address();
            learn(device, address)?;
            same("the interface's address", &address, &device.link.address)?;
            same("the interface's MTU", &seen.mtu(), &device.link.mtu)?;
            same("IFF_LINK", &seen.has(IFF_LINK), &(device.open && device.carrier))?;
        }
        let Some((&fd, _)) = self.files.iter().find(|(_, other)| **other == unit) else { return Ok(()) };
        let address = address_of(fd)?;
        learn(device, address)?;
        same("the unit's address", &address, &device.link.address)?;
        // SAFETY: the structure is made of integers only, for which zeros are a value.
        let mut request: StatisticsRequest = unsafe { std::mem::zeroed() };
        request.preamble = Preamble { version: STATISTICS_VERSION, size: size_of::<StatisticsRequest>() as u32 };
        agree("TUNGETSTATISTICS", &syscalls::ioctl_ref(fd, TUNGETSTATISTICS, &mut request), &Ok(B_OK))?;
        same("statistics to the program", &request.to_user, &statistics(&device.to_user))?;
        same("statistics to the stack", &request.to_stack, &statistics(&device.to_stack))?;
        let mut entry = [PollFd { fd, events: POLLIN | POLLOUT, revents: 0 }];
        let polled = syscalls::poll(&mut entry, 0).map(|_| entry[0].revents);
        agree("readiness", &polled, &Ok(revents(device)))
    }

    /// Nothing is leaked, ever.
    fn balance(&self) -> Checked {
        let ledgers = self.ledgers();
        let units = self.units.iter().flatten();
        let queued: usize = units.clone().map(|unit| unit.to_user.queue.len() + unit.to_stack.queue.len()).sum();
        same("packets that are alive", &ledgers.packets, &(queued as i64))?;
        let opened = units.clone().filter(|unit| unit.open).count();
        same("cookies that are alive", &ledgers.cookies, &(opened as i64))?;
        same("selects that are registered", &ledgers.selects, &self.polls())?;
        if self.at_rest == Ledgers::default() {
            return Ok(());
        }
        let there = units.count() as i64;
        let semaphores = self.at_rest.semaphores + SEMAPHORES * there + self.polls();
        same("semaphores that are alive", &ledgers.semaphores, &semaphores)?;
        if there == 0 {
            same("what is alive without units", &ledgers, &self.at_rest)?;
        }
        Ok(())
    }
}

/// The address that a unit says it has.
fn address_of(fd: i32) -> Result<[u8; 6], String> {
    let mut request = LinuxRequest { name: [0; 16], flags: 0, address: [0; 6], rest: [0; 16] };
    agree("SIOCGIFHWADDR", &syscalls::ioctl_ref(fd, SIOCGIFHWADDR, &mut request), &Ok(B_OK))?;
    Ok(request.address)
}

/// A unit's address is random: the model learns it, once, and sees that it is one for a station.
fn learn(device: &mut Device, address: [u8; 6]) -> Checked {
    if device.link.address != [0; 6] {
        return Ok(());
    }
    device.link.address = address;
    same("the bits of a random address that are not", &(address[0] & 3), &2)
}
