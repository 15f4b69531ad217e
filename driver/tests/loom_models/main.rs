//! Every interleaving of two or three threads, up to a number of preemptions: no wake and no packet is lost, and none
//! comes twice.
//!
//! The threads, locks and semaphores of the fake kernel are loom's here. A lost wake shows as loom's "deadlock", a wake
//! left over in the semaphore's own check, and a packet lost or doubled in the books. The device's own atomics are not
//! loom's: they hold settings, and a hint that is checked under the lock whichever way it reads.
//!
//! `LOOM_MAX_PREEMPTIONS=4 cargo test --release --test loom_models` looks further than the default of 3; loom's other
//! variables work too. After a failure, `LOOM_CHECKPOINT_FILE` and `LOOM_LOG=trace` show the way that led to it.

#[path = "../fake/mod.rs"]
mod fake;
mod selects;

/// The scheduler: loom's.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex};
    pub(crate) use loom::{thread, thread_local};
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use fake::{ARP, INTERFACE, IPV4, Rig, Shared, Task, Tcp, ToyTun, User, frame, packet4, read, send};
use loom::thread::{self, JoinHandle};
use tuntap_driver::{Blocking, Descriptor, DropReason, Error, Limits};

/// The stack of the thread that a model begins with, in machine words.
const STACK_WORDS: usize = 8 << 10;

const ONE: Limits = Limits { packets: 1, bytes: 0 };

/// Tries all interleavings of `body`.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.max_branches = builder.max_branches.max(20_000);
    let executions = Arc::new(AtomicUsize::new(0));
    let (count, body) = (Arc::clone(&executions), Arc::new(body));
    builder.check(move || {
        count.fetch_add(1, SeqCst);
        let body = Arc::clone(&body);
        // Loom's first thread has a stack of 32 KiB, too little for a device in a build without optimization.
        let first = thread::Builder::new().stack_size(STACK_WORDS).spawn(move || body());
        first.expect("a thread").join().expect("a thread that ends");
    });
    println!("{} executions", executions.load(SeqCst));
}

/// A device that is up and open, shared by the threads of a model.
struct Stage {
    rig: Rig<ToyTun>,
    descriptor: Arc<Descriptor>,
}

type Read = Result<Vec<u8>, Error>;

impl Stage {
    fn new() -> Self {
        let (rig, descriptor) = Rig::running(Blocking::Wait);
        Self { rig, descriptor: Arc::new(descriptor) }
    }

    /// One with a queue to the stack that has room for one packet, and has one in it.
    fn full() -> Self {
        let stage = Self::new();
        stage.rig.device.set_to_stack_limits(ONE);
        stage.rig.write(&stage.descriptor, &packet4(0, 20)).unwrap();
        stage
    }

    fn thread<R: Send + 'static>(
        &self,
        body: impl FnOnce(&Shared<ToyTun>, &Descriptor) -> R + Send + 'static,
    ) -> (JoinHandle<R>, Arc<Task>) {
        let (device, descriptor) = (self.rig.share(), Arc::clone(&self.descriptor));
        self.rig.world.spawn(move || body(&device, &descriptor))
    }

    fn reader(&self) -> (JoinHandle<Read>, Arc<Task>) {
        self.thread(|device, descriptor| read(device, descriptor))
    }

    fn writer(&self, mark: u8) -> (JoinHandle<Result<usize, Error>>, Arc<Task>) {
        self.thread(move |device, descriptor| device.write(descriptor, &User::holding(&packet4(mark, 20))))
    }

    fn send(&self, mark: u8) -> Result<(), DropReason> {
        self.rig.send(&frame(IPV4, &packet4(mark, 20)))
    }

    /// What the stack has received, as the mark of its packet.
    fn receive(&self) -> Result<u8, Error> {
        self.rig.receive().map(|frame| frame[14] & 15)
    }
}

fn join<R>((thread, _): (JoinHandle<R>, Arc<Task>)) -> R {
    thread.join().unwrap()
}

#[test]
fn each_packet_wakes_a_reader() {
    explore(|| {
        let stage = Stage::new();
        let (one, two) = (stage.reader(), stage.reader());
        stage.send(1).unwrap();
        stage.send(2).unwrap();
        let mut got = [join(one).unwrap(), join(two).unwrap()];
        got.sort();
        assert_eq!(got, [packet4(1, 20), packet4(2, 20)]);
    });
}

#[test]
fn two_senders_and_a_reader_lose_nothing() {
    explore(|| {
        let stage = Stage::new();
        let reader = stage.thread(|device, descriptor| [read(device, descriptor), read(device, descriptor)]);
        let sender = stage.thread(|device, _| send(device, &frame(IPV4, &packet4(1, 20))));
        stage.send(2).unwrap();
        join(sender).unwrap();
        let mut got = join(reader).map(Result::unwrap);
        got.sort();
        assert_eq!(got, [packet4(1, 20), packet4(2, 20)]);
    });
}

#[test]
fn acknowledgements_that_come_during_reads_arrive_in_order_and_the_last_always() {
    explore(|| {
        let stage = Stage::new();
        let sender = stage.thread(|device, _| {
            for acknowledgement in 1..4 {
                send(device, &Tcp::ack(1, acknowledgement).frame()).unwrap();
            }
        });
        let last = Tcp::ack(1, 3).packet();
        let mut got = vec![stage.rig.read(&stage.descriptor).unwrap()];
        while *got.last().unwrap() != last {
            got.push(stage.rig.read(&stage.descriptor).unwrap());
        }
        join(sender);
        assert!(got.is_sorted(), "{got:?}");
        let counters = stage.rig.device.statistics().to_user;
        assert_eq!(got.len() as u64 + counters.dropped(DropReason::Superseded), 3);
    });
}

#[test]
fn a_packet_snatched_from_a_woken_reader_leaves_it_waiting_for_the_next() {
    explore(|| {
        let stage = Stage::new();
        let reader = stage.reader();
        let thief = stage.thread(|device, descriptor| {
            descriptor.set_blocking(Blocking::DontWait);
            read(device, descriptor)
        });
        stage.send(1).unwrap();
        let stolen = join(thief);
        match stolen {
            Ok(packet) => {
                assert_eq!(packet, packet4(1, 20));
                stage.send(2).unwrap();
                // It may have begun after the thief had made the descriptor one that does not wait.
                let read = join(reader);
                assert!(read == Ok(packet4(2, 20)) || read == Err(Error::WouldBlock));
            }
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                let read = join(reader);
                assert!(read == Ok(packet4(1, 20)) || read == Err(Error::WouldBlock));
            }
        }
    });
}

#[test]
fn close_ends_every_read_and_leaves_nothing_in_the_queue() {
    explore(|| {
        let stage = Stage::new();
        let reader = stage.reader();
        let sender = stage.thread(|device, _| send(device, &frame(IPV4, &packet4(1, 20))));
        stage.rig.device.close();
        let (read, sent) = (join(reader), join(sender));
        stage.rig.device.free();
        match read {
            Ok(packet) => assert_eq!((packet, sent), (packet4(1, 20), Ok(()))),
            Err(error) => assert_eq!(error, Error::Closed),
        }
        assert!(sent == Ok(()) || sent == Err(DropReason::NoProgram));
        assert_eq!(stage.rig.device.statistics().to_user_queued.packets, 0);
    });
}

#[test]
fn removal_ends_every_read_and_leaves_nothing_in_the_queues() {
    explore(|| {
        let stage = Stage::full();
        let attachment = stage.rig.device.attach();
        stage.rig.device.up(INTERFACE);
        stage.rig.write(&stage.descriptor, &packet4(0, 20)).unwrap();
        let (reader, writer) = (stage.reader(), stage.writer(1));
        stage.rig.device.detach(attachment);
        assert_eq!(join(reader), Err(Error::Gone));
        assert_eq!(join(writer), Err(Error::Gone));
        assert_eq!(stage.rig.device.statistics().to_stack_queued.packets, 0);
    });
}

#[test]
fn a_successor_inherits_nothing_from_its_predecessor() {
    explore(|| {
        let stage = Stage::full();
        let receiver = stage.thread(|device, _| device.receive().map(|packet| packet.bytes()[14] & 15));
        let sender = stage.thread(|device, _| send(device, &frame(IPV4, &packet4(1, 20))));
        stage.rig.device.attach();
        let (received, sent) = (join(receiver), join(sender));
        assert!(received == Ok(0) || received == Err(Error::NetworkDown));
        assert!(sent == Ok(()) || sent == Err(DropReason::Down));
        let statistics = stage.rig.device.statistics();
        assert_eq!((statistics.to_user_queued.packets, statistics.to_stack_queued.packets), (0, 0));
    });
}

#[test]
fn down_ends_a_receive_wherever_it_is() {
    explore(|| {
        let stage = Stage::new();
        let receiver = stage.thread(|device, _| device.receive().map(|packet| packet.bytes()[14] & 15));
        let writer = stage.writer(1);
        stage.rig.device.down();
        let (received, written) = (join(receiver), join(writer));
        assert!(received == Ok(1) || received == Err(Error::NetworkDown));
        assert!(written == Ok(20) || written == Err(Error::NetworkDown));
        assert!(received.is_err() || written.is_ok());
        assert_eq!(stage.rig.device.statistics().to_stack_queued.packets, 0);
    });
}

#[test]
fn room_wakes_each_writer_in_turn() {
    explore(|| {
        let stage = Stage::full();
        let (one, two) = (stage.writer(1), stage.writer(2));
        let mut got = [0; 3].map(|_| stage.receive().unwrap());
        assert_eq!((join(one), join(two)), (Ok(20), Ok(20)));
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    });
}

#[test]
fn room_for_many_wakes_every_writer() {
    explore(|| {
        let stage = Stage::full();
        let (one, two) = (stage.writer(1), stage.writer(2));
        stage.rig.device.set_to_stack_limits(Limits::DEFAULT);
        assert_eq!((join(one), join(two)), (Ok(20), Ok(20)));
        assert_eq!(stage.rig.device.statistics().to_stack_queued.packets, 3);
    });
}

#[test]
fn a_loss_is_reported_to_one_of_two_readers_at_most() {
    explore(|| {
        let stage = Stage::new();
        let attachment = stage.rig.device.attach();
        stage.rig.device.up(INTERFACE);
        let (one, two) = (stage.reader(), stage.reader());
        stage.rig.device.detach(attachment);
        stage.rig.device.attach();
        stage.rig.device.up(INTERFACE);
        stage.send(1).unwrap();
        stage.send(2).unwrap();
        let got = [join(one), join(two)];
        assert!(got.iter().all(|read| read.is_ok() || *read == Err(Error::Gone)), "{got:?}");
        assert!(got.iter().filter(|read| read.is_err()).count() <= 1, "{got:?}");
    });
}

#[test]
fn an_answer_is_queued_although_a_write_takes_the_last_place() {
    explore(|| {
        let stage = Stage::new();
        stage.rig.device.set_to_stack_limits(ONE);
        let writer = stage.writer(1);
        let asker = stage.thread(|device, _| send(device, &frame(ARP, &[0; 28])));
        for _ in 0..2 {
            stage.rig.receive().unwrap();
        }
        join(asker).unwrap();
        assert_eq!(stage.rig.device.statistics().to_user.answered, 1);
        assert_eq!(join(writer), Ok(20));
    });
}

#[test]
fn an_answer_that_comes_too_late_for_its_interface_is_not_left_for_the_next() {
    explore(|| {
        let stage = Stage::new();
        let asker = stage.thread(|device, _| send(device, &frame(ARP, &[0; 28])));
        stage.rig.device.down();
        let asked = join(asker);
        assert!(asked == Ok(()) || asked == Err(DropReason::Down));
        assert_eq!(stage.rig.device.statistics().to_stack_queued.packets, 0);
    });
}

/// A signal for one of two readers, and a packet. A reader that can take the packet gets it.
fn signalled_reader(wins: bool) {
    explore(move || {
        let stage = Stage::new();
        stage.rig.world.signal_wins.store(wins, SeqCst);
        let (one, two) = (stage.reader(), stage.reader());
        let task = Arc::clone(&one.1);
        let signaller = stage.rig.world.spawn(move || task.signal());
        stage.send(1).unwrap();
        match join(one) {
            Err(error) => {
                assert_eq!(error, Error::Interrupted);
                assert_eq!(join(two), Ok(packet4(1, 20)));
            }
            Ok(packet) => {
                assert_eq!(packet, packet4(1, 20));
                stage.send(2).unwrap();
                assert_eq!(join(two), Ok(packet4(2, 20)));
            }
        }
        join(signaller);
    });
}

#[test]
fn a_signal_that_comes_before_its_wake_loses_no_packet() {
    signalled_reader(true);
}

#[test]
fn a_signal_that_comes_after_its_wake_loses_no_packet() {
    signalled_reader(false);
}

/// A signal comes between a packet and its wake; meanwhile another reader takes the packet, and waits again.
#[test]
fn a_wake_that_comes_after_a_signal_is_not_taken_from_another_waiter() {
    explore(|| {
        let stage = Stage::new();
        stage.rig.world.signal_wins.store(true, SeqCst);
        let signalled = stage.reader();
        signalled.1.signal();
        let sender = stage.thread(|device, _| send(device, &frame(IPV4, &packet4(1, 20))));
        let other = stage.thread(|device, descriptor| [read(device, descriptor), read(device, descriptor)]);
        stage.send(2).unwrap();
        if let Ok(packet) = join(signalled) {
            assert!(packet == packet4(1, 20) || packet == packet4(2, 20));
            stage.send(3).unwrap();
        }
        assert!(join(other).iter().all(Result::is_ok));
        join(sender).unwrap();
    });
}

/// The same for two writers and one place.
fn signalled_writer(wins: bool) {
    explore(move || {
        let stage = Stage::full();
        stage.rig.world.signal_wins.store(wins, SeqCst);
        let (one, two) = (stage.writer(1), stage.writer(2));
        one.1.signal();
        assert_eq!(stage.receive(), Ok(0));
        let next = stage.receive().unwrap();
        match join(one) {
            Err(error) => assert_eq!((error, next), (Error::Interrupted, 2)),
            Ok(_) => assert_eq!(stage.receive().unwrap() + next, 3),
        }
        assert_eq!(join(two), Ok(20));
    });
}

#[test]
fn a_signal_that_comes_before_its_wake_loses_no_room() {
    signalled_writer(true);
}

#[test]
fn a_signal_that_comes_after_its_wake_loses_no_room() {
    signalled_writer(false);
}

#[test]
fn a_signal_and_close_together_end_every_read() {
    explore(|| {
        let stage = Stage::new();
        stage.rig.world.signal_wins.store(true, SeqCst);
        let (one, two) = (stage.reader(), stage.reader());
        one.1.signal();
        stage.rig.device.close();
        let ended = join(one);
        assert!(ended == Err(Error::Interrupted) || ended == Err(Error::Closed));
        assert_eq!(join(two), Err(Error::Closed));
        stage.rig.device.free();
    });
}

#[test]
fn a_reader_that_leaves_the_packet_passes_the_wake_on() {
    explore(|| {
        let stage = Stage::new();
        // Its buffer is too short for any packet: it leaves them all to the other.
        let batch = stage.thread(|device, descriptor| device.read_batch(descriptor, &User::room(10), 1));
        let reader = stage.reader();
        stage.send(1).unwrap();
        assert_eq!(join(reader), Ok(packet4(1, 20)));
        stage.rig.device.close();
        let ended = join(batch).unwrap_err();
        assert!(ended == Error::Invalid || ended == Error::Closed);
        stage.rig.device.free();
    });
}

#[test]
fn a_run_of_a_batch_wakes_as_many_waiters_as_it_has_packets() {
    explore(|| {
        let stage = Stage::new();
        let receiver = || stage.thread(|device, _| device.receive().map(|packet| packet.bytes()[14] & 15));
        let receivers = [receiver(), receiver()];
        let record = |mark| [&20_u32.to_ne_bytes()[..], &packet4(mark, 20)].concat();
        let records = User::holding(&[record(1), record(2)].concat());
        assert_eq!(stage.rig.device.write_batch(&stage.descriptor, &records, 2).unwrap().packets, 2);
        let mut got = receivers.map(|receiver| join(receiver).unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn packets_that_a_faulting_batch_puts_back_do_not_survive_a_close() {
    explore(|| {
        let stage = Stage::new();
        stage.send(1).unwrap();
        stage.send(2).unwrap();
        let batch = stage.thread(|device, descriptor| {
            device.read_batch(descriptor, &User::room(100).faulting(0..1), 2).map(|batch| batch.packets)
        });
        stage.rig.device.close();
        let ended = join(batch).unwrap_err();
        assert!(ended == Error::BadAddress || ended == Error::Closed);
        stage.rig.device.free();
        assert_eq!(stage.rig.device.statistics().to_user_queued.packets, 0);
    });
}

/// Of the named past (`behaviour/past.rs`), what is a matter of the moment, at every moment.
mod past {
    use super::*;

    #[test]
    fn lost_wake_up_in_wait() {
        explore(|| {
            let stage = Stage::new();
            let reader = stage.reader();
            stage.send(1).unwrap();
            assert_eq!(join(reader), Ok(packet4(1, 20)));
        });
    }

    #[test]
    fn down_that_misses_its_reader() {
        explore(|| {
            let stage = Stage::new();
            let receiver = stage.thread(|device, _| device.receive().err());
            stage.rig.device.down();
            assert_eq!(join(receiver), Some(Error::NetworkDown));
        });
    }
}
