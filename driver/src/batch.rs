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
use crate::to_stack::{Head, Route};
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
    /// What the batch comes to: part of one is a success, and only nothing at all is a failure.
    fn or(self, error: Error) -> Result<Self, Error> {
        if self.packets == 0 { Err(error) } else { Ok(self) }
    }

    /// Counts the record of a packet of `length` bytes. The padding of the last need not be there.
    fn count(&mut self, length: usize, end: usize) {
        self.packets += 1;
        self.bytes = (self.bytes + WORD + length).next_multiple_of(WORD).min(end);
    }
}

/// A batch that is being written.
struct Writing<K: Kernel> {
    wait: Wait,
    /// Where the buffer ends.
    end: usize,
    /// What the queue has taken.
    done: Batch,
    /// The same with what is in the run.
    ahead: Batch,
    /// Packets that were made and are yet to be put in.
    run: Run<K>,
    /// The lengths of their records.
    lengths: [usize; RUN as usize],
    /// The head of the packet that is being made.
    head: Head,
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
        let mut writing = Writing {
            wait: waiting(descriptor),
            end: user.len(),
            done: Batch::default(),
            ahead: Batch::default(),
            run: Run::new(),
            lengths: [0; RUN as usize],
            head: Head::new(),
        };
        loop {
            let is_more = writing.ahead.packets < most && writing.ahead.bytes < user.len();
            let failed = if is_more { self.write_record(descriptor, user, &mut writing).err() } else { None };
            if is_more && failed.is_none() {
                continue;
            }
            // What is in the run goes first.
            let ahead = writing.ahead;
            if let Err(error) = self.flush(&mut writing) {
                return writing.done.or(error);
            }
            if writing.ahead == ahead {
                return failed.map_or(Ok(writing.done), |error| writing.done.or(error));
            }
        }
    }

    /// Makes a packet of the next record. A full run is queued first.
    fn write_record(&self, descriptor: &Descriptor, user: &K::User, writing: &mut Writing<K>) -> Result<(), Error> {
        let record = writing.ahead.bytes;
        let start = record + WORD;
        if start > user.len() {
            return Err(Error::Invalid);
        }
        let mut word = [0; WORD];
        user.read(record, &mut word)?;
        let length = u32::from_ne_bytes(word) as usize;
        let end = start.checked_add(length).filter(|&end| end <= user.len()).ok_or(Error::Invalid)?;
        let packet = start + descriptor.framing().length();
        match self.route(user, packet, end, &mut writing.head)? {
            Route::Direct(header) => {
                self.flush(writing)?;
                if writing.ahead.bytes != record {
                    return Ok(());
                }
                self.deliver(&header, &writing.head, user, packet, end)?;
                writing.ahead.count(length, user.len());
                writing.done = writing.ahead;
            }
            Route::Queued(header) => {
                if writing.run.packets >= RUN {
                    self.flush(writing)?;
                }
                if writing.run.packets == 0 {
                    self.to_stack.await_room(writing.wait)?;
                    if writing.ahead.bytes != record {
                        return Ok(());
                    }
                }
                let made = writing.head.frame::<K>(&header, M::LINK.hidden_header, user, packet, end)?;
                if let Some(place) = writing.lengths.get_mut(writing.run.packets as usize) {
                    *place = length;
                }
                writing.run.push(made);
                writing.ahead.count(length, user.len());
            }
            Route::Dropped { reason, length: dropped } => {
                self.flush(writing)?;
                if writing.ahead.bytes != record {
                    return Ok(());
                }
                self.drop_written(reason, dropped)?;
                writing.ahead.count(length, user.len());
                writing.done = writing.ahead;
            }
        }
        Ok(())
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
        for &length in writing.lengths.iter().take((made - run.packets) as usize) {
            writing.done.count(length, writing.end);
        }
        if run.packets == 0 {
            return pushed;
        }
        writing.ahead = writing.done;
        match pushed {
            Ok(()) | Err(Error::WouldBlock) if writing.wait != Wait::No => Ok(()),
            Ok(()) => Err(Error::WouldBlock),
            failed => failed,
        }
    }
}
