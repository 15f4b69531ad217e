//! The device as programs and the stack see it, in the plainest code there is: no lock, no wake, no waiting.
//!
//! Written from what is promised (the header for programs, Haiku's own rules), not from how the driver does it.

use std::collections::VecDeque;
use std::rc::Rc;

use haiku_sys::{
    B_BAD_ADDRESS, B_FILE_ERROR, B_INTERRUPTED, B_NO_MEMORY, B_WOULD_BLOCK, EINVAL, EMSGSIZE, ENETDOWN, ENXIO,
    O_NONBLOCK, status_t,
};
use tuntap_net_addon::ioctl::wire::DirectionStatistics;
use tuntap_net_addon::reasons::NAMES;

use super::packet::{self, Framing, Verdict};

/// The group that packets are for, if they are for one.
pub(super) const GROUP: [u8; 6] = [0x33, 0x33, 0, 7, 8, 9];

/// How many answers the queue to the stack takes beyond its limit.
const ANSWERS: usize = 64;

/// What a buffer holds that was not written to.
pub(super) const UNTOUCHED: u8 = 0xee;

/// One direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) queue: VecDeque<Rc<[u8]>>,
    pub(super) packets: u32,
    pub(super) bytes: u32,
    pub(super) books: DirectionStatistics,
}

impl Line {
    fn new() -> Self {
        Self { queue: VecDeque::new(), packets: 512, bytes: 1 << 20, books: DirectionStatistics::default() }
    }

    fn queued_bytes(&self) -> usize {
        self.queue.iter().map(|frame| frame.len()).sum()
    }

    fn fits(&self) -> bool {
        let below = self.queue.len() < self.packets as usize && self.queued_bytes() < self.bytes as usize;
        self.queue.is_empty() || below
    }

    fn accept(&mut self, length: usize) {
        self.books.accepted += 1;
        self.books.accepted_bytes += length as u64;
    }

    fn drop(&mut self, reason: &str) {
        self.books.dropped[NAMES.iter().position(|name| *name == reason).expect("a name")] += 1;
    }

    fn put(&mut self, frame: Vec<u8>) {
        self.accept(frame.len());
        self.queue.push_back(frame.into());
    }

    pub(super) fn take(&mut self) -> Option<Rc<[u8]>> {
        let frame = self.queue.pop_front()?;
        self.books.delivered += 1;
        self.books.delivered_bytes += frame.len() as u64;
        Some(frame)
    }

    fn purge(&mut self) {
        self.books.purged += self.queue.len() as u64;
        self.queue.clear();
    }

    /// The result for a program.
    pub(super) fn statistics(&self) -> DirectionStatistics {
        DirectionStatistics { queued: self.queue.len() as u64, queued_bytes: self.queued_bytes() as u64, ..self.books }
    }
}

/// What a kernel call that failed meant to a call of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing failed.
    None,
    /// There was no memory.
    Memory,
    /// The program's buffer was not mapped.
    Address,
    /// The beginning of a packet could not be looked at.
    Blind,
}

/// One unit. Each call is one step here, or a few; [`super::possible`] says in which orders they may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) tun: bool,
    pub(super) address: [u8; 6],
    pub(super) mtu: usize,
    pub(super) promiscuous: bool,
    pub(super) open: bool,
    pub(super) flags: u32,
    pub(super) framing: Framing,
    pub(super) carrier: bool,
    pub(super) up: bool,
    /// The interface that is attached was up at some time.
    was_up: bool,
    /// How often the interface has joined [`GROUP`].
    joined: u32,
    attached: Option<u64>,
    /// The interface was deleted, and no read has said so; the same of writes.
    lost_unread: bool,
    lost_unwritten: bool,
    pub(super) to_user: Line,
    pub(super) to_stack: Line,
}

impl Device {
    pub(super) fn new(tun: bool) -> Self {
        Self {
            tun,
            address: [0; 6],
            mtu: 1500,
            promiscuous: false,
            open: false,
            flags: 0,
            framing: Framing::Bare,
            carrier: true,
            up: false,
            was_up: false,
            joined: 0,
            attached: None,
            lost_unread: false,
            lost_unwritten: false,
            to_user: Line::new(),
            to_stack: Line::new(),
        }
    }

    pub(super) fn open(&mut self, flags: u32) {
        (self.open, self.carrier, self.framing, self.flags) = (true, true, Framing::Bare, flags);
        self.set_lost(false);
    }

    fn set_lost(&mut self, lost: bool) {
        (self.lost_unread, self.lost_unwritten) = (lost, lost);
    }

    pub(super) fn close(&mut self) {
        self.open = false;
        self.to_user.purge();
    }

    pub(super) fn attach(&mut self, interface: u64) {
        (self.attached, self.up, self.promiscuous) = (Some(interface), false, false);
        self.joined = 0;
        self.to_user.purge();
        self.to_stack.purge();
    }

    pub(super) fn detach(&mut self, interface: u64) {
        if self.attached == Some(interface) {
            (self.attached, self.up) = (None, false);
            // The end of an interface that was never up is not reported.
            if std::mem::take(&mut self.was_up) {
                self.set_lost(self.open);
            }
            self.to_user.purge();
            self.to_stack.purge();
        }
    }

    /// Joins or leaves the group. Ignored of an interface that has a successor.
    pub(super) fn group(&mut self, interface: u64, join: bool) {
        if self.attached == Some(interface) {
            self.joined = if join { self.joined + 1 } else { self.joined.saturating_sub(1) };
        }
    }

    pub(super) fn up(&mut self) {
        self.up = self.attached.is_some();
        self.was_up |= self.up;
        if self.up {
            self.set_lost(false);
        }
    }

    pub(super) fn down(&mut self) {
        self.up = false;
        self.to_stack.purge();
    }

    /// Bytes of link header that the program does not see.
    fn hidden(&self) -> usize {
        if self.tun { 14 } else { 0 }
    }

    /// How long a program's packet may be: 65,535 bytes of IP, and a frame has its header and maybe a VLAN tag.
    fn longest(&self) -> usize {
        if self.tun { 65_535 } else { 65_535 + 18 }
    }

    fn has_room(&self) -> bool {
        self.to_stack.fits()
    }

    /// Whether writers that found no room are called: half of the queue is free.
    pub(super) fn has_slack(&self) -> bool {
        let line = &self.to_stack;
        let half = line.queue.len() <= line.packets as usize / 2 && line.queued_bytes() <= line.bytes as usize / 2;
        self.has_room() && (half || line.queue.is_empty())
    }

    /// Whether a poll finds it readable, writable, hung up.
    pub(super) fn readiness(&self) -> [bool; 3] {
        [
            self.lost_unread || !self.to_user.queue.is_empty(),
            !self.lost_unwritten && self.up && self.has_room(),
            self.lost_unread && self.lost_unwritten,
        ]
    }

    /// Bytes that the next read returns.
    pub(super) fn readable(&self) -> i32 {
        self.to_user.queue.front().map_or(0, |frame| (frame.len() - self.hidden() + self.framing.length()) as i32)
    }

    /// A call that would wait: it does not, or a signal, which is always there, ends it.
    fn wait<T>(&self) -> Result<T, status_t> {
        Err(if self.flags & O_NONBLOCK != 0 { B_WOULD_BLOCK } else { B_INTERRUPTED })
    }

    /// What `send_data` does in one go: it takes every frame.
    pub(super) fn send(&mut self, frame: &[u8], trouble: Trouble) {
        let verdict = self.judge_sent(frame, trouble);
        let answered = self.answer(&verdict, trouble);
        self.account(frame, verdict, answered);
    }

    /// What the mode says of a frame.
    pub(super) fn judge_sent(&self, frame: &[u8], trouble: Trouble) -> Verdict {
        let seen = if trouble == Trouble::Blind { &[] } else { frame };
        packet::judge(self.tun, seen, packet::peer(self.address))
    }

    /// The first half of sending: an answer goes to the stack, which has places for answers beyond the limit. Whether it did.
    pub(super) fn answer(&mut self, verdict: &Verdict, trouble: Trouble) -> bool {
        let Verdict::Answer(reply) = verdict else { return false };
        let fits = self.to_stack.queue.len() < self.to_stack.packets as usize + ANSWERS;
        let answered = trouble == Trouble::None && self.up && fits;
        if answered {
            self.to_stack.put(reply.clone());
        }
        answered
    }

    /// The second half: what becomes of the frame itself.
    pub(super) fn account(&mut self, frame: &[u8], verdict: Verdict, answered: bool) {
        let reason = match verdict {
            // Questions are answered without a program too.
            Verdict::Answer(_) if answered => {
                self.to_user.accept(frame.len());
                self.to_user.books.answered += 1;
                return;
            }
            _ if !self.up => "down",
            Verdict::Drop(reason) => reason,
            Verdict::Answer(_) => "answer-lost",
            Verdict::Deliver if !self.open => "no-program",
            Verdict::Deliver if !self.to_user.fits() => "full",
            Verdict::Deliver => return self.to_user.put(frame.to_vec()),
        };
        self.to_user.accept(frame.len());
        self.to_user.drop(reason);
    }

    pub(super) fn read(&mut self, room: usize, trouble: Trouble) -> Result<Vec<u8>, status_t> {
        if room < self.framing.length() {
            return Err(EINVAL);
        }
        if !self.open {
            return Err(B_FILE_ERROR);
        }
        if std::mem::take(&mut self.lost_unread) {
            return Err(ENXIO);
        }
        let Some(frame) = self.to_user.take() else { return self.wait() };
        if trouble == Trouble::Address {
            self.to_user.books.delivered -= 1;
            self.to_user.books.delivered_bytes -= frame.len() as u64;
            self.to_user.drop("bad-address");
            return Err(B_BAD_ADDRESS);
        }
        let packet = &frame[self.hidden()..];
        let copied = packet.len().min(room - self.framing.length());
        let stripped = copied < packet.len();
        self.to_user.books.truncated += u64::from(stripped);
        let kind = if trouble == Trouble::Blind { [0; 2] } else { [frame[12], frame[13]] };
        let in_front = self.framing.bytes(stripped, kind);
        Ok([&in_front[..], &packet[..copied]].concat())
    }

    /// How many packets, and their records.
    pub(super) fn read_batch(&mut self, room: usize, most: u32) -> Result<(u32, Vec<u8>), status_t> {
        let (mut packets, mut records) = (0, Vec::new());
        while packets < most {
            let next = self.readable() as usize;
            let packet = match () {
                // Whether there would be room is asked once there is a packet.
                () if std::mem::take(&mut self.lost_unread) => Err(ENXIO),
                () if next == 0 => self.wait(),
                () if records.len() + 4 + next > room => Err(EINVAL),
                () => self.read(room, Trouble::None),
            };
            match packet {
                Ok(packet) => {
                    records.extend_from_slice(&(packet.len() as u32).to_ne_bytes());
                    records.extend_from_slice(&packet);
                    records.resize(records.len().next_multiple_of(4).min(room), UNTOUCHED);
                    packets += 1;
                }
                Err(error) if packets == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok((packets, records))
    }

    pub(super) fn write(&mut self, bytes: &[u8], trouble: Trouble) -> Result<(), status_t> {
        let packet = bytes.get(self.framing.length()..).ok_or(EINVAL)?;
        if packet.len() < if self.tun { 1 } else { 14 } {
            return Err(EINVAL);
        }
        if packet.len() > self.longest() {
            return Err(EMSGSIZE);
        }
        match trouble {
            Trouble::Address => return Err(B_BAD_ADDRESS),
            Trouble::Memory => return Err(B_NO_MEMORY),
            Trouble::None | Trouble::Blind => {}
        }
        let group = packet[0] & 1 == 1 && self.joined > 0 && packet.starts_with(&GROUP);
        let for_us = group || self.promiscuous || packet.starts_with(&self.address);
        let header = if self.tun { packet::header(packet, self.address).ok_or(EINVAL)? } else { vec![] };
        if !self.open {
            return Err(B_FILE_ERROR);
        }
        if std::mem::take(&mut self.lost_unwritten) {
            return Err(ENXIO);
        }
        if !self.up {
            return Err(ENETDOWN);
        }
        if !self.tun && !for_us {
            self.to_stack.accept(packet.len());
            self.to_stack.drop("not-for-us");
            return Ok(());
        }
        if !self.has_room() {
            return self.wait();
        }
        self.to_stack.put([&header[..], packet].concat());
        Ok(())
    }

    /// How many packets, and how far into the records.
    pub(super) fn write_batch(&mut self, records: &[u8], most: u32) -> Result<(u32, usize), status_t> {
        let (mut packets, mut at) = (0, 0);
        while packets < most && at < records.len() {
            let packet = records.get(at..at + 4).and_then(|word| {
                let length = u32::from_ne_bytes(word.try_into().ok()?) as usize;
                records.get(at + 4..at + 4 + length)
            });
            match packet.ok_or(EINVAL).and_then(|packet| self.write(packet, Trouble::None).map(|()| packet.len())) {
                Ok(length) => at = (at + 4 + length).next_multiple_of(4).min(records.len()),
                Err(error) if packets == 0 => return Err(error),
                Err(_) => break,
            }
            packets += 1;
        }
        Ok((packets, at))
    }

    /// `None` if the stack's reader would wait.
    pub(super) fn receive(&mut self) -> Option<Result<Vec<u8>, status_t>> {
        if self.up { self.to_stack.take().map(|frame| Ok(frame.to_vec())) } else { Some(Err(ENETDOWN)) }
    }
}
