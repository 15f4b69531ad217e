//! Whether Haiku's stack can send through a driver that cannot deliver: one [`Scenario`] for each place in Haiku where
//! a refused packet does harm.
//!
//! A driver passes if it takes the packets that it cannot deliver and frees them. One that refuses fails with the
//! [`Harm`] that Haiku's code at that place comes to. The driver is a [`Subject`]: a lab with an Ethernet interface that
//! can be blocked.
//!
#![doc = include_str!("places.md")]

mod neighbour;
mod peer;
mod tcp;

use std::fmt;
use std::time::{Duration, Instant};

use haiku_sys::status_t;

pub use self::tcp::saved_by_the_next_write;
use haiku_stack::strerror;
use haiku_system::{Lab, Ledgers};

/// How long something is waited for that the stack does in a thread of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A driver in a lab, with one Ethernet interface that is up as 10.1.0.1/24 and as fd00:1::1, and has the IPv6 routes
/// fd00:1::/64 and ff00::/8.
pub trait Subject {
    /// The lab.
    fn lab(&self) -> &Lab;
    /// The interface's name.
    fn interface(&self) -> &str;
    /// The interface's link-layer address.
    fn mac(&self) -> [u8; 6];
    /// From now on the driver cannot deliver what it is sent.
    fn block(&self);
    /// From now on it can.
    fn unblock(&self);
    /// From now on the driver takes what it is sent, which gets lost behind it.
    fn lose(&self) {
        self.block();
    }
    /// Hands a frame to the driver, from the other end of the link.
    fn give(&self, frame: &[u8]);
    /// The next frame that the driver delivered, if there is one within `patience`.
    fn delivered(&self, patience: Duration) -> Option<Vec<u8>>;
    /// Ends the lab.
    fn shutdown(self: Box<Self>) -> Ledgers;
}

/// What a refusal led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Something never arrived at the other end, however often a retransmission was due.
    Stalled(&'static str),
    /// A call failed.
    Failed(status_t),
    /// Something was not given back.
    Leaked {
        /// Packets.
        packets: i64,
        /// Interfaces, whose devices are never uninitialised.
        interfaces: i64,
    },
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled(what) => write!(f, "{what} never arrived"),
            Self::Failed(status) => write!(f, "the call failed: {}", strerror(*status)),
            Self::Leaked { packets, interfaces } => {
                write!(f, "{packets} packets and {interfaces} interfaces were not given back")
            }
        }
    }
}

/// A place in Haiku that sends, and a situation in which that place is reached while the driver is blocked.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The place, by the name of its function in Haiku.
    pub place: &'static str,
    run: fn(&dyn Subject) -> Result<(), Harm>,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { place: "TCPEndpoint::SendData", run: tcp::response },
    Scenario { place: "TCPEndpoint::_Acknowledged", run: tcp::continuation },
    Scenario { place: "TCPEndpoint::_Retransmit", run: tcp::retransmission },
    Scenario { place: "TCPEndpoint::Connect", run: tcp::connect },
    Scenario { place: "TCPEndpoint::_Disconnect", run: tcp::shutdown },
    Scenario { place: "socket_send", run: neighbour::datagram },
    Scenario { place: "arp_entry::MarkValid", run: neighbour::packets_waiting_for_arp },
    Scenario { place: "arp_entry::MarkValid, host route", run: neighbour::packet_waiting_by_a_host_route },
    Scenario { place: "ndp_entry::MarkValid", run: neighbour::packets_waiting_for_ndp },
    Scenario { place: "ndp_start_resolve", run: neighbour::first_solicitation },
    Scenario { place: "ndp_receive_solicitation", run: neighbour::advertisement },
];

impl Scenario {
    /// The scenario of this place.
    #[must_use]
    pub fn of(place: &str) -> Option<Self> {
        SCENARIOS.iter().find(|scenario| scenario.place == place).copied()
    }

    /// Plays it, and ends the subject's lab.
    ///
    /// # Errors
    /// The harm that was done.
    pub fn run(&self, subject: Box<dyn Subject>) -> Result<(), Harm> {
        let result = (self.run)(&*subject);
        let ledgers = subject.shutdown();
        result?;
        if ledgers.is_zero() {
            return Ok(());
        }
        Err(Harm::Leaked { packets: ledgers.kernel.packets, interfaces: ledgers.stack.interfaces })
    }
}

/// How often the stack has handed a packet to the driver, taken or not.
pub fn attempts(subject: &dyn Subject) -> u64 {
    let interface = subject.lab().stack().interface(subject.interface());
    interface.map_or(0, |interface| {
        let sent = interface.statistics.send;
        u64::from(sent.packets) + u64::from(sent.errors) + u64::from(sent.dropped)
    })
}

/// Waits for something that the stack does in a thread of its own.
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "it did not happen that {what}");
        std::thread::yield_now();
    }
}

/// Does something while the driver is blocked, and unblocks it after so many packets were handed to it.
pub fn while_blocked<R>(subject: &dyn Subject, packets: u64, act: impl FnOnce() -> R) -> R {
    subject.block();
    let before = attempts(subject);
    let result = act();
    until("the stack sends", || attempts(subject) >= before + packets);
    subject.unblock();
    result
}
