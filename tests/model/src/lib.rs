//! The device as a program and a stack see it, in the plainest code there is: no lock, no wake, no waiting.
//!
//! Written from what is promised (the header for programs, Haiku's own rules), not from how the driver does it. A [`Model`]
//! is one unit; each call is one step of it, or a few. What its packets mean are the [`Rules`] of a mode, which the user of the
//! model brings: the core's random tests those of their toy modes, the simulation its own reading of TUN and TAP.

mod acks;
mod line;

use tuntap_driver::{DropReason, Error, Framing, Link, MacAddress};

pub use line::{Line, REASONS};

/// What memory holds that a test made and the device did not write to. No packet of the tests contains it.
pub const UNTOUCHED: u8 = 0xa5;

/// How many answers the queue to the stack takes beyond its limit.
const ANSWERS: usize = 64;

/// What a failing kernel call meant to a call of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing failed.
    None,
    /// There was no memory.
    Memory,
    /// The program's buffer was not mapped.
    Address,
    /// The beginning of a packet could not be looked at.
    Blind,
}

/// The verdict on a frame from the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is for the program.
    Deliver,
    /// It is answered with this frame.
    Answer(Vec<u8>),
    /// It is dropped for the reason of this number.
    Drop(usize),
}

/// The verdict on a packet from the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is for the stack, behind this header.
    Deliver(Vec<u8>),
    /// It is dropped for the reason of this number.
    Drop(usize),
}

/// A mode, and what else the user of a model keeps of a unit.
pub trait Rules {
    /// Bytes of link header that the program does not see.
    fn hidden(&self) -> usize;
    /// The lengths that a program's packet may have, at least and at most.
    fn lengths(&self) -> (usize, usize);
    /// Whether calls of the program's wait. A signal, which is always there, ends their wait.
    fn waits(&self) -> bool;
    /// The number of a drop reason of the core's.
    fn number(&self, reason: DropReason) -> usize;
    /// The verdict on a frame from the stack.
    fn judge_sent(&self, link: &Link, frame: &[u8]) -> Verdict;
    /// The verdict on a packet from the program.
    ///
    /// # Errors
    /// It is no packet of this mode.
    fn judge_written(&self, link: &Link, groups: &[MacAddress], packet: &[u8]) -> Result<Written, Error>;
}

/// One unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model<R> {
    /// The mode.
    pub rules: R,
    /// From `open` to `free`.
    pub taken: bool,
    /// From `open` to `close`.
    pub open: bool,
    /// The interface is up.
    pub up: bool,
    /// What precedes each packet in the program's buffer.
    pub framing: Framing,
    /// The program says that the link works.
    pub carrier: bool,
    /// The interface's settings.
    pub link: Link,
    /// From the stack to the program.
    pub to_user: Line,
    /// From the program to the stack.
    pub to_stack: Line,
    /// The interface that is attached was up at some time.
    was_up: bool,
    attached: Option<u64>,
    /// The groups that the interface has joined, each as often as it has.
    groups: Vec<MacAddress>,
    /// The interface was deleted, and no read has said so; the same of writes.
    lost_unread: bool,
    lost_unwritten: bool,
}

impl<R: Rules> Model<R> {
    /// A unit without an opener and without an interface.
    pub fn new(rules: R, address: MacAddress) -> Self {
        Self {
            rules,
            taken: false,
            open: false,
            up: false,
            framing: Framing::Bare,
            carrier: true,
            link: Link { address, promiscuous: false, mtu: 1500 },
            to_user: Line::new(),
            to_stack: Line::new(),
            was_up: false,
            attached: None,
            groups: Vec::new(),
            lost_unread: false,
            lost_unwritten: false,
        }
    }

    /// A program opens the unit.
    ///
    /// # Errors
    /// The last opener has not been freed.
    pub fn open(&mut self) -> Result<(), Error> {
        if self.taken {
            return Err(Error::Busy);
        }
        (self.taken, self.open, self.carrier, self.framing) = (true, true, true, Framing::Bare);
        self.set_lost(false);
        Ok(())
    }

    fn set_lost(&mut self, lost: bool) {
        (self.lost_unread, self.lost_unwritten) = (lost, lost);
    }

    /// The program closes it.
    pub fn close(&mut self) {
        self.open = false;
        self.to_user.purge();
    }

    /// The program's last call has returned.
    pub fn free(&mut self) {
        self.taken = false;
    }

    /// An interface is made, and replaces one that is there.
    pub fn attach(&mut self, interface: u64) {
        (self.attached, self.up, self.link.promiscuous) = (Some(interface), false, false);
        self.groups.clear();
        self.purge();
    }

    /// An interface is deleted.
    pub fn detach(&mut self, interface: u64) {
        if self.attached == Some(interface) {
            (self.attached, self.up) = (None, false);
            // The end of an interface that was never up is not reported.
            if std::mem::take(&mut self.was_up) {
                self.set_lost(self.open);
            }
            self.purge();
        }
    }

    fn purge(&mut self) {
        self.to_user.purge();
        self.to_stack.purge();
    }

    /// An interface joins a group. Ignored of one that has a successor.
    pub fn join(&mut self, interface: u64, group: MacAddress) {
        if self.attached == Some(interface) {
            self.groups.push(group);
        }
    }

    /// An interface leaves a group that it has joined.
    pub fn leave(&mut self, interface: u64, group: MacAddress) {
        if let (true, Some(at)) =
            (self.attached == Some(interface), self.groups.iter().position(|joined| *joined == group))
        {
            self.groups.remove(at);
        }
    }

    /// The interface is brought up.
    pub fn up(&mut self) {
        self.up = self.attached.is_some();
        self.was_up |= self.up;
        if self.up {
            self.set_lost(false);
        }
    }

    /// It is taken down.
    pub fn down(&mut self) {
        self.up = false;
        self.to_stack.purge();
    }

    /// Sets the link address.
    ///
    /// # Errors
    /// It is no station's, or the interface is up.
    pub fn set_address(&mut self, address: MacAddress) -> Result<(), Error> {
        if address[0] & 1 != 0 || address == [0; 6] {
            return Err(Error::Invalid);
        }
        if self.up && address != self.link.address {
            return Err(Error::Busy);
        }
        self.link.address = address;
        Ok(())
    }

    /// Sets the MTU.
    ///
    /// # Errors
    /// It is too small or too large.
    pub fn set_mtu(&mut self, mtu: usize) -> Result<(), Error> {
        if !(68..=65535).contains(&mtu) {
            return Err(Error::Invalid);
        }
        self.link.mtu = mtu;
        Ok(())
    }

    /// Whether writers that found no room are woken: half of the queue is free.
    #[must_use]
    pub fn wakes_writers(&self) -> bool {
        self.to_stack.fits() && (self.to_stack.is_half_free() || self.to_stack.queue.is_empty())
    }

    /// Whether a poll finds it readable, writable, hung up.
    #[must_use]
    pub fn readiness(&self) -> [bool; 3] {
        [
            !self.open || self.lost_unread || !self.to_user.queue.is_empty(),
            self.open && !self.lost_unwritten && self.up && self.to_stack.fits(),
            !self.open || (self.lost_unread && self.lost_unwritten),
        ]
    }

    /// Bytes that the next read returns.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.to_user.queue.front().map_or(0, |frame| self.framing.length() + frame.len() - self.rules.hidden())
    }

    /// The error of a read; a loss is reported once.
    fn serving(&mut self) -> Result<(), Error> {
        match self {
            Self { open: false, .. } => Err(Error::Closed),
            _ if std::mem::take(&mut self.lost_unread) => Err(Error::Gone),
            _ => Ok(()),
        }
    }

    /// The error of a write; a loss is reported once.
    fn accepting(&mut self) -> Result<(), Error> {
        match self {
            Self { open: false, .. } => Err(Error::Closed),
            _ if std::mem::take(&mut self.lost_unwritten) => Err(Error::Gone),
            Self { up: false, .. } => Err(Error::NetworkDown),
            _ => Ok(()),
        }
    }

    /// The error of a call that would wait.
    fn wait(&self) -> Error {
        if self.rules.waits() { Error::Interrupted } else { Error::WouldBlock }
    }

    /// The stack sends a frame, which is always taken.
    ///
    /// # Errors
    /// The number of the reason for which it was dropped.
    pub fn send(&mut self, frame: &[u8], trouble: Trouble) -> Result<(), usize> {
        let verdict = self.judge_sent(frame, trouble);
        let answered = self.answer(&verdict, trouble);
        self.account(frame, verdict, answered)
    }

    /// The mode's verdict on a frame.
    pub fn judge_sent(&self, frame: &[u8], trouble: Trouble) -> Verdict {
        self.rules.judge_sent(&self.link, if trouble == Trouble::Blind { &[] } else { frame })
    }

    /// The first half of sending: an answer goes to the stack, which has places for answers beyond the limit. Whether it did.
    pub fn answer(&mut self, verdict: &Verdict, trouble: Trouble) -> bool {
        let Verdict::Answer(reply) = verdict else { return false };
        let places = self.to_stack.limits.packets.max(1) as usize + ANSWERS;
        let answered = trouble == Trouble::None && self.up && self.to_stack.queue.len() < places;
        if answered {
            self.to_stack.put(reply);
        }
        answered
    }

    /// The second half: what becomes of the frame itself.
    ///
    /// # Errors
    /// The number of the reason for which it was dropped.
    pub fn account(&mut self, frame: &[u8], verdict: Verdict, answered: bool) -> Result<(), usize> {
        let number = |reason| self.rules.number(reason);
        let reason = match verdict {
            // Questions are answered without a program too.
            Verdict::Answer(_) if answered => {
                self.to_user.accept(frame.len());
                self.to_user.counters.answered += 1;
                return Ok(());
            }
            _ if !self.up => number(DropReason::Down),
            Verdict::Drop(reason) => reason,
            Verdict::Answer(_) => number(DropReason::AnswerLost),
            // A read must not return 0.
            Verdict::Deliver if frame.len() <= self.rules.hidden() => number(DropReason::Malformed),
            Verdict::Deliver if !self.open => number(DropReason::NoProgram),
            Verdict::Deliver if self.to_user.supersede(frame) => {
                self.to_user.dropped[self.rules.number(DropReason::Superseded)] += 1;
                return Ok(());
            }
            Verdict::Deliver if !self.to_user.fits() => number(DropReason::Full),
            Verdict::Deliver => {
                self.to_user.put(frame);
                return Ok(());
            }
        };
        self.to_user.accept(frame.len());
        self.to_user.dropped[reason] += 1;
        Err(reason)
    }

    /// The program reads into a buffer of `room` bytes.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(&mut self, room: usize, trouble: Trouble) -> Result<Vec<u8>, Error> {
        if room == 0 {
            return Ok(vec![]);
        }
        if room < self.framing.length() {
            return Err(Error::Invalid);
        }
        self.serving()?;
        if trouble == Trouble::Address {
            self.to_user.queue.pop_front().ok_or(self.wait())?;
            self.to_user.dropped[self.rules.number(DropReason::BadAddress)] += 1;
            return Err(Error::BadAddress);
        }
        let frame = self.to_user.take().ok_or(self.wait())?;
        let packet = &frame[self.rules.hidden()..];
        let copied = packet.len().min(room - self.framing.length());
        let cut = copied < packet.len();
        self.to_user.counters.truncated += u64::from(cut);
        let [high, low] = if trouble == Trouble::Blind { [0; 2] } else { [frame[12], frame[13]] };
        let in_front = match self.framing {
            Framing::Bare => vec![],
            Framing::PacketInformation => [&u16::from(cut).to_ne_bytes()[..], &[high, low]].concat(),
            Framing::AddressFamily => vec![0, 0, 0, if [high, low] == [0x86, 0xdd] { 5 } else { 1 }],
        };
        Ok([&in_front[..], &packet[..copied]].concat())
    }

    /// The program reads a batch: how many packets, and their records. `fault` is a byte of the buffer that is not mapped.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read_batch(&mut self, room: usize, most: u32, fault: Option<usize>) -> Result<(u32, Vec<u8>), Error> {
        let (mut packets, mut records) = (0, Vec::new());
        while packets < most {
            let (length, at) = (self.readable(), records.len());
            let faults = fault.is_some_and(|fault| (at..at + 4 + length).contains(&fault));
            let packet = match self.serving() {
                Err(error) => Err(error),
                // Whether there would be room is asked once there is a packet.
                Ok(()) if length == 0 => Err(self.wait()),
                Ok(()) if at + 4 + length > room => Err(Error::Invalid),
                Ok(()) => self.read(length, if faults { Trouble::Address } else { Trouble::None }),
            };
            match packet {
                Ok(packet) => {
                    records.extend_from_slice(&(packet.len() as u32).to_ne_bytes());
                    records.extend(packet);
                    // The padding is not written to.
                    records.resize(records.len().next_multiple_of(4).min(room), UNTOUCHED);
                    packets += 1;
                }
                Err(error) if packets == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok((packets, records))
    }

    /// The program writes a packet, with what its framing wants in front.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write(&mut self, bytes: &[u8], trouble: Trouble) -> Result<(), Error> {
        let packet = bytes.get(self.framing.length()..).ok_or(Error::Invalid)?;
        let (shortest, longest) = self.rules.lengths();
        if packet.len() < shortest {
            return Err(Error::Invalid);
        }
        if packet.len() > longest {
            return Err(Error::TooLong);
        }
        // The packet is fetched before it is looked at.
        match trouble {
            Trouble::Memory => return Err(Error::NoMemory),
            Trouble::Address => return Err(Error::BadAddress),
            Trouble::None | Trouble::Blind => {}
        }
        let written = self.rules.judge_written(&self.link, &self.groups, packet)?;
        self.accepting()?;
        match written {
            Written::Drop(reason) => {
                self.to_stack.accept(packet.len());
                self.to_stack.dropped[reason] += 1;
            }
            Written::Deliver(_) if !self.to_stack.fits() => return Err(self.wait()),
            Written::Deliver(header) => self.to_stack.put(&[&header, packet].concat()),
        }
        Ok(())
    }

    /// The program writes a batch: how many packets, and how far into the records.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write_batch(&mut self, records: &[u8], most: u32) -> Result<(u32, usize), Error> {
        let (mut packets, mut at) = (0, 0);
        while packets < most && at < records.len() {
            let packet = records.get(at..at + 4).and_then(|word| {
                let length = u32::from_ne_bytes(word.try_into().ok()?) as usize;
                records.get(at + 4..at + 4 + length)
            });
            let written = packet.ok_or(Error::Invalid).and_then(|packet| {
                self.write(packet, Trouble::None)?;
                Ok(packet.len())
            });
            match written {
                Ok(length) => at = (at + 4 + length).next_multiple_of(4).min(records.len()),
                Err(error) if packets == 0 => return Err(error),
                Err(_) => break,
            }
            packets += 1;
        }
        Ok((packets, at))
    }

    /// The stack's reader receives a frame; `None` if it would wait.
    pub fn receive(&mut self) -> Option<Result<Vec<u8>, Error>> {
        if self.up { self.to_stack.take().map(|frame| Ok(frame.to_vec())) } else { Some(Err(Error::NetworkDown)) }
    }
}
