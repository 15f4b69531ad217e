//! Linux's side of the bridge: an interface of `/dev/net/tun`, with its addresses.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use haiku_stack::Error;

/// Where Linux keeps it.
const NODE: &str = "/dev/net/tun";

/// Linux's `struct in6_ifreq`.
#[repr(C)]
struct In6Request {
    address: [u8; 16],
    prefix: u32,
    index: libc::c_int,
}

/// The interface; it is deleted when this is dropped.
#[derive(Debug)]
pub(super) struct LinuxTun {
    file: File,
    /// Readable once the reader is to end.
    end: OwnedFd,
    name: String,
}

/// An empty request about an interface.
fn request(name: &str) -> libc::ifreq {
    // SAFETY: zeros are a value of every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request
}

/// Linux's answer to an ioctl.
fn answered(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An IPv4 address in Linux's form.
fn ipv4(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: zeros are a value of every field.
    let mut form: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    form.sin_family = libc::AF_INET as libc::sa_family_t;
    form.sin_addr.s_addr = u32::from(address).to_be();
    // SAFETY: both have 16 bytes and no padding that matters.
    unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(form) }
}

/// A socket to configure interfaces through.
fn control_socket(family: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    answered(fd)?;
    // SAFETY: the descriptor is new, and nothing else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl LinuxTun {
    /// Makes the interface.
    pub(super) fn create(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['/', ' ', '%']) {
            return Err(Error::Usage(format!(
                "bridge: \"{name}\" cannot be an interface of Linux's: up to {} characters, no slash, no space",
                libc::IFNAMSIZ - 1
            )));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(NODE)
            .map_err(|error| explain(error, &format!("opening {NODE}")))?;
        let mut wanted = request(name);
        wanted.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request lives through the call.
        answered(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut wanted) })
            .map_err(|error| explain(error, &format!("making the interface {name}")))?;
        // SAFETY: no pointers.
        let end = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        answered(end).map_err(|error| Error::io("bridge: making an event descriptor", error))?;
        // SAFETY: the descriptor is new, and nothing else closes it.
        let end = unsafe { OwnedFd::from_raw_fd(end) };
        Ok(Self { file, end, name: name.to_owned() })
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Gives the interface its addresses and brings it up.
    pub(super) fn configure(&self, v4: IpAddr, v4_prefix: u8, v6: IpAddr, v6_prefix: u8) -> Result<(), Error> {
        let failed = |what: &str| {
            let name = self.name.clone();
            let what = what.to_owned();
            move |error| explain(error, &format!("{what} of {name}"))
        };
        let socket = control_socket(libc::AF_INET).map_err(failed("configuring the addresses"))?;
        let call = |number: libc::c_ulong, wanted: &mut libc::ifreq| {
            // SAFETY: the request lives through the call.
            answered(unsafe { libc::ioctl(socket.as_raw_fd(), number as _, std::ptr::from_mut(wanted)) })
        };
        if let IpAddr::V4(v4) = v4 {
            let mut wanted = request(&self.name);
            wanted.ifr_ifru.ifru_addr = ipv4(v4);
            call(libc::SIOCSIFADDR, &mut wanted).map_err(failed("setting the IPv4 address"))?;
            let mask = u32::MAX.checked_shl(32 - u32::from(v4_prefix)).unwrap_or(0);
            wanted.ifr_ifru.ifru_netmask = ipv4(Ipv4Addr::from(mask));
            call(libc::SIOCSIFNETMASK, &mut wanted).map_err(failed("setting the IPv4 mask"))?;
        }
        let mut wanted = request(&self.name);
        call(libc::SIOCGIFFLAGS, &mut wanted).map_err(failed("asking for the flags"))?;
        // SAFETY: the call filled the flags in.
        let flags = unsafe { wanted.ifr_ifru.ifru_flags };
        wanted.ifr_ifru.ifru_flags = flags | (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        call(libc::SIOCSIFFLAGS, &mut wanted).map_err(failed("bringing up the link"))?;
        call(libc::SIOCGIFINDEX, &mut wanted).map_err(failed("asking for the index"))?;
        // SAFETY: the call filled the index in.
        let index = unsafe { wanted.ifr_ifru.ifru_ifindex };
        if let IpAddr::V6(v6) = v6 {
            let wanted = In6Request { address: v6.octets(), prefix: v6_prefix.into(), index };
            let socket = control_socket(libc::AF_INET6).map_err(failed("setting the IPv6 address"))?;
            // SAFETY: the request lives through the call.
            answered(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR as _, &raw const wanted) })
                .map_err(failed("setting the IPv6 address (is IPv6 disabled on this machine?)"))?;
        }
        Ok(())
    }

    /// Hands Linux a packet.
    pub(super) fn write(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write_all(packet)
    }

    /// Waits for a packet of Linux's; `None` ends the reader.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            let interest = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut both = [interest(self.fd()), interest(self.end.as_raw_fd())];
            // SAFETY: the array has as many descriptors as are said.
            unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
            if both[1].revents != 0 {
                return None;
            }
            match (&self.file).read(buffer) {
                Ok(length) => return Some(length),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return None,
            }
        }
    }

    /// Ends the reader.
    pub(super) fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes, as an event descriptor wants them.
        unsafe { libc::write(self.end.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

/// What went wrong, and what to do about it.
fn explain(error: io::Error, what: &str) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "this machine has no TUN driver; load it with `modprobe tun`, or bridge elsewhere",
        io::ErrorKind::PermissionDenied => "only root may; try `sudo unshare -n haiku-lab bridge ...`",
        io::ErrorKind::ResourceBusy => "an interface of this name is in use; choose another",
        _ => return Error::io(format!("bridge: {what}"), error),
    };
    Error::Failed(format!("bridge: {what}: {error}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_linux_cannot_have_is_refused_before_anything_is_opened() {
        for name in ["", "tun/0", "a name", "sixteen-letters!"] {
            assert!(matches!(LinuxTun::create(name), Err(Error::Usage(_))), "{name}");
        }
    }

    #[test]
    fn a_missing_requirement_is_reported_with_what_to_do() {
        let error = explain(io::Error::from(io::ErrorKind::PermissionDenied), "opening /dev/net/tun");
        assert!(error.to_string().contains("only root may"));
        let error = explain(io::Error::from(io::ErrorKind::NotFound), "opening /dev/net/tun");
        assert!(error.to_string().contains("modprobe tun"));
    }
}
