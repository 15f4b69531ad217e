//! Every kernel call that can fail, failing in turn: each failure is an error of some call, nothing is left over, and
//! everything works afterwards.

use haiku_kernel::syscalls::{POLLIN, POLLOUT};
use haiku_kernel::{Fault, FaultPlan, Kernel, fault};
use haiku_stack::{Family, Stack, StackOptions};
use haiku_sys::B_NO_MEMORY;
use haiku_system::far::Waiting;
use haiku_system::{LabOptions, Mode, addon, ping, scenario};
use std::time::Duration;
use tuntap_net_addon::ioctl::wire::{
    BatchRequest, LinuxRequest, Preamble, SIOCGIFHWADDR, SIOCSIFHWADDR, TUNGETIFF, TUNGIFINFO, TUNREADBATCH,
    TUNSETCARRIER, TUNSETIFF, TUNSETSNDBUF, TUNWRITEBATCH, TunInfo,
};
use tuntap_testkit::card::{Card, Module};
use tuntap_testkit::packet::{Way, arp_request, program_packet, stack_frame};
use tuntap_testkit::program::{Program, dropped, dropped_for, preamble, user_address, zeroed};
use tuntap_testkit::rig::Rig;
use tuntap_testkit::watchdog::Watchdog;
use zerocopy::IntoBytes;

/// Whether anything is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Clean,
    Faulty,
}

/// A life of a unit, from its first open to its last trace, without a call that waits. In a clean run everything works.
fn life(rig: &Rig, mode: Mode, run: Run) {
    let works = |what: &str, result: Result<(), i32>| {
        assert!(run == Run::Faulty || result.is_ok(), "{mode}: {what}: {result:x?}");
        result.is_ok()
    };
    let program = haiku_kernel::syscalls::open(&mode.node(0), haiku_sys::O_RDWR | haiku_sys::O_NONBLOCK);
    works("open", program.map(drop));
    let program = program.ok().map(Program::borrow);
    let card = Card::make(rig, &mode.interface(0));
    works("init_device", card.as_ref().map(drop).map_err(|&error| error));
    let card = card.ok();
    if let Some(card) = &card {
        card.up();
        works("set_mtu", card.set_mtu(1400));
        works("set_promiscuous", card.set_promiscuous(true));
    }
    if let (Some(program), Some(card)) = (program, &card) {
        works("traffic", traffic(program, card, mode));
        works("controls", controls(program, card, mode));
        works("batches", batches(program, card, mode));
        program.check_accounts_if_told();
    }
    drop(card);
    if let Some(program) = program {
        let _ = program.poll(POLLIN | POLLOUT, 0);
        program.close();
    }
    // And once more through the module alone.
    works("get_module", Module::try_get(rig).map(drop));
}

/// Packets both ways. After a failure the rest continues.
fn traffic(program: Program, card: &Card<'_>, mode: Mode) -> Result<(), i32> {
    let mut result = Ok(());
    let mut note = |this: Result<(), i32>| result = result.and(this);
    for length in [64, 600, 1400] {
        note(card.send(&stack_frame(mode, card.address(), length)));
        let _ = program.poll(POLLIN | POLLOUT, 0);
        note(program.packet().map(drop));
        note(program.write(&program_packet(mode, Way::ToStack, length)).map(drop));
        // Whether there is something is asked in a way that cannot fail.
        if haiku_kernel::fault::counts().total() > 0 && queued(program) {
            note(card.receive().map(drop));
        }
    }
    note(card.send(&arp_request(card.address())));
    result
}

fn queued(program: Program) -> bool {
    program.try_statistics().is_ok_and(|statistics| statistics.to_stack.queued > 0)
}

fn controls(program: Program, card: &Card<'_>, mode: Mode) -> Result<(), i32> {
    // An interface that is up keeps its address.
    card.down();
    let address = program.exchange(SIOCSIFHWADDR, LinuxRequest { flags: 1, address: [2; 6], ..zeroed() }).map(drop);
    card.up();
    let flags = if mode == Mode::Tun { 0x1001 } else { 0x1002 };
    let results = [
        program.exchange(TUNSETIFF, LinuxRequest { flags, ..zeroed() }).map(drop),
        program.exchange(TUNGETIFF, zeroed::<LinuxRequest>()).map(drop),
        program.exchange(SIOCGIFHWADDR, zeroed::<LinuxRequest>()).map(drop),
        address,
        program.exchange(TUNSETSNDBUF, 100_000i32).map(drop),
        program.exchange(TUNSETCARRIER, 0i32).map(drop),
        program.exchange(TUNSETCARRIER, 1i32).map(drop),
        program.exchange(TUNGIFINFO, zeroed::<TunInfo>()).map(drop),
        program.set_limits([100, 100_000, 100, 100_000]),
        program.readable().map(drop),
    ];
    results.into_iter().collect()
}

fn batches(program: Program, card: &Card<'_>, mode: Mode) -> Result<(), i32> {
    let mut memory = vec![0; size_of::<BatchRequest>()];
    for _ in 0..3 {
        memory.extend(100u32.to_ne_bytes());
        memory.extend(program_packet(mode, Way::ToStack, 100));
    }
    let size = memory.len() as u32;
    let request = BatchRequest { preamble: Preamble { size, ..preamble::<BatchRequest>() }, packets: 3, bytes: 0 };
    memory[..size_of::<BatchRequest>()].copy_from_slice(request.as_bytes());
    let written = program.control(TUNWRITEBATCH, user_address(&mut memory));
    let sent = (0..3).try_for_each(|_| card.send(&stack_frame(mode, card.address(), 100)));
    memory[..size_of::<BatchRequest>()].copy_from_slice(request.as_bytes());
    written.and(sent).and(program.control(TUNREADBATCH, user_address(&mut memory)))
}

/// A unit works: it is opened, has an interface, and a packet crosses each way.
fn works_now(rig: &Rig, mode: Mode) {
    let card = Card::ready(rig, &mode.interface(0));
    let program = Program::new(mode);
    card.send(&stack_frame(mode, card.address(), 100)).unwrap();
    assert_eq!(program.packet().map(|packet| packet.len()), Ok(100));
    program.write(&program_packet(mode, Way::ToStack, 100)).unwrap();
    assert!(card.receive().is_ok());
    program.check_accounts();
    program.close();
}

#[test]
fn each_call_of_a_units_life_may_fail_and_nothing_is_left_over() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        fault::arm(FaultPlan::Count);
        life(&rig, mode, Run::Clean);
        let calls = fault::counts().total();
        fault::arm(FaultPlan::Off);
        rig.end();
        assert!(calls > 50, "{calls} calls can hardly be all");
        for n in 1..=calls {
            let rig = Rig::boot();
            fault::arm(FaultPlan::NthOfAny(n));
            life(&rig, mode, Run::Faulty);
            let fired = fault::fired();
            fault::arm(FaultPlan::Off);
            works_now(&rig, mode);
            let ledgers = rig.shutdown();
            assert!(ledgers.is_zero(), "{mode}: call {n} of {calls} failed ({fired:?}) and left over:\n{ledgers}");
        }
    }
}

#[test]
fn each_call_of_loading_the_driver_may_fail_and_nothing_is_left_over() {
    let load = |faults| {
        let _watchdog = Watchdog::over(format!("loading the driver with {faults:?}"));
        let kernel = Kernel::boot(haiku_kernel::Options { faults, ..Default::default() }).unwrap();
        let _alive = Watchdog::over("loading the driver");
        let stack = Stack::start(StackOptions::default());
        let installed = match std::env::var_os(addon::VARIABLE) {
            Some(file) => kernel.install(addon::NAME, addon::File::open(file.as_ref()).unwrap()),
            None => kernel.install(addon::NAME, addon::linked()),
        };
        let (calls, fired) = (fault::counts().total(), fault::fired());
        let left = stack.stop();
        let ledgers = kernel.shutdown();
        assert!(ledgers.is_zero() && left.is_zero(), "{faults:?}: {fired:?} left over:\n{ledgers}");
        (installed, calls)
    };
    let (installed, calls) = load(FaultPlan::Count);
    assert_eq!(installed, Ok(()));
    for n in 1..=calls {
        let _ = load(FaultPlan::NthOfAny(n));
    }
}

/// A whole session in ifconfig's words and with the far side's program, whose threads make their calls in no certain
/// order. Returns how many pings were answered.
fn session(rig: &Rig, mode: Mode, patience: Duration) -> u64 {
    for command in scenario::commands(mode) {
        let _ = rig.console().execute(&command);
    }
    let far = rig.far(mode, Waiting::Poll);
    let mut received = 0;
    for family in Family::ALL {
        let options = ping::Options { patience, ..ping::Options::flood(scenario::peer(mode, family), 1) };
        received += rig.lab().ping(&options).map_or(0, |report| report.received);
    }
    drop(far);
    let _ = rig.ifconfig(&format!("{mode}/0 down"));
    let _ = rig.ifconfig(&format!("--delete {mode}/0"));
    received
}

#[test]
fn each_call_of_a_whole_session_may_fail_and_nothing_is_left_over() {
    for mode in Mode::ALL {
        let rig = Rig::boot();
        fault::arm(FaultPlan::Count);
        assert_eq!(session(&rig, mode, Duration::from_secs(20)), 2);
        let calls = fault::counts().total();
        fault::arm(FaultPlan::Off);
        rig.end();
        for n in 1..=calls {
            let rig = Rig::boot();
            fault::arm(FaultPlan::NthOfAny(n));
            session(&rig, mode, Duration::from_millis(5));
            let fired = fault::fired();
            fault::arm(FaultPlan::Off);
            let ledgers = rig.shutdown();
            assert!(ledgers.is_zero(), "{mode}: call {n} of {calls} failed ({fired:?}) and left over:\n{ledgers}");
        }
    }
}

#[test]
fn a_write_without_memory_fails() {
    for (kind, error) in [(Fault::NetBufferCreate, B_NO_MEMORY), (Fault::NetBufferAppend, B_NO_MEMORY)] {
        for mode in Mode::ALL {
            let rig = Rig::boot();
            let card = Card::ready(&rig, &mode.interface(0));
            let program = Program::new(mode);
            let packet = program_packet(mode, Way::ToStack, 1000);
            let before = rig.ledgers();
            fault::arm(FaultPlan::Nth(kind, 1));
            assert_eq!(program.write(&packet), Err(error), "{mode}: {kind:?}");
            fault::arm(FaultPlan::Off);
            assert_eq!(rig.ledgers(), before);
            assert_eq!(program.statistics().to_stack.accepted, 0);
            assert_eq!(program.write(&packet), Ok(1000));
            drop(card);
            rig.end();
        }
    }
}

#[test]
fn an_open_without_memory_fails_and_leaves_the_unit_free() {
    for kind in [Fault::Malloc, Fault::CreateSem] {
        let rig = Rig::boot();
        let before = rig.ledgers();
        let mut failed = 0;
        for n in 1.. {
            fault::arm(FaultPlan::Nth(kind, n));
            let opened = Program::open("/dev/tun/0");
            let fired = fault::fired();
            fault::arm(FaultPlan::Off);
            match opened {
                Err(error) => {
                    assert_eq!((error, fired), (B_NO_MEMORY, Some(kind)));
                    let now = rig.ledgers();
                    assert_eq!(
                        (now.cookies, now.semaphores, now.heap_bytes),
                        (0, before.semaphores, before.heap_bytes)
                    );
                    failed += 1;
                }
                Ok(program) => {
                    program.close();
                    break;
                }
            }
        }
        assert!(failed > 0, "{kind:?}");
        rig.end();
    }
}

#[test]
fn an_answer_for_which_there_is_no_memory_is_counted_and_the_question_accepted() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    // The question itself is made first.
    fault::arm(FaultPlan::Nth(Fault::NetBufferCreate, 2));
    assert_eq!(card.send(&arp_request(card.address())), Ok(()));
    fault::arm(FaultPlan::Off);
    let statistics = program.statistics().to_user;
    assert_eq!((statistics.accepted, statistics.answered, dropped_for(&statistics, "answer-lost")), (1, 0, 1));
    program.check_accounts();
    drop(card);
    rig.end();
}

#[test]
fn a_fault_does_not_make_a_queue_with_room_drop_a_frame() {
    let rig = Rig::with(LabOptions::default());
    let card = Card::ready(&rig, "tap/0");
    let program = Program::new(Mode::Tap);
    let frame = stack_frame(Mode::Tap, card.address(), 100);
    for n in 1..10 {
        fault::arm(FaultPlan::Nth(Fault::Malloc, n));
        assert!(matches!(card.send(&frame), Ok(()) | Err(B_NO_MEMORY)), "making the frame is the test's own call");
        fault::arm(FaultPlan::Off);
    }
    assert_eq!(dropped(&program.statistics().to_user), 0);
    program.check_accounts();
    drop(card);
    rig.end();
}
