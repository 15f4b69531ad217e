//! Only traffic: each accepted packet must arrive, without help from a close that wakes all waiters. If a wake is lost, the
//! last packets stay in the queue while all threads wait, and shuttle reports a deadlock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tuntap_driver::{Blocking, Descriptor, Error, Event, Limits};

use crate::fake::{ARP, Entry, IPV4, Rig, Shared, ToyTun, User, frame, packet4, read, send};
use crate::ledger::{Ledger, Seen};
use crate::sync::thread;
use crate::sync::{Condvar, Mutex};
use crate::{once_in, pick};

/// How many have arrived, for a thread that waits for all.
struct Tally {
    left: Mutex<u32>,
    none: Condvar,
}

impl Tally {
    fn new(left: u32) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new(left), none: Condvar::new() })
    }

    fn arrived(&self) {
        let mut left = self.left.lock().unwrap();
        *left = left.checked_sub(1).expect("no more than were sent");
        self.none.notify_all();
    }

    fn until_none_is_left(&self) {
        let mut left = self.left.lock().unwrap();
        while *left > 0 {
            left = self.none.wait(left).unwrap();
        }
    }
}

/// The records of a batch that was read.
pub(crate) fn packets(mut records: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Some((word, rest)) = records.split_first_chunk() {
        let length = u32::from_ne_bytes(*word) as usize;
        packets.push(rest[..length].to_vec());
        records = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    packets
}

/// The records of a batch to write.
pub(crate) fn records(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    for packet in packets {
        records.extend_from_slice(&(packet.len() as u32).to_ne_bytes());
        records.extend_from_slice(packet);
        records.resize(records.len().next_multiple_of(4), 0);
    }
    records
}

/// Waits, by a select, until the event has come or the descriptor is in trouble.
pub(crate) fn select(device: &Shared<ToyTun>, event: Event) {
    let entry = Entry::new();
    let events = [event, Event::Error];
    events.iter().for_each(|&event| device.select(entry.sync(), event));
    entry.wait();
    events.iter().for_each(|&event| device.deselect(entry.sync(), event));
}

/// Fetches packets by a read or a batch.
pub(crate) fn fetch_quickly(device: &Shared<ToyTun>, descriptor: &Descriptor) -> Result<Vec<Vec<u8>>, Error> {
    if once_in(2) {
        return read(device, descriptor).map(|packet| vec![packet]);
    }
    let user = User::room(pick(44..120) as usize);
    let batch = device.read_batch(descriptor, &user, pick(1..4))?;
    Ok(packets(&user.first(batch.bytes)))
}

/// The same, sometimes after a select.
fn fetch(device: &Shared<ToyTun>, descriptor: &Descriptor) -> Result<Vec<Vec<u8>>, Error> {
    if once_in(3) {
        select(device, Event::Read);
    }
    fetch_quickly(device, descriptor)
}

/// From the stack to the program: two readers that fetch as they like, interrupted now and then, and two senders.
pub(crate) fn to_user() {
    let (rig, descriptor) = Rig::<ToyTun>::running(if once_in(2) { Blocking::Wait } else { Blocking::DontWait });
    rig.world.signal_wins.store(once_in(2), SeqCst);
    let (descriptor, ledger) = (Arc::new(descriptor), Arc::new(Ledger::default()));
    let tally = Tally::new(6);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (device, descriptor) = (rig.share(), Arc::clone(&descriptor));
            let (ledger, tally) = (Arc::clone(&ledger), Arc::clone(&tally));
            rig.world.spawn(move || {
                let mut seen = Seen::default();
                loop {
                    match fetch(&device, &descriptor) {
                        Ok(packets) => packets.iter().for_each(|packet| {
                            ledger.arrived(packet, &mut seen, 0);
                            tally.arrived();
                        }),
                        Err(Error::Closed) => break,
                        Err(Error::WouldBlock) => select(&device, Event::Read),
                        Err(error) => assert_eq!(error, Error::Interrupted),
                    }
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..2)
        .map(|sender| {
            let (device, ledger) = (rig.share(), Arc::clone(&ledger));
            let sender = rig.world.spawn(move || {
                for _ in 0..3 {
                    let packet = ledger.make(sender);
                    send(&device, &frame(IPV4, &packet)).unwrap();
                    ledger.accepted(&packet);
                }
            });
            sender.0
        })
        .collect();
    for _ in 0..pick(0..4) {
        readers[pick(0..2) as usize].1.signal();
    }
    tally.until_none_is_left();
    rig.device.close();
    readers.into_iter().for_each(|(reader, _)| reader.join().unwrap());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    rig.device.free();
    ledger.check();
    assert_eq!(ledger.counts(), (6, 6));
}

/// Writes a packet in one of the ways there are, until it is written.
fn write(device: &Shared<ToyTun>, descriptor: &Descriptor, packet: &[u8]) {
    loop {
        let written = match pick(0..3) {
            0 => device.write(descriptor, &User::holding(packet)),
            1 => device.write_batch(descriptor, &User::holding(&records(&[packet.to_vec()])), 1).map(|_| packet.len()),
            _ => {
                select(device, Event::Write);
                device.write(descriptor, &User::holding(packet))
            }
        };
        match written {
            Ok(length) => break assert_eq!(length, packet.len()),
            Err(Error::WouldBlock) => select(device, Event::Write),
            Err(error) => assert_eq!(error, Error::Interrupted),
        }
    }
}

/// Writers for whom there is no room wait with empty hands: what the kernel keeps for a program is what its queue may
/// hold, however many threads it has.
pub(crate) fn waiting_writers() {
    const WRITERS: usize = 3;
    let (rig, descriptor) = Rig::<ToyTun>::running(Blocking::Wait);
    // So few that one free place is half of the queue, and wakes the waiting writers.
    let limit = pick(1..3) as usize;
    rig.device.set_to_stack_limits(Limits { packets: limit as u32, bytes: 1 << 20 });
    let (descriptor, finished) = (Arc::new(descriptor), Arc::new(AtomicUsize::new(0)));
    let batches: Vec<u32> = (0..WRITERS).map(|_| pick(1..5)).collect();
    let writers: Vec<_> = batches
        .iter()
        .map(|&packets| {
            let (device, descriptor, finished) = (rig.share(), Arc::clone(&descriptor), Arc::clone(&finished));
            rig.world.spawn(move || {
                let batch: Vec<_> = (0..packets).map(|number| packet4(number as u8, 40)).collect();
                let written = device.write_batch(&descriptor, &User::holding(&records(&batch)), packets).unwrap();
                finished.fetch_add(1, SeqCst);
                assert_eq!(written.packets, packets);
            })
        })
        .collect();
    for left in (1..=batches.iter().sum::<u32>() as usize).rev() {
        let queued = left.min(limit);
        // In this order: once the queue is full, a woken writer still finds no room.
        while rig.device.statistics().to_stack_queued.packets < queued as u32 {
            thread::yield_now();
        }
        while rig.world.sleepers() + finished.load(SeqCst) < WRITERS {
            thread::yield_now();
        }
        assert_eq!(rig.world.packets(), queued, "of {left} that are left to receive");
        rig.receive().unwrap();
    }
    writers.into_iter().for_each(|(writer, _)| writer.join().unwrap());
    rig.close_and_free();
}

/// From the program to the stack: a small queue, two writers that are sometimes interrupted, a thread that asks ARP
/// requests, and the stack's one reader.
pub(crate) fn to_stack() {
    let (rig, descriptor) = Rig::<ToyTun>::running(if once_in(2) { Blocking::Wait } else { Blocking::DontWait });
    rig.world.signal_wins.store(once_in(2), SeqCst);
    rig.device.set_to_stack_limits(Limits { packets: pick(1..3), bytes: 1 << 20 });
    let (descriptor, ledger) = (Arc::new(descriptor), Arc::new(Ledger::default()));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (device, descriptor) = (rig.share(), Arc::clone(&descriptor));
            let ledger = Arc::clone(&ledger);
            rig.world.spawn(move || {
                for _ in 0..3 {
                    let packet = ledger.make(writer);
                    write(&device, &descriptor, &packet);
                    ledger.accepted(&packet);
                }
            })
        })
        .collect();
    let device = rig.share();
    let (asker, _) = rig.world.spawn(move || (0..2).for_each(|_| send(&device, &frame(ARP, &[0; 28])).unwrap()));
    let (device, received) = (rig.share(), Arc::clone(&ledger));
    let (receiver, _) = rig.world.spawn(move || {
        let (mut seen, mut packets) = (Seen::default(), 0);
        while packets < 6 {
            let frame = device.receive().unwrap();
            if frame.bytes()[12..14] == IPV4.to_be_bytes() {
                received.arrived(&frame.bytes()[14..], &mut seen, 0);
                packets += 1;
            }
        }
    });
    for _ in 0..pick(0..4) {
        writers[pick(0..2) as usize].1.signal();
    }
    receiver.join().unwrap();
    writers.into_iter().for_each(|(writer, _)| writer.join().unwrap());
    asker.join().unwrap();
    ledger.check();
    assert_eq!(ledger.counts(), (6, 6));
    rig.close_and_free();
}
