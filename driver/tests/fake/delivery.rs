//! The way past the queue: off until a test turns it on, and then a list of what arrived.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use tuntap_driver::{FrameHeader, Protocol};

use crate::fake::{Packet, Task};

/// The stack's end of every interface.
pub(crate) const INTERFACE: u32 = 7;

/// Bytes that interfaces have counted as received.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// What a test does when the driver asks how to deliver; the number counts the questions.
type Asked = Box<dyn FnMut(usize) + Send>;

/// The way past the queue.
#[derive(Default)]
pub(crate) struct Delivery {
    questions: AtomicUsize,
    asked: Mutex<Option<Asked>>,
    direct: AtomicBool,
    yields: AtomicBool,
    crowded: AtomicBool,
    queued: AtomicUsize,
    delivered: Mutex<Vec<(FrameHeader, Vec<u8>)>>,
}

impl Delivery {
    /// Turns it on or off.
    pub(crate) fn set_direct(&self, direct: bool) {
        self.direct.store(direct, SeqCst);
    }

    /// Has a program that is behind with reading go through the queue.
    pub(crate) fn set_yields(&self) {
        self.yields.store(true, SeqCst);
    }

    /// Has something done at each question how to deliver. Not at those that it brings about itself.
    pub(crate) fn when_asked(&self, asked: impl FnMut(usize) + Send + 'static) {
        *self.asked.lock().unwrap() = Some(Box::new(asked));
    }

    /// Takes what arrived: each packet with its link header.
    pub(crate) fn take(&self) -> Vec<(FrameHeader, Vec<u8>)> {
        std::mem::take(&mut self.delivered.lock().unwrap())
    }

    /// Whether it was told at the last packet that many wait for the program.
    pub(crate) fn crowded(&self) -> bool {
        self.crowded.load(SeqCst)
    }

    /// How many packets it was told of that went through the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }
}

/// Bytes that interfaces have counted as received so far.
pub(crate) fn received() -> u64 {
    RECEIVED.load(SeqCst)
}

impl tuntap_driver::Delivery<Packet> for Delivery {
    type StackEnd = u32;

    fn is_direct(&self, _: Protocol, keeps_up: impl FnOnce() -> bool, is_drained: impl FnOnce() -> bool) -> bool {
        Task::current().must_not_spin("asking how to deliver");
        let asked = self.asked.lock().unwrap().take();
        if let Some(mut asked) = asked {
            asked(self.questions.fetch_add(1, SeqCst));
            *self.asked.lock().unwrap() = Some(asked);
        }
        self.direct.load(SeqCst) && (!self.yields.load(SeqCst) || keeps_up()) && is_drained()
    }

    fn note_queued(&self, _: Protocol) {
        self.queued.fetch_add(1, SeqCst);
    }

    fn count_received(interface: u32, bytes: usize) {
        assert_eq!(interface, INTERFACE);
        RECEIVED.fetch_add(bytes as u64, SeqCst);
    }

    fn deliver(&self, interface: u32, packet: Packet, header: &FrameHeader, crowded: bool) {
        Task::current().must_not_spin("calling a protocol");
        assert_eq!(interface, INTERFACE);
        self.crowded.store(crowded, SeqCst);
        self.delivered.lock().unwrap().push((*header, packet.bytes().to_vec()));
    }
}
