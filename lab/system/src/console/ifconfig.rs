//! `ifconfig`, with Haiku's syntax, order of steps and complaints.

use std::net::IpAddr;

use haiku_sys::{
    IFF_ALLMULTI, IFF_AUTO_CONFIGURED, IFF_AUTOUP, IFF_BROADCAST, IFF_CONFIGURING, IFF_LINK, IFF_LOOPBACK, IFF_NOARP,
    IFF_PROMISC, IFF_UP, IFT_ETHER, IFT_LOOP,
};

use super::{Context, parse_address, show};
use haiku_stack::Error;
use haiku_stack::{AddressInfo, AliasRequest, Family, InterfaceInfo, Stack, prefix_length};

const USAGE: &str = "\
usage: ifconfig [<interface> [<address family>] [<address> [<mask>]] [<option/flags>...]]
       ifconfig --delete <interface> [<address>...]

Where <option> can be the following:
  netmask <addr>     - networking subnet mask
  prefixlen <number> - subnet mask length in bits
  broadcast <addr>   - set broadcast address
  peer <addr>        - ppp-peer address
  mtu <bytes>        - maximal transfer unit, more than 500
And <flags> can be: up, down, [-]promisc, [-]allmulti, [-]bcast, loopback

Example:
\tifconfig tun/0 10.9.0.1 255.255.255.0 up
";

/// The words that delete.
const DELETE: [&str; 5] = ["--delete", "--del", "-d", "del", "delete"];

/// The flags that `ifconfig` names.
const FLAGS: [(u32, &str); 10] = [
    (IFF_UP, "up"),
    (IFF_NOARP, "noarp"),
    (IFF_BROADCAST, "broadcast"),
    (IFF_LOOPBACK, "loopback"),
    (IFF_PROMISC, "promiscuous"),
    (IFF_ALLMULTI, "allmulti"),
    (IFF_AUTOUP, "autoup"),
    (IFF_LINK, "link"),
    (IFF_AUTO_CONFIGURED, "auto-configured"),
    (IFF_CONFIGURING, "configuring"),
];

/// What a command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Request {
    address: Option<IpAddr>,
    mask: Option<IpAddr>,
    broadcast: Option<IpAddr>,
    peer: Option<IpAddr>,
    mtu: Option<usize>,
    add: u32,
    remove: u32,
}

fn refuse<T>(why: &str) -> Result<T, Error> {
    Err(Error::Usage(format!("ifconfig: {why}")))
}

/// The command.
pub(super) fn run(context: &mut Context<'_>, arguments: &[&str]) -> Result<(), Error> {
    match arguments {
        ["--help" | "-h"] => {
            (context.out)(USAGE);
            Ok(())
        }
        [] | ["-a"] => {
            for interface in context.stack.interfaces() {
                (context.out)(&describe(&interface));
            }
            Ok(())
        }
        [word, rest @ ..] if DELETE.contains(word) => match rest {
            [name, addresses @ ..] => delete(context.stack, name, addresses),
            [] => Err(Error::Usage(USAGE.to_owned())),
        },
        [name] => match context.stack.interface(name) {
            Some(interface) => {
                (context.out)(&describe(&interface));
                Ok(())
            }
            None => Err(Error::Usage(format!("{name}\tInterface not found!"))),
        },
        [name, "scan" | "list" | "join" | "leave" | "ht" | "-ht", ..] => {
            refuse(&format!("\"{name}\" is not a WLAN device!"))
        }
        [name, rest @ ..] => configure(context, name, rest),
    }
}

fn delete(stack: &std::sync::Arc<Stack>, name: &str, words: &[&str]) -> Result<(), Error> {
    if words.is_empty() {
        return stack
            .remove_interface(name)
            .map_err(|status| Error::status(format!("ifconfig: Could not delete interface {name}"), status));
    }
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (family, word) = match Family::named(word) {
            Some(family) => (Some(family), words.next().copied().unwrap_or_default()),
            None => (None, *word),
        };
        let Some(address) = parse_address(family, word) else {
            return refuse(&format!("Could not parse address \"{word}\"."));
        };
        stack.remove_address(name, address).map_err(|status| {
            Error::status(format!("ifconfig: Could not delete address {word} from interface {name}"), status)
        })?;
    }
    Ok(())
}

fn configure(context: &mut Context<'_>, name: &str, words: &[&str]) -> Result<(), Error> {
    let stack = context.stack;
    // Haiku makes the interface before it has read the rest of the line; so a typing error leaves one behind.
    let head = head(words);
    if stack.interface(name).is_none() {
        stack.add_interface(name).map_err(|status| Error::status("ifconfig: Could not add interface", status))?;
    }
    let request = options(head, words)?;
    if request.address.is_some() || request.mask.is_some() || request.broadcast.is_some() {
        let alias = AliasRequest {
            address: request.address,
            mask: request.mask,
            destination: request.broadcast.or(request.peer),
        };
        stack.set_alias(name, alias).map_err(|status| Error::status("ifconfig: Setting address failed", status))?;
    }
    let given = [request.address, request.mask, request.broadcast, request.peer].iter().any(Option::is_some);
    // Any address makes Haiku forget a `down` on the same line.
    let remove = if given { IFF_AUTO_CONFIGURED | IFF_CONFIGURING } else { request.remove };
    if request.add | remove != 0 {
        let current = stack.interface(name).map_or(0, |interface| interface.flags);
        stack
            .set_flags(name, (current & !remove) | request.add)
            .map_err(|status| Error::status("ifconfig: Setting flags failed", status))?;
    }
    if let Some(mtu) = request.mtu {
        stack.set_mtu(name, mtu).map_err(|status| Error::status("ifconfig: Setting MTU failed", status))?;
    }
    Ok(())
}

/// What stands in front of the options: a family, an address, a mask. Also how many words that took.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    family: Option<Family>,
    address: Option<IpAddr>,
    mask: Option<IpAddr>,
    words: usize,
}

fn head(words: &[&str]) -> Head {
    let mut head = Head::default();
    if let Some(family) = words.first().and_then(|word| Family::named(word)) {
        head.family = Some(family);
        head.words = 1;
    }
    let Some(address) = words.get(head.words).and_then(|word| parse_address(head.family, word)) else { return head };
    head.address = Some(address);
    head.family = Some(Family::of(address));
    head.words += 1;
    head.mask = words.get(head.words).and_then(|word| parse_address(head.family, word));
    head.words += usize::from(head.mask.is_some());
    head
}

fn options(head: Head, words: &[&str]) -> Result<Request, Error> {
    let mut family = head.family;
    let mut request = Request { address: head.address, mask: head.mask, ..Request::default() };
    let mut words = words.iter().skip(head.words).copied();
    while let Some(word) = words.next() {
        match word {
            "peer" => request.peer = Some(address(family, word, words.next())?),
            "nm" | "netmask" => {
                once(request.mask.is_none(), "Netmask or prefix length is specified twice")?;
                request.mask = Some(address(family, word, words.next())?);
            }
            "prefixlen" | "plen" | "prefix-length" => {
                once(request.mask.is_none(), "Netmask or prefix length is specified twice")?;
                let family = *family.get_or_insert(Family::Inet);
                let length = words.next().unwrap_or_default();
                request.mask = length.parse().ok().and_then(|length| family.mask(length));
                if request.mask.is_none() {
                    return refuse(&format!("Option 'prefix-length {length}' is invalid for this address family"));
                }
            }
            "bc" | "broadcast" => {
                once(request.broadcast.is_none(), "broadcast address is specified twice")?;
                request.broadcast = Some(address(family, word, words.next())?);
                request.add |= IFF_BROADCAST;
            }
            "mtu" => match words.next().and_then(|word| word.parse().ok()).filter(|mtu| *mtu > 500) {
                Some(mtu) => request.mtu = Some(mtu),
                None => return refuse("Option 'mtu' expected valid max transfer unit size"),
            },
            "media" => return refuse("Unable to detect media type"),
            "up" | "-down" => request.add |= IFF_UP,
            "down" | "-up" => request.remove |= IFF_UP,
            "bcast" => request.add |= IFF_BROADCAST,
            "-bcast" => request.remove |= IFF_BROADCAST,
            "promisc" => request.add |= IFF_PROMISC,
            "-promisc" => request.remove |= IFF_PROMISC,
            "allmulti" => request.add |= IFF_ALLMULTI,
            "-allmulti" => request.remove |= IFF_ALLMULTI,
            "loopback" => request.add |= IFF_LOOPBACK,
            "auto-config" => return refuse("The net_server needs to run for the auto configuration!"),
            other => return Err(Error::Usage(format!("ifconfig: \"{other}\" is not understood here\n{USAGE}"))),
        }
    }
    once(request.add & request.remove == 0, "Contradicting flags specified")?;
    Ok(request)
}

fn once(first: bool, otherwise: &str) -> Result<(), Error> {
    if first { Ok(()) } else { refuse(otherwise) }
}

fn address(family: Option<Family>, option: &str, word: Option<&str>) -> Result<IpAddr, Error> {
    match word.and_then(|word| parse_address(family, word)) {
        Some(address) => Ok(address),
        None => refuse(&format!("Option '{option}' needs valid address parameter")),
    }
}

/// An interface, as `ifconfig` prints it.
fn describe(interface: &InterfaceInfo) -> String {
    let name = &interface.name;
    let gap = if name.len() < 8 { "\t" } else { "\n\t" };
    let kind = match interface.kind {
        IFT_ETHER => "Ethernet",
        IFT_LOOP => "Local Loopback",
        _ => "unknown",
    };
    let mac = interface.mac.map(|byte| format!("{byte:02x}")).join(":");
    let mut text = format!("{name}{gap}Hardware type: {kind}, Address: {mac}\n");
    for address in &interface.addresses {
        text += &describe_address(address, interface.flags);
    }
    text += &format!("\tMTU: {}, Metric: 0", interface.mtu);
    let set: Vec<&str> = FLAGS.iter().filter(|(flag, _)| interface.flags & flag != 0).map(|(_, name)| *name).collect();
    if interface.flags != 0 {
        text += &format!(", {}", set.join(" "));
    }
    let (receive, send) = (interface.statistics.receive, interface.statistics.send);
    text += &format!(
        "\n\tReceive: {} packets, {} errors, {} bytes, {} mcasts, {} dropped\n",
        receive.packets, receive.errors, receive.bytes, receive.multicast_packets, receive.dropped
    );
    text += &format!(
        "\tTransmit: {} packets, {} errors, {} bytes, {} mcasts, {} dropped\n",
        send.packets, send.errors, send.bytes, send.multicast_packets, send.dropped
    );
    text + &format!("\tCollisions: {}\n\n", interface.statistics.collisions)
}

fn describe_address(address: &AddressInfo, flags: u32) -> String {
    let family = match address.family {
        Family::Inet => "inet",
        Family::Inet6 => "inet6",
    };
    let mut text = format!("\t{family} addr: {}", show(address.local));
    if flags & IFF_BROADCAST != 0 {
        text += &format!(", Bcast: {}", show(address.destination));
    }
    text += &match address.family {
        Family::Inet => format!(", Mask: {}", show(address.mask)),
        Family::Inet6 => format!(", Prefix Length: {}", address.mask.map_or(0, prefix_length)),
    };
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, Error> {
        let words: Vec<&str> = line.split_whitespace().collect();
        options(head(&words), &words)
    }

    #[test]
    fn address_and_mask_come_first_and_flags_after() {
        let request = parse("10.9.0.1 255.255.255.0 mtu 1400 up").unwrap();
        assert_eq!(request.address, "10.9.0.1".parse().ok());
        assert_eq!(request.mask, "255.255.255.0".parse().ok());
        assert_eq!((request.mtu, request.add, request.remove), (Some(1400), IFF_UP, 0));
        let request = parse("inet6 fd00:9::1 prefixlen 64").unwrap();
        assert_eq!(request.mask, "ffff:ffff:ffff:ffff::".parse().ok());
        let request = parse("inet 10.9.0.1 peer 10.9.0.2 -down").unwrap();
        assert_eq!((request.peer, request.add), ("10.9.0.2".parse().ok(), IFF_UP));
    }

    #[test]
    fn what_haiku_refuses_is_refused_in_its_words() {
        let complaint = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(complaint("mtu 500"), "ifconfig: Option 'mtu' expected valid max transfer unit size");
        assert_eq!(complaint("10.9.0.1 peer"), "ifconfig: Option 'peer' needs valid address parameter");
        assert_eq!(complaint("10.9.0.1 peer fd00::2"), "ifconfig: Option 'peer' needs valid address parameter");
        assert_eq!(complaint("up down"), "ifconfig: Contradicting flags specified");
        assert_eq!(
            complaint("10.9.0.1 255.0.0.0 netmask 255.0.0.0"),
            "ifconfig: Netmask or prefix length is specified twice"
        );
        assert_eq!(complaint("prefixlen 33"), "ifconfig: Option 'prefix-length 33' is invalid for this address family");
        assert!(complaint("sideways").starts_with("ifconfig: \"sideways\" is not understood here\nusage:"));
    }
}
