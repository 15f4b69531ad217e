//! From the stack to the program: `send` puts frames in, `read` takes packets out.

use crate::acks::Segment;
use crate::channel::{Channel, Wait};
use crate::device::Direction;
use crate::sides::ToUser;
use crate::{
    Blocking, Descriptor, Device, DropReason, Dropped, Error, Extent, Framing, HEAD_MAX, Interruptible, Kernel, Mode,
    Packet, SHORT_HEAD, ToUserVerdict, UserMemory,
};

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Takes a frame from the stack, whatever the state of the device: Haiku's callers leak or stall when a packet is
    /// refused. Never waits, because the stack's timer thread sends too.
    ///
    /// # Errors
    ///
    /// The reason under which the frame was dropped and counted.
    pub fn send(&self, packet: K::Packet) -> Result<(), Dropped<M::Reason>> {
        let mut buffer = [0; SHORT_HEAD];
        let head = match buffer.get_mut(..M::SHORT_HEAD) {
            Some(buffer) if M::SHORT_HEAD > 0 => packet.peek(0, buffer),
            _ => &[],
        };
        let length = packet.len();
        if !M::is_data(head, length) {
            if let Some(outcome) = self.answer_or_drop(&packet, length) {
                return outcome;
            }
        }
        let mut frame = Some(packet);
        let sent = self.to_user.with(|state| {
            let reason = match (state.side.up, state.side.open) {
                (false, _) => DropReason::Down,
                (_, false) => DropReason::NoProgram,
                // It may supersede one that waits.
                _ if state.packets > 0 && state.side.acks.concerns(length) => return Ok(()),
                _ if state.fits() => {
                    if let Some(packet) = frame.take() {
                        state.put(packet);
                    }
                    return Ok(());
                }
                _ => DropReason::Full,
            };
            state.counters.accept(length);
            state.counters.drop(reason as usize);
            Err(reason)
        });
        let sent = match (sent, frame) {
            (Ok(()), Some(packet)) => self.to_user.send_behind(packet),
            // Freed outside the lock, because that calls the kernel.
            (sent, _) => sent,
        };
        sent.map_err(Dropped::ByCore)
    }

    /// Classifies a frame by its whole head, and answers or drops it. `None` if it is the program's.
    #[inline(never)]
    fn answer_or_drop(&self, packet: &K::Packet, length: usize) -> Option<Result<(), Dropped<M::Reason>>> {
        let mut reply = M::Reply::default();
        let answered = match self.classify_to_user(packet, length, &mut reply) {
            // A read must not return 0, because that is the end of the file.
            ToUserVerdict::Deliver if length <= M::LINK.hidden_header => Err(Dropped::ByCore(DropReason::Malformed)),
            ToUserVerdict::Deliver => return None,
            // Before this direction is locked, because an answer goes into the other one. The stack keeps every packet that
            // waits for an answer, so questions are answered without a program too.
            ToUserVerdict::Answer => self.answer(reply.as_ref()).map_err(Dropped::ByCore),
            ToUserVerdict::Drop(reason) => Err(Dropped::ByMode(reason)),
        };
        Some(self.to_user.count(|counters, _, side| {
            counters.accept(length);
            let counted = if answered.is_err() && !side.up { Err(Dropped::ByCore(DropReason::Down)) } else { answered };
            match counted {
                Ok(()) => counters.answered += 1,
                Err(dropped) => counters.drop(dropped.counter::<M>()),
            }
            counted
        }))
    }

    /// Has the mode classify a frame by its head.
    fn classify_to_user(&self, packet: &K::Packet, length: usize, reply: &mut M::Reply) -> ToUserVerdict<M::Reason> {
        let mut buffer = [0; HEAD_MAX];
        let head = packet.peek(0, buffer.get_mut(..M::HEAD_TO_USER).unwrap_or_default());
        M::classify_to_user(&self.link.get(), head, length, reply)
    }

    /// Queues the device's own answer for the stack.
    fn answer(&self, reply: &[u8]) -> Result<(), DropReason> {
        let queued = K::Packet::from_bytes(reply).and_then(|packet| self.to_stack.push_answer(packet));
        queued.map_err(|_| DropReason::AnswerLost)
    }

    /// Reads one packet into the program's memory, whole or as much of it as fits. Returns the bytes copied.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] and [`Error::Interrupted`]; [`Error::Closed`] and [`Error::Gone`]; [`Error::BadAddress`],
    /// and then the packet is lost.
    pub fn read(&self, descriptor: &Descriptor, user: &K::User) -> Result<usize, Error> {
        if user.is_empty() {
            return Ok(0);
        }
        let framing = descriptor.framing();
        if user.len() < framing.length() {
            return Err(Error::Invalid);
        }
        let wait = waiting(descriptor);
        let packet = self.report_loss_once(Direction::ToUser, || self.to_user.pop(wait))?;
        let read = self.copy_out(&packet, framing, user, 0);
        if read.is_err() {
            self.drop_unread(&packet);
        }
        read
    }

    /// Counts a packet that was taken from the queue and could not be copied out as dropped.
    pub(crate) fn drop_unread(&self, packet: &K::Packet) {
        self.to_user.count(|counters, _, _| {
            counters.delivered -= 1;
            counters.delivered_bytes -= packet.len() as u64;
            counters.drop(DropReason::BadAddress as usize);
        });
    }

    /// Copies one packet into the program's memory, behind the header of the framing.
    // A call costs 40 instructions for each packet.
    #[inline(always)]
    pub(crate) fn copy_out(
        &self,
        packet: &K::Packet,
        framing: Framing,
        user: &K::User,
        at: usize,
    ) -> Result<usize, Error> {
        let room = user.len().saturating_sub(at);
        let in_front = framing.length();
        // Checked before a packet is taken for it.
        if room < in_front {
            return Err(Error::BadAddress);
        }
        let whole = packet.len().saturating_sub(M::LINK.hidden_header);
        let copied = whole.min(room - in_front);
        if framing != Framing::Bare {
            let extent = if copied < whole { Extent::CutOff } else { Extent::Whole };
            user.write(at, &K::framing_header(framing, ether_type(packet), extent))?;
        }
        packet.copy_to_user(M::LINK.hidden_header, user, at + in_front, copied)?;
        if copied < whole {
            self.to_user.count(|counters, _, _| counters.truncated += 1);
        }
        Ok(in_front + copied)
    }
}

impl<K: Kernel> Channel<K, ToUser<K>> {
    /// Queues a frame behind others, or in the place of one that it supersedes. One copy serves every mode.
    #[inline(never)]
    fn send_behind(&self, packet: K::Packet) -> Result<(), DropReason> {
        let (segment, length) = (Segment::of(&packet), packet.len());
        let mut frame = Some(packet);
        let sent = self.with(|state| {
            let sent = match (state.side.up, state.side.open, &segment) {
                (false, ..) => Err(DropReason::Down),
                (_, false, _) => Err(DropReason::NoProgram),
                (.., Some(segment)) if state.side.acks.supersede(segment, &mut frame) => {
                    state.counters.accept(length);
                    state.counters.drop(DropReason::Superseded as usize);
                    return Ok(());
                }
                _ if !state.fits() => Err(DropReason::Full),
                _ => Ok(()),
            };
            if let Err(reason) = sent {
                state.counters.accept(length);
                state.counters.drop(reason as usize);
            } else if let Some(packet) = frame.take() {
                if let Some(segment) = &segment {
                    state.side.acks.note(segment, state.packets);
                }
                state.put(packet);
            }
            sent
        });
        // Freed outside the lock, because that calls the kernel.
        drop(frame);
        sent
    }
}

/// Returns the Ethernet type of a frame; 0 if it has none.
fn ether_type<P: Packet>(packet: &P) -> u16 {
    match packet.peek(12, &mut [0; 2]) {
        &[high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// Returns how a call of this descriptor waits.
pub(crate) fn waiting(descriptor: &Descriptor) -> Wait {
    match descriptor.blocking() {
        Blocking::Wait => Wait::Until(Interruptible::Yes),
        Blocking::DontWait => Wait::No,
    }
}
