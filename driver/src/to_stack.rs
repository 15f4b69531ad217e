//! From the program to the stack: `write` delivers packets or queues them, `receive` takes frames out of the queue.

use crate::channel::Wait;
use crate::device::Direction;
use crate::limits::{BEHIND, CROWDED};
use crate::to_user::waiting;
use crate::{
    Delivery, Descriptor, Device, Dropped, Error, FrameHeader, HEAD_TO_STACK_MAX, Interruptible, Kernel, Mode, Packet,
    ToStackVerdict, UserMemory,
};

/// What [`Device::fetch`] made of a program's packet.
pub(crate) enum Fetched<P, R> {
    /// A packet for the stack, and its link header.
    Packet(P, FrameHeader),
    /// Nothing: it is dropped silently, for this reason of the mode's.
    Dropped(R),
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
            match self.fetch(user, start, end, wait)? {
                Fetched::Packet(packet, header) if self.is_direct(&header, false) => {
                    self.deliver_directly(packet, &header)?;
                }
                Fetched::Packet(packet, header) => {
                    if !self.queue_written(packet, &header, wait)? {
                        continue;
                    }
                }
                Fetched::Dropped(reason) => self.drop_written(reason, end - start)?,
            }
            return Ok(end);
        }
    }

    /// Queues a packet for the stack's reader thread. Returns false if another writer took the last place and the descriptor
    /// waits. The copy is freed then instead of held while waiting, because many writers would otherwise make the kernel keep
    /// more than the queue may.
    #[inline(never)]
    fn queue_written(&self, packet: K::Packet, header: &FrameHeader, wait: Wait) -> Result<bool, Error> {
        self.note_queued(header);
        match self.to_stack.push(Self::into_frame(packet, header)?) {
            Err(Error::WouldBlock) if wait != Wait::No => Ok(false),
            pushed => pushed.map(|()| true),
        }
    }

    /// Returns the frame for the queue. The program has written the link header itself, unless the mode hides it.
    #[inline]
    pub(crate) fn into_frame(mut packet: K::Packet, header: &FrameHeader) -> Result<K::Packet, Error> {
        if M::LINK.hidden_header > 0 {
            packet.prepend(header.bytes())?;
        }
        Ok(packet)
    }

    /// Notes that a packet is about to be queued. Called after the wait for room, because direct delivery resumes some time
    /// after the last note.
    pub(crate) fn note_queued(&self, header: &FrameHeader) {
        if let Some(protocol) = header.protocol() {
            self.delivery.note_queued(protocol);
        }
    }

    /// Whether a packet with this link header goes straight to its protocol. `holds` is whether the call holds others, which go
    /// through the queue before it.
    #[inline]
    pub(crate) fn is_direct(&self, header: &FrameHeader, holds: bool) -> bool {
        let Some(protocol) = header.protocol() else { return false };
        let keeps_up = || self.to_user.held() < BEHIND;
        let is_drained = || !holds && self.to_stack.backlog().packets == 0;
        self.delivery.is_direct(protocol, keeps_up, is_drained)
    }

    /// Hands a packet to its protocol, in the caller's thread and with no lock held.
    #[inline]
    pub(crate) fn deliver_directly(&self, mut packet: K::Packet, header: &FrameHeader) -> Result<(), Error> {
        if M::LINK.hidden_header == 0 {
            packet.strip(FrameHeader::LENGTH)?;
        }
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
        self.delivery.deliver(interface, packet, header, self.to_user.held() >= CROWDED);
        Ok(())
    }

    /// Fetches the packet that lies from `start` to `end` in the program's memory, once, so that the head that is classified is
    /// the head that travels. Waits for room first.
    // A call would hand the packet and its verdict over in memory: 70 instructions for each packet.
    #[inline(always)]
    pub(crate) fn fetch(
        &self,
        user: &K::User,
        start: usize,
        end: usize,
        wait: Wait,
    ) -> Result<Fetched<K::Packet, M::Reason>, Error> {
        let Some(length) = end.checked_sub(start) else { return Err(Error::Invalid) };
        if length < M::LINK.shortest {
            return Err(Error::Invalid);
        }
        if length > Self::MTU_MAX + M::LINK.overhead {
            return Err(Error::TooLong);
        }
        if !self.to_stack.had_room()
            && let Some(reason) = self.await_room(user, start, length, wait)?
        {
            return Ok(Fetched::Dropped(reason));
        }
        let mut head = [0; HEAD_TO_STACK_MAX];
        let packet = K::Packet::from_user(user, start, length, &mut head)?;
        Ok(match self.classify_to_stack(&head, length)? {
            ToStackVerdict::Deliver(header) => Fetched::Packet(packet, header),
            ToStackVerdict::Drop(reason) => Fetched::Dropped(reason),
        })
    }

    /// Has the mode classify a packet of `length` bytes by its head.
    #[inline]
    fn classify_to_stack(
        &self,
        head: &[u8; HEAD_TO_STACK_MAX],
        length: usize,
    ) -> Result<ToStackVerdict<M::Reason>, Error> {
        let head = head.get(..M::HEAD_TO_STACK.min(length)).unwrap_or_default();
        M::classify_to_stack(&self.link.get(), &self.groups, head, length)
    }

    /// Waits for room for a packet, unless it is refused or dropped: then returns why. Its head is fetched and classified for
    /// that, and anew after the wait.
    #[cold]
    #[inline(never)]
    fn await_room(&self, user: &K::User, start: usize, length: usize, wait: Wait) -> Result<Option<M::Reason>, Error> {
        let mut head = [0; HEAD_TO_STACK_MAX];
        user.read(start, head.get_mut(..M::HEAD_TO_STACK.min(length)).unwrap_or_default())?;
        match self.classify_to_stack(&head, length)? {
            ToStackVerdict::Deliver(_) => self.to_stack.await_room(wait).map(|()| None),
            ToStackVerdict::Drop(reason) => Ok(Some(reason)),
        }
    }

    /// Counts a written packet as dropped.
    #[inline(never)]
    pub(crate) fn drop_written(&self, reason: M::Reason, length: usize) -> Result<(), Error> {
        self.to_stack.count(|counters, accepting, _| {
            accepting?;
            counters.accept(length);
            counters.drop(Dropped::ByMode(reason).counter::<M>());
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
