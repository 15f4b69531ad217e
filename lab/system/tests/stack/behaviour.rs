//! What the stack does with a driver, and what it does to one.

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use haiku_kernel::modules;
use haiku_sys::{
    AF_INET, B_BAD_VALUE, B_DEVICE_NOT_FOUND, B_FILE_EXISTS, B_IO_ERROR, B_OK, EHOSTUNREACH, EMSGSIZE, ENETUNREACH,
    IFF_BROADCAST, IFF_LINK, NET_DATALINK_MODULE_NAME, NET_STACK_MODULE_NAME, net_datalink_module_info, net_route,
    net_stack_module_info,
};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr};

use haiku_stack::Family;
use haiku_system::ping;
use haiku_system::{Lab, LabOptions};
use tuntap_testkit::fake_driver::{self, FakeDevice, mac};

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

fn boot() -> Lab {
    Lab::boot(LabOptions { exports: Some(fake_driver::exports()), ..LabOptions::default() }).unwrap()
}

/// A lab with one device that is up as 10.1.0.1.
fn one() -> (haiku_kernel::sync::MutexGuard<'static, ()>, Arc<FakeDevice>, Lab) {
    let (turn, mut fakes) = fake_driver::devices(&["fake/0"]);
    let lab = boot();
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
    (turn, fakes.remove(0), lab)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn packet(source: &str, destination: &str, payload: usize) -> Vec<u8> {
    let header = Ipv4Repr {
        src_addr: source.parse().unwrap(),
        dst_addr: destination.parse().unwrap(),
        next_header: IpProtocol::Unknown(253),
        payload_len: payload,
        hop_limit: 64,
    };
    let mut bytes = vec![0; 20 + payload];
    header.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes
}

fn arp(operation: u8, sender: ([u8; 6], [u8; 4]), target: [u8; 4], to: [u8; 6]) -> Vec<u8> {
    let mut frame = [&to[..], &sender.0, &ARP.to_be_bytes(), &[0, 1, 8, 0, 6, 4, 0, operation]].concat();
    frame.extend_from_slice(&[&sender.0[..], &sender.1, &[0; 6], &target].concat());
    frame
}

fn end(lab: Lab) {
    let ledgers = lab.shutdown();
    assert!(ledgers.is_zero(), "{ledgers}");
}

#[test]
fn an_interface_is_made_when_first_named_and_its_device_goes_with_it() {
    let (_turn, fakes) = fake_driver::devices(&["fake/0"]);
    let lab = boot();
    assert!(lab.ifconfig("other/0 up").unwrap_err().to_string().ends_with("No such device"));
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
    lab.ifconfig("fake/0 mtu 1400").unwrap();
    assert_eq!(lab.stack().interface("fake/0").unwrap().mtu, 1400);
    lab.ifconfig("--delete fake/0").unwrap();
    {
        let state = fakes[0].state.lock();
        assert_eq!((state.inits, state.uninits, state.up), (1, 1, false));
    }
    // The error of `uninit_device` was ignored, so an interface of the name can be made again.
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
    end(lab);
    assert_eq!(fakes[0].state.lock().uninits, 2);
}

#[test]
fn a_packet_for_an_unknown_neighbour_waits_for_the_answer() {
    let (_turn, fake, lab) = one();
    lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)).unwrap();
    let question = fake.sent(ARP, |frame| frame[38..42] == [10, 1, 0, 2]);
    assert_eq!((&question[..6], question[21]), (&[0xff; 6][..], 1));
    assert_eq!(question[28..32], [10, 1, 0, 1]);
    fake.give(&arp(2, (mac(9), [10, 1, 0, 2]), [10, 1, 0, 1], mac(1)));
    let sent = fake.sent(IPV4, |_| true);
    assert_eq!((&sent[..6], &sent[6..12], sent.len()), (&mac(9)[..], &mac(1)[..], 44));
    end(lab);
}

#[test]
fn arp_keeps_every_packet_that_waits_however_many_there_are() {
    // Four times what the queues of a device hold.
    const MANY: usize = 2048;
    let (_turn, fake, lab) = one();
    for (address, answers) in [(2, true), (3, false)] {
        let to = format!("10.1.0.{address}");
        for _ in 0..MANY {
            lab.send_ip(&packet("10.1.0.1", &to, 10)).unwrap();
        }
        fake.sent(ARP, |frame| frame[38..42] == [10, 1, 0, address]);
        assert!(lab.kernel().ledgers().packets >= MANY as i64);
        if answers {
            fake.give(&arp(2, (mac(9), [10, 1, 0, address]), [10, 1, 0, 1], mac(1)));
            for _ in 0..MANY {
                fake.sent(IPV4, |_| true);
            }
        } else {
            while lab.send_ip(&packet("10.1.0.1", &to, 10)).is_ok() {
                lab.stack().neighbour_due(ip(&to));
            }
            assert!(lab.kernel().ledgers().packets < MANY as i64);
        }
    }
    end(lab);
}

#[test]
fn what_waits_for_an_address_that_becomes_our_own_goes_to_our_own_station() {
    let (_turn, fakes) = fake_driver::devices(&["fake/0", "fake/1"]);
    let lab = boot();
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
    lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)).unwrap();
    fakes[0].sent(ARP, |frame| frame[38..42] == [10, 1, 0, 2]);
    lab.ifconfig("fake/1 10.1.0.2 255.255.255.0 up").unwrap();
    let sent = fakes[0].sent(IPV4, |_| true);
    assert_eq!((&sent[..6], &sent[6..12]), (&mac(2)[..], &mac(1)[..]));
    end(lab);
}

#[test]
fn an_answer_to_a_question_of_an_interface_that_was_deleted_is_the_end_if_packets_wait_for_it() {
    const NAME: &str =
        "behaviour::an_answer_to_a_question_of_an_interface_that_was_deleted_is_the_end_if_packets_wait_for_it";
    const MARK: &str = "HAIKU_LAB_TEST_PANICS";
    if std::env::var_os(MARK).is_some() {
        let (_turn, fakes) = fake_driver::devices(&["fake/0", "fake/1"]);
        let lab = boot();
        lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 up").unwrap();
        lab.ifconfig("fake/1 10.2.0.1 255.255.255.0 up").unwrap();
        lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)).unwrap();
        fakes[0].sent(ARP, |frame| frame[38..42] == [10, 1, 0, 2]);
        lab.ifconfig("--delete fake/0").unwrap();
        // The next question would be the end too.
        lab.stack().hold_question(ip("10.1.0.2"));
        fakes[1].give(&arp(1, (mac(9), [10, 1, 0, 2]), [10, 2, 0, 1], mac(2)));
        fakes[1].sent(ARP, |frame| frame[21] == 2);
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, "1").env_remove("RUST_BACKTRACE");
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("ARP still asks for 10.1.0.2"), "{said}");
}

#[test]
fn a_question_for_our_address_is_answered_to_the_frames_sender() {
    let (_turn, fake, lab) = one();
    fake.give(&arp(1, (mac(9), [10, 1, 0, 2]), [10, 1, 0, 1], [0xff; 6]));
    let answer = fake.sent(ARP, |frame| frame[21] == 2);
    assert_eq!((&answer[..6], &answer[22..28], &answer[28..32]), (&mac(9)[..], &mac(1)[..], &[10, 1, 0, 1][..]));
    end(lab);
}

#[test]
fn an_address_is_neither_probed_for_nor_announced_nor_defended() {
    let (_turn, fake, lab) = one();
    lab.ifconfig("fake/0 inet6 fd00:1::1 prefixlen 64").unwrap();
    // Another station claims the address; the answer to the next request shows that the claim was processed.
    fake.give(&arp(2, (mac(9), [10, 1, 0, 1]), [0; 4], mac(1)));
    fake.give(&arp(1, (mac(8), [10, 1, 0, 8]), [10, 1, 0, 1], mac(1)));
    let first = fake.wait(|state| state.sent.first().cloned());
    assert_eq!((first[21], &first[22..28]), (2, &mac(1)[..]));
    end(lab);
}

#[test]
fn frames_that_are_no_frames_are_dropped_and_errors_counted() {
    let (_turn, fake, lab) = one();
    fake.give(&[1, 2, 3]);
    fake.change(|state| state.stumble = Some(B_IO_ERROR));
    fake.wait(|state| (state.waiting.is_empty() && state.stumble.is_none()).then_some(()));
    // One more, so that what came before has been counted.
    fake.give(&arp(1, (mac(9), [10, 1, 0, 2]), [10, 1, 0, 1], mac(1)));
    fake.sent(ARP, |frame| frame[21] == 2);
    let received = lab.stack().interface("fake/0").unwrap().statistics.receive;
    assert_eq!((received.dropped, received.errors), (1, 1));
    end(lab);
}

#[test]
fn the_peer_is_reached_without_broadcast_and_not_with_it() {
    let (_turn, fake, lab) = one();
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0 peer 10.1.0.2").unwrap();
    assert_eq!(lab.stack().path(ip("10.1.0.2")).unwrap().next_hop, ip("10.1.0.2"));
    fake.set_flags(IFF_LINK | IFF_BROADCAST | 1);
    assert_eq!(lab.stack().path(ip("10.1.0.2")).unwrap_err(), B_BAD_VALUE);
    end(lab);
}

#[test]
fn the_mtu_is_compared_with_the_length_of_ip() {
    let (_turn, fake, lab) = one();
    fake.give(&arp(1, (mac(9), [10, 1, 0, 2]), [10, 1, 0, 1], mac(1)));
    fake.sent(ARP, |frame| frame[21] == 2);
    lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 1480)).unwrap();
    assert_eq!(fake.sent(IPV4, |_| true).len(), 1514);
    assert_eq!(lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 1481)), Err(EMSGSIZE));
    end(lab);
}

#[test]
fn neighbour_solicitations_need_a_route_for_their_group() {
    let (_turn, fake, lab) = one();
    lab.ifconfig("fake/0 inet6 fd00:1::1 prefixlen 64").unwrap();
    let options = ping::Options { patience: Duration::from_millis(1), ..ping::Options::flood(ip("fd00:1::2"), 1) };
    let echo = |lab: &Lab| lab.ping(&options);
    assert_eq!(lab.route("add fake/0 inet6 fd00:1:: prefixlen 64").unwrap_err().code(), Some(B_FILE_EXISTS));
    // The packet has a route, the solicitation for its neighbour has none.
    let report = echo(&lab).unwrap();
    assert_eq!((report.received, report.refused), (0, Some(ENETUNREACH)));
    lab.route("add fake/0 inet6 ff00:: prefixlen 8").unwrap();
    assert_eq!(lab.route("add fake/0 inet6 ff00:: prefixlen 8").unwrap_err().code(), Some(B_FILE_EXISTS));
    // The entry that could not be asked for goes with the timer's next turn; then the question leaves at once.
    while lab.stack().neighbours(Family::Inet6).iter().any(|one| one.address == options.target) {
        std::thread::yield_now();
    }
    let _ = echo(&lab);
    let question = fake.sent(IPV6, |frame| frame[54] == 135 && frame[22..38] != [0; 16]);
    assert_eq!(question[..6], [0x33, 0x33, 0xff, 0, 0, 2]);
    assert_eq!(fake.state.lock().groups, [1]);
    end(lab);
}

#[test]
fn solicitations_leave_by_the_first_route_for_their_group() {
    let (_turn, fakes) = fake_driver::devices(&["fake/0", "fake/1"]);
    let lab = boot();
    for unit in 0..2 {
        lab.ifconfig(&format!("fake/{unit} inet6 fd00:{unit}::1 prefixlen 64 up")).unwrap();
        lab.route(&format!("add fake/{unit} inet6 ff00:: prefixlen 8")).unwrap();
    }
    let solicits = |frame: &[u8]| frame[54] == 135 && frame[22..38] != [0; 16];
    let ask = |target| {
        let patience = Duration::from_millis(1);
        let _ = lab.ping(&ping::Options { patience, ..ping::Options::flood(ip(target), 1) });
    };
    ask("fd00:1::2");
    let strayed = fakes[0].sent(IPV6, solicits);
    assert_eq!(strayed[22..38], ip("fd00:1::1").to_string().parse::<std::net::Ipv6Addr>().unwrap().octets());
    // A route without a mask comes before all others.
    lab.route("add fake/1 inet6 ff02::1:ff00:3").unwrap();
    ask("fd00:1::3");
    fakes[1].sent(IPV6, solicits);
    end(lab);
}

#[test]
fn down_takes_all_routes_along_and_up_brings_only_its_own_back() {
    let (_turn, _fake, lab) = one();
    lab.route("add fake/0 10.7.0.0 255.255.0.0 gw 10.1.0.9").unwrap();
    assert_eq!(lab.stack().path(ip("10.7.1.1")).unwrap().next_hop, ip("10.1.0.9"));
    assert_eq!(lab.stack().routes(Family::Inet).len(), 3);
    lab.ifconfig("fake/0 down").unwrap();
    assert_eq!(lab.stack().routes(Family::Inet).len(), 0);
    lab.ifconfig("fake/0 up").unwrap();
    assert_eq!(lab.stack().routes(Family::Inet).len(), 2);
    end(lab);
}

#[test]
fn an_interface_deleted_while_down_lives_on_in_its_routes() {
    let (_turn, fakes) = fake_driver::devices(&["fake/0"]);
    let lab = boot();
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0").unwrap();
    lab.ifconfig("--delete fake/0").unwrap();
    assert_eq!(lab.stack().interfaces().len(), 0);
    assert_eq!(lab.stack().routes(Family::Inet).len(), 2);
    assert_eq!(fakes[0].state.lock().uninits, 0);
    end(lab);
    assert_eq!(fakes[0].state.lock().uninits, 1);
}

#[test]
fn what_was_never_up_has_no_address_to_send_from() {
    let (_turn, fakes) = fake_driver::devices(&["fake/0"]);
    let lab = boot();
    lab.ifconfig("fake/0 10.1.0.1 255.255.255.0").unwrap();
    // The question goes out all the same, to a device that is down.
    lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)).unwrap();
    fakes[0].sent(ARP, |frame| frame[38..42] == [10, 1, 0, 2]);
    assert!(!fakes[0].state.lock().up);
    end(lab);
}

#[test]
fn a_packet_for_another_host_is_refused_with_an_icmp_error() {
    let (_turn, fake, lab) = one();
    fake.give(&arp(1, (mac(9), [10, 1, 0, 2]), [10, 1, 0, 1], mac(1)));
    fake.sent(ARP, |frame| frame[21] == 2);
    fake.give(&[&mac(1)[..], &mac(9), &IPV4.to_be_bytes(), &packet("10.1.0.2", "10.8.8.8", 8)].concat());
    let answer = fake.sent(IPV4, |_| true);
    assert_eq!((answer[23], answer[34], answer[35]), (1, 3, 1));
    end(lab);
}

#[test]
fn a_driver_finds_its_interface_and_adds_a_route() {
    let (_turn, _fake, lab) = one();
    let stack = modules::get(NET_STACK_MODULE_NAME).unwrap().cast::<net_stack_module_info>();
    let datalink = modules::get(NET_DATALINK_MODULE_NAME).unwrap().cast::<net_datalink_module_info>();
    // SAFETY: both tables are the stack's own and stay; every pointer comes from them.
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "a driver's code, as C would have it")]
    unsafe {
        let domain = (*stack).get_domain.unwrap()(AF_INET as i32);
        let interface = (*datalink).get_interface.unwrap()(domain, 1);
        let mut address = std::ptr::null_mut();
        assert!((*datalink).get_next_interface_address.unwrap()(interface, &mut address));
        let peer = haiku_stack::to_storage(Some(ip("10.99.0.2")));
        let route = net_route {
            destination: (&raw const peer).cast_mut().cast(),
            mask: std::ptr::null_mut(),
            gateway: std::ptr::null_mut(),
            flags: 0,
            mtu: 0,
            interface_address: address,
        };
        assert_eq!((*datalink).add_route.unwrap()(domain, &route), B_OK);
        assert_eq!((*datalink).add_route.unwrap()(domain, &route), B_FILE_EXISTS);
        assert_eq!(lab.stack().path(ip("10.99.0.2")).unwrap().interface, "fake/0");
        assert_eq!((*datalink).remove_route.unwrap()(domain, &route), B_OK);
        assert!(!(*datalink).get_next_interface_address.unwrap()(interface, &mut address));
        (*datalink).put_interface.unwrap()(interface);
    }
    modules::put(NET_STACK_MODULE_NAME).unwrap();
    modules::put(NET_DATALINK_MODULE_NAME).unwrap();
    end(lab);
}

#[test]
fn an_interface_that_a_driver_leaks_shows_in_the_ledgers() {
    let (_turn, _fake, lab) = one();
    let stack = modules::get(NET_STACK_MODULE_NAME).unwrap().cast::<net_stack_module_info>();
    let datalink = modules::get(NET_DATALINK_MODULE_NAME).unwrap().cast::<net_datalink_module_info>();
    // SAFETY: the stack's own tables; a driver that forgets `put_interface` keeps what it got.
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "a driver's code, as C would have it")]
    let interface = unsafe { (*datalink).get_interface.unwrap()((*stack).get_domain.unwrap()(AF_INET as i32), 1) };
    assert!(!interface.is_null());
    modules::put(NET_STACK_MODULE_NAME).unwrap();
    modules::put(NET_DATALINK_MODULE_NAME).unwrap();
    let ledgers = lab.shutdown();
    assert_eq!((ledgers.stack.interfaces, ledgers.is_zero()), (1, false));
}

#[test]
fn a_device_that_reports_its_removal_removes_its_interface() {
    let (_turn, fake, lab) = one();
    let threads = lab.kernel().ledgers().threads;
    fake.change(|state| state.stumble = Some(B_DEVICE_NOT_FOUND));
    fake.wait(|state| (state.uninits == 1).then_some(()));
    assert!(lab.stack().interface("fake/0").is_none());
    // The reader freed it, and no thread waits for the reader; the consumer ended before.
    while lab.kernel().ledgers().threads > threads - 2 {
        std::thread::yield_now();
    }
    end(lab);
}

#[test]
fn an_address_that_does_not_answer_is_refused_after_five_questions() {
    let (_turn, fake, lab) = one();
    lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)).unwrap();
    fake.sent(ARP, |frame| frame[38..42] == [10, 1, 0, 2]);
    let state = || lab.stack().neighbours(Family::Inet).iter().find(|one| one.address == ip("10.1.0.2")).unwrap().state;
    let mut questions = 1;
    while state() != "unreachable" {
        lab.stack().neighbour_due(ip("10.1.0.2"));
        questions += 1;
    }
    assert_eq!(questions, 6, "the sixth turn of the timer is the end");
    assert_eq!(lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)), Err(EHOSTUNREACH));
    // Haiku keeps refusing when the answer comes after all.
    fake.give(&arp(1, (mac(9), [10, 1, 0, 2]), [10, 1, 0, 1], mac(1)));
    fake.sent(ARP, |frame| frame[21] == 2);
    assert_eq!(lab.send_ip(&packet("10.1.0.1", "10.1.0.2", 10)), Err(EHOSTUNREACH));
    end(lab);
}
