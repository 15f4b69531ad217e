//! Which addresses the interface has itself, as far as it has shown.
//!
//! The device is not told. It must not answer for the interface's own addresses, and it must not stay
//! silent about anyone else's. What the interface sends is evidence of two kinds:
//!
//! * *Proof*: only an owner of the address can have sent it, for no router passes such a thing on: an ARP
//!   sender, the source of a neighbour solicitation, a link-local source, a packet that still has the
//!   highest hop limit.
//! * A *hint*: any other source address. The stack may only have forwarded the packet, and its sender may
//!   have lied.
//!
//! Neither is for ever. An address can move to the far side, and then the stack asks for it; for an
//! address that it has, it does not ask, save to detect duplicates and to announce itself, which are told
//! apart by their form. So each question for an address of ours raises a doubt, and [`DOUBTS`] of them in
//! a row overturn what was believed: the next question is answered. A proof settles all doubts. A hint
//! settles none, never takes the place of anything, and what it claimed once it cannot claim again: so a
//! liar can delay the answers for at most [`SLOTS`] addresses, by a few questions each, once.

/// How many addresses of each kind are remembered.
pub(crate) const SLOTS: usize = 8;

/// How many questions in a row go unanswered before an address is believed to be elsewhere. Haiku asks
/// five times before it gives up, Linux three times in a round, and goes on while there is traffic.
pub(crate) const DOUBTS: u8 = 3;

/// Why an address is believed to be the interface's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It cannot have been forwarded.
    Proof,
    /// It may have been forwarded.
    Hint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot<A> {
    /// The default address, which no host can have, marks a free slot.
    address: A,
    doubts: u8,
}

/// The own addresses of one family. Nothing here depends on how many addresses there have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnAddresses<A> {
    /// The address seen last: most packets show the same one again, and are done with it.
    last: A,
    proven: [Slot<A>; SLOTS],
    hinted: [Slot<A>; SLOTS],
    /// The proven slot that is the next to be replaced.
    oldest: u8,
}

impl<A: Copy + PartialEq + Default> OwnAddresses<A> {
    /// No address is known.
    pub(crate) fn new() -> Self {
        let free = Slot { address: A::default(), doubts: 0 };
        Self { last: free.address, proven: [free; SLOTS], hinted: [free; SLOTS], oldest: 0 }
    }

    /// Whether this address was the last that [`Self::saw`] was told of.
    #[inline]
    pub(crate) fn saw_last(&self, address: A) -> bool {
        self.last == address
    }

    /// The interface sent something from this address, which must be one that a host can have.
    pub(crate) fn saw(&mut self, address: A, evidence: Evidence) {
        self.last = address;
        match evidence {
            Evidence::Proof => self.prove(address),
            Evidence::Hint => self.hint(address),
        }
    }

    fn prove(&mut self, address: A) {
        if let Some(slot) = self.proven.iter_mut().find(|slot| slot.address == address) {
            slot.doubts = 0;
        } else if let Some(slot) = self.proven.get_mut(usize::from(self.oldest)) {
            *slot = Slot { address, doubts: 0 };
            self.oldest = self.oldest.wrapping_add(1) % SLOTS as u8;
        }
    }

    fn hint(&mut self, address: A) {
        if self.proven.iter().any(|slot| slot.address == address) {
            return;
        }
        let claims = |slot: &&mut Slot<A>| slot.address == address || slot.address == A::default();
        if let Some(slot) = self.hinted.iter_mut().find(claims) {
            slot.address = address;
        }
    }

    /// The stack asks for this address: is it the interface's own? Asking raises a doubt.
    pub(crate) fn is_own(&mut self, address: A) -> bool {
        let mut own = false;
        for slot in self.proven.iter_mut().chain(&mut self.hinted) {
            if slot.address == address && slot.doubts < DOUBTS {
                slot.doubts = slot.doubts.wrapping_add(1);
                own = true;
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::{DOUBTS, Evidence, OwnAddresses, SLOTS};
    use crate::ipv4::Ipv4Address;

    const A: Ipv4Address = Ipv4Address([10, 0, 0, 1]);
    const B: Ipv4Address = Ipv4Address([10, 0, 0, 2]);

    fn numbered(number: usize) -> Ipv4Address {
        Ipv4Address([172, 16, (number / 256) as u8, (number % 256) as u8])
    }

    /// How many questions in a row for this address are taken for questions about ourselves.
    fn refusals(own: &OwnAddresses<Ipv4Address>, address: Ipv4Address) -> usize {
        let mut own = own.clone();
        (0..100).take_while(|_| own.is_own(address)).count()
    }

    #[test]
    fn nothing_is_ours_before_we_spoke() {
        let own = OwnAddresses::new();
        assert_eq!(refusals(&own, A), 0);
    }

    #[test]
    fn what_we_send_from_is_ours() {
        for evidence in [Evidence::Proof, Evidence::Hint] {
            let mut own = OwnAddresses::new();
            own.saw(A, evidence);
            assert_eq!(refusals(&own, A), usize::from(DOUBTS));
            assert_eq!(refusals(&own, B), 0);
        }
    }

    #[test]
    fn an_address_that_moved_to_the_far_side_is_answered_for_after_a_few_questions() {
        let mut own = OwnAddresses::new();
        own.saw(A, Evidence::Proof);
        own.saw(B, Evidence::Proof);
        assert!((0..DOUBTS).all(|_| own.is_own(A)));
        assert_eq!(refusals(&own, A), 0);
        assert_eq!(refusals(&own, B), usize::from(DOUBTS));
    }

    #[test]
    fn proof_settles_doubts() {
        let mut own = OwnAddresses::new();
        for _ in 0..50 {
            own.saw(A, Evidence::Proof);
            assert!((0..DOUBTS).all(|_| own.is_own(A)));
        }
        assert_eq!(refusals(&own, A), 0);
        own.saw(A, Evidence::Proof);
        assert_eq!(refusals(&own, A), usize::from(DOUBTS));
    }

    #[test]
    fn hints_settle_no_doubts() {
        let mut own = OwnAddresses::new();
        own.saw(A, Evidence::Proof);
        own.saw(B, Evidence::Hint);
        for _ in 0..DOUBTS {
            assert!(own.is_own(A) && own.is_own(B));
            own.saw(A, Evidence::Hint);
            own.saw(B, Evidence::Hint);
        }
        assert_eq!(refusals(&own, B), 0, "a liar may not claim an address twice");
        assert_eq!(refusals(&own, A), 0, "nor one that had to be proven");
    }

    #[test]
    fn hints_never_take_the_place_of_anything() {
        let mut own = OwnAddresses::new();
        own.saw(A, Evidence::Proof);
        for number in 0..1000 {
            own.saw(numbered(number), Evidence::Hint);
        }
        assert_eq!(refusals(&own, A), usize::from(DOUBTS));
        let believed = (0..1000).filter(|&number| refusals(&own, numbered(number)) > 0);
        assert!(believed.eq(0..SLOTS));
    }

    #[test]
    fn the_oldest_proof_gives_way_to_a_new_one() {
        let mut own = OwnAddresses::new();
        for number in 0..SLOTS + 3 {
            own.saw(numbered(number), Evidence::Proof);
        }
        let believed = (0..SLOTS + 3).filter(|&number| refusals(&own, numbered(number)) > 0);
        assert!(believed.eq(3..SLOTS + 3));
    }

    #[test]
    fn the_address_seen_last_is_told() {
        let mut own = OwnAddresses::new();
        assert!(!own.saw_last(A));
        own.saw(A, Evidence::Hint);
        assert!(own.saw_last(A));
        own.saw(B, Evidence::Proof);
        assert!(own.saw_last(B) && !own.saw_last(A));
    }
}
