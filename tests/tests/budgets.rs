//! Budgets: how many instructions of the add-on a call may execute.
//!
//! Valgrind's callgrind counts in the file that `HAIKU_LAB_ADDON` names, so the code is the one that users run. The lab's
//! loader maps that file itself, so its code is what valgrind knows no object for; besides it only a stub of a few
//! instructions that runs when a thread ends. What the add-on calls in the emulated kernel is not counted. The lab runs
//! with virtual time and one thread at a time, so counts repeat on a busy machine too.

use std::path::Path;
use std::process::Command;

use haiku_kernel::syscalls::{POLLIN, POLLOUT};
use haiku_kernel::{Schedule, smp};
use haiku_system::{LabOptions, Mode};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{BROADCAST, ETHER_TYPE_IP, ETHER_TYPE_IPV6, NEAR, Way, frame, ipv4, ipv6};
use tuntap_testkit::program::Program;
use tuntap_testkit::rig::Rig;

/// Calls to warm up, and then in each of the two counts of a case, which must agree.
const CALLS: u32 = 200;
/// Bytes of a packet of IP.
const LENGTH: usize = 64;
/// How far a count may be from its budget, in percent.
const TOLERANCE: f64 = 3.0;
/// The compilers of the add-on that the budgets are for; the code of another may need others.
const COMPILERS: [&str; 2] = ["rustc 1.95", "rustc 1.96"];
/// The variable that tells this program, run by valgrind, to make the calls.
const COUNTED: &str = "TUNTAP_TESTS_COUNTED";

/// A call's name, the instructions that one may take of the add-on by each of [`COMPILERS`], and what makes [`count`]'s
/// calls.
type Budget = (&'static str, [u32; 2], fn());

/// The budgets. A commit that changes what a call costs changes the number here, and its message says why.
const BUDGETS: &[Budget] = &[
    ("TUN, IPv4: send_data and read", [389, 389], || send(Mode::Tun, ETHER_TYPE_IP, &ipv4(Way::ToUser, LENGTH))),
    ("TAP, IPv4: send_data and read", [350, 350], || send(Mode::Tap, ETHER_TYPE_IP, &ipv4(Way::ToUser, LENGTH))),
    ("TUN, IPv6: send_data and read", [393, 393], || send(Mode::Tun, ETHER_TYPE_IPV6, &ipv6(Way::ToUser, LENGTH))),
    ("TUN, IPv4: write, delivery direct", [297, 297], write_directly),
    ("TUN, IPv4: write and receive_data, delivery reader", [457, 468], write_queued),
    ("poll: errors, hang-ups", [345, 375], || poll(0)),
    ("poll: read, errors, hang-ups", [559, 603], || poll(POLLIN)),
    ("poll: write, errors, hang-ups", [539, 582], || poll(POLLOUT)),
    ("poll: read, write, errors, hang-ups", [753, 810], || poll(POLLIN | POLLOUT)),
];

/// Ends a count and begins the next: valgrind is told to write a profile whenever it comes here.
#[inline(never)]
fn budgets_mark() {
    std::hint::black_box(());
}

/// Makes a call as often as warming up and two counts need.
fn count(call: impl Fn()) {
    for _ in 0..3 {
        (0..CALLS).for_each(|_| call());
        budgets_mark();
    }
}

fn boot(settings: &str) -> Rig {
    smp::set_processors(1);
    Rig::with(LabOptions {
        settings: vec![("tun_tap".into(), settings.into())],
        schedule: Some(Schedule::default()),
        ..LabOptions::default()
    })
}

/// Boots a lab with an interface that only the test uses, and a program behind it.
fn with_card(mode: Mode, settings: &str, run: impl FnOnce(&Card<'_>, &Program)) {
    let rig = boot(settings);
    let (card, program) = (Card::ready(&rig, &mode.interface(0)), Program::new(mode));
    run(&card, &program);
    drop(card);
    program.close();
    rig.end();
}

fn send(mode: Mode, ether_type: u16, packet: &[u8]) {
    with_card(mode, "", |card, program| {
        let frame = frame(BROADCAST, card.address(), ether_type, packet);
        let expected = if mode == Mode::Tap { &frame } else { packet };
        count(|| {
            card.send(&frame).expect("the driver takes the frame");
            assert_eq!(program.read(LENGTH * 2).as_deref(), Ok(expected));
        });
    });
}

fn write_directly() {
    let rig = boot("delivery direct\n");
    let name = Mode::Tun.interface(0);
    rig.ifconfig(&format!("{name} {NEAR} 255.255.255.0 up")).expect("an address");
    let program = Program::new(Mode::Tun);
    let mut packet = ipv4(Way::ToStack, LENGTH);
    // UDP's checksum is wrong, so the protocol takes the packet and sends no error.
    packet[26] = 1;
    count(|| assert_eq!(program.write(&packet), Ok(LENGTH)));
    assert!(program.read(LENGTH * 2).is_err(), "the stack sends nothing meanwhile");
    program.close();
    rig.end();
}

fn write_queued() {
    let packet = ipv4(Way::ToStack, LENGTH);
    with_card(Mode::Tun, "delivery reader\n", |card, program| {
        count(|| assert!(program.write(&packet).is_ok() && card.receive().is_ok()));
    });
}

/// Polls an interface that is up and has no packet: `select` and `deselect` once for each event. `poll` always asks for
/// errors and hang-ups.
fn poll(events: u16) {
    with_card(Mode::Tun, "", |_, program| count(|| assert_eq!(program.ready(events), events & POLLOUT)));
}

/// Adds up what a profile counts in code of no known object.
fn instructions(profile: &str) -> u64 {
    let (mut sum, mut is_addon, mut is_callee) = (0, false, false);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_addon = object == "???";
        } else if line.starts_with("calls=") {
            // The next line has what the callee cost, which is counted where it was spent.
            is_callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) && !std::mem::take(&mut is_callee) && is_addon
        {
            sum += line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

/// What is wrong with a count, and what to do.
fn objection(name: &str, budget: u32, count: f64) -> Option<String> {
    let change = (count / f64::from(budget) - 1.0) * 100.0;
    if change.abs() <= TOLERANCE {
        return None;
    }
    let lower = format!("lower the budget to {count:.0}");
    let todo = if change < 0.0 { &lower } else { "lower the cost, or raise the budget in the same commit and say why" };
    Some(format!("{name}: {count:.1} instructions, {change:+.1} % of the budget of {budget}: {todo}"))
}

/// Runs this program's calls under valgrind, with its profiles in a folder.
fn run_counted(folder: &Path) {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
    command.arg("--dump-before=*budgets_mark*");
    command.arg(format!("--callgrind-out-file={}", folder.join("profile").display()));
    command.arg(std::env::current_exe().expect("a path")).args(["--exact", "the_add_on_stays_within_its_budgets"]);
    let output = command.arg("--test-threads=1").env(COUNTED, "1").output().expect("valgrind starts");
    assert!(output.status.success(), "the calls failed under valgrind: {output:?}");
}

#[test]
fn the_add_on_stays_within_its_budgets() {
    if std::env::var_os(COUNTED).is_some() {
        return BUDGETS.iter().for_each(|(_, _, make_calls)| make_calls());
    }
    let Some(addon) = std::env::var_os(haiku_system::addon::VARIABLE) else {
        return println!("skipped: {} names no add-on", haiku_system::addon::VARIABLE);
    };
    let compiler = std::fs::read_to_string(Path::new(&addon).with_extension("compiler")).unwrap_or_default();
    let Some(column) = COMPILERS.iter().position(|known| compiler.starts_with(known)) else {
        return println!("skipped: there are budgets for add-ons by {COMPILERS:?}, and this one is by {compiler:?}");
    };
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("skipped: there is no valgrind; Debian has it in the package valgrind");
    }
    let folder = std::env::temp_dir().join(format!("budgets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    run_counted(&folder);
    let per_call = |part: usize| {
        let profile = std::fs::read_to_string(folder.join(format!("profile.{part}"))).expect("a profile for each mark");
        instructions(&profile) as f64 / f64::from(CALLS)
    };
    let mut objections = Vec::new();
    for (index, &(name, budgets, _)) in BUDGETS.iter().enumerate() {
        // The first of a case's three profiles has its start and warm-up.
        let (first, second) = (per_call(index * 3 + 2), per_call(index * 3 + 3));
        println!("{name}: {first:.2}, {second:.2}");
        assert!(first > 0.0, "{name}: valgrind gave the add-on's code an object, so its instructions were not found");
        assert!((first - second).abs() <= 1.0, "{name}: counts of equal calls differ: {first}, {second}");
        objections.extend(objection(name, budgets[column], first));
    }
    std::fs::remove_dir_all(&folder).expect("our folder");
    assert!(objections.is_empty(), "of an add-on by {}:\n{}", COMPILERS[column], objections.join("\n"));
}

#[test]
fn a_profile_is_summed_over_the_add_on_alone() {
    let profile = "events: Ir\nob=/lab\nfn=a\n10 5\ncob=???\ncfn=0x10\ncalls=2 0\n11 400\n\
                   ob=???\nfn=0x10\n0 7\ncob=/lab\ncfn=a\ncalls=1 0\n0 90\n0 3\nob=/lab\nfn=b\n3 8\n";
    assert_eq!(instructions(profile), 10);
}

#[test]
fn a_count_more_than_three_percent_off_is_objected_to() {
    assert_eq!(objection("a call", 100, 102.9), None);
    assert_eq!(objection("a call", 100, 97.1), None);
    assert!(objection("a call", 100, 103.1).is_some_and(|text| text.contains("103.1 instructions")));
    assert!(objection("a call", 100, 96.0).is_some_and(|text| text.ends_with("lower the budget to 96")));
}
