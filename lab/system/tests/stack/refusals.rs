//! Toy drivers that cannot deliver: one refuses, and does the harm that Haiku's code comes to; one takes the packets and
//! frees them, and does none.

use std::sync::Arc;
use std::time::Duration;

use haiku_kernel::sync::MutexGuard;
use haiku_sys::{B_INTERRUPTED, B_WOULD_BLOCK, ENOBUFS, status_t};

use haiku_system::ping;
use haiku_system::{Lab, LabOptions, Ledgers};
use tuntap_testkit::conformance::{Harm, Scenario, Subject, attempts, saved_by_the_next_write, while_blocked};
use tuntap_testkit::fake_driver::{self, FakeDevice, mac};

/// A toy driver in a lab.
struct Toy {
    lab: Lab,
    fake: Arc<FakeDevice>,
    /// What it returns while it is blocked, or nothing if it takes the packets and frees them.
    refusal: Option<status_t>,
    _turn: MutexGuard<'static, ()>,
}

impl Toy {
    fn new(refusal: Option<status_t>) -> Self {
        let (turn, mut fakes) = fake_driver::devices(&["fake/0"]);
        let lab = Lab::boot(LabOptions { exports: Some(fake_driver::exports()), ..LabOptions::default() }).unwrap();
        lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
        lab.ifconfig("fake/0 inet6 fd00:1::1 prefixlen 64").unwrap();
        lab.route("add fake/0 inet6 ff00:: prefixlen 8").unwrap();
        Self { lab, fake: fakes.remove(0), refusal, _turn: turn }
    }

    /// Ends the lab, in which nothing may have leaked.
    fn end(self) {
        let ledgers = self.lab.shutdown();
        assert!(ledgers.is_zero(), "{ledgers}");
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

/// Runs a scenario with both toy drivers: the one that refuses must cause this harm, the other none.
fn refused(place: &str, harm: Harm) {
    let scenario = Scenario::of(place).unwrap();
    assert_eq!(scenario.run(Box::new(Toy::new(Some(ENOBUFS)))), Err(harm), "{place}, refused");
    assert_eq!(scenario.run(Box::new(Toy::new(None))), Ok(()), "{place}, taken and freed");
}

#[test]
fn a_refused_response_never_arrives() {
    refused("TCPEndpoint::SendData", Harm::Stalled("a response"));
}

#[test]
fn a_refused_response_arrives_after_all_with_the_next_write() {
    let toy = Toy::new(Some(ENOBUFS));
    assert!(saved_by_the_next_write(&toy));
    toy.end();
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

/// A frame for the toy from a station at 10.1.0.9.
fn frame(ether_type: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&mac(1)[..], &mac(9), &ether_type, payload].concat()
}

/// An ARP packet from the station.
fn arp(operation: u8) -> Vec<u8> {
    let addresses = [&mac(9)[..], &[10, 1, 0, 9], &[0; 6], &[10, 1, 0, 1]].concat();
    frame([8, 6], &[&[0, 1, 8, 0, 6, 4, 0, operation][..], &addresses].concat())
}

/// An IPv4 packet from the station, with the checksum of its header.
fn ipv4(protocol: u8, destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 20 + payload.len() as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend([[10, 1, 0, 9], destination].concat());
    smoltcp::wire::Ipv4Packet::new_unchecked(&mut header[..]).fill_checksum();
    frame([8, 0], &[&header[..], payload].concat())
}

/// Hands a frame in while the toy refuses: the stack's answer must be freed.
fn freed_answer(question: &[u8]) {
    let toy = Toy::new(Some(ENOBUFS));
    toy.lab.stack().learn_neighbour([10, 1, 0, 9].into(), mac(9));
    while_blocked(&toy, 1, || toy.give(question));
    toy.end();
}

#[test]
fn a_refused_echo_reply_is_freed() {
    freed_answer(&ipv4(1, [10, 1, 0, 1], &[8, 0, 0xf7, 0xfe, 0, 1, 0, 0]));
}

#[test]
fn a_refused_icmp_error_is_freed() {
    freed_answer(&ipv4(253, [10, 8, 8, 8], &[0; 8]));
}

#[test]
fn a_refused_reset_for_an_unknown_connection_is_freed() {
    let mut segment = [0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x10, 0, 0, 0, 0, 0];
    let [far, near] = [9, 1].map(|host| smoltcp::wire::IpAddress::v4(10, 1, 0, host));
    smoltcp::wire::TcpPacket::new_unchecked(&mut segment[..]).fill_checksum(&far, &near);
    freed_answer(&ipv4(6, [10, 1, 0, 1], &segment));
}

#[test]
fn a_refused_arp_reply_is_freed() {
    freed_answer(&arp(1));
}

#[test]
fn a_refused_arp_request_is_freed_and_the_next_one_follows() {
    let toy = Toy::new(Some(ENOBUFS));
    let packet = &ipv4(253, [10, 1, 0, 9], &[0; 8])[14..];
    while_blocked(&toy, 1, || toy.lab.send_ip(packet)).unwrap();
    toy.lab.stack().neighbour_due([10, 1, 0, 9].into());
    assert_eq!(toy.fake.sent(0x0806, |_| true)[38..42], [10, 1, 0, 9]);
    toy.give(&arp(2));
    toy.fake.sent(0x0800, |_| true);
    toy.end();
}

#[test]
fn a_refused_solicitation_of_the_timer_is_freed_and_the_next_one_follows() {
    let toy = Toy::new(Some(ENOBUFS));
    let far: std::net::Ipv6Addr = "fd00:1::9".parse().unwrap();
    let near: std::net::Ipv6Addr = "fd00:1::1".parse().unwrap();
    let packet = [&[0x60, 0, 0, 0, 0, 0, 253, 64][..], &near.octets(), &far.octets()].concat();
    toy.lab.send_ip(&packet).unwrap();
    // One from the sender and one from the timer, which is due at once.
    toy.fake.wait(|state| (state.sent.len() == 2).then(|| state.sent.clear()));
    while_blocked(&toy, 1, || toy.lab.stack().neighbour_due(far.into()));
    toy.lab.stack().neighbour_due(far.into());
    toy.fake.sent(0x86dd, |frame| frame[54] == 135);
    toy.end();
}

#[test]
fn a_refused_fragment_is_the_last_of_its_datagram() {
    let toy = Toy::new(Some(ENOBUFS));
    toy.lab.stack().learn_neighbour([10, 1, 0, 9].into(), mac(9));
    toy.fake.change(|state| state.taken_before = 1);
    let before = attempts(&toy);
    let options =
        ping::Options { size: 4000, patience: Duration::ZERO, ..ping::Options::flood([10, 1, 0, 9].into(), 1) };
    toy.block();
    assert_eq!(toy.lab.ping(&options).unwrap().refused, Some(ENOBUFS));
    assert_eq!(attempts(&toy) - before, 2, "the third was not tried");
    toy.end();
}

#[test]
fn a_datagram_that_is_refused_for_now_fails_with_an_error_that_does_not_exist() {
    for status in [B_WOULD_BLOCK, B_INTERRUPTED] {
        let toy = Toy::new(Some(status));
        toy.lab.stack().learn_neighbour([10, 1, 0, 9].into(), mac(9));
        toy.block();
        let options = ping::Options { patience: Duration::ZERO, ..ping::Options::flood([10, 1, 0, 9].into(), 1) };
        // The bytes of the headers of IP and of Ethernet.
        assert_eq!(toy.lab.ping(&options).unwrap().refused, Some(-34));
        toy.end();
    }
}

#[test]
fn the_stack_counts_what_was_taken_with_its_bytes_and_what_was_refused_as_an_error() {
    let toy = Toy::new(Some(ENOBUFS));
    toy.lab.stack().learn_neighbour([10, 1, 0, 9].into(), mac(9));
    let packet = &ipv4(253, [10, 1, 0, 9], &[0; 8])[14..];
    toy.lab.send_ip(packet).unwrap();
    toy.block();
    assert_eq!(toy.lab.send_ip(packet), Err(ENOBUFS));
    let sent = toy.lab.stack().interface("fake/0").unwrap().statistics.send;
    assert_eq!((sent.packets, sent.bytes, sent.errors, sent.dropped), (1, 42, 1, 0));
    toy.end();
}
