//! The driver at each place in Haiku that cannot take a refusal, with a full queue to the program.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use haiku_kernel::syscalls::POLLIN;
use haiku_system::{Lab, Ledgers, Mode};
use tuntap_testkit::conformance::{SCENARIOS, Scenario, Subject};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

const MIB: u32 = 1 << 20;
const OPEN: [u32; 4] = [512, MIB, 512, MIB];
const NARROW: [u32; 4] = [1, MIB, 512, MIB];
/// A packet to a neighbour that is known, to fill the queue with.
const FILLER: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 1, 0, 1, 10, 1, 0, 200];

/// A TAP and its program, which does not read while the driver is blocked.
struct Tap {
    rig: Rig,
    program: Program,
    /// Frames that were read before a test asked for them.
    read: RefCell<VecDeque<Vec<u8>>>,
}

impl Tap {
    fn new() -> Self {
        let rig = Rig::boot();
        rig.ifconfig("tap/0 10.1.0.1 255.255.255.0 up").unwrap();
        let program = Program::new(Mode::Tap);
        rig.ifconfig("tap/0 inet6 fd00:1::1 prefixlen 64").unwrap();
        rig.route("add tap/0 inet6 ff00:: prefixlen 8").unwrap();
        rig.lab().stack().learn_neighbour([10, 1, 0, 200].into(), [2, 0, 0, 0, 0, 200]);
        Self { rig, program, read: RefCell::default() }
    }
}

impl Subject for Tap {
    fn lab(&self) -> &Lab {
        self.rig.lab()
    }

    fn interface(&self) -> &str {
        "tap/0"
    }

    fn mac(&self) -> [u8; 6] {
        self.rig.lab().stack().interface("tap/0").unwrap().mac
    }

    fn block(&self) {
        self.program.set_limits(NARROW).unwrap();
        let _ = self.lab().send_ip(&FILLER);
    }

    fn unblock(&self) {
        self.read.borrow_mut().extend(std::iter::from_fn(|| self.program.packet().ok()));
        self.program.set_limits(OPEN).unwrap();
    }

    fn give(&self, frame: &[u8]) {
        self.program.write(frame).unwrap();
    }

    fn delivered(&self, patience: Duration) -> Option<Vec<u8>> {
        if let Some(frame) = self.read.borrow_mut().pop_front() {
            return Some(frame);
        }
        self.program.poll(POLLIN, patience.as_micros() as i64).unwrap();
        self.program.packet().ok()
    }

    fn shutdown(self: Box<Self>) -> Ledgers {
        let Self { rig, program, .. } = *self;
        program.close();
        rig.shutdown()
    }
}

macro_rules! does_no_harm {
    ($($name:ident: $place:literal,)*) => {
        $(#[test]
        fn $name() {
            let result = Scenario::of($place).unwrap().run(Box::new(Tap::new()));
            assert!(result.is_ok(), "{}: {}", $place, result.unwrap_err());
        })*

        #[test]
        fn every_place_has_a_test() {
            let places: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.place).collect();
            assert_eq!(places, [$($place),*]);
        }
    };
}

does_no_harm! {
    a_response_arrives: "TCPEndpoint::SendData",
    what_follows_an_acknowledgement_arrives: "TCPEndpoint::_Acknowledged",
    a_retransmission_is_not_the_last: "TCPEndpoint::_Retransmit",
    connect_succeeds: "TCPEndpoint::Connect",
    a_fin_arrives: "TCPEndpoint::_Disconnect",
    sendto_succeeds: "socket_send",
    packets_waiting_for_arp_do_not_leak: "arp_entry::MarkValid",
    a_packet_of_a_host_route_does_not_pin_its_interface: "arp_entry::MarkValid, host route",
    packets_waiting_for_ndp_do_not_leak: "ndp_entry::MarkValid",
    a_first_solicitation_does_not_leak: "ndp_start_resolve",
    an_advertisement_does_not_leak: "ndp_receive_solicitation",
}
