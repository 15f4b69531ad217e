//! Straight delivery: a program's packets reach their protocol in its own `write`, except while a capture runs.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use haiku_kernel::priority::{self, NORMAL};
use haiku_kernel::smp;
use haiku_kernel::syscalls::POLLIN;
use haiku_sys::B_WOULD_BLOCK;
use haiku_system::Mode;
use tuntap_testkit::packet::{
    ETHER_TYPE_IP, FAR, NEAR, STRANGER, Way, echo_request, frame, ipv4, numbered_echo_request,
};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;
use tuntap_testkit::watchdog::until;

/// How many packets show how they are delivered.
const MANY: u16 = 200;

/// An interface with addresses, and the program behind it, which has resolved what it needs to.
struct Bench {
    mode: Mode,
    rig: Rig,
    program: Program,
    /// Haiku's link-layer address of a TAP.
    own: [u8; 6],
}

impl Bench {
    /// A lab with settings for the driver and a number of processors.
    fn new(mode: Mode, settings: &str, processors: i32) -> Self {
        let rig = Rig::with_settings(settings);
        smp::set_processors(processors);
        rig.ifconfig(&format!("{} {NEAR} 255.255.255.0 up", mode.interface(0))).unwrap();
        let program = Program::new(mode);
        rig.stack().learn_neighbour(FAR.into(), STRANGER);
        let own = rig.stack().interface(&mode.interface(0)).unwrap().mac;
        Self { mode, rig, program, own }
    }

    /// Writes an echo request with a number.
    fn ask(&self, number: u16) {
        let packet = numbered_echo_request(number);
        let written = match self.mode {
            Mode::Tun => packet,
            Mode::Tap => frame(self.own, STRANGER, ETHER_TYPE_IP, &packet),
        };
        assert_eq!(self.program.write(&written), Ok(written.len()));
    }

    /// The number of the reply that is there, if one is.
    fn reply(&self) -> Option<u16> {
        let packet = match self.program.packet() {
            Ok(packet) => packet[if self.mode == Mode::Tap { 14 } else { 0 }..].to_vec(),
            Err(error) => {
                assert_eq!(error, B_WOULD_BLOCK);
                return None;
            }
        };
        assert_eq!((packet[9], packet[20]), (1, 0), "an echo reply");
        assert_eq!((packet[12..16].to_vec(), packet[16..20].to_vec()), (NEAR.octets().to_vec(), FAR.octets().to_vec()));
        Some(u16::from_be_bytes([packet[26], packet[27]]))
    }

    fn await_reply(&self) -> u16 {
        loop {
            if let Some(number) = self.reply() {
                return number;
            }
            assert_ne!(self.program.poll(POLLIN, 10_000_000), Ok(0), "no reply");
        }
    }

    /// Whether every reply is there as soon as its request was written.
    fn is_direct(&self) -> bool {
        (0..MANY).all(|number| {
            self.ask(number);
            let direct = self.reply();
            let reply = direct.unwrap_or_else(|| self.await_reply());
            assert_eq!(reply, number);
            direct.is_some()
        })
    }

    fn received(&self) -> u32 {
        self.rig.stack().interface(&self.mode.interface(0)).unwrap().statistics.receive.packets
    }

    fn end(self) {
        self.program.check_accounts();
        self.program.close();
        self.rig.end();
    }
}

#[test]
fn with_one_processor_a_reply_is_there_when_its_write_returns() {
    for mode in Mode::ALL {
        let bench = Bench::new(mode, "", 1);
        let before = bench.received();
        assert!(bench.is_direct());
        assert_eq!(bench.received() - before, u32::from(MANY), "the interface's statistics count direct packets");
        bench.end();
    }
}

#[test]
fn the_setting_and_the_number_of_processors_choose_the_way() {
    for (settings, processors, direct) in
        [("delivery reader\n", 1, false), ("delivery auto\n", 4, true), ("delivery direct\n", 4, true)]
    {
        let bench = Bench::new(Mode::Tun, settings, processors);
        assert_eq!(bench.is_direct(), direct, "{settings}");
        bench.end();
    }
}

#[test]
fn with_several_processors_a_program_that_is_behind_with_reading_leaves_the_work_to_the_reader() {
    const UNREAD: u16 = 400;
    for (settings, processors, direct) in [("", 1, true), ("", 4, false), ("delivery direct\n", 4, true)] {
        let bench = Bench::new(Mode::Tun, settings, processors);
        assert!(bench.is_direct());
        (0..UNREAD).for_each(|number| bench.ask(number));
        (0..UNREAD).for_each(|number| assert_eq!(bench.await_reply(), number, "the order stays"));
        assert_eq!(bench.is_direct(), direct, "{settings:?}, {processors} processors");
        if !direct {
            // Straight delivery resumes after a second of silence.
            assert_eq!(bench.program.poll(POLLIN, 1_100_000), Ok(0));
            assert!(bench.is_direct());
        }
        bench.end();
    }
}

#[test]
fn a_capture_sees_both_directions_soon_and_in_order() {
    for mode in Mode::ALL {
        let bench = Bench::new(mode, "", 1);
        assert!(bench.is_direct());
        let capture = bench.rig.stack().start_capture(&mode.interface(0)).unwrap();
        let started = Instant::now();
        let is_request = |frame: &[u8]| frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == 8;
        let mut number = 0;
        loop {
            bench.ask(number);
            assert_eq!(bench.await_reply(), number);
            number += 1;
            if capture.take().iter().any(|frame| is_request(frame)) {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(5), "the capture sees no request");
        }
        let before = number;
        for number in 0..MANY {
            bench.ask(number);
            assert_eq!(bench.await_reply(), number);
        }
        // The reader thread counts a packet when the stack has it already.
        let all = u32::from(MANY + before + MANY);
        until("every packet is counted", || bench.received() >= all);
        assert_eq!(bench.received(), all, "each packet is counted once, direct or queued");
        let frames = capture.take();
        let numbers = |kind: u8| -> Vec<u16> {
            let of_kind = frames.iter().filter(|frame| frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == kind);
            of_kind.map(|frame| u16::from_be_bytes([frame[40], frame[41]])).collect()
        };
        let all: Vec<u16> = (0..MANY).collect();
        assert_eq!((numbers(8), numbers(0)), (all.clone(), all));
        drop(capture);
        // Straight delivery resumes after a second of silence.
        assert_eq!(bench.program.poll(POLLIN, 1_100_000), Ok(0));
        bench.ask(0);
        assert_eq!(bench.await_reply(), 0);
        assert!(bench.is_direct());
        bench.end();
    }
}

#[test]
fn no_order_is_turned_round_when_captures_come_and_go() {
    const PINGS: u16 = 20_000;
    /// How many may be on their way; less than a queue holds.
    const AHEAD: u16 = 256;
    let bench = Bench::new(Mode::Tun, "", 1);
    let stack = bench.rig.stack();
    let asked = AtomicU16::new(0);
    std::thread::scope(|scope| {
        let captures = scope.spawn(|| {
            while asked.load(Ordering::SeqCst) < PINGS {
                drop(stack.start_capture("tun/0").unwrap());
                std::thread::yield_now();
            }
        });
        for answered in 0..PINGS {
            while asked.load(Ordering::SeqCst) < PINGS.min(answered + AHEAD) {
                bench.ask(asked.fetch_add(1, Ordering::SeqCst));
            }
            let reply = bench.await_reply();
            // The other thread must end even if this one fails.
            if reply != answered {
                asked.store(PINGS, Ordering::SeqCst);
            }
            assert_eq!(reply, answered, "replies come in the order of their requests");
        }
        captures.join().unwrap();
    });
    bench.end();
}

#[test]
fn a_protocol_runs_with_the_consumers_priority_while_many_packets_wait_for_the_program() {
    /// Packets of 1,500 bytes: 128 KiB and more.
    const MANY_WAIT: u16 = 100;
    let bench = Bench::new(Mode::Tun, "delivery direct\n", 1);
    // Every write that raises a priority sets it back: two changes.
    let raises = |own: i32| {
        priority::set(own);
        let before = priority::changes();
        bench.ask(1);
        assert_eq!(priority::get(), own);
        priority::changes() - before
    };
    assert_eq!(raises(NORMAL), 0);
    let large = ipv4(Way::ToUser, 1500);
    (0..MANY_WAIT).for_each(|_| bench.rig.send_ip(&large).unwrap());
    assert_eq!(raises(NORMAL), 2);
    // A real-time thread is as it was, too.
    assert_eq!(raises(100), 2);
    assert_eq!(raises(15), 0);
    while bench.program.packet().is_ok() {}
    assert_eq!(raises(NORMAL), 0);
    bench.end();
}

#[test]
fn a_family_without_an_address_goes_through_the_queue() {
    let bench = Bench::new(Mode::Tun, "", 1);
    assert!(bench.is_direct());
    bench.rig.ifconfig("delete tun/0 10.9.0.1").unwrap();
    // No interface has the packet's destination any longer. It is counted, and not answered.
    let before = bench.received();
    bench.ask(0);
    until("the reader takes the packet", || bench.received() == before + 1);
    assert_eq!(bench.reply(), None);
    bench.end();
}

#[test]
fn a_tap_follows_the_promiscuous_flag_of_its_interface_whichever_way_its_packets_go() {
    for settings in ["", "delivery reader"] {
        follows_the_promiscuous_flag(settings);
    }
}

fn follows_the_promiscuous_flag(settings: &str) {
    let bench = Bench::new(Mode::Tap, settings, 1);
    let others = frame([0x02, 1, 2, 3, 4, 5], STRANGER, ETHER_TYPE_IP, &echo_request());
    let info = bench.rig.stack().interface("tap/0").unwrap();
    let before = bench.program.statistics().to_stack.delivered;
    bench.program.write(&others).unwrap();
    assert_eq!(bench.program.statistics().to_stack.delivered, before, "a frame for another address is dropped");
    // The driver looks at the flag every 10 ms. With a packet for each round the queue may be full by then.
    let [packets, bytes, _, bytes_to_stack] = bench.program.limits();
    bench.program.set_limits([packets, bytes, 1, bytes_to_stack]).unwrap();
    let try_to_write = || match bench.program.write(&others) {
        Ok(_) | Err(B_WOULD_BLOCK) => {}
        Err(error) => panic!("{error:#x}"),
    };
    bench.rig.stack().set_flags("tap/0", info.flags | haiku_sys::IFF_PROMISC).unwrap();
    until("the driver sees the flag", || {
        try_to_write();
        bench.program.statistics().to_stack.delivered > before
    });
    bench.rig.stack().set_flags("tap/0", info.flags).unwrap();
    until("the driver sees that the flag is gone", || {
        let before = bench.program.statistics().to_stack.dropped;
        try_to_write();
        bench.program.statistics().to_stack.dropped != before
    });
    bench.end();
}
