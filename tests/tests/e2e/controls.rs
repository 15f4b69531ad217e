//! Every control, with good arguments and with pointers that lead nowhere, half nowhere, or to what may not be written.

use haiku_kernel::{creds, syscalls};
use haiku_sys::{
    B_BAD_ADDRESS, B_SET_BLOCKING_IO, B_SET_NONBLOCKING_IO, B_WOULD_BLOCK, EBUSY, EINVAL, ENOTTY, EPERM, FIONBIO,
    FIONREAD, status_t,
};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::*;
use tuntap_testkit::card::Card;
use tuntap_testkit::program::{Cliff, Program, nowhere, preamble, zeroed};
use tuntap_testkit::rig::Rig;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A control that takes a pointer, with an argument that it accepts from a TUN that is down.
pub(crate) struct Pointer {
    pub(crate) name: &'static str,
    pub(crate) op: u32,
    argument: Vec<u8>,
    /// Whether it writes to what it points to.
    answers: bool,
}

fn bytes<T: IntoBytes + Immutable>(value: &T) -> Vec<u8> {
    value.as_bytes().to_vec()
}

fn int(value: i32) -> Vec<u8> {
    bytes(&value)
}

/// All controls that take a pointer, except batches and peers.
pub(crate) fn pointers() -> Vec<Pointer> {
    let request = |flags, address| bytes(&LinuxRequest { flags, address, ..zeroed() });
    let limits = LimitsRequest {
        preamble: preamble::<LimitsRequest>(),
        to_user_packets: 10,
        to_user_bytes: 10_000,
        to_stack_packets: 10,
        to_stack_bytes: 10_000,
    };
    let statistics = StatisticsRequest { preamble: preamble::<StatisticsRequest>(), ..zeroed() };
    let info = TunInfo { mtu: 1400, kind: 0x17, ..zeroed() };
    let list: [(&str, u32, Vec<u8>, bool); 20] = [
        ("TUNSETIFF", TUNSETIFF, request(0x1001, [0; 6]), true),
        ("TUNGETIFF", TUNGETIFF, request(0, [0; 6]), true),
        ("TUNGETFEATURES", TUNGETFEATURES, int(0), true),
        ("TUNSETCARRIER", TUNSETCARRIER, int(1), false),
        ("TUNGETSNDBUF", TUNGETSNDBUF, int(0), true),
        ("TUNSETSNDBUF", TUNSETSNDBUF, int(65536), false),
        ("SIOCGIFHWADDR", SIOCGIFHWADDR, request(0, [0; 6]), true),
        ("SIOCSIFHWADDR", SIOCSIFHWADDR, request(1, [2, 0, 0, 0, 0, 9]), false),
        ("TUNSDEBUG", TUNSDEBUG, int(1), false),
        ("TUNGIFINFO", TUNGIFINFO, bytes(&info), true),
        ("TUNSIFINFO", TUNSIFINFO, bytes(&info), false),
        ("TUNSIFMODE", TUNSIFMODE, int(0x10), false),
        ("TUNSIFHEAD", TUNSIFHEAD, int(0), false),
        ("TUNGIFHEAD", TUNGIFHEAD, int(0), true),
        ("TAPGIFNAME", TAPGIFNAME, request(0, [0; 6]), true),
        ("FIONREAD", FIONREAD, int(0), true),
        ("TUNGETSTATISTICS", TUNGETSTATISTICS, bytes(&statistics), true),
        ("TUNGETLIMITS", TUNGETLIMITS, bytes(&limits), true),
        ("TUNSETLIMITS", TUNSETLIMITS, bytes(&limits), false),
        ("FIONBIO", FIONBIO, int(1), false),
    ];
    list.into_iter().map(|(name, op, argument, answers)| Pointer { name, op, argument, answers }).collect()
}

/// Controls that take a number.
const NUMBERS: [(&str, u32, usize); 5] = [
    ("TUNSETNOCSUM", TUNSETNOCSUM, 1),
    ("TUNSETPERSIST", TUNSETPERSIST, 1),
    ("TUNSETOWNER", TUNSETOWNER, 1000),
    ("TUNSETLINK", TUNSETLINK, 1),
    ("TUNSETGROUP", TUNSETGROUP, 1000),
];

#[test]
fn every_control_accepts_good_arguments_whatever_the_length_that_comes_along() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for length in [0, 1, 4, 40, 4096, i32::MAX as usize, usize::MAX] {
        for mut control in pointers() {
            let address = tuntap_testkit::program::user_address(&mut control.argument);
            let status = syscalls::ioctl(program.fd(), control.op, address, length);
            assert_eq!(status, Ok(0), "{} with length {length:#x}", control.name);
        }
        for (name, op, number) in NUMBERS {
            assert_eq!(syscalls::ioctl(program.fd(), op, number, length), Ok(0), "{name} with length {length:#x}");
        }
    }
    drop(card);
    rig.end();
}

#[test]
fn no_control_goes_beyond_the_end_of_its_argument() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let mut cliff = Cliff::new();
    for control in pointers() {
        let address = cliff.edge(&control.argument);
        assert_eq!(program.control(control.op, address), Ok(()), "{}", control.name);
    }
    drop(card);
    rig.end();
}

#[test]
fn a_pointer_that_leads_nowhere_is_an_error_and_changes_nothing() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    let (ledgers, limits, address) = (rig.ledgers(), program.limits(), card.address());
    let mut cliff = Cliff::new();
    let kernel_memory = [0u8; 1024];
    for control in pointers() {
        let fault = |what: &str, at: usize| {
            let status = program.control(control.op, at);
            // The kernel itself does not like a null pointer for FIONBIO.
            let expected = if control.op == FIONBIO && at == 0 { EINVAL } else { B_BAD_ADDRESS };
            assert_eq!(status, Err(expected), "{}: {what}", control.name);
        };
        fault("null", 0);
        fault("nothing is there", nowhere());
        fault("the first page", 8);
        fault("the kernel's memory", kernel_memory.as_ptr() as usize);
        fault("the end of all addresses", usize::MAX - 1);
        fault("where programs end", (1 << 46) - 2);
        for there in 0..control.argument.len() {
            fault(&format!("only {there} bytes are there"), cliff.edge(&control.argument[..there]));
        }
    }
    assert_eq!((rig.ledgers(), program.limits(), card.address()), (ledgers, limits, address));
    assert_eq!(kernel_memory, [0; 1024]);
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK), "and no framing, and no waiting");
    drop(card);
    rig.end();
}

#[test]
fn an_answer_to_read_only_memory_fails() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for control in pointers() {
        let mut cliff = Cliff::new();
        let address = cliff.edge(&control.argument);
        cliff.protect();
        let expected = if control.answers { Err(B_BAD_ADDRESS) } else { Ok(()) };
        assert_eq!(program.control(control.op, address), expected, "{}", control.name);
    }
    drop(card);
    rig.end();
}

#[test]
fn controls_that_take_numbers_follow_no_pointer() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for op in [TUNSETNOCSUM, TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP, B_SET_BLOCKING_IO, B_SET_NONBLOCKING_IO] {
        for number in [0, 1, nowhere(), u32::MAX as usize] {
            assert_eq!(program.control(op, number), Ok(()), "{op:#x}");
        }
    }
    drop(card);
    rig.end();
}

#[test]
fn an_unknown_control_is_enotty() {
    let rig = Rig::boot();
    for mode in Mode::ALL {
        let program = Program::new(mode);
        let before = rig.ledgers();
        // Linux's offloads and queues, a terminal's, and none at all.
        let unknown = [0x4004_54d0, 0x4004_54d9, 0x4010_54d5, 0x8004_54d7, 0x5401, 0, 10_000, 0xffff_ffff, 0x4004_54ff];
        for op in unknown {
            for argument in [0, 1, nowhere()] {
                assert_eq!(program.control(op, argument), Err(ENOTTY), "{op:#x}");
            }
        }
        assert_eq!(rig.ledgers(), before);
    }
    rig.end();
}

#[test]
fn waiting_or_not_is_set_by_each_of_three_ways() {
    let rig = Rig::boot();
    let _card = Card::ready(&rig, "tun/0");
    let program = Program::waiting(Mode::Tun);
    program.control(B_SET_NONBLOCKING_IO, 0).unwrap();
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
    program.exchange(FIONBIO, 0i32).unwrap();
    assert_eq!(syscalls::fcntl(program.fd(), syscalls::F_GETFL, 0).map(|flags| flags & 0x80), Ok(0));
    program.exchange(FIONBIO, 1i32).unwrap();
    assert_eq!(program.packet(), Err(B_WOULD_BLOCK));
    assert_eq!(syscalls::fcntl(program.fd(), syscalls::F_GETFL, 0).map(|flags| flags & 0x80), Ok(0x80));
    drop(_card);
    rig.end();
}

#[test]
fn tunsetiff_accepts_what_is_so_and_refuses_what_is_not() {
    let rig = Rig::boot();
    let program = Program::open("/dev/tun/0").unwrap();
    let set = |name: &str, flags: u16| {
        let mut request = LinuxRequest { flags, ..zeroed() };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        program.exchange(TUNSETIFF, request).map(|request| {
            let end = request.name.iter().position(|&byte| byte == 0).unwrap();
            String::from_utf8_lossy(&request.name[..end]).into_owned()
        })
    };
    for name in ["", "tun", "tun%d", "tun/%d", "tun/0", "tun0"] {
        for flags in [0x0001, 0x1001, 0x2001, 0x3001, 0x9001] {
            assert_eq!(set(name, flags), Ok("tun/0".to_owned()), "{name} {flags:#x}");
        }
    }
    for name in ["tun1", "tun/1", "tap0", "tap/0", "vpn0", "tun/00", "tun0x", "tun/0123456789ab", "TUN0", " tun0"] {
        assert_eq!(set(name, 0x1001), Err(EINVAL), "{name}");
    }
    // The other kind, both, neither; IFF_MULTI_QUEUE, IFF_VNET_HDR, IFF_NAPI, IFF_NO_CARRIER, and nothing's.
    for flags in [0x1002, 0x1003, 0x1000, 0x1101, 0x5001, 0x1011, 0x1041, 0x1005, 0xffff] {
        assert_eq!(set("", flags), Err(EINVAL), "{flags:#x}");
    }
    // A name that fills its place without an end.
    let request = LinuxRequest { name: [b'x'; 16], flags: 0x1001, ..zeroed() };
    assert_eq!(program.exchange(TUNSETIFF, request).map(drop), Err(EINVAL));
    rig.end();
}

#[test]
fn tungetiff_tells_the_unit_and_its_framing() {
    let rig = Rig::boot();
    for (mode, kind) in [(Mode::Tun, 1), (Mode::Tap, 2)] {
        let programs = [0, 1].map(|unit| Program::open(&mode.node(unit)).unwrap());
        for (unit, program) in programs.iter().enumerate() {
            assert_eq!(program.interface(), mode.interface(unit));
            let flags = || program.exchange(TUNGETIFF, zeroed::<LinuxRequest>()).unwrap().flags;
            assert_eq!(flags(), kind | 0x1000);
            program.set_interface(kind).unwrap();
            assert_eq!(flags(), kind);
            let named: LinuxRequest = program.exchange(TAPGIFNAME, zeroed()).unwrap();
            assert!(named.name.starts_with(mode.interface(unit).as_bytes()));
            assert_eq!(program.exchange(TUNGETFEATURES, 0u32), Ok(0xb003));
        }
    }
    rig.end();
}

#[test]
fn the_link_type_is_ethernet_and_settled_while_the_interface_is_up() {
    let rig = Rig::boot();
    let card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    for kind in [1, 0xfffe] {
        assert_eq!(program.control(TUNSETLINK, kind), Ok(()));
    }
    for kind in [0, 2, 512, 0xffff, 0x1_0001, usize::MAX >> 32] {
        assert_eq!(program.control(TUNSETLINK, kind), Err(EINVAL), "{kind:#x}");
    }
    card.up();
    assert_eq!(program.control(TUNSETLINK, 1), Err(EBUSY));
    drop(card);
    rig.end();
}

#[test]
fn the_kind_of_link_is_what_it_is() {
    let rig = Rig::boot();
    // FreeBSD's IFF_BROADCAST, IFF_POINTOPOINT, IFF_MULTICAST.
    for (mode, good, bad) in [(Mode::Tun, 0x10, 0x2), (Mode::Tap, 0x2, 0x10)] {
        let program = Program::new(mode);
        for kind in [good, good | 0x8000] {
            assert_eq!(program.exchange(TUNSIFMODE, kind), Ok(kind));
        }
        for kind in [bad, 0, 0x12, -1] {
            assert_eq!(program.exchange(TUNSIFMODE, kind), Err(EINVAL), "{kind:#x}");
        }
    }
    rig.end();
}

#[test]
fn only_root_and_the_owner_change_an_interface() {
    let rig = Rig::boot();
    let _card = Card::new(&rig, "tun/0");
    let program = Program::new(Mode::Tun);
    program.control(TUNSETOWNER, 1000).unwrap();
    let changes = ["TUNSETSNDBUF", "SIOCSIFHWADDR", "TUNSIFINFO", "TUNSETLIMITS", "TUNSETCARRIER"];
    let try_all = |user| -> Vec<(&'static str, Result<(), status_t>)> {
        creds::set_euid(user);
        let mut tried = Vec::new();
        for mut control in pointers() {
            let address = tuntap_testkit::program::user_address(&mut control.argument);
            tried.push((control.name, program.control(control.op, address)));
        }
        for (name, op, number) in NUMBERS {
            let number = if op == TUNSETOWNER { 1000 } else { number };
            tried.push((name, program.control(op, number)));
        }
        creds::set_euid(0);
        tried
    };
    assert!(try_all(1000).iter().all(|(_, status)| status.is_ok()), "the owner");
    assert!(try_all(0).iter().all(|(_, status)| status.is_ok()), "root");
    for (name, status) in try_all(1001) {
        let expected = if changes.contains(&name) || (name.starts_with("TUNSET") && is_number(name)) {
            Err(EPERM)
        } else {
            Ok(())
        };
        assert_eq!(status, expected, "{name} by another user");
    }
    drop(_card);
    rig.end();
}

/// Whether a control takes a number and changes something by it.
fn is_number(name: &str) -> bool {
    name != "TUNSETNOCSUM" && NUMBERS.iter().any(|&(other, _, _)| other == name)
}

#[test]
fn requests_of_the_drivers_own_say_version_and_size() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tap);
    let requests = [
        (TUNGETSTATISTICS, size_of::<StatisticsRequest>()),
        (TUNGETLIMITS, size_of::<LimitsRequest>()),
        (TUNSETLIMITS, size_of::<LimitsRequest>()),
        (TUNSETPEER, size_of::<PeerRequest>()),
    ];
    for (op, size) in requests {
        let (good, other) = if op == TUNGETSTATISTICS { (2, 1) } else { (1, 2) };
        let sizes = [0, size - 1, size + 1, u32::MAX as usize].map(|said| (good, said));
        for (version, said) in [0, other, u32::MAX].map(|version| (version, size)).into_iter().chain(sizes) {
            let mut memory = vec![0; 1024];
            let preamble = Preamble { version, size: said as u32 };
            memory[..size_of::<Preamble>()].copy_from_slice(preamble.as_bytes());
            let status = program.control(op, tuntap_testkit::program::user_address(&mut memory));
            assert_eq!(status, Err(EINVAL), "{op:#x}, version {version}, size {said}");
        }
    }
    rig.end();
}

#[test]
fn statistics_say_nothing_of_the_kernels_memory() {
    let rig = Rig::boot();
    let program = Program::new(Mode::Tun);
    let request = StatisticsRequest {
        preamble: preamble::<StatisticsRequest>(),
        ..FromBytes::read_from_bytes(&[0xa5; size_of::<StatisticsRequest>()]).unwrap()
    };
    let statistics = program.exchange(TUNGETSTATISTICS, request).unwrap();
    assert_eq!(statistics.as_bytes()[size_of::<Preamble>()..], [0; size_of::<StatisticsRequest>() - 8]);
    rig.end();
}
