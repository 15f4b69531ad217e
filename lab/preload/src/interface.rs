//! What a program does to its interface by name, in Linux's ways, done to Haiku's instead: the `SIOC*` controls of a
//! socket, and `ifconfig` through `system`.

use std::net::{IpAddr, Ipv4Addr};

use haiku_stack::{Family, InterfaceInfo};
use haiku_sys::{IFF_LINK, IFF_UP};
use haiku_system::Mode;

use crate::haiku;
use crate::names::{self, Alias};

/// The part of Linux's `struct ifreq` that the controls below use. Its union goes on for 8 bytes, which some programs
/// do not declare: boringtun's struct ends here.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Request {
    /// The interface.
    pub(crate) name: [u8; 16],
    /// The union's largest member in use, a `sockaddr`.
    pub(crate) data: [u8; 16],
}

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// `ARPHRD_NONE`.
const NO_HARDWARE: u16 = 0xfffe;

impl Request {
    fn short(&self) -> u16 {
        let [a, b, ..] = self.data;
        u16::from_ne_bytes([a, b])
    }

    fn int(&self) -> i32 {
        let [a, b, c, d, ..] = self.data;
        i32::from_ne_bytes([a, b, c, d])
    }

    /// The IPv4 address of a `sockaddr_in`.
    fn address(&self) -> Ipv4Addr {
        let [_, _, _, _, a, b, c, d, ..] = self.data;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Writes one member of the union; the bytes behind it stay as they are, as on Linux.
    fn answer(&mut self, member: &[u8]) {
        for (to, from) in self.data.iter_mut().zip(member) {
            *to = *from;
        }
    }

    fn answer_address(&mut self, address: Option<IpAddr>) -> Result<(), i32> {
        let Some(IpAddr::V4(address)) = address else { return Err(libc::EADDRNOTAVAIL) };
        let [a, b, c, d] = address.octets();
        let [low, high] = (libc::AF_INET as u16).to_ne_bytes();
        self.answer(&[low, high, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }
}

/// Whether a control of a socket is one that names an interface.
pub(crate) fn is_ours(op: u32) -> bool {
    (0x8910..=0x894f).contains(&op)
}

fn info(alias: &Alias) -> Option<InterfaceInfo> {
    haiku::running()?.stack().interface(&alias.haiku)
}

/// One of `ifconfig`'s lines.
fn ifconfig(alias: &Alias, words: &str) -> Result<(), i32> {
    haiku::execute(&format!("ifconfig {} {words}", alias.haiku)).map(drop).map_err(|error| match error.code() {
        Some(status) => crate::errno::from_status(status),
        None => libc::EINVAL,
    })
}

/// A control of a socket, if it is about an interface of ours.
pub(crate) fn control(op: u32, request: &mut Request) -> Option<Result<(), i32>> {
    let alias = names::find(names::text(&request.name))?;
    Some(carry_out(&alias, op, request))
}

fn first(info: &InterfaceInfo) -> Option<&haiku_stack::AddressInfo> {
    info.addresses.iter().find(|address| address.family == Family::Inet && address.local.is_some())
}

fn carry_out(alias: &Alias, op: u32, request: &mut Request) -> Result<(), i32> {
    let known = info(alias);
    match u64::from(op) {
        libc::SIOCGIFFLAGS => {
            let up = known.is_some_and(|info| info.flags & IFF_UP != 0);
            let kind = match alias.mode {
                Mode::Tun => libc::IFF_POINTOPOINT | libc::IFF_NOARP | libc::IFF_MULTICAST,
                Mode::Tap => libc::IFF_BROADCAST | libc::IFF_MULTICAST,
            };
            let running = if up { libc::IFF_UP | libc::IFF_RUNNING } else { 0 };
            request.answer(&((kind | running) as u16).to_ne_bytes());
            Ok(())
        }
        libc::SIOCSIFFLAGS => {
            let up = i32::from(request.short()) & libc::IFF_UP != 0;
            let was = known.is_some_and(|info| info.flags & (IFF_UP | IFF_LINK) & IFF_UP != 0);
            if up == was { Ok(()) } else { ifconfig(alias, if up { "up" } else { "down" }) }
        }
        libc::SIOCSIFADDR => ifconfig(alias, &request.address().to_string()),
        libc::SIOCSIFNETMASK => {
            let local = known.as_ref().and_then(first).and_then(|own| own.local).ok_or(libc::EADDRNOTAVAIL)?;
            ifconfig(alias, &format!("{local} {}", request.address()))
        }
        libc::SIOCGIFADDR => request.answer_address(known.as_ref().and_then(first).and_then(|own| own.local)),
        libc::SIOCGIFNETMASK => request.answer_address(known.as_ref().and_then(first).and_then(|own| own.mask)),
        libc::SIOCGIFMTU => {
            let mtu = known.map_or(1500, |info| i32::try_from(info.mtu).unwrap_or(i32::MAX));
            request.answer(&mtu.to_ne_bytes());
            Ok(())
        }
        libc::SIOCSIFMTU => ifconfig(alias, &format!("mtu {}", request.int())),
        libc::SIOCGIFINDEX => {
            let unit = alias.haiku.rsplit('/').next().and_then(|digits| digits.parse::<i32>().ok()).unwrap_or(0);
            let base = if alias.mode == Mode::Tun { 1_000 } else { 2_000 };
            request.answer(&(base + unit).to_ne_bytes());
            Ok(())
        }
        libc::SIOCGIFHWADDR if alias.mode == Mode::Tun => {
            let [low, high] = NO_HARDWARE.to_ne_bytes();
            request.answer(&[low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            Ok(())
        }
        libc::SIOCGIFHWADDR => {
            let [low, high] = ETHERNET.to_ne_bytes();
            let [a, b, c, d, e, f] = known.map_or([0; 6], |info| info.mac);
            request.answer(&[low, high, a, b, c, d, e, f]);
            Ok(())
        }
        libc::SIOCSIFHWADDR => {
            let [_, _, mac @ ..] = request.data;
            let [a, b, c, d, e, f, ..] = mac;
            set_hardware(alias, [a, b, c, d, e, f])
        }
        // What the peer of a point-to-point link is called, its broadcast address, and how long its queue is, changes
        // nothing here.
        _ => Ok(()),
    }
}

/// Gives the interface another Ethernet address, through the descriptor that is open.
fn set_hardware(alias: &Alias, mac: [u8; 6]) -> Result<(), i32> {
    use tuntap_net_addon::ioctl::wire::{LinuxRequest, SIOCSIFHWADDR};

    let owner = crate::table::all()
        .into_iter()
        .find(|(_, open)| names::of(open.id()).is_some_and(|own| own.haiku == alias.haiku));
    let (_, open) = owner.ok_or(libc::ENODEV)?;
    let mut request = LinuxRequest { name: [0; 16], flags: ETHERNET, address: mac, rest: [0; 16] };
    haiku_kernel::syscalls::ioctl_ref(open.fd()?, SIOCSIFHWADDR, &mut request)
        .map(drop)
        .map_err(crate::errno::from_status)
}

/// Carries out a command line for a shell, if it is an `ifconfig` for an interface of ours. Returns whether it
/// succeeded.
pub(crate) fn shell(command: &str) -> Option<bool> {
    let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
    let program = words.next()?;
    if program != "ifconfig" && !program.ends_with("/ifconfig") {
        return None;
    }
    let alias = names::find(words.next()?)?;
    let words: Vec<&str> = words.collect();
    let result = match translate(&words) {
        Some(Line::Hardware(mac)) => set_hardware(&alias, mac),
        Some(Line::Configure(line)) => ifconfig(&alias, &line),
        None => Err(libc::EINVAL),
    };
    if let Err(errno) = result {
        let reason = std::io::Error::from_raw_os_error(errno);
        eprintln!("haiku-preload: \"{command}\" could not be done to {}: {reason}", alias.haiku);
    }
    Some(result.is_ok())
}

/// An `ifconfig` line of Linux's, understood.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Another Ethernet address.
    Hardware([u8; 6]),
    /// The same in Haiku's words.
    Configure(String),
}

fn translate(words: &[&str]) -> Option<Line> {
    if let ["hw", "ether", mac, ..] = words {
        let mut bytes = [0; 6];
        let mut parts = mac.split(':');
        for byte in &mut bytes {
            *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
        }
        return Some(Line::Hardware(bytes));
    }
    let (mut address, mut mask, mut rest) = (None, None, String::new());
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "netmask" => mask = Some(words.next()?),
            "mtu" => rest += &format!(" mtu {}", words.next()?),
            "up" | "down" => rest += &format!(" {word}"),
            "pointopoint" | "dstaddr" | "broadcast" | "txqueuelen" => drop(words.next()?),
            _ if word.parse::<IpAddr>().is_ok() => address = address.or(Some(word)),
            _ => return None,
        }
    }
    // Linux's ifconfig brings an interface up that it gives an address to.
    let up = if address.is_some() && !rest.contains("down") && !rest.contains(" up") { " up" } else { "" };
    let mask = mask.map(|mask| format!(" {mask}")).unwrap_or_default();
    Some(Line::Configure(format!("{}{mask}{rest}{up}", address.unwrap_or_default()).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Option<Line> {
        translate(&words.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn linux_words_become_haikus() {
        let configure = |text: &str| Some(Line::Configure(text.to_owned()));
        assert_eq!(line("10.9.0.1 10.9.0.1 netmask 255.255.255.224"), configure("10.9.0.1 255.255.255.224 up"));
        assert_eq!(line("10.9.0.1 netmask 255.255.255.0 mtu 1290 up"), configure("10.9.0.1 255.255.255.0 mtu 1290 up"));
        assert_eq!(line("mtu 1130"), configure("mtu 1130"));
        assert_eq!(line("hw ether 02:00:00:00:00:1f"), Some(Line::Hardware([2, 0, 0, 0, 0, 0x1f])));
        assert_eq!(line("add fd00::1/64"), None);
    }
}
