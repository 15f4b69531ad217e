//! libc's calls as a program makes them, and how a test runs as a program with the library preloaded.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use haiku_lab::preload;
use haiku_system::control::{self, Remote};

/// The library; built once, if need be.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| preload::library().unwrap_or_else(|error| panic!("{error}")));
    &LIBRARY
}

/// Runs a test of this file with the library in front; its folder is gone afterwards.
pub(crate) fn inside(name: &str, expect: impl FnOnce(&PathBuf)) {
    let folder = std::env::temp_dir().join(format!("preload-test-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    preload::insert(&mut command, library());
    command.env(control::SOCKET, folder.join("haiku.sock")).env("PRELOAD_TEST_RESULT", folder.join("result"));
    let output = command.output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    expect(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Whether this process has the library in front.
pub(crate) fn is_inside() -> bool {
    let inside = std::env::var_os("PRELOAD_TEST_RESULT").is_some();
    if !inside {
        eprintln!("passed over: another test runs this one");
    }
    inside
}

pub(crate) fn haiku(line: &str) -> String {
    let socket = PathBuf::from(std::env::var_os(control::SOCKET).unwrap());
    Remote::connect(&socket).unwrap().execute(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub(crate) fn open(path: &str, flags: i32) -> i32 {
    let path = CString::new(path).unwrap();
    // SAFETY: a C string.
    unsafe { libc::open(path.as_ptr(), flags) }
}

pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: a live buffer of that length.
    unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
}

pub(crate) fn write(fd: i32, bytes: &[u8]) -> isize {
    // SAFETY: a live buffer of that length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

pub(crate) fn close(fd: i32) -> i32 {
    // SAFETY: a call without pointers.
    unsafe { libc::close(fd) }
}

pub(crate) fn set_nonblocking(fd: i32) {
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) }, 0);
}

/// What `poll` says of reading and writing.
pub(crate) fn polled(fd: i32, timeout: i32) -> (bool, bool) {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, timeout) };
    (entry.revents & libc::POLLIN != 0, entry.revents & libc::POLLOUT != 0)
}

/// What `select` says of reading, without waiting.
pub(crate) fn selected(fd: i32) -> bool {
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
pub(crate) fn epoll(fd: i32) -> i32 {
    // SAFETY: a call without pointers.
    let epoll = unsafe { libc::epoll_create1(0) };
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
    // SAFETY: a live event.
    assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
    epoll
}

pub(crate) fn epolled(epoll: i32) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event.
    unsafe { libc::epoll_wait(epoll, &raw mut event, 1, 0) == 1 }
}

/// Reads packets and answers echo requests over IPv4 until there were `count`.
pub(crate) fn answer_pings(fd: i32, count: usize) {
    answer_pings_after(fd, count, || polled(fd, 1_000).0);
}

/// The same, reading whenever `wait` says that there is something.
pub(crate) fn answer_pings_after(fd: i32, count: usize, mut wait: impl FnMut() -> bool) {
    let (mut buffer, mut answered) = ([0_u8; 2048], 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while answered < count {
        assert!(Instant::now() < deadline, "{answered} of {count} pings came");
        if !wait() {
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

pub(crate) fn ping_across(fd: i32, count: usize) {
    let ping = std::thread::spawn(move || haiku(&format!("ping -q -i 0 -c {count} -W 60000 10.9.0.2")));
    answer_pings(fd, count);
    assert!(ping.join().unwrap().contains(" 0.0% packet loss"));
}

/// Sends a packet to the program and expects no reply.
pub(crate) fn one_packet() {
    let ping = std::thread::spawn(|| {
        let socket = PathBuf::from(std::env::var_os(control::SOCKET).unwrap());
        Remote::connect(&socket).unwrap().execute("ping -q -c 1 -W 50 10.9.0.2").is_err()
    });
    assert!(ping.join().unwrap());
}

pub(crate) const CONFIGURE: &str = "ifconfig tun/0 inet 10.9.0.1 255.255.255.0 mtu 1400 up";
