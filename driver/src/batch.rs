//! Many packets in one call.
//!
//! A batch is a row of records in one buffer, each a length word of four bytes in the machine's order, that many bytes of
//! packet (with whatever the descriptor's framing puts in front), and padding to the next multiple of four. Vectors would
//! not do: Haiku turns each element of a vector into a call of its own.

use core::mem;

use crate::channel::Wait;
use crate::device::Direction;
use crate::limits::RUN;
use crate::run::Run;
use crate::to_stack::Fetched;
use crate::to_user::waiting;
use crate::{Descriptor, Device, Error, Kernel, Mode, UserMemory};

/// The length word in front of each packet.
const WORD: usize = 4;

/// How much of a batch was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whole packets.
    pub packets: u32,
    /// Bytes of their records, padding included, up to the end of the buffer.
    pub bytes: usize,
}

impl Batch {
    /// Returns the batch's result: a part of a batch is a success, and only an empty one is a failure.
    fn or(self, error: Error) -> Result<Self, Error> {
        if self.packets == 0 { Err(error) } else { Ok(self) }
    }

    /// Counts the record of a packet of `length` bytes. The padding of the last need not be there.
    fn count(&mut self, length: usize, end: usize) {
        self.packets += 1;
        self.bytes = (self.bytes + WORD + length).next_multiple_of(WORD).min(end);
    }
}

/// How far a batch has come that is being written: records that were carried out, and records whose packets wait in a run.
struct Progress {
    /// Where the buffer ends.
    end: usize,
    /// What was carried out.
    done: Batch,
    /// The same with what waits. Ahead of `done` by the records of `waiting`.
    next: Batch,
    /// The lengths of the waiting packets.
    waiting: [usize; RUN as usize],
}

impl Progress {
    fn new(end: usize) -> Self {
        Self { end, done: Batch::default(), next: Batch::default(), waiting: [0; RUN as usize] }
    }

    /// Counts the next record as one whose packet waits.
    fn defer(&mut self, length: usize) {
        let waiting = self.next.packets.wrapping_sub(self.done.packets);
        if let Some(place) = self.waiting.get_mut(waiting as usize) {
            *place = length;
        }
        self.next.count(length, self.end);
    }

    /// Counts the next record as carried out. No packet waits.
    fn complete(&mut self, length: usize) {
        self.done.count(length, self.end);
        self.next = self.done;
    }

    /// Counts the first `taken` of the waiting packets as carried out. The records of the others are the next again.
    fn settle(&mut self, taken: u32) {
        for &length in self.waiting.iter().take(taken as usize) {
            self.done.count(length, self.end);
        }
        self.next = self.done;
    }
}

/// A batch that is being written.
struct Writing<K: Kernel> {
    wait: Wait,
    progress: Progress,
    /// Packets that were made and wait for the queue.
    run: Run<K>,
}

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Reads up to `most` packets, as many as there are and as fit whole. Waits for the first only.
    ///
    /// # Errors
    ///
    /// Those of [`Self::read`], if not even the first was read; [`Error::Invalid`] if that would not fit.
    pub fn read_batch(&self, descriptor: &Descriptor, user: &K::User, most: u32) -> Result<Batch, Error> {
        let wait = waiting(descriptor);
        self.report_loss_once(Direction::ToUser, || self.read_packets(descriptor, user, most, wait))
    }

    fn read_packets(&self, descriptor: &Descriptor, user: &K::User, most: u32, mut wait: Wait) -> Result<Batch, Error> {
        let framing = descriptor.framing();
        let mut batch = Batch::default();
        while batch.packets < most {
            let wanted = RUN.min(most - batch.packets);
            let mut planned = batch;
            let fits = |frame: usize| {
                let length = framing.length() + frame.saturating_sub(M::LINK.hidden_header);
                let fits = length <= user.len().saturating_sub(planned.bytes + WORD);
                if fits {
                    planned.count(length, user.len());
                }
                fits
            };
            let mut run = match self.to_user.pop_run(wait, wanted, fits) {
                Ok(run) if run.packets == 0 => return batch.or(Error::Invalid),
                Ok(run) => run,
                Err(error) => return batch.or(error),
            };
            let all = run.packets < wanted;
            while let Some(packet) = run.pop() {
                let copied = self.copy_out(&packet, framing, user, batch.bytes + WORD).and_then(|length| {
                    let word = u32::try_from(length).unwrap_or(u32::MAX);
                    user.write(batch.bytes, &word.to_ne_bytes()).map(|()| length)
                });
                match copied {
                    Ok(length) => batch.count(length, user.len()),
                    Err(error) => {
                        self.drop_unread(&packet);
                        self.to_user.put_back(run);
                        return batch.or(error);
                    }
                }
            }
            if all {
                break;
            }
            wait = Wait::No;
        }
        Ok(batch)
    }

    /// Writes up to `most` packets. Waits for room for each, unless the descriptor does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`Self::write`], if not even the first was written; [`Error::Invalid`] for a record that is cut off.
    pub fn write_batch(&self, descriptor: &Descriptor, user: &K::User, most: u32) -> Result<Batch, Error> {
        self.report_loss_once(Direction::ToStack, || self.write_packets(descriptor, user, most))
    }

    fn write_packets(&self, descriptor: &Descriptor, user: &K::User, most: u32) -> Result<Batch, Error> {
        let mut writing = Writing { wait: waiting(descriptor), progress: Progress::new(user.len()), run: Run::new() };
        loop {
            let next = writing.progress.next;
            let is_more = next.packets < most && next.bytes < user.len();
            let failed = if is_more { self.write_record(descriptor, user, &mut writing).err() } else { None };
            if is_more && failed.is_none() {
                continue;
            }
            // What is in the run goes first.
            let before = writing.progress.next;
            let flushed = self.flush(&mut writing);
            let Progress { done, next: after, .. } = writing.progress;
            if let Err(error) = flushed {
                return done.or(error);
            }
            if after == before {
                return failed.map_or(Ok(done), |error| done.or(error));
            }
        }
    }

    /// Makes a packet of the next record. A full run is queued first.
    fn write_record(&self, descriptor: &Descriptor, user: &K::User, writing: &mut Writing<K>) -> Result<(), Error> {
        let record = writing.progress.next.bytes;
        let start = record + WORD;
        if start > user.len() {
            return Err(Error::Invalid);
        }
        let mut word = [0; WORD];
        user.read(record, &mut word)?;
        let length = u32::from_ne_bytes(word) as usize;
        let end = start.checked_add(length).filter(|&end| end <= user.len()).ok_or(Error::Invalid)?;
        let packet = start + descriptor.framing().length();
        let holds = writing.run.packets > 0;
        // No call waits for room while its run holds packets.
        let wait = if holds { Wait::No } else { writing.wait };
        let fetched = match self.fetch(user, packet, end, wait) {
            Err(Error::WouldBlock) if wait != writing.wait => return self.flush(writing),
            fetched => fetched?,
        };
        let queued = match &fetched {
            Fetched::Packet(_, header) => !self.is_direct(header, holds),
            Fetched::Dropped(_) => false,
        };
        if (!queued || writing.run.packets >= RUN) && self.flush_before(record, writing)? {
            return Ok(());
        }
        match fetched {
            Fetched::Packet(packet, header) if queued => {
                self.note_queued(&header);
                writing.run.push(Self::into_frame(packet, &header)?);
                writing.progress.defer(length);
                return Ok(());
            }
            Fetched::Packet(packet, header) => self.deliver_directly(packet, &header)?,
            Fetched::Dropped(reason) => self.drop_written(reason, end - packet)?,
        }
        writing.progress.complete(length);
        Ok(())
    }

    /// Queues the run, which goes before the record at `record`. Whether some of it was not taken, so that this record is not the
    /// next any more.
    fn flush_before(&self, record: usize, writing: &mut Writing<K>) -> Result<bool, Error> {
        self.flush(writing)?;
        Ok(writing.progress.next.bytes != record)
    }

    /// Queues the run, and counts what of it was taken. If another writer took the room, the rest is freed instead of held
    /// while waiting, as in [`Self::write`]: its records are then the next again.
    #[inline(never)]
    fn flush(&self, writing: &mut Writing<K>) -> Result<(), Error> {
        let mut run = mem::replace(&mut writing.run, Run::new());
        let made = run.packets;
        if made == 0 {
            return Ok(());
        }
        let pushed = self.to_stack.push_run(&mut run);
        writing.progress.settle(made - run.packets);
        if run.packets == 0 {
            return pushed;
        }
        match pushed {
            Ok(()) | Err(Error::WouldBlock) if writing.wait != Wait::No => Ok(()),
            Ok(()) => Err(Error::WouldBlock),
            failed => failed,
        }
    }
}
