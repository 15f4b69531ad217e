//! From the program to the stack: `write` puts packets in, `receive` takes frames out.

use crate::channel::Wait;
use crate::device::Direction;
use crate::to_user::waiting;
use crate::{
    Descriptor, Device, DropReason, Error, FrameHeader, HEAD_MAX, Interruptible, Kernel, Mode, Packet, ToStack,
    UserMemory,
};

/// The decision on a program's packet.
pub(crate) enum Judged {
    /// It goes to the stack, and its head is ready.
    Travels,
    /// It is dropped silently.
    Dropped { reason: DropReason, length: usize },
}

/// The beginning of a packet, fetched and judged, with the link header that it got in front of it.
pub(crate) struct Head {
    bytes: [u8; Self::MAX],
    /// Where the link header begins; it ends at [`FrameHeader::ETHERNET`].
    from: usize,
    /// How many bytes were fetched.
    fetched: usize,
}

impl Head {
    const MAX: usize = FrameHeader::ETHERNET + HEAD_MAX;

    /// Room for a head.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::MAX], from: FrameHeader::ETHERNET, fetched: 0 }
    }

    /// Puts a link header in front.
    fn put_behind(&mut self, header: &FrameHeader) {
        let (place, length) = header.padded();
        if let Some(front) = self.bytes.first_chunk_mut() {
            *front = *place;
        }
        self.from = FrameHeader::ETHERNET.saturating_sub(length);
    }

    /// The whole packet, of which this is the head: every byte is fetched once, so that the head that was judged is the
    /// head that travels.
    pub(crate) fn packet<K: Kernel>(&self, user: &K::User, start: usize, end: usize) -> Result<K::Packet, Error> {
        let bytes = self.bytes.get(self.from..FrameHeader::ETHERNET + self.fetched).unwrap_or_default();
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
            let written = match self.judge(user, start, end, &mut head)? {
                Judged::Travels => {
                    self.to_stack.await_room(wait)?;
                    self.to_stack.push(head.packet::<K>(user, start, end)?)
                }
                Judged::Dropped { reason, length } => self.drop_written(reason, length),
            };
            match written {
                // Another writer took the last place. The copy is freed instead of held while waiting, because many
                // writers would otherwise make the kernel keep more than the queue may.
                Err(Error::WouldBlock) if wait != Wait::No => {}
                written => return written.map(|()| end),
            }
        }
    }

    /// Fetches the head of the packet that lies from `start` to `end` in the program's memory, and classifies it.
    pub(crate) fn judge(&self, user: &K::User, start: usize, end: usize, head: &mut Head) -> Result<Judged, Error> {
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
        let space = head.bytes.get_mut(FrameHeader::ETHERNET..FrameHeader::ETHERNET + fetched).unwrap_or_default();
        user.read(start, space)?;
        match M::classify_to_stack(&link, &self.groups, space.get(..M::HEAD_TO_STACK).unwrap_or(space), length)? {
            ToStack::Deliver(header) => {
                head.put_behind(&header);
                Ok(Judged::Travels)
            }
            ToStack::Drop(reason) => Ok(Judged::Dropped { reason, length }),
        }
    }

    /// Counts a written packet as dropped.
    pub(crate) fn drop_written(&self, reason: DropReason, length: usize) -> Result<(), Error> {
        self.to_stack.with(|state| {
            state.accepting?;
            state.counters.accept(length);
            state.counters.drop(reason);
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
