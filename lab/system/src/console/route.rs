//! `route`, with Haiku's syntax and complaints.

use std::net::IpAddr;

use haiku_sys::{RTF_DEFAULT, RTF_DYNAMIC, RTF_GATEWAY, RTF_HOST, RTF_LOCAL, RTF_MODIFIED, RTF_REJECT, RTF_STATIC};

use super::{Context, parse_address};
use haiku_stack::Error;
use haiku_stack::{Family, RouteInfo, RouteRequest, prefix_length};

const USAGE: &str = "\
usage: route [command] [<interface>] [<address family>] <address|default> [<option/flags>...]
Where <command> can be the one of:
  add                - add a route for the specified interface
  delete             - deletes the specified route
  get                - show the route that an address would take
  list               - list with filters [default]
<option> can be the following:
  netmask <addr>     - networking subnet mask
  prefixlen <number> - subnet mask length in bits
  gw <addr>          - gateway address
  mtu <bytes>        - maximal transfer unit
And <flags> can be: reject, local, host

Example:
\troute add tun/0 inet6 fd00:9:: prefixlen 64
";

/// The letters of a route's flags, in their places.
const FLAGS: [(u32, char); 6] =
    [(RTF_DEFAULT, 'D'), (RTF_REJECT, 'R'), (RTF_HOST, 'H'), (RTF_LOCAL, 'L'), (RTF_DYNAMIC, 'D'), (RTF_MODIFIED, 'M')];

/// The subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    List,
    Delete,
    Add,
    Get,
}

/// A command line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parsed {
    interface: Option<String>,
    family: Option<Family>,
    route: RouteRequest,
}

fn refuse<T>(why: &str) -> Result<T, Error> {
    Err(Error::Usage(format!("route: {why}")))
}

fn usage<T>() -> Result<T, Error> {
    Err(Error::Usage(USAGE.to_owned()))
}

/// The command.
pub(super) fn run(context: &mut Context<'_>, arguments: &[&str]) -> Result<(), Error> {
    let action = match arguments.first() {
        Some(&("--help" | "-h")) => {
            (context.out)(USAGE);
            return Ok(());
        }
        Some(&("delete" | "del" | "-d")) => Action::Delete,
        Some(&("add" | "-a")) => Action::Add,
        Some(&"get") => Action::Get,
        _ => Action::List,
    };
    let words = arguments.get(1..).unwrap_or_default();
    if action != Action::List && words.is_empty() {
        return usage();
    }
    let parsed = parse(action, words)?;
    match (action, &parsed.interface) {
        (Action::List, interface) => {
            list(context, interface.as_deref(), parsed.family);
            Ok(())
        }
        (Action::Get, _) => get(context, &parsed),
        (Action::Add, Some(name)) => context
            .stack
            .add_interface_route(name, &RouteRequest { flags: parsed.route.flags | RTF_STATIC, ..parsed.route })
            .map_err(|status| Error::status(format!("route: Could not add route for {name}"), status)),
        (Action::Delete, Some(name)) => context
            .stack
            .remove_interface_route(name, &parsed.route)
            .map_err(|status| Error::status(format!("route: Could not delete route for {name}"), status)),
        (Action::Add, None) => refuse("You need to specify an interface when adding a route."),
        (Action::Delete, None) => refuse("You need to specify an interface when removing a route."),
    }
}

/// Reads a line. Interface and family may stand in front of the destination, which is among the first three words.
fn parse(action: Action, words: &[&str]) -> Result<Parsed, Error> {
    let mut family = None;
    let mut interface = words.first().copied();
    let mut destination = None;
    let mut default = false;
    let mut at = 0;
    while at < words.len().min(3) {
        let word = words[at];
        if family.is_none() && at <= 1 {
            family = Family::named(word);
            if family.is_some() && at == 0 {
                interface = None;
            }
        }
        at += 1;
        if word == "default" {
            default = true;
        } else {
            destination = parse_address(Some(family.unwrap_or(Family::Inet)), word);
            default = destination.is_some_and(|address| address.is_unspecified());
        }
        if default || destination.is_some() {
            break;
        }
    }
    if !default && destination.is_none() && action != Action::List {
        return usage();
    }
    if at == 1 {
        interface = None;
    }
    let known = family.unwrap_or(Family::Inet);
    let mut route = RouteRequest {
        family: known,
        destination: destination.filter(|_| !default),
        mask: None,
        gateway: None,
        flags: if default { RTF_DEFAULT } else { 0 },
    };
    let rest = words.get(at..).unwrap_or_default();
    let mask = rest.first().and_then(|word| parse_address(Some(known), word));
    route.mask = mask;
    options(&mut route, rest.get(usize::from(mask.is_some())..).unwrap_or_default())?;
    // `BNetworkAddress::IsEmpty`: zeros count as no mask and no gateway.
    route.mask = route.mask.filter(|mask| !mask.is_unspecified());
    route.gateway = route.gateway.filter(|gateway| !gateway.is_unspecified());
    if route.gateway.is_some() {
        route.flags |= RTF_GATEWAY;
    }
    Ok(Parsed { interface: interface.map(str::to_owned), family, route })
}

fn options(route: &mut RouteRequest, words: &[&str]) -> Result<(), Error> {
    let family = Some(route.family);
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "gw" | "gateway" => match words.next().and_then(|word| parse_address(family, word)) {
                Some(gateway) => route.gateway = Some(gateway),
                None => return refuse("Option 'gw' needs valid address parameter"),
            },
            "nm" | "netmask" => {
                let mask = words.next().and_then(|word| parse_address(family, word));
                set_mask(route, mask, "Option 'netmask' needs valid address parameter")?;
            }
            "plen" | "prefixlen" | "prefix-length" => {
                let mask = words.next().and_then(|word| word.parse().ok()).and_then(|bits| route.family.mask(bits));
                set_mask(route, mask, "Option 'prefixlen' is invalid for this address family")?;
            }
            // The MTU of a route is read, checked and forgotten.
            "mtu" => match words.next().and_then(|word| word.parse::<u32>().ok()).filter(|mtu| *mtu > 500) {
                Some(_) => {}
                None => return refuse("Option 'mtu' exptected valid max transfer unit size"),
            },
            "host" => route.flags |= RTF_HOST,
            "local" => route.flags |= RTF_LOCAL,
            "reject" => route.flags |= RTF_REJECT,
            other => return Err(Error::Usage(format!("route: \"{other}\" is not understood here\n{USAGE}"))),
        }
    }
    Ok(())
}

fn set_mask(route: &mut RouteRequest, mask: Option<IpAddr>, complaint: &str) -> Result<(), Error> {
    if route.mask.is_some_and(|mask| !mask.is_unspecified()) {
        return refuse("Netmask or prefix length is specified twice");
    }
    if mask.is_none() {
        return refuse(complaint);
    }
    route.mask = mask;
    Ok(())
}

fn get(context: &mut Context<'_>, parsed: &Parsed) -> Result<(), Error> {
    let target = parsed.route.destination.unwrap_or(parsed.route.family.unspecified());
    let Some(route) = context.stack.route_for(target) else {
        return Err(Error::status("route: Could not get route", haiku_sys::B_ENTRY_NOT_FOUND));
    };
    let mut text = format!("{}/{} ", route.destination, route.mask.map_or(0, prefix_length));
    if let Some(gateway) = route.gateway.filter(|_| route.flags & RTF_GATEWAY != 0) {
        text += &format!("gateway {gateway} ");
    }
    let source = route.source.map_or_else(String::new, |source| source.to_string());
    context.line(&format!("{text}source {source}"));
    Ok(())
}

fn list(context: &mut Context<'_>, interface: Option<&str>, family: Option<Family>) {
    for family in Family::ALL.into_iter().filter(|each| family.is_none_or(|family| family == *each)) {
        let routes = context.stack.routes(family);
        if routes.is_empty() {
            continue;
        }
        context.line(&format!("{} routing table:", family.label()));
        context.line(&match family {
            Family::Inet => format!("{:>15} {:>15} {:>15} Flags  Interface", "Destination", "Netmask", "Gateway"),
            Family::Inet6 => format!("{:>39}     {:>39} Flags  Interface", "Destination", "Gateway"),
        });
        for route in routes.iter().filter(|route| interface.is_none_or(|name| route.interface == name)) {
            context.line(&describe(family, route));
        }
        context.line("");
    }
}

/// A line of the table.
fn describe(family: Family, route: &RouteInfo) -> String {
    let dash = || "-".to_owned();
    let gateway = route.gateway.filter(|_| route.flags & RTF_GATEWAY != 0).map_or_else(dash, |to| to.to_string());
    let flags: String =
        FLAGS.iter().map(|(flag, letter)| if route.flags & flag != 0 { *letter } else { '-' }).collect();
    match family {
        Family::Inet => {
            let mask = route.mask.map_or_else(dash, |mask| mask.to_string());
            format!("{:>15} {mask:>15}  {gateway:>15} {flags} {}", route.destination.to_string(), route.interface)
        }
        Family::Inet6 => {
            let mask = route.mask.map_or_else(String::new, |mask| format!("/{}", prefix_length(mask)));
            format!("{:>39}{mask:<5}{gateway:>39} {flags} {}", route.destination.to_string(), route.interface)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(action: Action, line: &str) -> Parsed {
        let words: Vec<&str> = line.split_whitespace().collect();
        parse(action, &words).unwrap()
    }

    #[test]
    fn interface_and_family_stand_in_front_of_the_destination() {
        let route = parsed(Action::Add, "tun/0 inet6 fd00:9:: prefixlen 64");
        assert_eq!(route.interface.as_deref(), Some("tun/0"));
        assert_eq!(route.route.destination, "fd00:9::".parse().ok());
        assert_eq!(route.route.mask, Family::Inet6.mask(64));
        let route = parsed(Action::Add, "tap/0 inet6 ff02::1:ff00:12");
        assert_eq!((route.interface.as_deref(), route.route.mask), (Some("tap/0"), None));
        let route = parsed(Action::Add, "tun/0 10.7.0.0 255.255.0.0 gw 10.9.0.2");
        assert_eq!((route.route.mask, route.route.flags), (Family::Inet.mask(16), RTF_GATEWAY));
    }

    #[test]
    fn a_default_route_is_a_word_or_zeros_with_any_mask() {
        for line in ["default", "0.0.0.0", "0.0.0.0 netmask 128.0.0.0", "0.0.0.0 prefixlen 1", "0.0.0.0 0.0.0.0"] {
            let route = parsed(Action::Add, &format!("tun/0 {line} gw 10.9.0.2")).route;
            assert_eq!((route.flags, route.destination), (RTF_DEFAULT | RTF_GATEWAY, None), "{line}");
        }
    }

    #[test]
    fn a_zero_mask_or_gateway_counts_as_absent() {
        let route = parsed(Action::Add, "tun/0 10.7.0.1 0.0.0.0 netmask 255.255.255.255 gw 0.0.0.0").route;
        assert_eq!((route.mask, route.gateway, route.flags), (Family::Inet.mask(32), None, 0));
    }

    #[test]
    fn a_list_may_name_interface_and_family_or_nothing() {
        assert_eq!(parsed(Action::List, "").interface, None);
        assert_eq!(parsed(Action::List, "inet6").family, Some(Family::Inet6));
        assert_eq!(parsed(Action::List, "tun/0 inet").interface.as_deref(), Some("tun/0"));
        assert_eq!(parsed(Action::List, "tun/0").interface, None, "Haiku takes a single word for a destination");
    }

    #[test]
    fn what_haiku_refuses_is_refused_in_its_words() {
        let complaint = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            parse(Action::Add, &words).unwrap_err().to_string()
        };
        assert!(complaint("tun/0 nowhere").starts_with("usage: route"));
        assert_eq!(complaint("tun/0 10.0.0.0 gw fd00::1"), "route: Option 'gw' needs valid address parameter");
        assert_eq!(
            complaint("tun/0 10.0.0.0 prefixlen 33"),
            "route: Option 'prefixlen' is invalid for this address family"
        );
        assert_eq!(
            complaint("tun/0 10.0.0.0 255.0.0.0 prefixlen 8"),
            "route: Netmask or prefix length is specified twice"
        );
    }
}
