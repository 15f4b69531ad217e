//! Every way to wait for a packet, seen by the library or not: none is missed, and none is imagined.

use std::io::{IoSlice, IoSliceMut};
use std::time::{Duration, Instant};

use crate::program::*;

/// Milliseconds after which a wait counts as one that missed its packet.
const MISSED: i32 = 5_000;
const PINGS: usize = 300;

/// Answers pings that follow each other at once, and waits for each packet with `wait`, which must not time out.
fn ping_with(fd: i32, wait: impl Fn() -> bool) {
    let ping = std::thread::spawn(|| haiku(&format!("ping -q -i 0 -c {PINGS} 10.9.0.2")));
    answer_pings_after(fd, PINGS, || {
        assert!(wait(), "a packet was missed");
        true
    });
    assert!(ping.join().unwrap().contains(" 0.0% packet loss"));
}

/// Reads until there is nothing left.
fn drain(fd: i32) {
    let mut buffer = [0; 2048];
    while read(fd, &mut buffer) > 0 {}
    assert_eq!(errno(), libc::EAGAIN);
}

fn entry(fd: i32) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

fn span(milliseconds: i32) -> libc::timespec {
    libc::timespec { tv_sec: i64::from(milliseconds / 1_000), tv_nsec: i64::from(milliseconds % 1_000) * 1_000_000 }
}

/// Whether `poll` says that there is something to read; whether there is room to write is not asked.
fn polled_in(fd: i32, timeout: i32) -> bool {
    let mut entry = entry(fd);
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, timeout) == 1 }
}

fn ppolled(fd: i32, timeout: i32) -> bool {
    let (mut entry, timeout) = (entry(fd), span(timeout));
    // SAFETY: one live entry and a live time.
    unsafe { libc::ppoll(&raw mut entry, 1, &raw const timeout, std::ptr::null()) == 1 }
}

fn set_of(fd: i32) -> libc::fd_set {
    // SAFETY: a set is plain data, and the empty one is all zeros.
    let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is below the size of a set.
    unsafe { libc::FD_SET(fd, &raw mut set) };
    set
}

fn selected_within(fd: i32, timeout: i32) -> bool {
    let mut set = set_of(fd);
    let mut left = libc::timeval { tv_sec: i64::from(timeout) / 1_000, tv_usec: i64::from(timeout) % 1_000 * 1_000 };
    let null = std::ptr::null_mut();
    // SAFETY: live sets and a live timeout.
    let found = unsafe { libc::select(fd + 1, &raw mut set, null, null, &raw mut left) };
    // SAFETY: as in `set_of`.
    found == 1 && unsafe { libc::FD_ISSET(fd, &raw const set) }
}

fn pselected(fd: i32, timeout: i32) -> bool {
    let (mut set, null, timeout) = (set_of(fd), std::ptr::null_mut(), span(timeout));
    // SAFETY: live sets and a live time.
    unsafe { libc::pselect(fd + 1, &raw mut set, null, null, &raw const timeout, std::ptr::null()) == 1 }
}

/// `poll`, as a program makes it that does not go through libc's function of that name.
fn polled_by_number(fd: i32, timeout: i32) -> bool {
    let mut entry = entry(fd);
    // SAFETY: one live entry.
    unsafe { libc::syscall(libc::SYS_poll, &raw mut entry, 1_usize, i64::from(timeout)) == 1 }
}

/// An edge-triggered epoll, waited for.
fn edge(epoll: i32, timeout: i32) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event.
    unsafe { libc::epoll_wait(epoll, &raw mut event, 1, timeout) == 1 }
}

fn opened(flags: i32) -> i32 {
    let fd = open("/dev/tun/0", libc::O_RDWR | flags);
    assert!(fd >= 0);
    haiku(CONFIGURE);
    fd
}

#[test]
fn no_packet_is_missed_by_any_call_that_waits() {
    inside("waits::calls", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn calls() {
    if !is_inside() {
        return;
    }
    let fd = opened(libc::O_NONBLOCK);
    let ways: [fn(i32, i32) -> bool; 4] = [polled_in, ppolled, selected_within, pselected];
    for way in ways {
        ping_with(fd, || way(fd, MISSED));
        drain(fd);
        let start = Instant::now();
        assert!(!way(fd, 20), "nothing is imagined");
        assert!(start.elapsed() >= Duration::from_millis(20), "and what is given is waited for");
        one_packet();
        for _ in 0..2 {
            assert!(way(fd, 0), "a packet that came without a waiter stays until it is read");
            assert!(way(fd, MISSED));
        }
        drain(fd);
        assert!(!way(fd, 0));
    }
    // Other descriptors are reported beside it.
    let mut pipe = [-1; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let both = |timeout| {
        let mut entries = [entry(fd), entry(pipe[0])];
        // SAFETY: two live entries.
        let found = unsafe { libc::poll(entries.as_mut_ptr(), 2, timeout) };
        (found, entries.map(|entry| entry.revents))
    };
    assert_eq!(both(0), (0, [0, 0]));
    one_packet();
    assert_eq!(both(-1), (1, [libc::POLLIN, 0]));
    assert_eq!(write(pipe[1], b"x"), 1);
    assert_eq!(both(-1), (2, [libc::POLLIN, libc::POLLIN]));
    drain(fd);
    assert_eq!(both(-1), (1, [0, libc::POLLIN]));
}

#[test]
fn a_blocking_reader_and_a_polling_reader_share_all_packets() {
    inside("waits::reads_that_block", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn reads_that_block() {
    if !is_inside() {
        return;
    }
    let fd = opened(0);
    ping_with(fd, || true);
    // A thread that only polls does not disturb the others, and sleeps once the exchange is over.
    let end = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(std::sync::atomic::Ordering::SeqCst) {
                polled_in(fd, 1);
            }
        });
        ping_with(fd, || true);
        end.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let start = Instant::now();
    assert!(!polled_in(fd, 20));
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn no_packet_is_missed_by_an_epoll_that_begins_late() {
    inside("waits::late_epoll", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn late_epoll() {
    if !is_inside() {
        return;
    }
    let fd = opened(libc::O_NONBLOCK);
    one_packet();
    let level = epoll(fd);
    assert!(epolled(level) && epolled(level));
    drain(fd);
    assert!(!epolled(level));
    // SAFETY: a call without pointers.
    let edges = unsafe { libc::epoll_create1(0) };
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 7 };
    // SAFETY: a live event.
    assert_eq!(unsafe { libc::epoll_ctl(edges, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
    let ping = std::thread::spawn(|| haiku(&format!("ping -q -i 0 -c {PINGS} 10.9.0.2")));
    // A waiter for edges reads until the queue is empty, and only then waits.
    answer_pings_after(fd, PINGS, || {
        if errno() == libc::EAGAIN {
            assert!(edge(edges, MISSED), "a packet was missed");
        }
        // SAFETY: no pointers.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's own.
        unsafe { errno.write(0) };
        true
    });
    assert!(ping.join().unwrap().contains(" 0.0% packet loss"));
}

#[test]
fn no_packet_is_missed_by_a_system_call_by_number() {
    inside("waits::by_number", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn by_number() {
    if !is_inside() {
        return;
    }
    let fd = opened(libc::O_NONBLOCK);
    one_packet();
    assert!(polled_by_number(fd, 0), "what came before is there too");
    drain(fd);
    assert!(!polled_by_number(fd, 0));
    ping_with(fd, || polled_by_number(fd, MISSED));
    // Errors are libc's.
    // SAFETY: no pointers.
    assert_eq!((unsafe { libc::syscall(libc::SYS_close, -1_i64) }, errno()), (-1, libc::EBADF));
}

#[test]
fn a_descriptor_received_through_a_socket_reports_readiness() {
    inside("waits::through_a_socket", |_| ());
}

/// Sends a descriptor through a socket to oneself.
fn passed(fd: i32) -> i32 {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, ends.as_mut_ptr()) }, 0);
    // Its length, its level and type, and the descriptor.
    let words = [20, libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32, fd as u64];
    let (mut control, mut byte, out) = (words, [0], IoSlice::new(b"x"));
    // SAFETY: a message is plain data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const out).cast_mut().cast();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: a whole message.
    assert_eq!(unsafe { libc::sendmsg(ends[0], &raw const message, 0) }, 1);
    let into = IoSliceMut::new(&mut byte);
    message.msg_iov = (&raw const into).cast_mut().cast();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::recvmsg(ends[1], &raw mut message, 0) }, 1);
    assert_eq!(control[..2], words[..2]);
    control[2] as i32
}

#[test]
#[ignore = "runs inside another test"]
fn through_a_socket() {
    if !is_inside() {
        return;
    }
    let fd = opened(libc::O_NONBLOCK);
    let other = passed(fd);
    assert_ne!(other, fd);
    ping_with(fd, || polled_in(other, MISSED));
    drain(fd);
    assert!(!polled_in(other, 0));
}

#[test]
fn poll_and_epoll_report_a_removed_interface_once_as_hang_up_and_error() {
    inside("waits::hang_up", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn hang_up() {
    const TROUBLE: i32 = libc::EPOLLERR | libc::EPOLLHUP;
    if !is_inside() {
        return;
    }
    let fd = opened(libc::O_NONBLOCK);
    let poll = |events: i16, timeout| {
        let mut entry = libc::pollfd { fd, events, revents: 0 };
        // SAFETY: one live entry.
        unsafe { libc::poll(&raw mut entry, 1, timeout) };
        i32::from(entry.revents) & (i32::from(events) | TROUBLE)
    };
    let epolls = [libc::EPOLLIN, libc::EPOLLIN | libc::EPOLLET, 0].map(|events| {
        // SAFETY: a call without pointers.
        let epoll = unsafe { libc::epoll_create1(0) };
        let mut event = libc::epoll_event { events: events as u32, u64: 7 };
        // SAFETY: a live event.
        assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
        epoll
    });
    let wait = |epoll, timeout| {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        let found = unsafe { libc::epoll_wait(epoll, &raw mut event, 1, timeout) };
        if found == 1 { event.events as i32 & (TROUBLE | libc::EPOLLIN) } else { 0 }
    };
    let (mut buffer, mut packet) = ([0; 64], [0; 20]);
    (packet[0], packet[3]) = (0x45, 20);
    for _ in 0..3 {
        drain(fd);
        assert_eq!((poll(libc::POLLIN, 0), poll(0, 0)), (0, 0));
        assert_eq!(epolls.map(|epoll| wait(epoll, 0)), [0; 3]);
        // Waiters are woken, whatever they wait for. The device reports that a read would not block first.
        fn until_hang_up(wait: impl Fn() -> i32) -> i32 {
            std::iter::repeat_with(wait).find(|found| *found != libc::EPOLLIN).unwrap_or(0) & TROUBLE
        }
        std::thread::scope(|scope| {
            let polls = [libc::POLLIN, libc::POLLPRI, 0]
                .map(|events| scope.spawn(move || until_hang_up(|| poll(events, MISSED))));
            let epolls = epolls.map(|epoll| scope.spawn(move || until_hang_up(|| wait(epoll, MISSED))));
            haiku("ifconfig --delete tun/0");
            assert_eq!(polls.map(|wait| wait.join().unwrap()), [TROUBLE; 3]);
            assert_eq!(epolls.map(|wait| wait.join().unwrap()), [TROUBLE; 3]);
        });
        assert_eq!(wait(epolls[0], 0), TROUBLE | libc::EPOLLIN, "level triggered");
        assert!(selected(fd));
        assert_eq!((read(fd, &mut buffer), errno()), (-1, libc::ENXIO));
        assert_eq!((write(fd, &packet), errno()), (-1, libc::ENXIO));
        assert_eq!((read(fd, &mut buffer), errno()), (-1, libc::EAGAIN), "reported once");
        assert_eq!((poll(libc::POLLIN, 0), poll(0, 0)), (0, 0));
        haiku(CONFIGURE);
    }
    ping_with(fd, || edge(epolls[0], MISSED));
}
