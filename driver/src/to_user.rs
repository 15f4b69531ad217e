//! From the stack to the program: `send` puts frames in, `read` takes packets out.

use crate::channel::Wait;
use crate::{
    Blocking, Descriptor, Device, DropReason, Error, Framing, HEAD_MAX, Interruptible, Kernel, Mode,
    PACKET_INFORMATION, Packet, Refusal, UserMemory, Verdict,
};

/// A frame that was not accepted, and why. The sender still owns it.
#[derive(Debug)]
pub struct SendError<P> {
    /// The frame.
    pub packet: P,
    /// Why it was not accepted.
    pub error: Error,
}

/// In the flags of a packet-information header: the buffer was too short for the packet (Linux's `TUN_PKT_STRIP`).
const PACKET_STRIPPED: u16 = 1;

impl<M: Mode, K: Kernel> Device<M, K> {
    /// The stack sends a frame. Never waits, for the stack's timer thread sends too.
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`], or [`Error::NetworkDown`] if nobody listens. The frame comes back with either.
    pub fn send(&self, packet: K::Packet) -> Result<(), SendError<K::Packet>> {
        let mut buffer = [0; HEAD_MAX];
        let head = packet.peek(0, buffer.get_mut(..M::HEAD_TO_USER).unwrap_or_default());
        let length = packet.len();
        let mut reply = M::Reply::default();
        let mut frame = Some(packet);
        let verdict = self.to_user.with(|state| {
            if !state.up {
                state.admit()?;
            }
            let verdict = match M::to_user(&mut state.mode, head, length, &mut reply) {
                // A read must not return 0: that is the end of the file.
                Verdict::Deliver if length <= M::LINK.hidden_header => Verdict::Drop(DropReason::Malformed),
                verdict => verdict,
            };
            // Questions are answered though nobody listens: the stack keeps every packet that waits for an answer, and
            // its timer for one still looks at the interface after that was deleted.
            if verdict != Verdict::Answer {
                state.admit()?;
            }
            match verdict {
                Verdict::Deliver if !state.fits(length) => {
                    state.counters.refuse(Refusal::Full);
                    return Err(Error::QueueFull);
                }
                Verdict::Deliver => {
                    if let Some(packet) = frame.take() {
                        state.put(packet);
                    }
                }
                Verdict::Answer => state.counters.accept(length),
                Verdict::Drop(reason) => {
                    state.counters.accept(length);
                    state.counters.drop(reason);
                }
            }
            Ok(verdict)
        });
        match (verdict, frame) {
            (Ok(Verdict::Answer), _) => {
                self.answer(reply.as_ref());
                Ok(())
            }
            (Err(error), Some(packet)) => Err(SendError { packet, error }),
            (Ok(_) | Err(_), _) => Ok(()),
        }
    }

    /// Hands the stack the device's own answer, and says what became of the question.
    fn answer(&self, reply: &[u8]) {
        let sent = K::Packet::from_parts(&[reply]).and_then(|packet| self.to_stack.offer(packet));
        self.to_user.with(|state| match sent {
            Ok(()) => state.counters.answered += 1,
            Err(_) => state.counters.drop(DropReason::AnswerRefused),
        });
    }

    /// The program reads one packet, whole or as much of it as its buffer holds. Returns the bytes copied.
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
        let packet = self.to_user.pop(waiting(descriptor))?;
        let read = self.copy_out(&packet, framing, user, 0);
        if read.is_err() {
            self.lose(&packet);
        }
        read
    }

    /// A packet that was taken from the queue did not reach the program.
    pub(crate) fn lose(&self, packet: &K::Packet) {
        self.to_user.with(|state| {
            state.counters.delivered -= 1;
            state.counters.delivered_bytes -= packet.len() as u64;
            state.counters.drop(DropReason::BadAddress);
        });
    }

    /// Copies one packet into the program's memory, behind what the framing puts in front of it.
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
            user.write(at, &header(packet, framing, copied < whole))?;
        }
        packet.copy_to_user(M::LINK.hidden_header, user, at + in_front, copied)?;
        if copied < whole {
            self.to_user.with(|state| state.counters.truncated += 1);
        }
        Ok(in_front + copied)
    }
}

/// What stands in front of a packet.
fn header<P: Packet>(packet: &P, framing: Framing, stripped: bool) -> [u8; PACKET_INFORMATION] {
    let mut buffer = [0; 2];
    let ether_type = match packet.peek(12, &mut buffer) {
        &[high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    match framing {
        // `struct tun_pi`: the flags are in the machine's order, the protocol in the network's.
        Framing::PacketInformation | Framing::Bare => {
            let [a, b] = if stripped { PACKET_STRIPPED } else { 0 }.to_ne_bytes();
            let [c, d] = ether_type.to_be_bytes();
            [a, b, c, d]
        }
        Framing::AddressFamily => match ether_type {
            0x86dd => AF_INET6,
            _ => AF_INET,
        }
        .to_be_bytes(),
    }
}

/// Haiku's `AF_INET` and `AF_INET6`.
const AF_INET: u32 = 1;
const AF_INET6: u32 = 5;

/// How a call of this descriptor waits.
pub(crate) fn waiting(descriptor: &Descriptor) -> Wait {
    match descriptor.blocking() {
        Blocking::Wait => Wait::Until(Interruptible::Yes),
        Blocking::DontWait => Wait::No,
    }
}
