//! From the program to the stack: `write` puts packets in, `receive` takes frames out.

use crate::channel::Wait;
use crate::to_user::waiting;
use crate::{Descriptor, Device, Error, HEAD_MAX, Interruptible, Kernel, Mode, Packet, ToStack, UserMemory};

impl<M: Mode, K: Kernel> Device<M, K> {
    /// The program writes one packet. Returns the bytes taken: all of them.
    ///
    /// Checked before anything is allocated: the length, the headers, and whether there is room.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] and [`Error::TooLong`] for the packet; [`Error::NetworkDown`], [`Error::Gone`] and
    /// [`Error::Closed`] for the device; [`Error::WouldBlock`] and [`Error::Interrupted`] for a full queue;
    /// [`Error::BadAddress`] and [`Error::NoMemory`].
    pub fn write(&self, descriptor: &Descriptor, user: &K::User) -> Result<usize, Error> {
        self.copy_in(user, descriptor.framing().length(), user.len(), waiting(descriptor))?;
        Ok(user.len())
    }

    /// Copies the packet that lies from `start` to `end` in the program's memory, waiting for room if need be.
    pub(crate) fn copy_in(&self, user: &K::User, start: usize, end: usize, wait: Wait) -> Result<(), Error> {
        loop {
            match self.try_copy_in(user, start, end, wait) {
                // Somebody else was quicker. What was copied is given up and not held while waiting: a program with many
                // writers must not make the kernel keep more than its queue may.
                Err(Error::WouldBlock) if wait != Wait::No => {}
                copied => return copied,
            }
        }
    }

    /// Does it, if there is still room once it is copied.
    fn try_copy_in(&self, user: &K::User, start: usize, end: usize, wait: Wait) -> Result<(), Error> {
        let Some(length) = end.checked_sub(start) else { return Err(Error::Invalid) };
        let link = self.link.get();
        if length < M::LINK.shortest {
            return Err(Error::Invalid);
        }
        if length > link.mtu + M::LINK.overhead {
            return Err(Error::TooLong);
        }
        let mut buffer = [0; HEAD_MAX];
        let head = buffer.get_mut(..length.min(M::HEAD_TO_STACK)).unwrap_or_default();
        user.read(start, head)?;
        let header = match M::to_stack(&link, &self.groups, head, length)? {
            ToStack::Deliver(header) => header,
            ToStack::Drop(reason) => {
                return self.to_stack.with(|state| {
                    state.admit()?;
                    state.counters.accept(length);
                    state.counters.drop(reason);
                    Ok(())
                });
            }
        };
        self.to_stack.await_room(wait)?;
        let mut packet = K::Packet::from_parts(&[header.bytes(), head])?;
        // Every byte is fetched once: the head that was judged is the head that travels.
        packet.append_user(user, start + head.len(), length - head.len())?;
        self.to_stack.push(packet)
    }

    /// The stack's reader takes the next frame, waiting for it.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkDown`] once the interface is down.
    pub fn receive(&self) -> Result<K::Packet, Error> {
        self.to_stack.pop(Wait::Until(Interruptible::No))
    }
}
