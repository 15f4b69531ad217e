//! Controls by interface name, positions, and the unit that a name asks for.

use crate::program::*;

const TUNSETIFF: u64 = 0x4004_54ca;
const CANARY: u8 = 0xa5;

/// Opens `/dev/net/tun` as the interface of this name.
fn named(name: &str, flags: u16) -> i32 {
    let fd = open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK);
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
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
