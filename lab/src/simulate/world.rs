//! The emulated Haiku and the model of it, side by side: every step is done to both, and everything compared.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Debug;
use std::ptr::null_mut;

use haiku_kernel::syscalls::{self, FdSet, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PollFd};
use haiku_kernel::{Fault, FaultPlan, Ledgers, fault, modules, thread, user};
use haiku_sys::{
    B_BAD_ADDRESS, B_ENTRY_NOT_FOUND, B_FILE_ERROR, B_NO_MEMORY, B_OK, EBUSY, EINVAL, IFF_LINK, IFF_PROMISC,
    O_NONBLOCK, O_RDONLY, O_RWMASK, O_WRONLY, net_device, net_device_module_info, status_t,
};
use tuntap_net_addon::ioctl::wire::{
    DirectionStatistics, Preamble, StatisticsRequest, TUNGETSTATISTICS, TUNREADBATCH, TUNWRITEBATCH, VERSION,
};

use super::frame::Frame;
use super::model::{Books, Device, Framing, Trouble, UNTOUCHED};
use super::step::{DESCRIPTORS, DUPFD, INTERFACES, Place, Planned, Shape, Step, UNITS};
use crate::error::strerror;
use crate::lab::{Lab, LabOptions};
use crate::mode::Mode;

/// A user address where nothing is.
const HOLE: usize = 0x20_0000;
/// Semaphores of a unit: two to wait for packets, one to wait for room.
const SEMAPHORES: i64 = 3;
/// Bytes of a batch's header.
const HEADER: usize = 16;

/// What differed.
pub(super) type Checked = Result<(), String>;

/// An interface, as its owner, the stack, has it.
#[derive(Clone, Copy)]
pub(super) struct Interface {
    pub(super) device: *mut net_device,
    unit: usize,
    serial: u64,
}

/// Haiku and its model.
pub(super) struct World {
    lab: Option<Lab>,
    module: *mut net_device_module_info,
    at_rest: Ledgers,
    buffer: Vec<u8>,
    interfaces: [Option<Interface>; INTERFACES],
    pub(super) units: [Option<Device>; UNITS],
    /// The latest interface of each unit: the one that is shown its settings.
    shown: [Option<u64>; UNITS],
    pub(super) files: BTreeMap<i32, usize>,
    serial: u64,
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

/// Calls a hook of the interface's, which every driver has.
macro_rules! hook {
    ($world:expr, $hook:ident($($argument:expr),*)) => {{
        // SAFETY: the module is loaded as long as the world lives.
        let hook = unsafe { &*$world.module }.$hook.ok_or(concat!("there is no ", stringify!($hook)))?;
        // SAFETY: called as the stack would: devices are alive, and places are fit to be written.
        unsafe { hook($($argument),*) }
    }};
}

impl World {
    /// Boots it, and has every node made.
    pub(super) fn new(seed: u64) -> Result<Self, String> {
        let lab = Lab::boot(LabOptions { seed: Some(seed), ..LabOptions::default() }).map_err(|e| e.to_string())?;
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
        modules::put(c"network/devices/tun_tap/v1").map_err(strerror)
    }

    /// Does one step to both, and compares all that can be seen.
    pub(super) fn step(&mut self, planned: &Planned) -> Checked {
        let interface = |slot: usize| self.interfaces[slot];
        let touched = match planned.step {
            Step::Open { unit, .. } | Step::Attach { unit, .. } => Some(unit),
            Step::Detach { interface: slot }
            | Step::Up { interface: slot }
            | Step::Down { interface: slot }
            | Step::Send { interface: slot, .. }
            | Step::Receive { interface: slot }
            | Step::SetMtu { interface: slot, .. }
            | Step::Promiscuous { interface: slot, .. } => interface(slot).map(|interface| interface.unit),
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
            Step::Poll { .. } | Step::Select { .. } => None,
        };
        // The kernel's calls fail for nobody but the step itself.
        let plan = planned.fault.map_or(FaultPlan::Off, |(kind, n)| FaultPlan::Nth(kind, n));
        let done = self.act(&planned.step, plan);
        fault::arm(FaultPlan::Off);
        done?;
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
                    // First the one more, then the one less, lest the unit be closed in between.
                    let evicted = self.files.insert(to, unit);
                    self.closed(evicted);
                }
                agree("dup2", &real, &unit.map(|_| to))
            }
            Step::SetFlags { fd, flags } => {
                let real = syscalls::fcntl(fd, syscalls::F_SETFL, flags as usize);
                let model = self.device(fd).map(|device| {
                    let modifiable = O_NONBLOCK | syscalls::O_APPEND;
                    device.flags = device.flags & !modifiable | flags & modifiable;
                    B_OK
                });
                agree("F_SETFL", &real, &model)
            }
            Step::GetFlags { fd } => {
                let model = self.device(fd).map(|device| device.flags as i32);
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
            Step::Detach { interface }
            | Step::Up { interface }
            | Step::Down { interface }
            | Step::Send { interface, .. }
            | Step::Receive { interface }
            | Step::SetMtu { interface, .. }
            | Step::Promiscuous { interface, .. } => match self.interfaces[interface] {
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
                device.open(flags);
                device.close();
                Err(B_NO_MEMORY)
            }
            None if fired => Err(B_NO_MEMORY),
            device => {
                device.get_or_insert_with(|| Device::new(is_tun(unit))).open(flags);
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
            device.close();
        }
        self.forget_idle(unit);
    }

    /// A unit goes with its last descriptor or interface.
    fn forget_idle(&mut self, unit: usize) {
        let open = self.files.values().any(|other| *other == unit);
        if !open && !self.interfaces.iter().flatten().any(|interface| interface.unit == unit) {
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

    /// Calls that wait do not wait for ever: a signal is there before they do.
    fn disturbed<T>(call: impl FnOnce() -> T) -> T {
        let _ = thread::signal(thread::current());
        call()
    }

    /// Whether a call of `length` bytes comes to the device at all, and if not, what comes of it.
    fn reaches(&mut self, fd: i32, wrong: u32, length: usize, place: Place) -> Result<(), Result<usize, status_t>> {
        let device = self.device(fd).map_err(Err)?;
        if device.flags & O_RWMASK == wrong {
            return Err(Err(B_FILE_ERROR));
        }
        match (length, place) {
            (0, _) => Err(Ok(0)),
            (_, Place::Kernel) => Err(Err(B_BAD_ADDRESS)),
            _ => Ok(()),
        }
    }

    fn read(&mut self, fd: i32, room: usize, place: Place, plan: FaultPlan) -> Checked {
        self.buffer[..room].fill(UNTOUCHED);
        let address = self.address(place);
        fault::arm(plan);
        let real = Self::disturbed(|| syscalls::read_raw(fd, address, room));
        let fired = fault::fired();
        let real = real.map(|length| self.buffer[..length].to_vec());
        let model = match self.reaches(fd, O_WRONLY, room, place) {
            Err(result) => result.map(|_| Vec::new()),
            Ok(()) => self.device(fd).and_then(|device| {
                let first = plan == FaultPlan::Nth(Fault::NetBufferRead, 1);
                let trouble = match fired {
                    Some(Fault::NetBufferRead) if first && device.framing != Framing::Bare => Trouble::Blind,
                    Some(_) => Trouble::Address,
                    None if place == Place::Hole => Trouble::Address,
                    None => Trouble::None,
                };
                device.read(room, trouble)
            }),
        };
        agree("read", &real, &model)
    }

    /// What the program writes: a packet for its unit, behind what its framing wants in front.
    fn packet(&mut self, fd: i32, shape: Shape) -> Vec<u8> {
        match self.device(fd) {
            Ok(device) => {
                let mut bytes = vec![0; device.in_front()];
                bytes.extend(shape.bytes(device.address, !device.tun));
                // A packet that ends within what should stand in front of it.
                if shape.length < 3 {
                    bytes.truncate(shape.length);
                }
                bytes
            }
            Err(_) => vec![shape.mark; shape.length],
        }
    }

    fn write(&mut self, fd: i32, shape: Shape, place: Place, plan: FaultPlan) -> Checked {
        let bytes = self.packet(fd, shape);
        self.buffer[..bytes.len()].copy_from_slice(&bytes);
        let address = self.address(place);
        fault::arm(plan);
        let real = Self::disturbed(|| syscalls::write_raw(fd, address, bytes.len()));
        let trouble = match fault::fired() {
            Some(Fault::UserMemcpy) => Trouble::Address,
            Some(_) => Trouble::Memory,
            None if place == Place::Hole => Trouble::Address,
            None => Trouble::None,
        };
        let model = match self.reaches(fd, O_RDONLY, bytes.len(), place) {
            Err(result) => result,
            Ok(()) => self.device(fd).and_then(|device| device.write(&bytes, trouble)).map(|()| bytes.len()),
        };
        agree("write", &real, &model)
    }

    fn read_vector(&mut self, fd: i32, rooms: [usize; 2]) -> Checked {
        let mut buffers = rooms.map(|room| vec![UNTOUCHED; room]);
        let [first, second] = &mut buffers;
        let real = Self::disturbed(|| syscalls::readv(fd, &mut [first, second]));
        let mut expected = rooms.map(|room| vec![UNTOUCHED; room]);
        let mut model = self.device(fd).and_then(|device| match device.flags & O_RWMASK {
            O_WRONLY => Err(B_FILE_ERROR),
            _ => Ok(0),
        });
        let refused = model.is_err();
        for buffer in expected.iter_mut().filter(|buffer| !refused && !buffer.is_empty()) {
            let read = self.device(fd).and_then(|device| device.read(buffer.len(), Trouble::None));
            match (read, model) {
                (Ok(packet), Ok(done)) => {
                    buffer[..packet.len()].copy_from_slice(&packet);
                    model = Ok(done + packet.len());
                    if packet.len() < buffer.len() {
                        break;
                    }
                }
                (Err(error), Ok(0)) => {
                    model = Err(error);
                    break;
                }
                _ => break,
            }
        }
        agree("readv", &real, &model)?;
        same("what readv read", &buffers, &expected)
    }

    fn write_vector(&mut self, fd: i32, shapes: [Shape; 2]) -> Checked {
        let packets = shapes.map(|shape| self.packet(fd, shape));
        let [first, second] = &packets;
        let real = Self::disturbed(|| syscalls::writev(fd, &[first, second]));
        let mut model = self.device(fd).and_then(|device| match device.flags & O_RWMASK {
            O_RDONLY => Err(B_FILE_ERROR),
            _ => Ok(0),
        });
        let refused = model.is_err();
        for packet in packets.iter().filter(|packet| !refused && !packet.is_empty()) {
            match (self.device(fd).and_then(|device| device.write(packet, Trouble::None)), model) {
                (Ok(()), Ok(done)) => model = Ok(done + packet.len()),
                (Err(error), Ok(0)) => {
                    model = Err(error);
                    break;
                }
                _ => break,
            }
        }
        agree("writev", &real, &model)
    }

    /// A batch's call: its result, and how many packets and bytes it says there were.
    fn batch(&mut self, fd: i32, op: u32, size: usize, most: u32, place: Place) -> Result<(u32, usize), status_t> {
        let words = [VERSION, (HEADER + size) as u32, most, 0];
        for (word, place) in words.iter().zip(self.buffer.chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let address = self.address(place);
        Self::disturbed(|| syscalls::ioctl(fd, op, address, 0))?;
        let word = |at: usize| {
            let bytes = self.buffer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            u32::from_ne_bytes(bytes.unwrap_or_default())
        };
        Ok((word(8), word(12) as usize))
    }

    /// What a batch's call comes to before it comes to a packet.
    fn batch_reaches(&mut self, fd: i32, most: u32, place: Place) -> Result<&mut Device, status_t> {
        if place == Place::Kernel {
            return Err(B_BAD_ADDRESS);
        }
        let device = self.device(fd)?;
        match (place, most) {
            (Place::Hole, _) => Err(B_BAD_ADDRESS),
            (_, 0) => Err(EINVAL),
            _ => Ok(device),
        }
    }

    fn read_batch(&mut self, fd: i32, room: usize, most: u32, place: Place) -> Checked {
        self.buffer[HEADER..HEADER + room].fill(UNTOUCHED);
        let real = self.batch(fd, TUNREADBATCH, room, most, place);
        let real = real.map(|(packets, bytes)| (packets, self.buffer[HEADER..HEADER + bytes].to_vec()));
        let model = self.batch_reaches(fd, most, place).and_then(|device| device.read_batch(room, most));
        agree("TUNREADBATCH", &real, &model)
    }

    fn write_batch(&mut self, fd: i32, shapes: [Shape; 3], most: u32, cut: usize) -> Checked {
        let mut records = Vec::new();
        for shape in shapes {
            let packet = self.packet(fd, shape);
            records.extend_from_slice(&(packet.len() as u32).to_ne_bytes());
            records.extend(packet);
            records.resize(records.len().next_multiple_of(4), 0);
        }
        records.truncate(records.len().saturating_sub(cut));
        self.buffer[HEADER..HEADER + records.len()].copy_from_slice(&records);
        let real = self.batch(fd, TUNWRITEBATCH, records.len(), most, Place::Mapped);
        let reaches = self.batch_reaches(fd, most, Place::Mapped);
        agree("TUNWRITEBATCH", &real, &reaches.and_then(|device| device.write_batch(&records, most)))
    }

    fn poll(&mut self, events: u16) -> Checked {
        let mut fds: Vec<PollFd> = (0..DESCRIPTORS as i32).map(|fd| PollFd { fd, events, revents: 0 }).collect();
        let count = syscalls::poll(&mut fds, 0);
        let mut model = Vec::new();
        for entry in &fds {
            model.push(match self.device(entry.fd) {
                Ok(device) => revents(device) & (events | POLLERR | POLLHUP),
                Err(_) => POLLNVAL,
            });
        }
        let invalid = model.contains(&POLLNVAL);
        let real: Vec<u16> = fds.iter().map(|entry| entry.revents).collect();
        same(&format!("poll for {events} (invalid: {invalid})"), &real, &model)?;
        agree("poll", &count, &Ok(model.iter().filter(|revents| **revents != 0).count()))
    }

    fn select(&mut self, fds: i32) -> Checked {
        let wanted = (0..DESCRIPTORS as i32).filter(|fd| fds & 1 << fd != 0 && self.files.contains_key(fd));
        let wanted: Vec<i32> = wanted.collect();
        let (mut read, mut write) = (FdSet::default(), FdSet::default());
        for &fd in &wanted {
            read.insert(fd);
            write.insert(fd);
        }
        let real = syscalls::select(DESCRIPTORS as i32, Some(&mut read), Some(&mut write), None, 0);
        let mut count = 0;
        for &fd in &wanted {
            let Ok(device) = self.device(fd) else { continue };
            let [readable, writable, trouble] = device.readiness();
            count += usize::from(readable || trouble) + usize::from(writable || trouble);
            same("select for reading", &read.contains(fd), &(readable || trouble))?;
            same("select for writing", &write.contains(fd), &(writable || trouble))?;
        }
        agree("select", &real, &Ok(count))
    }

    fn attach(&mut self, unit: usize, slot: usize, plan: FaultPlan) -> Checked {
        let name = CString::new(name(unit)).map_err(|error| error.to_string())?;
        let mut device = null_mut();
        fault::arm(plan);
        let real = hook!(self, init_device(name.as_ptr(), &raw mut device));
        let model = match fault::fired() {
            Some(Fault::GetModule) => B_ENTRY_NOT_FOUND,
            Some(_) => B_NO_MEMORY,
            None => B_OK,
        };
        same("init_device", &real, &model)?;
        if model != B_OK {
            return Ok(());
        }
        self.serial += 1;
        let serial = self.serial;
        self.interfaces[slot] = Some(Interface { device, unit, serial });
        self.shown[unit] = Some(serial);
        self.units[unit].get_or_insert_with(|| Device::new(is_tun(unit))).attach(serial);
        Ok(())
    }

    /// What the stack does with an interface.
    fn stack(&mut self, step: &Step, slot: usize, there: Interface, plan: FaultPlan) -> Checked {
        let Interface { device, unit, serial } = there;
        let Some(model) = &mut self.units[unit] else {
            return Err(format!("{} has an interface, and is not", name(unit)));
        };
        match *step {
            Step::Detach { .. } => {
                hook!(self, uninit_device(device));
                model.detach(serial);
                self.interfaces[slot] = None;
                if self.shown[unit] == Some(serial) {
                    self.shown[unit] = None;
                }
                self.forget_idle(unit);
                Ok(())
            }
            Step::Up { .. } => {
                model.up();
                same("up", &hook!(self, up(device)), &B_OK)
            }
            Step::Down { .. } => {
                model.down();
                hook!(self, down(device));
                Ok(())
            }
            Step::Send { shape, .. } => {
                let bytes = shape.bytes(model.address, true);
                let frame = Frame::new(&bytes).map_err(strerror)?;
                fault::arm(plan);
                let status = hook!(self, send_data(device, frame.as_ptr()));
                let trouble = match fault::fired() {
                    Some(Fault::NetBufferRead) => Trouble::Blind,
                    Some(_) => Trouble::Memory,
                    None => Trouble::None,
                };
                if status == B_OK {
                    frame.give();
                }
                let real = if status == B_OK { Ok(()) } else { Err(status) };
                agree("send_data", &real, &model.send(&bytes, trouble))
            }
            Step::Receive { .. } => {
                let Some(expected) = model.receive() else { return Ok(()) };
                let mut packet = null_mut();
                let status = hook!(self, receive_data(device, &raw mut packet));
                let real = if status == B_OK { Frame::taken(packet).bytes() } else { Err(status) };
                agree("receive_data", &real, &expected)
            }
            Step::SetMtu { mtu, .. } => {
                let valid = (68..=65535).contains(&mtu);
                if valid {
                    model.mtu = mtu;
                }
                same("set_mtu", &hook!(self, set_mtu(device, mtu)), &if valid { B_OK } else { EINVAL })
            }
            Step::Promiscuous { on, .. } => {
                model.promiscuous = on;
                same("set_promiscuous", &hook!(self, set_promiscuous(device, on)), &B_OK)?;
                same("IFF_PROMISC", &(flags_of(device) & IFF_PROMISC != 0), &on)
            }
            _ => Ok(()),
        }
    }

    /// Everything that can be seen of a unit without disturbing it.
    fn compare(&mut self, unit: usize) -> Checked {
        let Some(device) = &mut self.units[unit] else { return Ok(()) };
        let shown = self.interfaces.iter().flatten().find(|interface| Some(interface.serial) == self.shown[unit]);
        if let Some(interface) = shown {
            // SAFETY: the interface is alive, and its driver is not at work.
            let seen = unsafe { &*interface.device };
            let address = seen.address.data.first_chunk().copied().unwrap_or_default();
            learn(device, address)?;
            same("the interface's address", &address, &device.address)?;
            same("the interface's MTU", &seen.mtu, &device.mtu)?;
            same("IFF_LINK", &(seen.flags & IFF_LINK != 0), &(device.open && device.carrier))?;
        }
        let Some((&fd, _)) = self.files.iter().find(|(_, other)| **other == unit) else { return Ok(()) };
        let address = super::control::address_of(fd)?;
        learn(device, address)?;
        same("the unit's address", &address, &device.address)?;
        // SAFETY: the structure is made of integers only, for which zeros are a value.
        let mut request: StatisticsRequest = unsafe { std::mem::zeroed() };
        request.preamble = Preamble { version: VERSION, size: size_of::<StatisticsRequest>() as u32 };
        agree("TUNGETSTATISTICS", &syscalls::ioctl_ref(fd, TUNGETSTATISTICS, &mut request), &Ok(B_OK))?;
        same("statistics to the program", &books(&request.to_user), &device.to_user.books)?;
        same("statistics to the stack", &books(&request.to_stack), &device.to_stack.books)?;
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
        same("selects that are registered", &ledgers.selects, &0)?;
        if self.at_rest == Ledgers::default() {
            return Ok(());
        }
        let there = units.count() as i64;
        let semaphores = self.at_rest.semaphores + SEMAPHORES * there;
        same("semaphores that are alive", &ledgers.semaphores, &semaphores)?;
        if there == 0 {
            same("what is alive without units", &ledgers, &self.at_rest)?;
        }
        Ok(())
    }
}

impl Drop for World {
    /// After a failure: what is still there is given back as well as may be.
    fn drop(&mut self) {
        if self.lab.is_some() {
            let interfaces = std::mem::take(&mut self.interfaces);
            for interface in interfaces.into_iter().flatten() {
                // SAFETY: the module is loaded as long as the lab runs.
                if let Some(uninit) = unsafe { &*self.module }.uninit_device {
                    // SAFETY: the interface is ours, and nobody uses it any more.
                    unsafe { uninit(interface.device) };
                }
            }
            let _ = modules::put(c"network/devices/tun_tap/v1");
        }
    }
}

/// A unit's address is random: the model learns it, once, and sees that it is one for a station.
fn learn(device: &mut Device, address: [u8; 6]) -> Checked {
    if device.address != [0; 6] {
        return Ok(());
    }
    device.address = address;
    same("the bits of a random address that are not", &(address[0] & 3), &2)
}

fn flags_of(device: *mut net_device) -> u32 {
    // SAFETY: the device is alive, and its driver is not at work.
    unsafe { (*device).flags }
}

/// What a poll for everything says of a unit.
fn revents(device: &Device) -> u16 {
    let [readable, writable, trouble] = device.readiness();
    let mut revents = if readable { POLLIN } else { 0 };
    revents |= if writable { POLLOUT } else { 0 };
    revents | if trouble { POLLERR | POLLHUP } else { 0 }
}

/// The driver's statistics as the model keeps them.
fn books(wire: &DirectionStatistics) -> Books {
    Books {
        accepted: wire.accepted,
        accepted_bytes: wire.accepted_bytes,
        delivered: wire.delivered,
        delivered_bytes: wire.delivered_bytes,
        answered: wire.answered,
        purged: wire.purged,
        refused_full: wire.refused_full,
        refused_down: wire.refused_down,
        truncated: wire.truncated,
        queued: wire.queued,
        queued_bytes: wire.queued_bytes,
        dropped: wire.dropped,
    }
}
