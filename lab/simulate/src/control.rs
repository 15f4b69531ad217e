//! The controls: each done to the device and to its model.

use haiku_kernel::{syscalls, user};
use haiku_sys::{B_BAD_ADDRESS, EADDRNOTAVAIL, EBUSY, EINVAL, ENOTTY, ENXIO, FIONBIO, FIONREAD, O_NONBLOCK, status_t};
use tuntap_net_addon::ioctl::wire::{
    LimitsRequest, LinuxRequest, PeerRequest, Preamble, SIOCGIFHWADDR, SIOCSIFHWADDR, TUNGETIFF, TUNGETLIMITS,
    TUNGETSNDBUF, TUNGIFHEAD, TUNGIFINFO, TUNSETCARRIER, TUNSETIFF, TUNSETLIMITS, TUNSETLINK, TUNSETPEER,
    TUNSETPERSIST, TUNSETSNDBUF, TUNSIFHEAD, TUNSIFINFO, TunInfo, VERSION,
};

use super::model::{Device, status};
use super::step::{Control, Place};
use super::world::{Checked, World, agree, name};
use tuntap_driver::{Error, Framing, Limits};

/// What a program of the model gets to see: the status, and the words that were stored.
type Answer = Result<Vec<u8>, status_t>;

/// The bytes of Linux's `struct ifreq`.
fn linux(name: &str, flags: u16, address: [u8; 6]) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&address);
    bytes.resize(size_of::<LinuxRequest>(), 0);
    bytes
}

/// The bytes of 32-bit words.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The number of a control, and what it is given: bytes to point to.
fn question(control: Control, tun: bool) -> (u32, Vec<u8>) {
    let limits = [VERSION, size_of::<LimitsRequest>() as u32];
    match control {
        Control::Readable => (FIONREAD, words(&[7])),
        Control::NonBlocking(on) => (FIONBIO, words(&[on.into()])),
        Control::SetInterface(flags) => (TUNSETIFF, linux("", flags, [0; 6])),
        Control::GetInterface => (TUNGETIFF, vec![9; size_of::<LinuxRequest>()]),
        Control::SetHead(on) => (TUNSIFHEAD, words(&[on.into()])),
        Control::GetHead => (TUNGIFHEAD, words(&[7])),
        Control::SetInfo { mtu, right } => (TUNSIFINFO, info(mtu, tun == right)),
        Control::GetInfo => (TUNGIFINFO, vec![9; size_of::<TunInfo>()]),
        Control::SetCarrier(on) => (TUNSETCARRIER, words(&[on.into()])),
        Control::SetLinkType(_) => (TUNSETLINK, words(&[7])),
        Control::SetSendBuffer(bytes) => (TUNSETSNDBUF, words(&[bytes.cast_unsigned()])),
        Control::GetSendBuffer => (TUNGETSNDBUF, words(&[7])),
        Control::SetLimits(set) => (TUNSETLIMITS, words(&[&limits[..], &set].concat())),
        Control::GetLimits => (TUNGETLIMITS, words(&[&limits[..], &[7; 4]].concat())),
        Control::SetAddress(address) => (SIOCSIFHWADDR, linux("", 1, address)),
        Control::GetAddress => (SIOCGIFHWADDR, vec![9; size_of::<LinuxRequest>()]),
        Control::Persist => (TUNSETPERSIST, words(&[7])),
        Control::SetPeer => (TUNSETPEER, peer()),
        Control::Unknown => (0xdead, words(&[7])),
    }
}

fn info(mtu: u16, tun: bool) -> Vec<u8> {
    let mut bytes = words(&[0]);
    bytes.extend_from_slice(&mtu.to_ne_bytes());
    bytes.extend_from_slice(&[if tun { 0x17 } else { 0x06 }, 0]);
    bytes
}

fn peer() -> Vec<u8> {
    let size = size_of::<PeerRequest>();
    let mut bytes = words(&[VERSION, size as u32, 4]);
    bytes.resize(size, 10);
    bytes
}

/// What the model answers: what the program's memory holds afterwards.
fn answer(device: &mut Device, unit: usize, control: Control, mut given: Vec<u8>) -> Answer {
    let kind = if device.rules.tun { 1 } else { 2 };
    match control {
        Control::Readable => given = words(&[device.readable() as u32]),
        Control::NonBlocking(on) => {
            device.rules.flags = device.rules.flags & !O_NONBLOCK | if on { O_NONBLOCK } else { 0 };
        }
        Control::SetInterface(flags) => {
            if flags & !0xb003 != 0 || flags & 3 != kind {
                return Err(EINVAL);
            }
            device.framing = if flags & 0x1000 != 0 { Framing::Bare } else { Framing::PacketInformation };
            given = linux(&name(unit), flags, [0; 6]);
        }
        Control::GetInterface => {
            let bare = if device.framing == Framing::PacketInformation { 0 } else { 0x1000 };
            given = linux(&name(unit), kind | bare, [0; 6]);
        }
        Control::SetHead(on) => device.framing = if on { Framing::AddressFamily } else { Framing::Bare },
        Control::GetHead => given = words(&[(device.framing == Framing::AddressFamily).into()]),
        Control::SetInfo { mtu, right } => {
            if !right {
                return Err(EINVAL);
            }
            device.set_mtu(mtu.into()).map_err(status)?;
        }
        Control::GetInfo => given = info(device.link.mtu as u16, device.rules.tun),
        Control::SetCarrier(on) => device.carrier = on,
        Control::SetLinkType(_) if device.up => return Err(EBUSY),
        Control::SetLinkType(kind) if kind != 1 && kind != 0xfffe => return Err(EINVAL),
        Control::SetLinkType(_) | Control::Persist => {}
        Control::SetSendBuffer(bytes) if bytes <= 0 => return Err(EINVAL),
        Control::SetSendBuffer(bytes) => device.to_stack.limits.bytes = bytes.cast_unsigned().min(64 << 20),
        Control::GetSendBuffer => given = words(&[device.to_stack.limits.bytes]),
        Control::SetLimits([to_user, user_bytes, to_stack, stack_bytes]) => {
            let packets = [to_user, to_stack].iter().all(|packets| (1..=1 << 16).contains(packets));
            if !packets || user_bytes == 0 || stack_bytes == 0 {
                return Err(EINVAL);
            }
            device.to_user.limits = Limits { packets: to_user, bytes: user_bytes };
            device.to_stack.limits = Limits { packets: to_stack, bytes: stack_bytes };
        }
        Control::GetLimits => {
            let (to_user, to_stack) = (device.to_user.limits, device.to_stack.limits);
            given.truncate(size_of::<Preamble>());
            given.extend(words(&[to_user.packets, to_user.bytes, to_stack.packets, to_stack.bytes]));
        }
        Control::SetAddress(address) => match device.set_address(address) {
            Err(Error::Invalid) => return Err(EADDRNOTAVAIL),
            set => set.map_err(status)?,
        },
        Control::GetAddress => given = linux(&name(unit), 1, device.link.address),
        // There is an interface at most that the stack has not heard of.
        Control::SetPeer => return Err(ENXIO),
        Control::Unknown => return Err(ENOTTY),
    }
    Ok(given)
}

impl World {
    /// One control.
    pub(super) fn control(&mut self, fd: i32, control: Control, place: Place) -> Checked {
        let unit = self.files.get(&fd).copied();
        let tun = unit.is_none_or(super::world::is_tun);
        let (op, mut bytes) = question(control, tun);
        let given = bytes.clone();
        // Some use no memory: their argument is a number.
        let number = if let Control::SetLinkType(kind) = control { Some(kind.into()) } else { None };
        let place = if number.is_some() { Place::Mapped } else { place };
        let argument = match (number, place) {
            (Some(number), _) => number,
            (None, Place::Mapped) => user::to_user(bytes.as_mut_ptr() as usize),
            (None, _) => self.address(place),
        };
        let real = syscalls::ioctl(fd, op, argument, 0);
        let looks = !matches!(control, Control::Persist | Control::Unknown);
        let model = match (place, self.device(fd)) {
            (Place::Kernel, _) => Err(B_BAD_ADDRESS),
            (_, Err(error)) => Err(error),
            (Place::Hole, _) if looks => Err(B_BAD_ADDRESS),
            (_, Ok(device)) => answer(device, unit.unwrap_or_default(), control, given),
        };
        let real = real.map(|_| bytes);
        agree(&format!("{control:?}"), &real, &model)
    }
}
