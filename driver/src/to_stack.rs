//! From the program to the stack: `write` delivers packets or queues them, `receive` takes frames out of the queue.

use crate::channel::Wait;
use crate::device::Direction;
use crate::limits::{BEHIND, CROWDED};
use crate::to_user::waiting;
use crate::{
    Delivery, Descriptor, Device, Dropped, Error, FrameHeader, HEAD_TO_STACK_MAX, Interruptible, Kernel, Mode, Packet,
    ToStackVerdict, UserMemory,
};

/// A packet that a program wrote, and its link header.
pub(crate) struct Written<K: Kernel> {
    packet: K::Packet,
    header: FrameHeader,
}

impl<K: Kernel> Written<K> {
    /// Returns the frame for the queue. The program has written the link header itself, unless the mode hides it.
    pub(crate) fn into_frame<M: Mode>(mut self) -> Result<K::Packet, Error> {
        if M::LINK.hidden_header > 0 {
            self.packet.prepend(self.header.bytes())?;
        }
        Ok(self.packet)
    }

    /// Returns the packet for its protocol: the same without a link header.
    fn into_payload<M: Mode>(mut self) -> Result<K::Packet, Error> {
        if M::LINK.hidden_header == 0 {
            self.packet.strip(FrameHeader::LENGTH)?;
        }
        Ok(self.packet)
    }
}

/// What [`Device::fetch`] made of a program's packet: the way that it goes.
pub(crate) enum Fetched<K: Kernel> {
    /// It goes straight to its protocol.
    Direct(Written<K>),
    /// It goes through the queue.
    Queued(Written<K>),
    /// It is dropped silently; this is the index of its reason's counter.
    Dropped(usize),
}

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Writes one packet of the program's. Returns the bytes taken, which are all of them.
    ///
    /// Checks the length and waits for room before it allocates anything. The length is independent of the MTU: a
    /// program may coalesce segments, and its peer may have a larger MTU.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] and [`Error::TooLong`] for the packet; [`Error::NetworkDown`], [`Error::Gone`] and
    /// [`Error::Closed`] for the device; [`Error::WouldBlock`] and [`Error::Interrupted`] for a full queue;
    /// [`Error::BadAddress`] and [`Error::NoMemory`].
    pub fn write(&self, descriptor: &Descriptor, user: &K::User) -> Result<usize, Error> {
        self.report_loss_once(Direction::ToStack, || self.write_packet(descriptor, user))
    }

    fn write_packet(&self, descriptor: &Descriptor, user: &K::User) -> Result<usize, Error> {
        let (start, end, wait) = (descriptor.framing().length(), user.len(), waiting(descriptor));
        loop {
            let written = match self.fetch(user, start, end, wait, false)? {
                Fetched::Direct(written) => self.deliver_directly(written),
                Fetched::Queued(written) => {
                    self.note_queued(&written);
                    self.to_stack.push(written.into_frame::<M>()?)
                }
                Fetched::Dropped(counter) => self.drop_written(counter, end - start),
            };
            match written {
                // Another writer took the last place. The copy is freed instead of held while waiting, because many
                // writers would otherwise make the kernel keep more than the queue may.
                Err(Error::WouldBlock) if wait != Wait::No => {}
                written => return written.map(|()| end),
            }
        }
    }

    /// Notes that a packet is about to be queued. Called after the wait for room, because direct delivery resumes some time
    /// after the last note.
    pub(crate) fn note_queued(&self, written: &Written<K>) {
        if let Some(protocol) = written.header.protocol() {
            self.delivery.note_queued(protocol);
        }
    }

    /// Whether a packet with this link header goes straight to its protocol. `holds` is whether the call holds others, which go
    /// through the queue before it.
    #[inline]
    fn is_direct(&self, header: &FrameHeader, holds: bool) -> bool {
        let Some(protocol) = header.protocol() else { return false };
        let keeps_up = || self.to_user.held() < BEHIND;
        let is_drained = || !holds && self.to_stack.backlog().packets == 0;
        self.delivery.is_direct(protocol, keeps_up, is_drained)
    }

    /// Hands a packet to its protocol, in the caller's thread and with no lock held.
    pub(crate) fn deliver_directly(&self, written: Written<K>) -> Result<(), Error> {
        let header = written.header;
        let packet = written.into_payload::<M>()?;
        let bytes = packet.len();
        let interface = self.to_stack.count(|counters, accepting, side| {
            accepting?;
            // There is one exactly while the interface is up.
            let interface = side.stack_end.ok_or(Error::NetworkDown)?;
            counters.accept(FrameHeader::LENGTH + bytes);
            counters.deliver(FrameHeader::LENGTH + bytes);
            K::Delivery::count_received(interface, bytes);
            Ok(interface)
        })?;
        self.delivery.deliver(interface, packet, &header, self.to_user.held() >= CROWDED);
        Ok(())
    }

    /// Fetches the packet that lies from `start` to `end` in the program's memory, once, so that the head that is classified is
    /// the head that travels. Without room the head is fetched and classified before the wait too: a packet that is refused or
    /// dropped does not wait.
    pub(crate) fn fetch(
        &self,
        user: &K::User,
        start: usize,
        end: usize,
        wait: Wait,
        holds: bool,
    ) -> Result<Fetched<K>, Error> {
        let Some(length) = end.checked_sub(start) else { return Err(Error::Invalid) };
        if length < M::LINK.shortest {
            return Err(Error::Invalid);
        }
        if length > Self::MTU_MAX + M::LINK.overhead {
            return Err(Error::TooLong);
        }
        let mut buffer = [0; HEAD_TO_STACK_MAX];
        let head = buffer.get_mut(..M::HEAD_TO_STACK.min(length)).unwrap_or_default();
        let link = self.link.get();
        if !self.to_stack.had_room() {
            // Fetched and classified anew after the wait.
            user.read(start, head)?;
            match M::classify_to_stack(&link, &self.groups, head, length)? {
                ToStackVerdict::Deliver(_) => self.to_stack.await_room(wait)?,
                ToStackVerdict::Drop(reason) => return Ok(Fetched::Dropped(Dropped::ByMode(reason).counter::<M>())),
            }
        }
        let packet = K::Packet::from_user(user, start, length, head)?;
        Ok(match M::classify_to_stack(&link, &self.groups, head, length)? {
            ToStackVerdict::Deliver(header) if self.is_direct(&header, holds) => {
                Fetched::Direct(Written { packet, header })
            }
            ToStackVerdict::Deliver(header) => Fetched::Queued(Written { packet, header }),
            ToStackVerdict::Drop(reason) => Fetched::Dropped(Dropped::ByMode(reason).counter::<M>()),
        })
    }

    /// Counts a written packet as dropped.
    pub(crate) fn drop_written(&self, counter: usize, length: usize) -> Result<(), Error> {
        self.to_stack.count(|counters, accepting, _| {
            accepting?;
            counters.accept(length);
            counters.drop(counter);
            Ok(())
        })
    }

    /// Takes the next frame for the stack's reader thread. Waits for one.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkDown`] once the interface is down.
    pub fn receive(&self) -> Result<K::Packet, Error> {
        self.to_stack.pop(Wait::Until(Interruptible::No))
    }
}
