//! Many packets in one call.
//!
//! A batch is a row of records in one buffer, each a length word of four bytes in the machine's order, that many bytes of
//! packet (with whatever the descriptor's framing puts in front), and padding to the next multiple of four. Vectors would
//! not do: Haiku turns each element of a vector into a call of its own.

use crate::channel::Wait;
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

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Reads up to `most` packets, as many as there are and as fit whole. Waits for the first only.
    ///
    /// # Errors
    ///
    /// Those of [`Self::read`], if not even the first was read; [`Error::Invalid`] if that would not fit.
    pub fn read_batch(&self, descriptor: &Descriptor, user: &K::User, most: u32) -> Result<Batch, Error> {
        let framing = descriptor.framing();
        let mut batch = Batch::default();
        let mut wait = waiting(descriptor);
        while batch.packets < most {
            let room = user.len().saturating_sub(batch.bytes + WORD);
            let fits = |frame: usize| framing.length() + frame.saturating_sub(M::LINK.hidden_header) <= room;
            let packet = match self.to_user.pop_if(wait, fits) {
                Ok(Some(packet)) => packet,
                Ok(None) => return batch.or(Error::Invalid),
                Err(error) => return batch.or(error),
            };
            let copied = self.copy_out(&packet, framing, user, batch.bytes + WORD).and_then(|length| {
                let word = u32::try_from(length).unwrap_or(u32::MAX);
                user.write(batch.bytes, &word.to_ne_bytes()).map(|()| length)
            });
            match copied {
                Ok(length) => batch.count(length, user.len()),
                Err(error) => {
                    self.lose(&packet);
                    return batch.or(error);
                }
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
        let (framing, wait) = (descriptor.framing().length(), waiting(descriptor));
        let mut batch = Batch::default();
        while batch.packets < most && batch.bytes < user.len() {
            let start = batch.bytes + WORD;
            if start > user.len() {
                return batch.or(Error::Invalid);
            }
            let mut word = [0; WORD];
            let written = user.read(batch.bytes, &mut word).and_then(|()| {
                let length = u32::from_ne_bytes(word) as usize;
                let end = start.checked_add(length).filter(|&end| end <= user.len()).ok_or(Error::Invalid)?;
                self.copy_in(user, start + framing, end, wait).map(|()| length)
            });
            match written {
                Ok(length) => batch.count(length, user.len()),
                Err(error) => return batch.or(error),
            }
        }
        Ok(batch)
    }
}
