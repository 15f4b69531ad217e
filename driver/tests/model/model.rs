//! The device as a program and a stack see it, in the plainest code there is: no lock, no wake, no waiting.

use std::collections::VecDeque;
use std::marker::PhantomData;

use tuntap_driver::{
    DropReason, Error, Framing, Groups, Limits, Link, MacAddress, Mode, ToStackVerdict, ToUserVerdict,
};

use crate::fake::{OWN, UNTOUCHED};

/// One direction.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) queue: VecDeque<Vec<u8>>,
    pub(crate) limits: Limits,
    pub(crate) books: Books,
}

/// What became of its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) accepted: u64,
    pub(crate) accepted_bytes: u64,
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) answered: u64,
    pub(crate) purged: u64,
    pub(crate) dropped: u64,
    pub(crate) truncated: u64,
}

impl Line {
    fn new() -> Self {
        Self { queue: VecDeque::new(), limits: Limits::DEFAULT, books: Books::default() }
    }

    fn fits(&self) -> bool {
        let bytes: usize = self.queue.iter().map(Vec::len).sum();
        let packets = self.limits.packets.max(1) as usize;
        self.queue.is_empty() || (self.queue.len() < packets && bytes < self.limits.bytes as usize)
    }

    fn accept(&mut self, length: usize) {
        self.books.accepted += 1;
        self.books.accepted_bytes += length as u64;
    }

    fn put(&mut self, frame: Vec<u8>) {
        self.accept(frame.len());
        self.queue.push_back(frame);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let frame = self.queue.pop_front()?;
        self.books.delivered += 1;
        self.books.delivered_bytes += frame.len() as u64;
        Some(frame)
    }

    fn purge(&mut self) {
        self.books.purged += self.queue.len() as u64;
        self.queue.clear();
    }
}

/// The device.
pub(crate) struct Model<M: Mode> {
    pub(crate) taken: bool,
    pub(crate) open: bool,
    pub(crate) up: bool,
    /// The interface that is attached was up at some time.
    was_up: bool,
    pub(crate) framing: Framing,
    pub(crate) link: Link,
    pub(crate) to_user: Line,
    pub(crate) to_stack: Line,
    attached: Option<usize>,
    /// The interface was removed, and no read has said so; the same of writes.
    lost_unread: bool,
    lost_unwritten: bool,
    mode: PhantomData<M>,
}

impl<M: Mode> Model<M> {
    pub(crate) fn new() -> Self {
        Self {
            taken: false,
            open: false,
            up: false,
            was_up: false,
            framing: Framing::Bare,
            link: Link { address: OWN, promiscuous: false, mtu: 1500 },
            to_user: Line::new(),
            to_stack: Line::new(),
            attached: None,
            lost_unread: false,
            lost_unwritten: false,
            mode: PhantomData,
        }
    }

    pub(crate) fn open(&mut self) -> Result<(), Error> {
        if self.taken {
            return Err(Error::Busy);
        }
        (self.taken, self.open, self.framing) = (true, true, Framing::Bare);
        self.set_lost(false);
        Ok(())
    }

    fn set_lost(&mut self, lost: bool) {
        (self.lost_unread, self.lost_unwritten) = (lost, lost);
    }

    pub(crate) fn close(&mut self) {
        self.open = false;
        self.to_user.purge();
    }

    pub(crate) fn free(&mut self) {
        self.taken = false;
    }

    pub(crate) fn attach(&mut self, number: usize) {
        (self.attached, self.up) = (Some(number), false);
        self.link.promiscuous = false;
        self.purge();
    }

    pub(crate) fn detach(&mut self, number: usize) {
        if self.attached == Some(number) {
            (self.attached, self.up) = (None, false);
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

    pub(crate) fn up(&mut self) {
        self.up = self.attached.is_some();
        self.was_up |= self.up;
        if self.up {
            self.set_lost(false);
        }
    }

    pub(crate) fn down(&mut self) {
        self.up = false;
        self.to_stack.purge();
    }

    pub(crate) fn set_address(&mut self, address: MacAddress) -> Result<(), Error> {
        if address[0] & 1 != 0 || address == [0; 6] {
            return Err(Error::Invalid);
        }
        if self.up && address != self.link.address {
            return Err(Error::Busy);
        }
        self.link.address = address;
        Ok(())
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

    fn has_room(&self) -> bool {
        self.to_stack.fits()
    }

    /// The events that a select reports.
    pub(crate) fn readiness(&self) -> [bool; 4] {
        let readable = !self.open || self.lost_unread || !self.to_user.queue.is_empty();
        let writable = self.open && !self.lost_unwritten && self.up && self.has_room();
        let hung_up = !self.open || (self.lost_unread && self.lost_unwritten);
        [readable, writable, hung_up, hung_up]
    }

    /// Every frame is taken; an error is a drop because of the device's state.
    pub(crate) fn send(&mut self, frame: &[u8], memory: bool) -> Result<(), DropReason> {
        let mut reply = M::Reply::default();
        let head = &frame[..frame.len().min(M::HEAD_TO_USER)];
        let verdict = M::classify_to_user(&self.link, head, frame.len(), &mut reply);
        let is_empty = frame.len() <= M::LINK.hidden_header;
        let places = self.to_stack.limits.packets.max(1) as usize + 64;
        let reason = match verdict {
            _ if !self.up => Some(DropReason::Down),
            ToUserVerdict::Answer if memory && self.to_stack.queue.len() < places => {
                self.to_user.accept(frame.len());
                self.to_user.books.answered += 1;
                self.to_stack.put(reply.as_ref().to_vec());
                return Ok(());
            }
            ToUserVerdict::Deliver if !is_empty && !self.open => Some(DropReason::NoProgram),
            ToUserVerdict::Deliver if !is_empty && !self.to_user.fits() => Some(DropReason::Full),
            ToUserVerdict::Deliver if !is_empty => {
                self.to_user.put(frame.to_vec());
                return Ok(());
            }
            ToUserVerdict::Deliver | ToUserVerdict::Answer | ToUserVerdict::Drop(_) => None,
        };
        self.to_user.accept(frame.len());
        self.to_user.books.dropped += 1;
        reason.map_or(Ok(()), Err)
    }

    /// What a program sees of a frame in a buffer of `room`.
    fn show(&mut self, frame: &[u8], room: usize) -> Vec<u8> {
        let whole = frame.len() - M::LINK.hidden_header;
        let copied = whole.min(room - self.framing.length());
        self.to_user.books.truncated += u64::from(copied < whole);
        let in_front = match self.framing {
            Framing::Bare => vec![],
            Framing::PacketInformation => [&u16::from(copied < whole).to_ne_bytes()[..], &frame[12..14]].concat(),
            Framing::AddressFamily => vec![0, 0, 0, if frame[12..14] == [0x86, 0xdd] { 5 } else { 1 }],
        };
        [&in_front[..], &frame[M::LINK.hidden_header..][..copied]].concat()
    }

    pub(crate) fn read(&mut self, room: usize, fault: bool) -> Result<Vec<u8>, Error> {
        if room == 0 {
            return Ok(vec![]);
        }
        if room < self.framing.length() {
            return Err(Error::Invalid);
        }
        self.serving()?;
        if fault {
            self.to_user.queue.pop_front().ok_or(Error::WouldBlock)?;
            self.to_user.books.dropped += 1;
            return Err(Error::BadAddress);
        }
        let frame = self.to_user.take().ok_or(Error::WouldBlock)?;
        Ok(self.show(&frame, room))
    }

    /// `fault` is a byte of the buffer that is not there.
    pub(crate) fn read_batch(&mut self, room: usize, most: u32, fault: Option<usize>) -> Result<(u32, Vec<u8>), Error> {
        let (mut packets, mut records) = (0, Vec::new());
        while packets < most {
            let length =
                self.to_user.queue.front().map(|frame| self.framing.length() + frame.len() - M::LINK.hidden_header);
            let error = match (self.serving(), length) {
                (Err(error), _) => error,
                (Ok(()), None) => Error::WouldBlock,
                (Ok(()), Some(length)) if records.len() + 4 + length > room => Error::Invalid,
                // The padding in front of it is not written to.
                (Ok(()), Some(length))
                    if fault.is_some_and(|at| (records.len()..records.len() + 4 + length).contains(&at)) =>
                {
                    self.to_user.queue.pop_front();
                    self.to_user.books.dropped += 1;
                    Error::BadAddress
                }
                (Ok(()), Some(length)) => {
                    records.extend_from_slice(&(length as u32).to_ne_bytes());
                    records.extend(self.read(length, false).expect("there is one"));
                    records.resize(records.len().next_multiple_of(4).min(room), UNTOUCHED);
                    packets += 1;
                    continue;
                }
            };
            return if packets == 0 { Err(error) } else { Ok((packets, records)) };
        }
        Ok((packets, records))
    }

    pub(crate) fn write(&mut self, bytes: &[u8], fault: bool, memory: bool) -> Result<(), Error> {
        let packet = bytes.get(self.framing.length()..).ok_or(Error::Invalid)?;
        if packet.len() < M::LINK.shortest {
            return Err(Error::Invalid);
        }
        if packet.len() > 65535 + M::LINK.overhead {
            return Err(Error::TooLong);
        }
        if fault {
            return Err(Error::BadAddress);
        }
        let head = &packet[..packet.len().min(M::HEAD_TO_STACK)];
        match M::classify_to_stack(&self.link, &Groups::new(), head, packet.len())? {
            ToStackVerdict::Drop(_) => {
                self.accepting()?;
                self.to_stack.accept(packet.len());
                self.to_stack.books.dropped += 1;
            }
            ToStackVerdict::Deliver(header) => {
                self.accepting()?;
                if !self.has_room() {
                    return Err(Error::WouldBlock);
                }
                if !memory {
                    return Err(Error::NoMemory);
                }
                // A program whose mode hides nothing has written the header itself.
                let hidden = header.bytes().get(..M::LINK.hidden_header).unwrap_or_default();
                self.to_stack.put([hidden, packet].concat());
            }
        }
        Ok(())
    }

    /// `None` if the stack's reader would have to wait.
    pub(crate) fn receive(&mut self) -> Option<Result<Vec<u8>, Error>> {
        if self.up { self.to_stack.take().map(Ok) } else { Some(Err(Error::NetworkDown)) }
    }
}
