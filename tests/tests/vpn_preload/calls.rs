//! Controls by interface name, positions, and the unit that a name asks for.

use tuntap_testkit::linux_tun;

use crate::program::*;

const TUNSETIFF: u64 = 0x4004_54ca;
const CANARY: u8 = 0xa5;

/// Opens `/dev/net/tun` as the interface of this name.
fn named(name: &str, flags: u16) -> i32 {
    let fd = open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK);
    let mut request = linux_tun::request(name, flags);
    // SAFETY: a request of the size that the control wants.
    assert_eq!(unsafe { libc::ioctl(fd, TUNSETIFF, request.as_mut_ptr()) }, 0, "{name}: errno {}", errno());
    fd
}

/// Whether a descriptor has the unit's node open.
fn is_busy(unit: usize) -> bool {
    let fd = open(&format!("/dev/tun/{unit}"), libc::O_RDWR);
    fd < 0 && errno() == libc::EBUSY || close(fd) != 0
}

/// A control of a socket about `name`, whose request is followed by bytes that are not the request's. Returns the
/// union's bytes up to the last one that changed.
fn control(op: u64, name: &str, data: &[u8]) -> Result<Vec<u8>, i32> {
    // SAFETY: a call without pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    let mut request = [CANARY; 64];
    request[..16].fill(0);
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..16 + data.len()].copy_from_slice(data);
    let before = request;
    // SAFETY: more than the control looks at.
    let result = unsafe { libc::ioctl(socket, op, request.as_mut_ptr()) };
    let error = errno();
    close(socket);
    assert_eq!(request[..16], before[..16], "{op:#x} keeps the name");
    let changed = (16..64).rfind(|at| request[*at] != before[*at]).map_or(16, |last| last + 1);
    if result == 0 { Ok(request[16..changed].to_vec()) } else { Err(error) }
}

#[test]
fn a_socket_control_writes_only_the_bytes_that_linux_changes() {
    inside("calls::socket_controls", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn socket_controls() {
    if !is_inside() {
        return;
    }
    // What Linux 6.18 writes, seen with requests that were filled with one byte. boringtun's end after 32 bytes.
    let address = |octets: [u8; 4]| [&[2, 0, 0, 0][..], &octets, &[0; 8]].concat();
    let tun = named("tun0", 0x1001);
    assert_eq!(control(libc::SIOCGIFADDR, "tun0", &[]), Err(libc::EADDRNOTAVAIL));
    assert_eq!(control(libc::SIOCSIFADDR, "tun0", &address([10, 9, 0, 1])), Ok(vec![]));
    assert_eq!(control(libc::SIOCSIFNETMASK, "tun0", &address([255, 255, 255, 0])), Ok(vec![]));
    assert_eq!(control(libc::SIOCGIFADDR, "tun0", &[]), Ok(address([10, 9, 0, 1])));
    assert_eq!(control(libc::SIOCGIFNETMASK, "tun0", &[]), Ok(address([255, 255, 255, 0])));
    assert_eq!(control(libc::SIOCSIFMTU, "tun0", &1400_i32.to_ne_bytes()), Ok(vec![]));
    assert_eq!(control(libc::SIOCGIFMTU, "tun0", &[]), Ok(1400_i32.to_ne_bytes().to_vec()));
    assert_eq!(control(libc::SIOCSIFFLAGS, "tun0", &0x41_u16.to_ne_bytes()), Ok(vec![]));
    assert_eq!(control(libc::SIOCGIFFLAGS, "tun0", &[]), Ok(0x10d1_u16.to_ne_bytes().to_vec()));
    assert_eq!(control(libc::SIOCGIFINDEX, "tun0", &[]).map(|bytes| bytes.len()), Ok(4));
    assert_eq!(control(libc::SIOCGIFHWADDR, "tun0", &[]), Ok([&[0xfe, 0xff][..], &[0; 14]].concat()));
    // Of the 14 bytes for an address, an Ethernet address takes six.
    let tap = named("tap0", 0x1002);
    haiku("ifconfig tap/0 10.10.0.1 255.255.255.0");
    let mac = [1, 0, 2, 0, 0, 0, 0, 0x1f];
    assert_eq!(control(libc::SIOCSIFHWADDR, "tap0", &mac), Ok(vec![]));
    assert_eq!(control(libc::SIOCGIFHWADDR, "tap0", &[]), Ok(mac.to_vec()));
    assert_eq!((close(tun), close(tap)), (0, 0));
}

#[test]
fn a_position_moves_as_on_haiku_and_selects_no_packet() {
    inside("calls::positions", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn positions() {
    if !is_inside() {
        return;
    }
    let fd = open("/dev/tun/0", libc::O_RDWR | libc::O_NONBLOCK);
    haiku(CONFIGURE);
    let seek = |offset, whence| {
        // SAFETY: a call without pointers.
        let position = unsafe { libc::lseek(fd, offset, whence) };
        if position < 0 { Err(errno()) } else { Ok(position) }
    };
    assert_eq!(seek(0, libc::SEEK_CUR), Ok(0));
    let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
    let write_at = |position| {
        // SAFETY: a live buffer of that length.
        let written = unsafe { libc::pwrite(fd, packet.as_ptr().cast(), packet.len(), position) };
        if written < 0 { Err(errno()) } else { Ok(written) }
    };
    assert_eq!((write_at(4096), seek(0, libc::SEEK_CUR)), (Ok(20), Ok(0)), "a write at a position moves none");
    assert_eq!((write(fd, &packet), seek(0, libc::SEEK_CUR)), (20, Ok(20)));
    assert_eq!(write_at(-1), Err(libc::EINVAL));
    assert_eq!(seek(100, libc::SEEK_SET), Ok(100));
    assert_eq!(seek(-200, libc::SEEK_CUR), Err(libc::EINVAL));
    assert_eq!((seek(7, libc::SEEK_END), seek(0, libc::SEEK_CUR)), (Ok(7), Ok(7)), "a device has no length");
    assert_eq!(seek(0, libc::SEEK_DATA), Err(libc::EINVAL));
    let mut buffer = [0_u8; 2048];
    let mut read_at = |position| {
        // SAFETY: a live buffer of that length.
        let length = unsafe { libc::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), position) };
        if length < 0 { Err(errno()) } else { Ok(length) }
    };
    assert_eq!(read_at(0), Err(libc::EAGAIN));
    one_packet();
    assert!(polled(fd, 10_000).0);
    assert_eq!((read_at(1 << 40), seek(0, libc::SEEK_CUR)), (Ok(84), Ok(7)), "the next packet, whatever the position");
    assert_eq!(read_at(-1), Err(libc::EINVAL));
    // Other files keep their own.
    let zero = open("/dev/null", libc::O_RDWR);
    // SAFETY: a call without pointers.
    assert_eq!((unsafe { libc::lseek(zero, 0, libc::SEEK_END) }, close(zero)), (0, 0));
}

#[test]
fn a_program_that_asks_for_tun1_gets_unit_1() {
    inside("calls::units", |_| ());
}

#[test]
#[ignore = "runs inside another test"]
fn units() {
    if !is_inside() {
        return;
    }
    let second = named("tun1", 0x1001);
    assert_eq!([is_busy(0), is_busy(1)], [false, true], "unit 0 was opened only to have the node of unit 1 published");
    let first = named("tun0", 0x1001);
    assert!(is_busy(0));
    haiku("ifconfig tun/1 10.9.0.1 255.255.255.0 up");
    ping_across(second, 10);
    assert_eq!((close(first), close(second)), (0, 0));
}
