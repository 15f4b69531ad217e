//! `/dev/misc/tun_tap` and `/dev/misc/tun_tap_short`: what readers see of the units, and that no unit notices.

use std::sync::atomic::{AtomicBool, Ordering};

use haiku_kernel::syscalls::{self, Fd, POLLIN, POLLOUT, PollFd, Whence};
use haiku_kernel::{creds, devfs};
use haiku_stack::Family;
use haiku_sys::{
    B_BAD_ADDRESS, B_NO_MEMORY, B_READ_ONLY_DEVICE, EINVAL, ENOENT, ENOTTY, ENXIO, O_RDONLY, O_RDWR, O_WRONLY, status_t,
};
use haiku_system::{Mode, far::Waiting};
use tuntap_net_addon::ioctl::wire::{
    Preamble, STATISTICS_VERSION, TUNGETSTATISTICS, TUNGETUNITSTATISTICS, UnitStatisticsRequest,
};
use tuntap_testkit::card::Card;
use tuntap_testkit::packet::{Way, arp_request, program_packet, stack_frame};
use tuntap_testkit::program::{Cliff, Program, nowhere, user_address, zeroed};
use tuntap_testkit::rig::Rig;
use zerocopy::IntoBytes;

const TABLE: &str = "/dev/misc/tun_tap";
const SHORT: &str = "/dev/misc/tun_tap_short";

/// Reads what is left of an open node, so many bytes a call.
fn read_rest(fd: Fd, room: usize) -> Result<String, status_t> {
    let (mut text, mut buffer) = (Vec::new(), vec![0; room]);
    loop {
        match syscalls::read(fd, &mut buffer)? {
            0 => return Ok(String::from_utf8(text).expect("UTF-8")),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Reads a node as `cat` does.
fn cat(node: &str) -> String {
    let fd = syscalls::open(node, O_RDONLY).expect("any user may read");
    let text = read_rest(fd, 65_536).expect("text");
    syscalls::close(fd).expect("it was open");
    text
}

/// The two numbers of a row of a table.
fn row(table: &str, name: &str) -> (u64, u64) {
    let row = table.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let row = row.unwrap_or_else(|| panic!("no row {name:?} in\n{table}"));
    let numbers: Vec<u64> = row.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    (numbers[0], numbers[1])
}

fn open(node: &str) -> Fd {
    syscalls::open(node, O_RDONLY).expect("any user may read")
}

/// `TUNGETUNITSTATISTICS`.
fn unit_statistics(fd: Fd, mode: u32, unit: u32) -> Result<UnitStatisticsRequest, status_t> {
    let size = size_of::<UnitStatisticsRequest>() as u32;
    let preamble = Preamble { version: STATISTICS_VERSION, size };
    let mut request = UnitStatisticsRequest { preamble, mode, unit, ..zeroed() };
    syscalls::ioctl(fd, TUNGETUNITSTATISTICS, user_address(request.as_mut_bytes()), 0)?;
    Ok(request)
}

#[test]
fn the_nodes_are_there_with_either_kind_of_unit_node_and_without_a_unit() {
    for settings in ["nodes units\n", "nodes clone\n"] {
        let rig = Rig::with_settings(settings);
        let nodes: Vec<_> = devfs::devices().into_iter().filter(|node| node.starts_with("misc/")).collect();
        assert_eq!(nodes, ["misc/tun_tap", "misc/tun_tap_short"]);
        let title = format!("tun_tap {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(cat(TABLE), format!("{title}\nNo unit has an interface or is open.\n"));
        assert_eq!(cat(SHORT).lines().count(), 1);
        rig.end();
    }
}

#[test]
fn the_table_shows_each_unit_its_opener_and_its_counters() {
    let rig = Rig::boot();
    creds::set_team_name(Some("openvpn"));
    let tun = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    tun.send(&stack_frame(Mode::Tun, tun.address(), 100)).unwrap();
    tun.send(&stack_frame(Mode::Tun, tun.address(), 200)).unwrap();
    tun.send(&arp_request(tun.address())).unwrap();
    program.read(10).unwrap();
    program.write(&program_packet(Mode::Tun, Way::ToStack, 100)).unwrap();
    program.set_limits([7, 7000, 8, 8000]).unwrap();
    let tap = Card::new(&rig, "tap/7");
    tap.send(&stack_frame(Mode::Tap, tap.address(), 100)).unwrap();
    let table = cat(TABLE);
    let (tun_part, tap_part) = table.split_at(table.find("tap/7").expect("the other unit"));
    let [a, b, c, d, e, f] = tun.address();
    let head = format!(
        "tun/0: interface up, link up, mtu 1500, address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\n  \
         open by openvpn, team {}\n",
        std::process::id()
    );
    assert!(tun_part.contains(&head), "{table}");
    let rows = [
        ("accepted packets", (3, 2)),
        ("delivered packets", (1, 0)),
        ("answered", (1, 0)),
        ("truncated", (1, 0)),
        ("queued packets", (1, 2)),
        ("limit in packets", (7, 8)),
        ("limit in bytes", (7000, 8000)),
    ];
    for (name, numbers) in rows {
        assert_eq!(row(tun_part, name), numbers, "{name} in\n{table}");
    }
    let statistics = program.statistics();
    let bytes = (statistics.to_user.accepted_bytes, statistics.to_stack.accepted_bytes);
    assert_eq!(row(tun_part, "accepted bytes"), bytes);
    assert!(!tun_part.contains("dropped:"), "{table}");
    assert!(tap_part.starts_with("tap/7: interface down, link down, mtu 1500, "), "{table}");
    assert!(tap_part.contains("\n  not open\n"), "{table}");
    assert_eq!(row(tap_part, "dropped: down"), (1, 0), "{table}");
    drop((tun, tap));
    rig.end();
}

#[test]
fn a_unit_is_shown_while_it_has_an_opener_or_an_interface() {
    let rig = Rig::boot();
    let units = || cat(SHORT).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let program = Program::new(Mode::Tap);
    let shown = units();
    assert!(shown.len() == 1 && shown[0].starts_with("tap/0   -    up "), "{shown:?}");
    assert!(shown[0].ends_with(&format!(" {} lab", std::process::id())), "{shown:?}");
    let card = Card::ready(&rig, "tap/0");
    assert!(units()[0].starts_with("tap/0   up   up "), "{:?}", units());
    program.close();
    assert!(units()[0].starts_with("tap/0   up   down "), "{:?}", units());
    assert!(units()[0].ends_with(" - -"), "{:?}", units());
    drop(card);
    assert_eq!(units(), Vec::<String>::new());
    rig.end();
}

#[test]
fn an_opener_that_has_ended_and_a_name_that_would_fake_a_line_do_no_harm() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    creds::set_team_name(None);
    assert!(cat(TABLE).contains(&format!("  open by team {}, which has ended\n", std::process::id())));
    creds::set_team_name_bytes(Some(b"evil\ntap/9\x1b[2J\xff"));
    assert!(cat(TABLE).contains("  open by evil?tap/9?[2J?, team "), "{}", cat(TABLE));
    assert_eq!(cat(SHORT).lines().count(), 2);
    program.close();
    rig.end();
}

#[test]
fn reads_at_an_offset_continue_in_the_text_that_the_read_at_offset_zero_took() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let fd = open(TABLE);
    let mut first = [0; 100];
    assert_eq!(syscalls::read(fd, &mut first), Ok(100));
    // Another unit comes, and the counters move on.
    let other = Card::ready(&rig, "tap/0");
    card.send(&stack_frame(Mode::Tun, card.address(), 100)).unwrap();
    let rest = read_rest(fd, 1).unwrap();
    let whole = String::from_utf8(first.to_vec()).unwrap() + &rest;
    assert_eq!(row(&whole, "accepted packets"), (0, 0));
    assert!(!whole.contains("tap/0"), "{whole}");
    assert_eq!(syscalls::read(fd, &mut first), Ok(0), "the end stays the end");
    // A read at the start sees the present.
    syscalls::lseek(fd, 0, Whence::Start).unwrap();
    let now = read_rest(fd, 7).unwrap();
    assert_eq!(row(&now, "accepted packets"), (1, 0));
    assert!(now.contains("tap/0"), "{now}");
    assert_eq!(now, cat(TABLE), "whatever the size of the reads");
    // A first read elsewhere than at the start has a text of its own, and far behind its end there is nothing.
    let late = open(TABLE);
    let mut part = [0; 50];
    let address = user_address(&mut part);
    assert_eq!(syscalls::pread_raw(late, address, 50, 10), Ok(50));
    assert_eq!(&part[..], &now.as_bytes()[10..60]);
    assert_eq!(syscalls::pread_raw(late, address, 50, i64::MAX), Ok(0));
    assert_eq!(syscalls::pread_raw(late, address, 50, now.len() as i64 - 3), Ok(3));
    syscalls::close(late).unwrap();
    syscalls::close(fd).unwrap();
    drop((card, other));
    rig.end();
}

#[test]
fn a_faulting_buffer_is_an_error_and_the_next_read_is_whole() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    let whole = cat(TABLE);
    let fd = open(TABLE);
    assert_eq!(syscalls::read_raw(fd, nowhere(), 500), Err(B_BAD_ADDRESS));
    // The kernel's own memory is refused before anything is copied.
    assert_eq!(syscalls::read_raw(fd, usize::MAX - 4096, 500), Err(B_BAD_ADDRESS));
    let mut cliff = Cliff::new();
    let edge = cliff.edge(&[0; 200]);
    assert_eq!(syscalls::read_raw(fd, edge, 300), Err(B_BAD_ADDRESS));
    assert_eq!(syscalls::read_raw(fd, edge, 200), Ok(200));
    assert_eq!(cliff.read(200), whole.as_bytes()[..200]);
    assert_eq!(read_rest(fd, 65_536).unwrap(), whole[200..], "no failed read moved the position");
    syscalls::close(fd).unwrap();
    drop(card);
    rig.end();
}

#[test]
fn any_user_may_read_and_none_may_write() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/0");
    creds::set_euid(1000);
    creds::set_egid(1000);
    for node in [TABLE, SHORT] {
        assert!(cat(node).contains("tun/0"));
        for mode in [O_WRONLY, O_RDWR] {
            assert_eq!(syscalls::open(node, mode), Err(B_READ_ONLY_DEVICE));
        }
    }
    creds::set_euid(0);
    assert_eq!(syscalls::open(TABLE, O_RDWR), Err(B_READ_ONLY_DEVICE), "not even root");
    for node in ["/dev/misc/tun_tap_", "/dev/misc/tun_tap/0", "/dev/misc/tun"] {
        assert!(syscalls::open(node, O_RDONLY).is_err(), "{node}");
    }
    assert_eq!(syscalls::open("/dev/misc/tap", O_RDONLY), Err(ENOENT));
    drop(card);
    rig.end();
}

#[test]
fn reading_the_node_opens_no_unit_and_makes_none() {
    let rig = Rig::boot();
    let nodes = devfs::devices();
    let before = rig.ledgers();
    for node in [TABLE, SHORT] {
        cat(node);
    }
    let fd = open(TABLE);
    assert_eq!(unit_statistics(fd, 1, 0).map(drop), Err(ENXIO));
    syscalls::close(fd).unwrap();
    assert_eq!((rig.ledgers(), devfs::devices()), (before, nodes));
    // A unit in a snapshot is still deleted with its last opener, and its interface's modules are released with it.
    let fd = open(TABLE);
    let mut part = [0; 10];
    let program = Program::new(Mode::Tun);
    syscalls::read(fd, &mut part).unwrap();
    program.close();
    assert!(read_rest(fd, 4096).unwrap().contains("tun/0"), "what the snapshot saw");
    let program = Program::new(Mode::Tun);
    program.close();
    syscalls::lseek(fd, 0, Whence::Start).unwrap();
    assert!(read_rest(fd, 4096).unwrap().contains("No unit"));
    syscalls::close(fd).unwrap();
    assert_eq!(rig.ledgers().heap_bytes, before.heap_bytes);
    rig.end();
}

#[test]
fn any_units_statistics_are_returned_without_opening_it() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tap/3");
    card.send(&stack_frame(Mode::Tap, card.address(), 100)).unwrap();
    let tun = Card::ready(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    program.write(&program_packet(Mode::Tun, Way::ToStack, 100)).unwrap();
    creds::set_euid(1000);
    for node in [TABLE, SHORT] {
        let fd = open(node);
        let tap = unit_statistics(fd, 2, 3).expect("statistics");
        assert_eq!((tap.mode, tap.unit), (2, 3));
        assert_eq!((tap.to_user.accepted, tap.to_user.dropped[1]), (1, 1), "no program has it open");
        let found = unit_statistics(fd, 1, 0).expect("statistics");
        let own = program.statistics();
        assert_eq!((found.to_user, found.to_stack), (own.to_user, own.to_stack));
        syscalls::close(fd).unwrap();
    }
    creds::set_euid(0);
    program.close();
    drop((card, tun));
    rig.end();
}

#[test]
fn a_request_for_statistics_is_checked() {
    let rig = Rig::boot();
    let card = Card::ready(&rig, "tun/255");
    let fd = open(TABLE);
    assert!(unit_statistics(fd, 1, 255).is_ok());
    assert_eq!(unit_statistics(fd, 1, 254).map(drop), Err(ENXIO), "no unit, although one of a higher number");
    for (mode, unit) in [(0, 255), (3, 255), (0x1001, 255), (0x1_0001, 255), (1, 256), (1, u32::MAX)] {
        assert_eq!(unit_statistics(fd, mode, unit).map(drop), Err(EINVAL), "{mode:#x}, {unit}");
    }
    let size = size_of::<UnitStatisticsRequest>() as u32;
    for (version, size) in [(1, size), (3, size), (STATISTICS_VERSION, size - 8), (STATISTICS_VERSION, 0)] {
        let preamble = Preamble { version, size };
        let mut request = UnitStatisticsRequest { preamble, mode: 1, unit: 255, ..zeroed() };
        let address = user_address(request.as_mut_bytes());
        assert_eq!(syscalls::ioctl(fd, TUNGETUNITSTATISTICS, address, 0), Err(EINVAL));
    }
    for address in [nowhere(), 0] {
        assert_eq!(syscalls::ioctl(fd, TUNGETUNITSTATISTICS, address, 0), Err(B_BAD_ADDRESS));
    }
    assert_eq!(syscalls::ioctl(fd, TUNGETSTATISTICS, nowhere(), 0), Err(ENOTTY), "which unit's?");
    assert!(syscalls::fcntl(fd, syscalls::F_SETFL, haiku_sys::O_NONBLOCK as usize).is_ok());
    syscalls::close(fd).unwrap();
    drop(card);
    rig.end();
}

#[test]
fn a_reader_that_polls_need_not_wait() {
    let rig = Rig::boot();
    let fd = open(SHORT);
    let mut entries = [PollFd { fd, events: POLLIN | POLLOUT, revents: 0 }];
    assert_eq!(syscalls::poll(&mut entries, -1), Ok(1));
    assert_eq!(entries[0].revents & POLLIN, POLLIN);
    syscalls::close(fd).unwrap();
    rig.end();
}

#[test]
fn every_unit_there_can_be_fits() {
    let rig = Rig::boot();
    syscalls::set_descriptor_limit(1024);
    let before = rig.ledgers().heap_bytes;
    let programs: Vec<_> = Mode::ALL
        .into_iter()
        .flat_map(|mode| (0..256).map(move |unit| Program::open(&mode.node(unit)).expect("a free unit")))
        .collect();
    let table = cat(TABLE);
    assert_eq!(table.lines().filter(|line| line.contains(": interface none, link up")).count(), 512);
    let lines: Vec<_> = cat(SHORT).lines().skip(1).map(|line| line[..7].trim_end().to_owned()).collect();
    let expected: Vec<_> =
        Mode::ALL.into_iter().flat_map(|mode| (0..256).map(move |unit| mode.interface(unit))).collect();
    assert_eq!(lines, expected);
    programs.into_iter().for_each(Program::close);
    assert_eq!(rig.ledgers().heap_bytes, before);
    rig.end();
}

#[test]
fn without_memory_a_read_fails_and_nothing_is_left_over() {
    use haiku_kernel::{Fault, FaultPlan, fault};
    let rig = Rig::boot();
    let cards: Vec<_> = (0..8).map(|unit| Card::ready(&rig, &format!("tun/{unit}"))).collect();
    let whole = cat(TABLE);
    fault::arm(FaultPlan::Count);
    cat(TABLE);
    let calls = fault::counts().of(Fault::Malloc);
    assert!(calls >= 4, "the cookie, the text and its growth: {calls}");
    let before = rig.ledgers();
    for call in 1..=calls {
        fault::arm(FaultPlan::Nth(Fault::Malloc, call));
        let opened = syscalls::open(TABLE, O_RDONLY);
        let read = opened.and_then(|fd| read_rest(fd, 65_536));
        fault::arm(FaultPlan::Off);
        assert_eq!(read, Err(B_NO_MEMORY), "call {call}");
        if let Ok(fd) = opened {
            assert_eq!(read_rest(fd, 65_536).as_deref(), Ok(&whole[..]), "the next read works");
            syscalls::close(fd).unwrap();
        }
        assert_eq!(rig.ledgers(), before, "call {call}");
    }
    drop(cards);
    rig.end();
}

#[test]
fn readers_during_traffic_lose_no_packet_and_see_counters_that_agree() {
    let rig = Rig::boot();
    rig.configure(Mode::Tun).unwrap();
    let far = rig.far(Mode::Tun, Waiting::Read).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = || {
            let (fd, mut last, mut reads) = (open(TABLE), 0, 0);
            while !done.load(Ordering::Relaxed) {
                syscalls::lseek(fd, 0, Whence::Start).unwrap();
                let table = read_rest(fd, 64).unwrap();
                let value = |name| row(&table, name);
                let (accepted, delivered) = (value("accepted packets"), value("delivered packets"));
                let (answered, queued) = (value("answered"), value("queued packets"));
                // What is being copied to the program is neither queued nor delivered.
                assert!(delivered.0 + answered.0 + queued.0 <= accepted.0, "{table}");
                assert!(delivered.1 + answered.1 + queued.1 <= accepted.1, "{table}");
                assert!(accepted.0 >= last, "{table}");
                (last, reads) = (accepted.0, reads + 1);
                cat(SHORT);
                unit_statistics(fd, 1, 0).expect("the unit is there");
            }
            syscalls::close(fd).unwrap();
            reads
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        rig.ping(Mode::Tun, Family::Inet, 2_000, 56);
        rig.ping(Mode::Tun, Family::Inet6, 2_000, 56);
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().expect("no assertion failed") > 0);
        }
    });
    far.stop().unwrap();
    rig.end();
}

#[test]
fn readers_do_not_keep_units_from_coming_and_going() {
    let rig = Rig::boot();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for node in [TABLE, SHORT] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    cat(node);
                }
            });
        }
        for _ in 0..200 {
            let program = Program::new(Mode::Tun);
            rig.ifconfig("tun/0 10.9.0.1 255.255.255.0 up").unwrap();
            rig.ifconfig("--delete tun/0").unwrap();
            program.close();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(cat(TABLE).contains("No unit"));
    rig.end();
}
