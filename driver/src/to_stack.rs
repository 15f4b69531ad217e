//! From the program to the stack: `write` delivers packets or queues them, `receive` takes frames out of the queue.

use crate::channel::Wait;
use crate::device::Direction;
use crate::to_user::waiting;
use crate::{
    Delivery, Descriptor, Device, Dropped, Error, FrameHeader, HEAD_MAX, Interruptible, Kernel, Mode, Packet,
    ToStackVerdict, UserMemory,
};

/// The way of a program's packet.
pub(crate) enum Route {
    /// It goes straight to its protocol.
    Direct(FrameHeader),
    /// It goes through the queue.
    Queued(FrameHeader),
    /// It is dropped silently; `counter` is the index of its reason.
    Dropped { counter: usize, length: usize },
}

/// The beginning of a packet, fetched once, so that the head that is classified is the head that travels. There is space
/// for a link header in front of it.
pub(crate) struct Head {
    bytes: [u8; Self::MAX],
    /// How many bytes of the packet were fetched.
    fetched: usize,
}

impl Head {
    const MAX: usize = FrameHeader::LENGTH + HEAD_MAX;

    /// Returns an empty head.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::MAX], fetched: 0 }
    }

    /// Makes the frame for the queue: the packet that lies from `start` to `end` in the program's memory, with its link
    /// header, which the program has written itself if `hidden` is 0.
    pub(crate) fn frame<K: Kernel>(
        &mut self,
        header: &FrameHeader,
        hidden: usize,
        user: &K::User,
        start: usize,
        end: usize,
    ) -> Result<K::Packet, Error> {
        if let (1.., Some(front)) = (hidden, self.bytes.first_chunk_mut()) {
            *front = *header.bytes();
        }
        self.packet::<K>(FrameHeader::LENGTH.saturating_sub(hidden), user, start, end)
    }

    /// Makes the packet for its protocol: the same without a link header.
    pub(crate) fn payload<K: Kernel>(
        &self,
        hidden: usize,
        user: &K::User,
        start: usize,
        end: usize,
    ) -> Result<K::Packet, Error> {
        self.packet::<K>(2 * FrameHeader::LENGTH - hidden.min(FrameHeader::LENGTH), user, start, end)
    }

    /// Makes a packet of the head from its byte `from` on and of the rest of the program's memory.
    fn packet<K: Kernel>(&self, from: usize, user: &K::User, start: usize, end: usize) -> Result<K::Packet, Error> {
        let bytes = self.bytes.get(from..FrameHeader::LENGTH + self.fetched).unwrap_or_default();
        let mut packet = K::Packet::from_parts(&[bytes])?;
        let rest = start + self.fetched;
        if rest < end {
            packet.append_user(user, rest, end - rest)?;
        }
        Ok(packet)
    }
}

impl<M: Mode, K: Kernel> Device<M, K> {
    /// Writes one packet of the program's. Returns the bytes taken, which are all of them.
    ///
    /// Checks the length, the headers and the room before it allocates anything. The length is independent of the MTU: a
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
        let mut head = Head::new();
        loop {
            let written = match self.route(user, start, end, &mut head)? {
                Route::Direct(header) => self.deliver(&header, &head, user, start, end),
                Route::Queued(header) => {
                    self.to_stack.await_room(wait)?;
                    self.note_queued(&header);
                    self.to_stack.push(head.frame::<K>(&header, M::LINK.hidden_header, user, start, end)?)
                }
                Route::Dropped { counter, length } => self.drop_written(counter, length),
            };
            match written {
                // Another writer took the last place. The copy is freed instead of held while waiting, because many
                // writers would otherwise make the kernel keep more than the queue may.
                Err(Error::WouldBlock) if wait != Wait::No => {}
                written => return written.map(|()| end),
            }
        }
    }

    /// Notes that a packet with this link header is about to be queued. Called after the wait for room, because direct delivery
    /// resumes some time after the last note.
    pub(crate) fn note_queued(&self, header: &FrameHeader) {
        if let Some(protocol) = header.protocol() {
            self.delivery.note_queued(protocol);
        }
    }

    /// Whether a packet with this link header goes straight to its protocol. A device that takes no packets leaves it to the
    /// queue to say why.
    fn is_direct(&self, header: &FrameHeader) -> bool {
        let Some(protocol) = header.protocol() else { return false };
        let is_drained = || self.to_stack.backlog().packets == 0;
        self.to_stack.had_room() && self.delivery.is_direct(protocol, is_drained)
    }

    /// Hands a packet to its protocol, in the caller's thread and with no lock held.
    pub(crate) fn deliver(
        &self,
        header: &FrameHeader,
        head: &Head,
        user: &K::User,
        start: usize,
        end: usize,
    ) -> Result<(), Error> {
        let packet = head.payload::<K>(M::LINK.hidden_header, user, start, end)?;
        let bytes = packet.len();
        let interface = self.to_stack.with(|state| {
            state.accepting?;
            // There is one exactly while the interface is up.
            let interface = state.side.stack_end.ok_or(Error::NetworkDown)?;
            state.counters.accept(FrameHeader::LENGTH + bytes);
            state.counters.deliver(FrameHeader::LENGTH + bytes);
            K::Delivery::count_received(interface, bytes);
            Ok(interface)
        })?;
        self.delivery.deliver(interface, packet, header);
        Ok(())
    }

    /// Fetches the head of the packet that lies from `start` to `end` in the program's memory, and classifies it.
    pub(crate) fn route(&self, user: &K::User, start: usize, end: usize, head: &mut Head) -> Result<Route, Error> {
        let Some(length) = end.checked_sub(start) else { return Err(Error::Invalid) };
        let link = self.link.get();
        if length < M::LINK.shortest {
            return Err(Error::Invalid);
        }
        if length > Self::MTU_MAX + M::LINK.overhead {
            return Err(Error::TooLong);
        }
        // A small packet is fetched whole, because a second fetch would cost more than the bytes do.
        let fetched = if length <= HEAD_MAX { length } else { M::HEAD_TO_STACK };
        head.fetched = fetched;
        let space = head.bytes.get_mut(FrameHeader::LENGTH..FrameHeader::LENGTH + fetched).unwrap_or_default();
        user.read(start, space)?;
        match M::classify_to_stack(&link, &self.groups, space.get(..M::HEAD_TO_STACK).unwrap_or(space), length)? {
            ToStackVerdict::Deliver(header) => {
                Ok(if self.is_direct(&header) { Route::Direct(header) } else { Route::Queued(header) })
            }
            ToStackVerdict::Drop(reason) => {
                Ok(Route::Dropped { counter: Dropped::ByMode(reason).counter::<M>(), length })
            }
        }
    }

    /// Counts a written packet as dropped.
    pub(crate) fn drop_written(&self, counter: usize, length: usize) -> Result<(), Error> {
        self.to_stack.with(|state| {
            state.accepting?;
            state.counters.accept(length);
            state.counters.drop(counter);
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
