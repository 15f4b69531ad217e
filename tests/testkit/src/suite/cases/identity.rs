//! Which interface a descriptor serves, and how it is framed.

use super::*;

const IFF_TUN: u16 = 1;
const IFF_TAP: u16 = 2;
const IFF_MULTI_QUEUE: u16 = 0x100;
const IFF_ONE_QUEUE: u16 = 0x2000;
const IFF_VNET_HDR: u16 = 0x4000;

const NO_SUCH: &str = "what would not be honoured is refused";

pub(super) const CASES: &[Case] = &[
    Case::new("`TUNSETIFF`: its kind, `IFF_NO_PI` and `IFF_ONE_QUEUE`", BOTH, |system| {
        set(system, "", flag(system.mode()) | IFF_NO_PI | IFF_ONE_QUEUE).map(drop).into()
    }),
    Case::new("`TUNSETIFF`: neither kind", BOTH, |system| set(system, "", IFF_NO_PI).map(drop).into()),
    Case::new("`TUNSETIFF`: both kinds", BOTH, |system| set(system, "", IFF_TUN | IFF_TAP).map(drop).into())
        .differs("EINVAL", "a unit is of one kind"),
    Case::new("`TUNSETIFF`: the other kind", BOTH, |system| {
        set(system, "", (IFF_TUN | IFF_TAP) & !flag(system.mode())).map(drop).into()
    })
    .differs("EINVAL", "the node says of which kind a unit is: `/dev/tun/0`, `/dev/tap/0`"),
    Case::new("`TUNSETIFF`: `IFF_MULTI_QUEUE`", BOTH, |system| {
        set(system, "", flag(system.mode()) | IFF_MULTI_QUEUE).map(drop).into()
    })
    .differs("EINVAL", NO_SUCH),
    Case::new("`TUNSETIFF`: `IFF_VNET_HDR`", BOTH, |system| {
        set(system, "", flag(system.mode()) | IFF_VNET_HDR).map(drop).into()
    })
    .differs("EINVAL", NO_SUCH),
    Case::new("`TUNSETIFF`: a flag that has no meaning", BOTH, |system| {
        set(system, "", flag(system.mode()) | 4).map(drop).into()
    })
    .differs("EINVAL", NO_SUCH),
    Case::new("`TUNSETIFF` without a name: the name that comes back", BOTH, |system| {
        let name = set(system, "", flag(system.mode()) | IFF_NO_PI).expect("its own kind");
        (name == system.name()).into()
    }),
    Case::new("`TUNSETIFF`, \"tun%d\" or \"tap%d\": the name that comes back", BOTH, |system| {
        let pattern = format!("{}%d", system.mode().name());
        let name = set(system, &pattern, flag(system.mode()) | IFF_NO_PI).expect("its own kind");
        (name == system.name()).into()
    }),
    Case::new("`TUNSETIFF`, any other name", BOTH, |system| {
        set(system, "vpn0", flag(system.mode()) | IFF_NO_PI).map(drop).into()
    })
    .differs("EINVAL", "the node says which unit it is, and Haiku's interfaces are named after their nodes"),
    Case::new("`TUNSETIFF` a second time", BOTH, |system| {
        let fd = open(system);
        let flags = flag(system.mode()) | IFF_NO_PI;
        request(system, fd, "", flags).expect("its own kind");
        request(system, fd, "", flags).map(drop).into()
    })
    .differs("works", "it sets the framing, which may be set again; which unit it is was settled by opening it"),
    Case::new("`TUNSETIFF` with the null pointer", BOTH, |system| {
        system.ioctl(open(system), TUNSETIFF, Argument::Null).into()
    }),
    Case::new("`TUNSETIFF` with a pointer to nothing", BOTH, |system| {
        system.ioctl(open(system), TUNSETIFF, Argument::Unmapped).into()
    }),
    Case::new("`TUNGETIFF`: the name", BOTH, |system| {
        let fd = made(system, Framing::Bare);
        (get(system, fd).expect("an interface").0 == system.name()).into()
    }),
    Case::new("`TUNGETIFF`: the flags, of a TUN with `IFF_NO_PI`", TUN, |system| {
        let fd = made(system, Framing::Bare);
        format!("{:#06x}", get(system, fd).expect("an interface").1).into()
    }),
    Case::new("`TUNGETIFF`: the flags, of a TAP with `IFF_NO_PI`", TAP, |system| {
        let fd = made(system, Framing::Bare);
        format!("{:#06x}", get(system, fd).expect("an interface").1).into()
    }),
    Case::new("`TUNGETIFF`: the flags, of a TUN with packet information", TUN, |system| {
        let fd = made(system, Framing::Information);
        format!("{:#06x}", get(system, fd).expect("an interface").1).into()
    })
    .differs("0x0001", "no `IFF_NO_PI`; on Linux its bit also means `IFF_NOFILTER` here"),
    Case::new("`TUNGETIFF` before `TUNSETIFF`", BOTH, |system| get(system, open(system)).map(|_| ()).into())
        .differs("works", "the node says which unit it is"),
    Case::new("`TUNGETFEATURES` names both kinds, `IFF_NO_PI` and `IFF_ONE_QUEUE`", BOTH, |system| {
        let features = features(system);
        let wanted = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE;
        (features & i32::from(wanted) == i32::from(wanted)).into()
    }),
    Case::new("`TUNGETFEATURES` names `IFF_MULTI_QUEUE` and `IFF_VNET_HDR`", BOTH, |system| {
        let absent = i32::from(IFF_MULTI_QUEUE | IFF_VNET_HDR);
        (features(system) & absent == absent).into()
    })
    .differs("no", NO_SUCH),
];

fn features(system: &dyn System) -> i32 {
    integer(system, open(system), TUNGETFEATURES, 0).expect("always there")
}

fn set(system: &dyn System, name: &str, flags: u16) -> Result<String, Errno> {
    request(system, open(system), name, flags)
}

/// Makes the call `TUNSETIFF`, and returns the name in its result.
fn request(system: &dyn System, fd: Fd, name: &str, flags: u16) -> Result<String, Errno> {
    let mut request = [0; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    system.ioctl(fd, TUNSETIFF, Argument::Memory(&mut request))?;
    Ok(text(&request))
}

/// `TUNGETIFF`: name and flags.
fn get(system: &dyn System, fd: Fd) -> Result<(String, u16), Errno> {
    let mut request = [0; 40];
    system.ioctl(fd, TUNGETIFF, Argument::Memory(&mut request))?;
    Ok((text(&request), u16::from_ne_bytes([request[16], request[17]])))
}

fn text(request: &[u8; 40]) -> String {
    let name = request[..16].split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
