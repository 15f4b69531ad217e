//! What a program sees of a device through the library that is preloaded into it, call by call.
//!
//! Each test runs another one of this file in a process of its own, with the library in front of libc. That one makes
//! libc's calls, as any program does, and is `#[ignore]`d so that nobody else runs it.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use haiku_lab::exec;
use haiku_lab::vpn::control::{self, Remote};
use tuntap_net_addon::ioctl::wire::{TUNREADBATCH, TUNSETLIMITS, TUNWRITEBATCH, VERSION};

/// The library; built once, if need be.
fn library() -> &'static Path {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| exec::library().unwrap_or_else(|error| panic!("{error}")));
    &LIBRARY
}

/// Runs a test of this file with the library in front; its folder is gone afterwards.
fn inside(name: &str, expect: impl FnOnce(&PathBuf)) {
    let folder = std::env::temp_dir().join(format!("preload-test-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    exec::preload(&mut command, library());
    command.env(control::SOCKET, folder.join("haiku.sock")).env("PRELOAD_TEST_RESULT", folder.join("result"));
    let output = command.output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    expect(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Whether this process has the library in front.
fn is_inside() -> bool {
    let inside = std::env::var_os("PRELOAD_TEST_RESULT").is_some();
    if !inside {
        eprintln!("passed over: another test runs this one");
    }
    inside
}

fn haiku(line: &str) -> String {
    let socket = PathBuf::from(std::env::var_os(control::SOCKET).unwrap());
    Remote::connect(&socket).unwrap().execute(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn open(path: &str, flags: i32) -> i32 {
    let path = CString::new(path).unwrap();
    // SAFETY: a C string.
    unsafe { libc::open(path.as_ptr(), flags) }
}

fn read(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: a live buffer of that length.
    unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
}

fn write(fd: i32, bytes: &[u8]) -> isize {
    // SAFETY: a live buffer of that length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

fn close(fd: i32) -> i32 {
    // SAFETY: a call without pointers.
    unsafe { libc::close(fd) }
}

fn set_nonblocking(fd: i32) {
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) }, 0);
}

/// What `poll` says of reading and writing.
fn polled(fd: i32, timeout: i32) -> (bool, bool) {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, timeout) };
    (entry.revents & libc::POLLIN != 0, entry.revents & libc::POLLOUT != 0)
}

/// What `select` says of reading, without waiting.
fn selected(fd: i32) -> bool {
    // SAFETY: a set is plain data, and the empty one is all zeros.
    let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is below the size of a set.
    unsafe { libc::FD_SET(fd, &raw mut set) };
    let mut timeout = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let null = std::ptr::null_mut();
    // SAFETY: live sets and a live timeout.
    unsafe { libc::select(fd + 1, &raw mut set, null, null, &raw mut timeout) == 1 }
}

/// An epoll that waits for a device's packets.
fn epoll(fd: i32) -> i32 {
    // SAFETY: a call without pointers.
    let epoll = unsafe { libc::epoll_create1(0) };
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
    // SAFETY: a live event.
    assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
    epoll
}

fn epolled(epoll: i32) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event.
    unsafe { libc::epoll_wait(epoll, &raw mut event, 1, 0) == 1 }
}

/// Reads packets and answers echo requests over IPv4 until there were `count`.
fn answer_pings(fd: i32, count: usize) {
    let (mut buffer, mut answered) = ([0_u8; 2048], 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while answered < count {
        assert!(Instant::now() < deadline, "{answered} of {count} pings came");
        if !polled(fd, 1_000).0 {
            continue;
        }
        let length = read(fd, &mut buffer);
        let Ok(length) = usize::try_from(length) else { continue };
        let packet = &mut buffer[..length];
        if packet[0] == 0x45 && packet[9] == 1 && packet[20] == 8 {
            let (from, to) = (packet[12..16].to_vec(), packet[16..20].to_vec());
            packet[12..16].copy_from_slice(&to);
            packet[16..20].copy_from_slice(&from);
            // A request becomes a reply; the checksum grows by what the type loses.
            packet[20] = 0;
            let sum = u32::from(u16::from_be_bytes([packet[22], packet[23]])) + 0x0800;
            let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
            packet[22..24].copy_from_slice(&sum.to_be_bytes());
            assert_eq!(write(fd, packet), isize::try_from(length).unwrap(), "{}", io::Error::last_os_error());
            answered += 1;
        }
    }
}

fn ping_across(fd: i32, count: usize) {
    let ping = std::thread::spawn(move || haiku(&format!("ping -q -i 0 -c {count} 10.9.0.2")));
    answer_pings(fd, count);
    assert!(ping.join().unwrap().contains(" 0.0% packet loss"));
}

const CONFIGURE: &str = "ifconfig tun/0 inet 10.9.0.1 255.255.255.0 mtu 1400 up";

#[test]
fn the_way_in_of_haikus_openvpn_works_without_an_interface_before() {
    inside("way_in", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn way_in() {
    if !is_inside() {
        return;
    }
    let found = (0..256).map(|unit| open(&format!("/dev/tun/{unit}"), libc::O_RDWR)).find(|fd| *fd >= 0);
    let fd = found.expect("a unit");
    set_nonblocking(fd);
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }, 0);
    let mut buffer = [0; 2048];
    assert_eq!((read(fd, &mut buffer), errno()), (-1, libc::EAGAIN));
    haiku(CONFIGURE);
    haiku("route add tun/0 inet 10.77.0.0 gw 10.9.0.2 netmask 255.255.0.0");
    assert_eq!(polled(fd, 1_000), (false, true));
    ping_across(fd, 200);
    assert_eq!(open("/dev/tun/0", libc::O_RDWR), -1);
    assert_eq!(errno(), libc::EBUSY);
    assert_eq!(close(fd), 0);
    let fd = open("/dev/tun/0", libc::O_RDWR | libc::O_NONBLOCK);
    assert!(fd >= 0, "a unit that was closed can be opened again");
    assert_eq!((read(fd, &mut buffer), errno()), (-1, libc::EAGAIN), "nothing of before is delivered");
}

#[test]
fn readiness_is_the_devices_to_poll_select_and_epoll() {
    inside("readiness", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn readiness() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/tun/0", libc::O_RDWR | libc::O_NONBLOCK);
    let epoll = epoll(fd);
    let all = || (polled(fd, 0), selected(fd), epolled(epoll));
    assert_eq!(all(), ((false, false), false, false), "an interface that is not there takes nothing");
    haiku(CONFIGURE);
    assert_eq!(all(), ((false, true), false, false));
    let ping = |count: u32| {
        let socket = PathBuf::from(std::env::var_os(control::SOCKET).unwrap());
        let command = format!("ping -q -c {count} -i 0.01 -W 50 10.9.0.2");
        assert!(Remote::connect(&socket).unwrap().execute(&command).is_err(), "nobody answers");
    };
    let mut buffer = [0; 2048];
    // The first packet has to wait for the link-layer address, which comes by way of other threads.
    ping(1);
    assert!(polled(fd, 10_000).0);
    assert!(read(fd, &mut buffer) > 0);
    ping(2);
    for left in [true, false] {
        assert_eq!(all(), ((true, true), true, true));
        let mut pending = 0;
        // SAFETY: a place for the number.
        assert_eq!(unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut pending) }, 0);
        assert_eq!(read(fd, &mut buffer), pending as isize);
        assert_eq!(polled(fd, 0).0, left, "level triggered");
    }
    assert_eq!(all(), ((false, true), false, false));
    assert_eq!((read(fd, &mut buffer), errno()), (-1, libc::EAGAIN));
    haiku("ifconfig tun/0 down");
    let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
    assert_eq!((write(fd, &packet), errno()), (-1, libc::ENETDOWN));
    haiku("ifconfig tun/0 up");
    assert_eq!((write(fd, &[0; 20]), errno()), (-1, libc::EINVAL));
    assert_eq!((write(fd, &[0x45; 3000]), errno()), (-1, libc::EMSGSIZE));
    // SAFETY: an argument that the device does not look at.
    assert_eq!((unsafe { libc::ioctl(fd, 0x1234, 0) }, errno()), (-1, libc::ENOTTY));
    ping_across(fd, 2_000);
}

#[test]
fn batches_wait_as_reads_and_writes_do() {
    inside("batches", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn batches() {
    const MANY: u32 = 5_000;
    if !is_inside() {
        return;
    }
    let fd = open("/dev/tun/0", libc::O_RDWR);
    haiku(CONFIGURE);
    let control = |op: u32, words: &mut [u32]| {
        // SAFETY: the words live through the call, and the second says how many bytes they are.
        let result = unsafe { libc::ioctl(fd, u64::from(op), words.as_mut_ptr()) };
        if result == 0 { Ok(()) } else { Err(errno()) }
    };
    // A queue that is full at once.
    assert_eq!(control(TUNSETLIMITS, &mut [VERSION, 24, 4, 1 << 20, 4, 1 << 20]), Ok(()));
    // For nobody: the stack throws it away.
    let ip: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 77, 0, 1];
    let words = ip.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
    let record: Vec<u32> = std::iter::once(20).chain(words).collect();
    let mut request = vec![VERSION, 16 + 24 * 8, 8, 0];
    (0..8).for_each(|_| request.extend_from_slice(&record));
    let mut written = 0;
    while written < MANY {
        request[2] = 8;
        assert_eq!(control(TUNWRITEBATCH, &mut request), Ok(()), "after {written}");
        assert!((1..=8).contains(&request[2]));
        written += request[2];
    }
    let ping = std::thread::spawn(|| {
        let socket = PathBuf::from(std::env::var_os(control::SOCKET).unwrap());
        Remote::connect(&socket).unwrap().execute("ping -q -c 1 -W 50 10.9.0.2").is_err()
    });
    let mut request = vec![VERSION, 4096, 8, 0];
    request.resize(1024, 0);
    assert_eq!(control(TUNREADBATCH, &mut request), Ok(()), "it waits for the first packet");
    assert_eq!(request[2], 1);
    assert!(ping.join().unwrap());
    set_nonblocking(fd);
    assert_eq!(control(TUNREADBATCH, &mut request), Err(libc::EAGAIN));
    assert!(!polled(fd, 0).0, "and what was read in a batch is not readable any more");
}

#[test]
fn duplicates_share_a_device_and_the_last_close_ends_it() {
    inside("duplicates", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn duplicates() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/net/tun", libc::O_RDWR);
    let mut buffer = [0; 64];
    assert_eq!((read(fd, &mut buffer), errno()), (-1, libc::EBADFD), "it is no device yet");
    let mut request = [0_u8; 40];
    request[..5].copy_from_slice(b"vpn%d");
    request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
    // SAFETY: a request of the size that the control wants.
    assert_eq!(unsafe { libc::ioctl(fd, 0x4004_54ca, request.as_mut_ptr()) }, 0);
    assert_eq!(&request[..5], b"vpn0\0");
    set_nonblocking(fd);
    // SAFETY: a call without pointers.
    let first = unsafe { libc::dup(fd) };
    // SAFETY: as above.
    let second = unsafe { libc::dup2(fd, 200) };
    // SAFETY: as above.
    let third = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 210) };
    let copies = [first, second, third];
    assert_eq!((copies[1], copies[2]), (200, 210));
    assert_eq!(close(fd), 0);
    haiku(CONFIGURE);
    for copy in copies {
        assert_eq!((read(copy, &mut buffer), errno()), (-1, libc::EAGAIN), "the flag is everybody's");
        ping_across(copy, 20);
    }
    // A child that closes what it inherited takes nothing away.
    // SAFETY: the child makes two calls and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for copy in copies {
            close(copy);
        }
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 1;
    // SAFETY: a place for the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    ping_across(200, 20);
    for copy in copies {
        assert_eq!(open("/dev/tun/0", libc::O_RDWR), -1, "somebody still has it");
        assert_eq!(close(copy), 0);
    }
    assert!(open("/dev/tun/0", libc::O_RDWR) >= 0);
}

#[test]
fn a_forked_child_is_told_that_the_device_stayed_behind_and_the_parent_notices_nothing() {
    inside("forking", |_| ());
}

/// What a forked child finds, as a bit for each call that answers as it should.
fn in_the_child(fd: i32) -> i32 {
    let mut buffer = [0_u8; 64];
    let packet = [0x45_u8; 20];
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut pending = 0;
    // SAFETY: one live vector over a live buffer.
    let gathered = unsafe { libc::writev(fd, &raw const vector, 1) };
    let found = [
        (gathered, errno()) == (-1, libc::EBADFD),
        // SAFETY: as above.
        (unsafe { libc::readv(fd, &raw mut vector, 1) }, errno()) == (-1, libc::EBADFD),
        (read(fd, &mut buffer), errno()) == (-1, libc::EBADFD),
        (write(fd, &packet), errno()) == (-1, libc::EBADFD),
        // SAFETY: a place for the number.
        (unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut pending) }, errno()) == (-1, libc::EBADFD),
        (open("/dev/tun/1", libc::O_RDWR), errno()) == (-1, libc::ENXIO),
        (open("/dev/net/tun", libc::O_RDWR), errno()) == (-1, libc::ENXIO),
    ];
    found.iter().enumerate().map(|(bit, right)| i32::from(*right) << bit).sum()
}

#[test]
#[ignore = "runs inside another test"]
fn forking() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/tun/0", libc::O_RDWR | libc::O_NONBLOCK);
    haiku(CONFIGURE);
    for _ in 0..3 {
        // SAFETY: the child makes system calls and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let found = in_the_child(fd);
            // SAFETY: ends the child.
            unsafe { libc::_exit(found) };
        }
        ping_across(fd, 20);
        let mut status = 0;
        // SAFETY: a place for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(libc::WEXITSTATUS(status), 0x7f, "each bit is a call that answered right; status {status:#x}");
    }
    ping_across(fd, 20);
}

#[test]
fn a_daemon_takes_its_device_along() {
    inside("becoming_a_daemon", |folder| {
        let (result, deadline) = (folder.join("result"), Instant::now() + Duration::from_secs(20));
        while !result.exists() {
            assert!(Instant::now() < deadline, "the daemon did not ping");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
#[ignore = "runs inside another test"]
fn becoming_a_daemon() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/tun/0", libc::O_RDWR | libc::O_NONBLOCK);
    haiku(CONFIGURE);
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::daemon(1, 0) }, 0);
    ping_across(fd, 100);
    std::fs::write(std::env::var_os("PRELOAD_TEST_RESULT").unwrap(), "pinged").unwrap();
    std::process::exit(0);
}

#[test]
fn what_is_no_device_passes_through() {
    inside("other_files", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn other_files() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/zero", libc::O_RDWR);
    let mut buffer = [1; 16];
    assert_eq!((read(fd, &mut buffer), buffer), (16, [0; 16]));
    assert_eq!((write(fd, &buffer), close(fd)), (16, 0));
    assert_eq!((open("/dev/tunnel", libc::O_RDWR), errno()), (-1, libc::ENOENT));
    let socket = PathBuf::from(std::env::var_os(control::SOCKET).unwrap());
    assert!(!socket.exists(), "no Haiku boots for that");
}

#[test]
fn nothing_but_libcs_names_is_visible() {
    let Ok(output) = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output() else {
        eprintln!("passed over: there is no nm");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert!(names.contains(&"ioctl"), "{names:?}");
    let foreign =
        names.iter().find(|name| name.contains("haiku") || name.starts_with("_R") || name.starts_with("rust"));
    assert_eq!(foreign, None);
    assert!(names.len() < 40, "{names:?}");
}
