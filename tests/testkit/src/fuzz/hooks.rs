//! Calls in any order: programs open, read, write and close, the stack makes interfaces and removes them, and any kernel
//! call may fail.
//!
//! An input is a list of steps, each a byte for the operation and its unit, descriptor or interface, and a byte of detail.
//! Every packet contains a number, and the model of a queue is the numbers in it.

use std::collections::VecDeque;

use haiku_kernel::syscalls::{self, POLLIN, POLLOUT};
use haiku_kernel::{FaultPlan, fault};
use haiku_sys::{B_NO_MEMORY, B_WOULD_BLOCK, EBUSY, ENETDOWN, ENXIO, O_NONBLOCK, O_RDWR};
use haiku_system::Mode;

use super::{Bench, Input, UNITS};
use crate::card::Card;
use crate::packet::{Way, arp_request, program_packet, stack_frame};
use crate::program::Program;

/// How many interfaces can exist at a time: more than units, because a successor may come before its predecessor goes.
const CARDS: usize = 6;
/// Most steps.
const STEPS: usize = 256;
/// Packets that a queue holds here.
const LIMIT: u32 = 4;
/// Answers that the queue to the stack takes beyond.
const ANSWERS: usize = 64;
/// The shortest packet that is sent, and as long as its number fits in.
const SHORTEST: usize = 64;

/// A unit, as the model has it.
#[derive(Debug, Default)]
struct Unit {
    program: Option<Program>,
    /// How many interfaces were made for it; the latest is attached.
    attached: Option<u64>,
    up: bool,
    /// The interface that is attached was up at some time.
    was_up: bool,
    /// Such an interface was removed under the open descriptor, none has come up since, and no read has said so.
    lost_unread: bool,
    /// The same, and no write has said so.
    lost_unwritten: bool,
    /// Numbers of the packets to the program.
    to_user: VecDeque<u32>,
    /// Numbers of those to the stack; an answer of the device's own has none.
    to_stack: VecDeque<Option<u32>>,
}

/// An interface, and what it is of.
struct Interface<'lab> {
    card: Card<'lab>,
    unit: usize,
    serial: u64,
}

/// What is done to, and the model.
struct World<'lab> {
    bench: &'lab Bench,
    units: [Unit; 2 * UNITS],
    interfaces: [Option<Interface<'lab>>; CARDS],
    numbers: u32,
    serial: u64,
}

fn mode(unit: usize) -> Mode {
    Mode::ALL[unit % 2]
}

/// Returns a packet's number: its last four bytes, in every kind of packet.
fn number(packet: &[u8]) -> u32 {
    let (_, last) = packet.split_last_chunk::<4>().expect("packets here are longer");
    u32::from_be_bytes(*last)
}

fn numbered(mut packet: Vec<u8>, number: u32) -> Vec<u8> {
    let end = packet.len() - 4;
    packet[end..].copy_from_slice(&number.to_be_bytes());
    packet
}

/// Whether a failure may be the one that was asked for. There is only one.
fn forgiven() -> bool {
    let fired = fault::fired().is_some();
    if fired {
        fault::arm(FaultPlan::Off);
    }
    fired
}

/// Plays an input.
pub fn play(bench: &Bench, input: &[u8]) {
    let mut input = Input::new(input);
    let mut world =
        World { bench, units: Default::default(), interfaces: [const { None }; CARDS], numbers: 0, serial: 0 };
    for _ in 0..STEPS {
        let Some(what) = input.step() else { break };
        let how = input.byte();
        world.step(what, how);
        world.check();
    }
    fault::arm(FaultPlan::Off);
    for slot in 0..CARDS {
        world.remove(slot);
    }
    for unit in 0..world.units.len() {
        world.close(unit);
    }
    world.check();
    bench.check_rest();
}

impl Unit {
    fn set_lost(&mut self, lost: bool) {
        (self.lost_unread, self.lost_unwritten) = (lost, lost);
    }
}

impl World<'_> {
    fn step(&mut self, what: u8, how: u8) {
        let (unit, slot) = (usize::from(how) % self.units.len(), usize::from(how) % CARDS);
        let length = SHORTEST + usize::from(how) * 4;
        match what % 16 {
            0 => self.open(unit),
            1 => self.close(unit),
            2 | 3 => self.read(unit),
            4 | 5 => self.write(usize::from(what >> 4) % self.units.len(), length),
            6 => self.attach(unit, usize::from(what >> 4) % CARDS),
            7 => self.remove(slot),
            8 => self.up(slot),
            9 => self.down(slot),
            10 | 11 => self.send(usize::from(what >> 4) % CARDS, length),
            12 | 13 => self.receive(slot),
            14 => self.ask(slot),
            // The next call but so many fails.
            _ => fault::arm(FaultPlan::NthOfAny(1 + u64::from(how))),
        }
    }

    fn open(&mut self, unit: usize) {
        let opened = syscalls::open(&mode(unit).node(unit / 2), O_RDWR | O_NONBLOCK).map(Program::borrow);
        let it = &mut self.units[unit];
        match opened {
            Ok(program) => {
                assert!(it.program.is_none(), "a unit has one opener");
                it.program = Some(program);
                it.set_lost(false);
            }
            Err(EBUSY) => assert!(it.program.is_some(), "no program has the unit open"),
            Err(error) => {
                assert!(forgiven() && error == B_NO_MEMORY, "{error:x}");
                return;
            }
        }
        self.limit(unit);
    }

    /// Sets the unit's limits; that may fail too, and is done again.
    fn limit(&self, unit: usize) {
        let Some(program) = self.units[unit].program else { return };
        let limits = [LIMIT, 1 << 20, LIMIT, 1 << 20];
        if program.set_limits(limits).is_err() {
            assert!(forgiven());
            program.set_limits(limits).expect("good limits");
        }
    }

    fn close(&mut self, unit: usize) {
        let it = &mut self.units[unit];
        if let Some(program) = it.program.take() {
            it.to_user.clear();
            program.close();
        }
    }

    fn read(&mut self, unit: usize) {
        let Some(program) = self.units[unit].program else { return };
        let read = program.read(2000);
        let it = &mut self.units[unit];
        match read {
            Ok(packet) => assert_eq!(Some(number(&packet)), it.to_user.pop_front()),
            Err(ENXIO) => assert!(std::mem::take(&mut it.lost_unread) && it.to_user.is_empty()),
            Err(B_WOULD_BLOCK) => assert!(!it.lost_unread && it.to_user.is_empty()),
            // The packet that could not be copied is lost, and counted.
            Err(error) => {
                it.to_user.pop_front();
                assert!(forgiven(), "{error:x}");
            }
        }
    }

    fn write(&mut self, unit: usize, length: usize) {
        let Some(program) = self.units[unit].program else { return };
        self.numbers += 1;
        let packet = numbered(program_packet(mode(unit), Way::ToStack, length), self.numbers);
        let written = program.write(&packet);
        let it = &mut self.units[unit];
        match written {
            Ok(taken) => {
                assert!(taken == length && it.up && !it.lost_unwritten && it.to_stack.len() < LIMIT as usize);
                it.to_stack.push_back(Some(self.numbers));
            }
            Err(ENXIO) => assert!(std::mem::take(&mut it.lost_unwritten)),
            Err(ENETDOWN) => assert!(!it.up && !it.lost_unwritten),
            Err(B_WOULD_BLOCK) => assert!(it.up && it.to_stack.len() >= LIMIT as usize),
            Err(error) => assert!(forgiven(), "{error:x}"),
        }
    }

    fn attach(&mut self, unit: usize, slot: usize) {
        if self.interfaces[slot].is_some() {
            return;
        }
        match Card::make(self.bench.lab(), &mode(unit).interface(unit / 2)) {
            Ok(card) => {
                self.serial += 1;
                let it = &mut self.units[unit];
                (it.attached, it.up) = (Some(self.serial), false);
                it.to_user.clear();
                it.to_stack.clear();
                self.interfaces[slot] = Some(Interface { card, unit, serial: self.serial });
            }
            Err(error) => assert!(forgiven(), "{error:x}"),
        }
    }

    fn remove(&mut self, slot: usize) {
        let Some(Interface { card, unit, serial }) = self.interfaces[slot].take() else { return };
        if card.has(haiku_sys::IFF_UP) {
            // As the stack does. It acts on the unit, also if the unit has another interface by now.
            self.units[unit].up = false;
            self.units[unit].to_stack.clear();
        }
        drop(card);
        let it = &mut self.units[unit];
        if it.attached == Some(serial) {
            it.attached = None;
            it.up = false;
            if std::mem::take(&mut it.was_up) {
                it.set_lost(it.program.is_some());
            }
            it.to_user.clear();
            it.to_stack.clear();
        }
    }

    fn up(&mut self, slot: usize) {
        let Some(Interface { card, unit, .. }) = &self.interfaces[slot] else { return };
        card.up();
        let it = &mut self.units[*unit];
        if it.attached.is_some() {
            (it.up, it.was_up) = (true, true);
            it.set_lost(false);
        }
    }

    fn down(&mut self, slot: usize) {
        let Some(Interface { card, unit, .. }) = &self.interfaces[slot] else { return };
        card.down();
        self.units[*unit].up = false;
        self.units[*unit].to_stack.clear();
    }

    fn send(&mut self, slot: usize, length: usize) {
        let Some(Interface { card, unit, .. }) = &self.interfaces[slot] else { return };
        self.numbers += 1;
        let frame = numbered(stack_frame(mode(*unit), card.address(), length), self.numbers);
        let before = self.bench.packets();
        let sent = card.send(&frame);
        let it = &mut self.units[*unit];
        let listening = it.up && it.program.is_some();
        let takes = listening && it.to_user.len() < LIMIT as usize;
        match sent {
            Ok(()) if self.bench.packets() > before => {
                assert!(takes);
                it.to_user.push_back(self.numbers);
            }
            Ok(()) => assert!(!takes || forgiven(), "else only a frame whose head cannot be read is dropped"),
            // Making the frame is the test's own call, and may be the one that fails.
            Err(error) => assert!(forgiven(), "{error:x}"),
        }
    }

    /// The stack's reader takes a frame, if that does not mean to wait.
    fn receive(&mut self, slot: usize) {
        let Some(Interface { card, unit, .. }) = &self.interfaces[slot] else { return };
        let it = &mut self.units[*unit];
        if it.up && it.to_stack.is_empty() {
            return;
        }
        match (card.receive(), it.up) {
            (Ok(frame), true) => {
                let expected = it.to_stack.pop_front().expect("a frame was queued");
                assert!(expected.is_none_or(|expected| expected == number(&frame)), "{expected:?}: {frame:02x?}");
            }
            (Err(ENETDOWN), false) => {}
            // Reading the frame back is the test's own call, and may be the one that fails.
            (Err(error), true) => {
                it.to_stack.pop_front();
                assert!(forgiven(), "{error:x}");
            }
            (received, up) => panic!("{received:x?}, up {up}"),
        }
    }

    /// The stack asks for the far side's address: of a TUN, the device answers; a TAP's program is asked.
    fn ask(&mut self, slot: usize) {
        let Some(Interface { card, unit, .. }) = &self.interfaces[slot] else { return };
        if mode(*unit) == Mode::Tap {
            return;
        }
        let before = self.bench.packets();
        let asked = card.send(&arp_request(card.address()));
        let it = &mut self.units[*unit];
        let answered = self.bench.packets() - before;
        match asked {
            Ok(()) => assert!(it.up || answered == 0, "nothing is answered while the interface is down"),
            Err(error) => assert!(forgiven(), "{error:x}"),
        }
        for _ in 0..answered {
            it.to_stack.push_back(None);
        }
        // The opener sets the limit; before, there is a greater one.
        let beyond = answered > 0 && it.program.is_some() && it.to_stack.len() > LIMIT as usize + ANSWERS;
        assert!(!beyond, "an answer goes beyond its places");
    }

    /// What holds after every step.
    fn check(&self) {
        let queued: usize = self.units.iter().map(|unit| unit.to_user.len() + unit.to_stack.len()).sum();
        assert_eq!(self.bench.packets(), queued, "packets are those in the queues");
        for unit in &self.units {
            let Some(program) = unit.program else { continue };
            let Ok(statistics) = program.try_statistics() else {
                assert!(forgiven());
                continue;
            };
            crate::program::check_accounts(&statistics);
            let queued = (statistics.to_user.queued, statistics.to_stack.queued);
            assert_eq!(queued, (unit.to_user.len() as u64, unit.to_stack.len() as u64));
            let Ok(ready) = program.poll(POLLIN | POLLOUT, 0) else {
                assert!(forgiven());
                continue;
            };
            if forgiven() {
                continue;
            }
            let readable = unit.lost_unread || !unit.to_user.is_empty();
            let writable = unit.up && !unit.lost_unwritten && unit.to_stack.len() < LIMIT as usize;
            assert_eq!((ready & POLLIN != 0, ready & POLLOUT != 0), (readable, writable), "{unit:?}");
        }
    }
}
