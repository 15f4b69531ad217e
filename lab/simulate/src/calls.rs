//! What programs do with packets: each call done to the device and to its model.

use haiku_kernel::syscalls::{self, FdSet, POLLERR, POLLHUP, POLLNVAL, PollFd};
use haiku_kernel::{Fault, FaultPlan, fault, thread};
use haiku_sys::{B_BAD_ADDRESS, B_FILE_ERROR, EINVAL, O_RDONLY, O_RWMASK, O_WRONLY, status_t};
use tuntap_net_addon::ioctl::wire::{TUNREADBATCH, TUNWRITEBATCH, VERSION};

use super::model::{Device, Trouble, UNTOUCHED, revents, status};
use super::step::{DESCRIPTORS, Place, Shape};
use super::world::{Checked, World, agree, same};
use tuntap_driver::Framing;

/// Bytes of a batch's header.
const HEADER: usize = 16;

impl World {
    /// Calls that wait do not wait for ever: a signal is there before they do.
    fn disturbed<T>(call: impl FnOnce() -> T) -> T {
        let _ = thread::signal(thread::current());
        call()
    }

    /// Whether a call of `length` bytes reaches the device, and its result if not.
    fn reaches(&mut self, fd: i32, wrong: u32, length: usize, place: Place) -> Result<(), Result<usize, status_t>> {
        let device = self.device(fd).map_err(Err)?;
        if device.rules.flags & O_RWMASK == wrong {
            return Err(Err(B_FILE_ERROR));
        }
        match (length, place) {
            (0, _) => Err(Ok(0)),
            (_, Place::Kernel) => Err(Err(B_BAD_ADDRESS)),
            _ => Ok(()),
        }
    }

    pub(super) fn read(&mut self, fd: i32, room: usize, place: Place, plan: FaultPlan) -> Checked {
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
                    Some(Fault::NetBufferRead)
                        if first && place == Place::Mapped && device.framing != Framing::Bare =>
                    {
                        Trouble::Blind
                    }
                    Some(_) => Trouble::Address,
                    None if place == Place::Hole => Trouble::Address,
                    None => Trouble::None,
                };
                device.read(room, trouble).map_err(status)
            }),
        };
        agree("read", &real, &model)
    }

    /// What the program writes: a packet for its unit, behind what its framing wants in front.
    fn packet(&mut self, fd: i32, shape: Shape) -> Vec<u8> {
        match self.device(fd) {
            Ok(device) => {
                let mut bytes = vec![0; device.framing.length()];
                bytes.extend(shape.bytes(device.link.address, !device.rules.tun));
                // A packet that ends within what should stand in front of it.
                if shape.length < 3 {
                    bytes.truncate(shape.length);
                }
                bytes
            }
            Err(_) => vec![shape.mark; shape.length],
        }
    }

    pub(super) fn write(&mut self, fd: i32, shape: Shape, place: Place, plan: FaultPlan) -> Checked {
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
            Ok(()) => {
                self.device(fd).and_then(|device| device.write(&bytes, trouble).map_err(status)).map(|()| bytes.len())
            }
        };
        agree("write", &real, &model)
    }

    pub(super) fn read_vector(&mut self, fd: i32, rooms: [usize; 2]) -> Checked {
        let mut buffers = rooms.map(|room| vec![UNTOUCHED; room]);
        let [first, second] = &mut buffers;
        let real = Self::disturbed(|| syscalls::readv(fd, &mut [first, second]));
        let mut expected = rooms.map(|room| vec![UNTOUCHED; room]);
        let mut model = self.device(fd).and_then(|device| match device.rules.flags & O_RWMASK {
            O_WRONLY => Err(B_FILE_ERROR),
            _ => Ok(0),
        });
        let refused = model.is_err();
        for buffer in expected.iter_mut().filter(|buffer| !refused && !buffer.is_empty()) {
            let read = self.device(fd).and_then(|device| device.read(buffer.len(), Trouble::None).map_err(status));
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

    pub(super) fn write_vector(&mut self, fd: i32, shapes: [Shape; 2]) -> Checked {
        let packets = shapes.map(|shape| self.packet(fd, shape));
        let [first, second] = &packets;
        let real = Self::disturbed(|| syscalls::writev(fd, &[first, second]));
        let mut model = self.device(fd).and_then(|device| match device.rules.flags & O_RWMASK {
            O_RDONLY => Err(B_FILE_ERROR),
            _ => Ok(0),
        });
        let refused = model.is_err();
        for packet in packets.iter().filter(|packet| !refused && !packet.is_empty()) {
            match (self.device(fd).and_then(|device| device.write(packet, Trouble::None).map_err(status)), model) {
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

    /// The result of a batch's call before it reaches a packet.
    fn batch_reaches(&mut self, fd: i32, wrong: u32, most: u32, place: Place) -> Result<&mut Device, status_t> {
        if place == Place::Kernel {
            return Err(B_BAD_ADDRESS);
        }
        let device = self.device(fd)?;
        if device.rules.flags & O_RWMASK == wrong {
            return Err(B_FILE_ERROR);
        }
        match (place, most) {
            (Place::Hole, _) => Err(B_BAD_ADDRESS),
            (_, 0) => Err(EINVAL),
            _ => Ok(device),
        }
    }

    pub(super) fn read_batch(&mut self, fd: i32, room: usize, most: u32, place: Place) -> Checked {
        self.buffer[HEADER..HEADER + room].fill(UNTOUCHED);
        let real = self.batch(fd, TUNREADBATCH, room, most, place);
        let real = real.map(|(packets, bytes)| (packets, self.buffer[HEADER..HEADER + bytes].to_vec()));
        let model = self
            .batch_reaches(fd, O_WRONLY, most, place)
            .and_then(|device| device.read_batch(room, most, None).map_err(status));
        agree("TUNREADBATCH", &real, &model)
    }

    pub(super) fn write_batch(&mut self, fd: i32, shapes: [Shape; 3], most: u32, cut: usize) -> Checked {
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
        let reaches = self.batch_reaches(fd, O_RDONLY, most, Place::Mapped);
        agree("TUNWRITEBATCH", &real, &reaches.and_then(|device| device.write_batch(&records, most).map_err(status)))
    }

    pub(super) fn poll(&mut self, events: u16) -> Checked {
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

    pub(super) fn select(&mut self, fds: i32) -> Checked {
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
}
