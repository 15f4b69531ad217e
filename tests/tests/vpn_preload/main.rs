//! What a program sees of a device through the library that is preloaded into it, call by call.
//!
//! Each test runs another one of this file in a process of its own, with the library in front of libc. That one makes
//! libc's calls, as any program does, and is `#[ignore]`d so that it does not run by itself.

mod calls;
mod program;
mod waits;

use std::path::PathBuf;
use std::process::Command;

use haiku_system::control::{self, Remote};
use program::*;
use tuntap_net_addon::ioctl::wire::{TUNREADBATCH, TUNSETLIMITS, TUNWRITEBATCH, VERSION};

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
        assert!(Remote::connect(&socket).unwrap().execute(&command).is_err(), "no answer");
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
    assert_eq!((write(fd, &[0x45; 70_000]), errno()), (-1, libc::EMSGSIZE));
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
    // For no socket: the stack drops it.
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
    let ping = std::thread::spawn(one_packet);
    let mut request = vec![VERSION, 4096, 8, 0];
    request.resize(1024, 0);
    assert_eq!(control(TUNREADBATCH, &mut request), Ok(()), "it waits for the first packet");
    assert_eq!(request[2], 1);
    ping.join().unwrap();
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
        assert_eq!((read(copy, &mut buffer), errno()), (-1, libc::EAGAIN), "duplicates share the flag");
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
        assert_eq!(open("/dev/tun/0", libc::O_RDWR), -1, "a duplicate still has it open");
        assert_eq!(close(copy), 0);
    }
    assert!(open("/dev/tun/0", libc::O_RDWR) >= 0);
}

#[test]
fn a_forked_child_cannot_use_the_device_and_does_not_disturb_the_parent() {
    inside("forking", |_| ());
}

/// Whether a descriptor of this process is a socket that listens.
fn listens() -> bool {
    (0..1_024).any(|fd| {
        let (mut found, mut size) = (0_i32, 4);
        let place = (&raw mut found).cast();
        // SAFETY: a place for the answer and its size.
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, place, &raw mut size) == 0 && found != 0 }
    })
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
        // It does not wait for events that only its parent can receive.
        // Nor does it keep its parent's control socket open, once that is gone.
        polled(fd, 10_000) == (true, true) && !listens(),
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
    assert!(listens());
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
        assert_eq!(libc::WEXITSTATUS(status), 0xff, "each bit is a call that answered right; status {status:#x}");
    }
    ping_across(fd, 20);
}

#[test]
fn calls_on_other_descriptors_pass_through() {
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

#[test]
fn a_child_that_shares_the_memory_takes_no_device_away() {
    inside("a_guest", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn a_guest() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/tun/0", libc::O_RDWR | libc::O_NONBLOCK);
    haiku(CONFIGURE);
    // As `subprocess` of Python's does: the child closes what it does not pass on, in memory that is its parent's.
    extern "C" fn close_and_end(fd: *mut libc::c_void) -> libc::c_int {
        close(fd as usize as i32)
    }
    let mut stack = vec![0_u128; 1 << 14];
    // SAFETY: the end of the stack's own memory.
    let top = unsafe { stack.as_mut_ptr().add(stack.len()) };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack memory lives until the child has ended, because the parent waits for that; the child makes one call.
    let child = unsafe { libc::clone(close_and_end, top.cast(), flags, fd as usize as *mut libc::c_void) };
    let mut status = -1;
    // SAFETY: a place for the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "it had a descriptor to close");
    ping_across(fd, 3);
    assert_eq!(close(fd), 0);
}
