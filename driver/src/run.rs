//! Runs: several packets moved in one section of the lock, with one wake for all of them. What a batch is made of.

use core::mem;

use crate::channel::{Channel, Wait};
use crate::queue::{Side, State};
use crate::{Error, Fifo, Kernel, Packet};

/// Packets in a row, [`RUN`](crate::limits::RUN) at the most.
pub(crate) struct Run<K: Kernel> {
    queue: K::Fifo,
    /// The packets in whose place others were taken.
    superseded: K::Fifo,
    pub(crate) packets: u32,
    bytes: usize,
    /// When they were taken, counted in purges of the queue.
    purges: u32,
    /// [`State::mark`] after they were taken.
    mark: (u64, u64),
}

impl<K: Kernel> Run<K> {
    /// No packets.
    pub(crate) fn new() -> Self {
        Self {
            queue: K::Fifo::default(),
            superseded: K::Fifo::default(),
            packets: 0,
            bytes: 0,
            purges: 0,
            mark: (0, 0),
        }
    }

    /// Puts a packet at the end.
    pub(crate) fn push(&mut self, packet: K::Packet) {
        self.packets += 1;
        self.bytes += packet.len();
        self.queue.push(packet);
    }

    /// Takes the packet at the front.
    pub(crate) fn pop(&mut self) -> Option<K::Packet> {
        let packet = self.queue.pop()?;
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(packet.len());
        Some(packet)
    }
}

impl<K: Kernel, S: Side<K>> State<K, S> {
    /// Returns what changes whenever a packet is taken or queued.
    fn mark(&self) -> (u64, u64) {
        let taken = self.side.taken_so_far();
        (taken, taken + u64::from(self.packets))
    }

    /// Moves the next packet to a run. Whether there was one. One copy serves every mode.
    #[inline(never)]
    fn move_to(&mut self, run: &mut Run<K>) -> bool {
        let mut superseded = None;
        let Some(packet) = self.take(&mut superseded) else { return false };
        run.push(packet);
        if let Some(superseded) = superseded {
            run.superseded.push(superseded);
        }
        true
    }
}

impl<K: Kernel, S: Side<K>> Channel<K, S> {
    /// Takes up to `most` packets, as long as the next one's length is wanted; waits for the first only. None means that
    /// not even that was wanted.
    pub(crate) fn pop_run(
        &self,
        wait: Wait,
        most: u32,
        mut wanted: impl FnMut(usize) -> bool,
    ) -> Result<Run<K>, Error> {
        self.when_filled(wait, |state| {
            let mut run = Run::<K> { purges: state.purges, ..Run::new() };
            while run.packets < most && state.packets > 0 && wanted(state.queue.front_length()) {
                if !state.move_to(&mut run) {
                    break;
                }
            }
            run.mark = state.mark();
            run
        })
    }

    /// Puts packets back that were taken and not used: to the front, unless the queue was emptied meanwhile.
    pub(crate) fn put_back(&self, run: Run<K>) {
        if run.packets == 0 {
            return;
        }
        let stale = self.with(|state| {
            state.counters.delivered -= u64::from(run.packets);
            state.counters.delivered_bytes -= run.bytes as u64;
            if state.purges != run.purges {
                state.counters.purged += u64::from(run.packets);
                return Some(run.queue);
            }
            let is_unchanged = state.mark() == run.mark;
            state.side.put_back(run.packets, is_unchanged);
            state.packets += run.packets;
            state.bytes += run.bytes;
            let later = mem::replace(&mut state.queue, run.queue);
            state.queue.append(later);
            None
        });
        // Dropped after the lock is released, because that calls the kernel.
        drop(stale);
    }

    /// Puts in as many packets of a run as there is room for. What is left over stays in the run.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if there is room for none.
    pub(crate) fn push_run(&self, run: &mut Run<K>) -> Result<(), Error> {
        self.when_room(Wait::No, |state| {
            while state.has_room() {
                let Some(packet) = run.pop() else { break };
                state.put(packet);
            }
        })
    }
}
