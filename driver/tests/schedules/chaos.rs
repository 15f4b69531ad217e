//! Everything at once: two programs that open, call and close, a stack that makes interfaces, sends, and deletes them, and
//! a thread that changes limits, sends signals and lets allocations fail.
//!
//! It is not fixed which packet arrives. What must hold: every call returns, with a result that is possible at that time;
//! no packet comes twice, out of order, changed, or to the wrong receiver; the counters add up; and at the end no packet,
//! wake, select or thread is left.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tuntap_driver::{Attachment, Blocking, Descriptor, Error, Event, Limits};

use crate::fake::{ARP, INTERFACE, IPV4, Rig, Shared, Task, ToyTun, User, World, frame, read, send};
use crate::flow::{fetch_quickly, records, select};
use crate::ledger::{Ledger, Seen};
use crate::sync::thread::{self, JoinHandle};
use crate::{once_in, pick};

/// What all threads share.
struct Town {
    world: Arc<World>,
    device: Shared<ToyTun>,
    to_user: Ledger,
    to_stack: Ledger,
    /// Frames that the device took and that do not reach the program.
    others: AtomicU64,
    /// Answers that came to the stack.
    answers: AtomicU64,
    /// Packets whose reader's memory was not there.
    faulted: AtomicU64,
    /// Threads of the programs, to be signalled.
    tasks: Mutex<Vec<Arc<Task>>>,
}

pub(crate) fn run() {
    let rig = Rig::<ToyTun>::new();
    rig.world.signal_wins.store(once_in(2), SeqCst);
    let town = Arc::new(Town {
        world: Arc::clone(&rig.world),
        device: rig.share(),
        to_user: Ledger::default(),
        to_stack: Ledger::default(),
        others: AtomicU64::new(0),
        answers: AtomicU64::new(0),
        faulted: AtomicU64::new(0),
        tasks: Mutex::default(),
    });
    let threads = [
        spawn(&town, |town| program(town, 1)),
        spawn(&town, |town| program(town, 2)),
        spawn(&town, stack),
        spawn(&town, |town| traffic(town, 4, pick(0..20))),
        spawn(&town, meddler),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    check(&town);
    // The device is the rig's alone again, which drops it and looks for what is left.
    drop(town);
}

fn spawn(town: &Arc<Town>, body: impl FnOnce(&Arc<Town>) + Send + 'static) -> JoinHandle<()> {
    let own = Arc::clone(town);
    town.world.spawn(move || body(&own)).0
}

/// The ledgers' counts and the device's must be the same.
fn check(town: &Town) {
    town.to_user.check();
    town.to_stack.check();
    let statistics = town.device.statistics();
    let (sent, read) = town.to_user.counts();
    assert_eq!(statistics.to_user.accepted, sent + town.others.load(SeqCst));
    assert_eq!(statistics.to_user.delivered, read);
    let faulted = statistics.to_user.dropped(tuntap_driver::DropReason::BadAddress);
    assert_eq!(faulted, town.faulted.load(SeqCst));
    let (written, received) = town.to_stack.counts();
    assert_eq!(statistics.to_stack.accepted, written + statistics.to_user.answered);
    assert_eq!(statistics.to_stack.delivered, received + town.answers.load(SeqCst));
    assert_eq!(statistics.to_user_queued.packets, 0, "no program has it open");
    assert_eq!(statistics.to_stack_queued.packets, 0, "no interface is up");
}

/// Opens the unit if it can, calls it from two threads, closes it under them, and frees it when both have come back.
fn program(town: &Arc<Town>, sender: u8) {
    for round in 0..pick(2..5) as u8 {
        // What was sent before this is not for this opener.
        let era = town.to_user.new_era();
        let blocking = if once_in(3) { Blocking::DontWait } else { Blocking::Wait };
        let descriptor = match town.device.open(blocking) {
            Ok(descriptor) => Arc::new(descriptor),
            Err(error) => {
                assert_eq!(error, Error::Busy);
                continue;
            }
        };
        let own = Arc::clone(&descriptor);
        let town_too = Arc::clone(town);
        let (helper, task) = town.world.spawn(move || {
            let mut seen = Seen::default();
            for _ in 0..pick(1..20) {
                if call(&town_too, &own, sender * 10 + round * 2, &mut seen, era) == Err(Error::Closed) {
                    break;
                }
            }
        });
        town.tasks.lock().unwrap().push(task);
        let mut seen = Seen::default();
        for _ in 0..pick(0..25) {
            // This thread must come to the close, so it makes no call that could wait for ever.
            if blocking == Blocking::Wait {
                thread::yield_now();
            } else {
                let _ = quick_call(town, &descriptor, sender * 10 + round * 2 + 1, &mut seen, era);
            }
        }
        town.device.close();
        assert_eq!(read(&town.device, &descriptor), Err(Error::Closed));
        assert_eq!(town.device.open(Blocking::Wait).err(), Some(Error::Busy));
        helper.join().unwrap();
        town.device.free();
    }
}

/// One call of a program, which waits only if the descriptor does. Any result is allowed.
fn quick_call(town: &Town, descriptor: &Descriptor, sender: u8, seen: &mut Seen, era: u32) -> Result<(), Error> {
    let result = match pick(0..8) {
        0..=3 => fetch_quickly(&town.device, descriptor)
            .map(|packets| packets.iter().for_each(|packet| town.to_user.arrived(packet, seen, era))),
        4 => {
            let faulted = town.device.read(descriptor, &User::room(100).faulting(0..1)).map(drop);
            town.faulted.fetch_add(u64::from(faulted == Err(Error::BadAddress)), SeqCst);
            faulted
        }
        _ => write(town, descriptor, sender),
    };
    if let Err(error) = result {
        let possible = [
            Error::WouldBlock,
            Error::Interrupted,
            Error::Closed,
            Error::Gone,
            Error::NetworkDown,
            Error::NoMemory,
            Error::BadAddress,
        ];
        assert!(possible.contains(&error), "{error:?}");
    }
    result
}

/// The same, sometimes after a select, which waits in any case.
fn call(town: &Town, descriptor: &Descriptor, sender: u8, seen: &mut Seen, era: u32) -> Result<(), Error> {
    if once_in(4) {
        select(&town.device, if once_in(2) { Event::Read } else { Event::Write });
    }
    quick_call(town, descriptor, sender, seen, era)
}

/// Writes one packet, or two in a batch.
fn write(town: &Town, descriptor: &Descriptor, sender: u8) -> Result<(), Error> {
    let packet = town.to_stack.make(sender);
    if once_in(3) {
        let packets = [packet, town.to_stack.make(sender)];
        let batch = town.device.write_batch(descriptor, &User::holding(&records(&packets)), 2)?;
        packets.iter().take(batch.packets as usize).for_each(|packet| town.to_stack.accepted(packet));
    } else {
        let written = town.device.write(descriptor, &User::holding(&packet))?;
        assert_eq!(written, packet.len());
        town.to_stack.accepted(&packet);
    }
    Ok(())
}

/// Makes interfaces, uses them, and takes them away, in all the orders there are.
fn stack(town: &Arc<Town>) {
    let mut predecessor: Option<Attachment> = None;
    for _ in 0..pick(1..4) {
        town.to_stack.new_era();
        let attachment = town.device.attach();
        let late = predecessor.take();
        if once_in(2) {
            late.inspect(|&late| town.device.detach(late));
        }
        let mut current = Some(attachment);
        for _ in 0..pick(1..3) {
            current = up_and_down(town, current);
        }
        late.inspect(|&late| town.device.detach(late));
        if once_in(3) {
            predecessor = Some(attachment);
        } else {
            town.to_stack.new_era();
            town.device.detach(attachment);
        }
    }
    predecessor.inspect(|&late| town.device.detach(late));
}

/// The time from `ifconfig up` to `ifconfig down`, with the stack's reader in it.
///
/// Returns the interface that is attached then. Without one there is nothing to bring up, as on Haiku.
fn up_and_down(town: &Arc<Town>, attached: Option<Attachment>) -> Option<Attachment> {
    let attachment = attached?;
    let era = town.to_stack.new_era();
    town.device.up(INTERFACE);
    let reader = spawn(town, move |town| {
        let mut seen = Seen::default();
        loop {
            match town.device.receive() {
                Ok(frame) if frame.bytes()[12..14] == ARP.to_be_bytes() => {
                    town.answers.fetch_add(1, SeqCst);
                }
                Ok(frame) => town.to_stack.arrived(&frame.bytes()[14..], &mut seen, era),
                Err(error) => break assert_eq!(error, Error::NetworkDown),
            }
        }
    });
    traffic(town, 3, pick(0..6));
    // A down, or what makes it one. The reader returns, though the stack has nothing else to wake it.
    town.to_stack.new_era();
    match pick(0..4) {
        0 => {
            let successor = town.device.attach();
            reader.join().unwrap();
            if once_in(2) {
                town.device.detach(successor);
                return None;
            }
            Some(successor)
        }
        1 => {
            town.device.detach(attachment);
            reader.join().unwrap();
            None
        }
        _ => {
            town.device.down();
            reader.join().unwrap();
            attached
        }
    }
}

/// The stack sends: from where it brings the interface up and down, and from where it knows nothing of that.
fn traffic(town: &Arc<Town>, sender: u8, frames: u32) {
    for _ in 0..frames {
        let ether_type = [IPV4, IPV4, IPV4, ARP, 0x88cc][pick(0..5) as usize];
        let packet = town.to_user.make(sender);
        match send(&town.device, &frame(ether_type, &packet)) {
            Ok(()) if ether_type == IPV4 => town.to_user.accepted(&packet),
            _ => drop(town.others.fetch_add(1, SeqCst)),
        }
    }
}

/// Changes settings at random while the other threads use the device.
fn meddler(town: &Arc<Town>) {
    let device = &town.device;
    for _ in 0..pick(2..8) {
        match pick(0..8) {
            0 => device.set_to_stack_limits(Limits { packets: pick(0..4), bytes: 1 << pick(0..12) }),
            1 => device.set_to_user_limits(Limits { packets: pick(0..4), bytes: 1 << pick(0..12) }),
            2 => device.set_mtu(68 + pick(0..100) as usize).unwrap(),
            3 => match device.set_address([2, 0, 0, 0, 0, pick(1..9) as u8]) {
                Ok(()) | Err(Error::Busy) => {}
                Err(error) => panic!("a good address: {error:?}"),
            },
            4 => town.world.fail_allocation(i64::from(pick(0..4))),
            5 => {
                let statistics = device.statistics();
                for (counters, queued) in
                    [(statistics.to_user, statistics.to_user_queued), (statistics.to_stack, statistics.to_stack_queued)]
                {
                    assert_eq!(counters.accounted() + u64::from(queued.packets), counters.accepted);
                }
            }
            _ => {
                let tasks = town.tasks.lock().unwrap().clone();
                if let Some(task) = tasks.get(pick(0..tasks.len() as u32 + 1) as usize) {
                    task.signal();
                }
            }
        }
    }
    town.world.fail_allocation(-1);
}
