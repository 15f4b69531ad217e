//! Who has which link-layer address: the cache behind ARP and behind neighbour discovery.
//!
//! Haiku has two copies of the same machine, one per family, each with one cache for all interfaces. A packet for an
//! unknown neighbour waits in its entry, however many there are; five questions follow a second apart, then twenty seconds
//! of refusal. ARP's entries outlive the interface that asks: when the next question is due, or the answer comes and
//! something waits for it, Haiku looks at memory that was freed, and so [panics](Stack::asks_through_nothing).
//! An answer from another link-layer address than the first is ignored for half an hour.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use haiku_kernel::sync::Mutex;
use haiku_sys::{EHOSTUNREACH, status_t};

use super::address::Family;
use super::buffer::{Packet, Sent};
use super::ethernet::Mac;
use super::fifo::lock;
use super::interface::Interface;
use super::timer::Key;
use super::{Stack, kernel_panic};

/// Half an hour, after which an entry that was not renewed is removed.
const STALE_AFTER: Duration = Duration::from_secs(30 * 60);
/// How long an address that did not answer is refused.
const REJECTED_FOR: Duration = Duration::from_secs(20);
/// The time between two questions.
const QUESTION_EVERY: Duration = Duration::from_secs(1);
/// How many questions are asked.
const QUESTIONS: u32 = 5;

/// Where an entry is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// One of the stack's own addresses.
    Local,
    /// Asked so many times; the next question is due, or the end.
    Asking(u32),
    /// There was no answer.
    Rejected,
    /// Known, until it is stale.
    Valid,
    /// Could not even be asked for; goes with the next turn of the timer.
    Doomed,
}

/// What is known of an address.
#[derive(Debug)]
struct Neighbour {
    state: State,
    mac: Option<Mac>,
    /// Who asks, and so who sends what waits.
    interface: Weak<Interface>,
    waiting: Vec<Packet>,
}

impl Neighbour {
    fn new(state: State, interface: Weak<Interface>) -> Self {
        Self { state, mac: None, interface, waiting: Vec::new() }
    }
}

/// One family's cache.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<IpAddr, Neighbour>>);

/// What a look-up of one of the stack's own addresses found.
pub(crate) struct OwnEntry {
    /// The link-layer address to answer with.
    pub(crate) mac: Mac,
    /// The interface that answers.
    pub(crate) interface: Arc<Interface>,
}

impl Cache {
    /// Forgets everything and frees what waits.
    pub(crate) fn clear(&self) {
        let entries = std::mem::take(&mut *lock(&self.0));
        drop(entries);
    }

    /// Does something with the entry of one of the stack's own addresses while the cache is locked.
    pub(crate) fn with_own<R>(&self, address: IpAddr, act: impl FnOnce(OwnEntry) -> R) -> Option<R> {
        let entries = lock(&self.0);
        let entry = entries.get(&address).filter(|entry| entry.state == State::Local)?;
        Some(act(OwnEntry { mac: entry.mac?, interface: entry.interface.upgrade()? }))
    }

    /// Forgets an address of the stack's own.
    pub(crate) fn remove_own(&self, address: IpAddr) {
        let removed = lock(&self.0).remove(&address);
        drop(removed);
    }

    /// The known neighbours, for `kdl` and `stats`.
    pub(crate) fn list(&self) -> Vec<(IpAddr, Option<Mac>, &'static str)> {
        let entries = lock(&self.0);
        let mut list: Vec<_> = entries
            .iter()
            .map(|(address, entry)| {
                let state = match entry.state {
                    State::Local => "local",
                    State::Asking(_) => "asking",
                    State::Rejected | State::Doomed => "unreachable",
                    State::Valid => "valid",
                };
                (*address, entry.mac, state)
            })
            .collect();
        list.sort_by_key(|(address, ..)| *address);
        list
    }
}

impl Stack {
    /// The cache of a family.
    pub(crate) fn cache(&self, family: Family) -> &Cache {
        match family {
            Family::Inet => &self.arp,
            Family::Inet6 => &self.ndp,
        }
    }

    /// Enters one of an interface's own addresses. Fails if the cache knows it from elsewhere already.
    pub(crate) fn set_own_neighbour(&self, interface: &Arc<Interface>, address: IpAddr, mac: Mac) -> bool {
        let family = Family::of(address);
        {
            let mut entries = lock(&self.cache(family).0);
            let entry = entries.entry(address).or_insert_with(|| Neighbour::new(State::Local, Weak::new()));
            if !address.is_unspecified() && entry.mac.is_some_and(|known| known != mac) {
                drop(entries);
                self.complain_of_other_mac(family, address, mac);
                return false;
            }
            entry.state = State::Local;
            entry.mac = Some(mac);
            // A request may have been sent for what is now an own address, for example through another interface.
            self.send_waiting(address, entry, mac);
            entry.interface = Arc::downgrade(interface);
        }
        self.timers.cancel(Key::Neighbour(address));
        true
    }

    /// Takes note of a neighbour's address, from a question or an answer of its own, and sends what waits for it.
    pub fn learn_neighbour(&self, address: IpAddr, mac: Mac) {
        let family = Family::of(address);
        let mut entries = lock(&self.cache(family).0);
        let entry = entries.entry(address).or_insert_with(|| Neighbour::new(State::Valid, Weak::new()));
        if !address.is_unspecified() && entry.mac.is_some_and(|known| known != mac) {
            drop(entries);
            self.complain_of_other_mac(family, address, mac);
            return;
        }
        entry.mac = Some(mac);
        if entry.state == State::Local {
            return;
        }
        self.timers.set(Key::Neighbour(address), STALE_AFTER);
        if entry.state == State::Rejected {
            // Haiku renews the entry without lifting the refusal: an address that answers late is unreachable for
            // half an hour.
            return;
        }
        entry.state = State::Valid;
        self.send_waiting(address, entry, mac);
        drop(entries);
    }

    /// Sends the packets that wait for a neighbour through the interface that asked, as `MarkValid` does: with the
    /// cache locked, so that a driver that returned to it would hang, and without looking at the status, so that each
    /// packet that is not sent leaks.
    fn send_waiting(&self, address: IpAddr, entry: &mut Neighbour, mac: Mac) {
        let waiting = std::mem::take(&mut entry.waiting);
        match entry.interface.upgrade() {
            None if !waiting.is_empty() => self.asks_through_nothing(address),
            None => {}
            Some(interface) => {
                for packet in waiting {
                    if let Err(unsent) = self.send_to(&interface, Family::of(address), packet, mac) {
                        unsent.leak();
                    }
                }
            }
        }
    }

    fn complain_of_other_mac(&self, family: Family, address: IpAddr, [a, b, c, d, e, f]: Mac) {
        let protocol = match family {
            Family::Inet => "ARP",
            Family::Inet6 => "NDP",
        };
        self.log(&format!(
            "{protocol} host {address} updated with different hardware address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}."
        ));
    }

    /// Sends a packet to the neighbour `next_hop`, now or when its link-layer address is known.
    pub(crate) fn send_to_neighbour(
        self: &Arc<Self>,
        interface: &Arc<Interface>,
        next_hop: IpAddr,
        packet: Packet,
    ) -> Sent {
        let family = Family::of(next_hop);
        let mut entries = lock(&self.cache(family).0);
        if let Entry::Vacant(place) = entries.entry(next_hop) {
            let neighbour = place.insert(Neighbour::new(State::Asking(0), Arc::downgrade(interface)));
            let asked = self.begin_to_ask(interface, next_hop);
            if asked.is_err() {
                neighbour.state = State::Doomed;
            }
            self.timers.set(Key::Neighbour(next_hop), Duration::ZERO);
            if let Err(status) = asked {
                return packet.unsent(status);
            }
        }
        let Some(entry) = entries.get_mut(&next_hop) else { return packet.unsent(EHOSTUNREACH) };
        match (entry.state, entry.mac) {
            (State::Rejected, _) => packet.unsent(EHOSTUNREACH),
            (State::Valid | State::Local, Some(mac)) => {
                drop(entries);
                self.send_to(interface, family, packet, mac)
            }
            _ => {
                entry.waiting.push(packet);
                Ok(())
            }
        }
    }

    /// Neighbour discovery sends its first solicitation in the sender's thread and fails if that fails; ARP leaves it
    /// to the timer. `ndp_start_resolve` then loses two packets: the solicitation, whose owner it is, and the original
    /// that it was cloned from, because nothing but an answer frees the original of an entry that is removed.
    fn begin_to_ask(self: &Arc<Self>, interface: &Arc<Interface>, address: IpAddr) -> Result<(), status_t> {
        let IpAddr::V6(address) = address else { return Ok(()) };
        self.solicit(interface, address).map_err(|unsent| {
            let status = unsent.status;
            if unsent.leak() {
                std::mem::forget(Packet::new(&[0; 32]));
            }
            status
        })
    }

    /// ARP uses its part of an interface that was deleted: `arp_timer` and `arp_entry::MarkValid` look at
    /// `entry->protocol`, which `arp_uninit_protocol` has freed. Discovery's questions find their way by the routing table.
    fn asks_through_nothing(&self, address: IpAddr) {
        if address.is_ipv4() && !self.stopping.load(Ordering::SeqCst) {
            kernel_panic(&format!(
                "vm_page_fault: unhandled page fault in kernel space: ARP still asks for {address}, through an interface that was deleted"
            ));
        }
    }

    /// Keeps the timer from asking for `address` again. For tests.
    pub fn hold_question(&self, address: IpAddr) {
        self.timers.cancel(Key::Neighbour(address));
    }

    /// The timer's turn: the next question, or the end of an entry. Public for tests that do not wait for the timer.
    pub fn neighbour_due(self: &Arc<Self>, address: IpAddr) {
        let family = Family::of(address);
        let mut entries = lock(&self.cache(family).0);
        let Some(entry) = entries.get_mut(&address) else { return };
        match entry.state {
            State::Local => {}
            State::Asking(asked) if asked < QUESTIONS => {
                entry.state = State::Asking(asked + 1);
                let interface = entry.interface.upgrade();
                drop(entries);
                match interface {
                    Some(interface) => {
                        let _ = match address {
                            IpAddr::V4(address) => self.ask_who_has(&interface, address),
                            IpAddr::V6(address) => self.solicit(&interface, address),
                        };
                    }
                    None => self.asks_through_nothing(address),
                }
                // The answer may have come while the question was being sent; its own timer must stay.
                let mut entries = lock(&self.cache(family).0);
                if entries.get_mut(&address).is_some_and(|entry| entry.state == State::Asking(asked + 1)) {
                    self.timers.set(Key::Neighbour(address), QUESTION_EVERY);
                }
            }
            State::Asking(_) => {
                entry.state = State::Rejected;
                let waiting = std::mem::take(&mut entry.waiting);
                self.timers.set(Key::Neighbour(address), REJECTED_FOR);
                drop(entries);
                drop(waiting);
            }
            State::Rejected | State::Valid | State::Doomed => {
                let removed = entries.remove(&address);
                drop(entries);
                drop(removed);
            }
        }
    }
}
