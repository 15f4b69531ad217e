//! Toy drivers that cannot deliver: one refuses, and does the harm that Haiku's code comes to; one takes the packets and
//! frees them, and does none.

use std::sync::Arc;
use std::time::Duration;

use haiku_kernel::sync::MutexGuard;
use haiku_sys::{ENOBUFS, status_t};

use super::fake::{self, Fake, mac};
use crate::conformance::{Harm, Scenario, Subject};
use crate::lab::{Lab, LabOptions, Ledgers};

/// A toy driver in a lab.
struct Toy {
    lab: Lab,
    fake: Arc<Fake>,
    /// What it returns while it is blocked, or nothing if it takes the packets and frees them.
    refusal: Option<status_t>,
    _turn: MutexGuard<'static, ()>,
}

impl Toy {
    fn boxed(refusal: Option<status_t>) -> Box<dyn Subject> {
        let (turn, mut fakes) = fake::devices(&["fake/0"]);
        let lab = Lab::boot(LabOptions { exports: Some(fake::exports()), ..LabOptions::default() }).unwrap();
        lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
        lab.ifconfig("fake/0 inet6 fd00:1::1 prefixlen 64").unwrap();
        lab.route("add fake/0 inet6 fd00:1:: prefixlen 64").unwrap();
        lab.route("add fake/0 inet6 ff00:: prefixlen 8").unwrap();
        Box::new(Self { lab, fake: fakes.remove(0), refusal, _turn: turn })
    }
}

impl Subject for Toy {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn interface(&self) -> &str {
        "fake/0"
    }

    fn mac(&self) -> [u8; 6] {
        mac(1)
    }

    fn block(&self) {
        match self.refusal {
            Some(status) => self.fake.change(|state| state.refusal = status),
            None => self.lose(),
        }
    }

    fn unblock(&self) {
        self.fake.change(|state| (state.refusal, state.loses) = (0, false));
    }

    fn lose(&self) {
        self.fake.change(|state| state.loses = true);
    }

    fn give(&self, frame: &[u8]) {
        self.fake.give(frame);
    }

    fn delivered(&self, patience: Duration) -> Option<Vec<u8>> {
        self.fake.wait_for(patience, |state| (!state.sent.is_empty()).then(|| state.sent.remove(0)))
    }

    fn shutdown(self: Box<Self>) -> Ledgers {
        self.lab.shutdown()
    }
}

/// Plays a scenario with either toy driver: the one that refuses must come to this harm, the other to none.
fn refused(place: &str, harm: Harm) {
    let scenario = Scenario::of(place).unwrap();
    assert_eq!(scenario.run(Toy::boxed(Some(ENOBUFS))), Err(harm), "{place}, refused");
    assert_eq!(scenario.run(Toy::boxed(None)), Ok(()), "{place}, taken and freed");
}

#[test]
fn a_refused_response_never_arrives() {
    refused("TCPEndpoint::SendData", Harm::Stalled("a response"));
}

#[test]
fn what_is_refused_after_an_acknowledgement_never_arrives() {
    refused("TCPEndpoint::_Acknowledged", Harm::Stalled("what follows an acknowledgement"));
}

#[test]
fn a_refused_retransmission_is_the_last() {
    refused("TCPEndpoint::_Retransmit", Harm::Stalled("a retransmission"));
}

#[test]
fn a_refused_syn_fails_connect() {
    refused("TCPEndpoint::Connect", Harm::Failed(ENOBUFS));
}

#[test]
fn a_refused_fin_is_forgotten() {
    refused("TCPEndpoint::_Disconnect", Harm::Stalled("a FIN"));
}

#[test]
fn a_refused_datagram_fails_sendto() {
    refused("socket_send", Harm::Failed(ENOBUFS));
}

#[test]
fn packets_waiting_for_arp_leak_when_refused() {
    refused("arp_entry::MarkValid", Harm::Leaked { packets: 2, interfaces: 0 });
}

#[test]
fn a_packet_of_a_host_route_that_waits_for_arp_pins_its_interface_when_refused() {
    refused("arp_entry::MarkValid, host route", Harm::Leaked { packets: 1, interfaces: 1 });
}

#[test]
fn packets_waiting_for_ndp_leak_when_refused() {
    refused("ndp_entry::MarkValid", Harm::Leaked { packets: 2, interfaces: 0 });
}

#[test]
fn a_refused_first_solicitation_leaks_with_its_original() {
    refused("ndp_start_resolve", Harm::Leaked { packets: 2, interfaces: 0 });
}

#[test]
fn a_refused_advertisement_leaks_and_pins_its_interface() {
    refused("ndp_receive_solicitation", Harm::Leaked { packets: 1, interfaces: 1 });
}
