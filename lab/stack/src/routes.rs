//! One family's routing table, ordered and searched as Haiku's is.
//!
//! The table is generic over what a route leads to, so that it can be tested without a network.

use std::net::IpAddr;
use std::sync::Arc;

use haiku_sys::{
    B_BAD_VALUE, B_ENTRY_NOT_FOUND, B_FILE_EXISTS, RTF_DEFAULT, RTF_GATEWAY, RTF_HOST, RTF_LOCAL, status_t,
};

use super::address::{Family, is_contiguous, masked};

/// What a route leads to: an address of an interface.
pub(crate) trait Target {
    /// Whether both are the same object; equal contents are not enough.
    fn is(&self, other: &Self) -> bool;
    /// Whether the device behind it has `IFF_LINK`.
    fn has_link(&self) -> bool;
    /// The speed of the device behind it, which orders default routes.
    fn link_speed(&self) -> u64;
}

/// A route as it is asked for, by `route` or by a driver.
#[derive(Clone, Debug)]
pub(crate) struct Description<T> {
    /// Where to; may only be missing with `RTF_DEFAULT`.
    pub destination: Option<IpAddr>,
    /// Which bits of it count; without one all do.
    pub mask: Option<IpAddr>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// `RTF_*`.
    pub flags: u32,
    /// The interface address; may only be missing when a route is removed.
    pub target: Option<T>,
}

/// A route of the table.
#[derive(Clone, Debug)]
pub(crate) struct Route<T> {
    /// Where to, with the mask applied.
    pub destination: IpAddr,
    /// Which bits of it count.
    pub mask: Option<IpAddr>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// `RTF_*`.
    pub flags: u32,
    /// The interface address that packets leave by.
    pub target: T,
}

/// The flags that tell two routes to the same place apart.
const IDENTITY: u32 = RTF_GATEWAY | RTF_HOST | RTF_LOCAL | RTF_DEFAULT;

/// One family's routes.
#[derive(Debug)]
pub(crate) struct Table<T> {
    family: Family,
    routes: Vec<Arc<Route<T>>>,
}

impl<T: Target + Clone> Table<T> {
    /// An empty table.
    #[must_use]
    pub(crate) fn new(family: Family) -> Self {
        Self { family, routes: Vec::new() }
    }

    /// The routes in the order in which they are tried.
    #[must_use]
    pub(crate) fn routes(&self) -> &[Arc<Route<T>>] {
        &self.routes
    }

    /// Adds a route. The MTU that `route add` can be given is ignored, as Haiku ignores it.
    ///
    /// # Errors
    /// `B_BAD_VALUE` for a description that makes no route, `B_FILE_EXISTS` if there is one like it.
    pub(crate) fn add(&mut self, new: &Description<T>) -> Result<(), status_t> {
        let Some(target) = new.target.clone() else { return Err(B_BAD_VALUE) };
        if (new.flags & RTF_HOST != 0 && new.mask.is_some())
            || (new.flags & RTF_DEFAULT == 0 && new.destination.is_none())
            || (new.flags & RTF_GATEWAY != 0 && new.gateway.is_none())
            || new.mask.is_some_and(|mask| !is_contiguous(mask))
        {
            return Err(B_BAD_VALUE);
        }
        if self.position(new).is_some() {
            return Err(B_FILE_EXISTS);
        }
        let route = if new.flags & RTF_DEFAULT != 0 {
            // A default route always has a destination and a mask of zeros.
            let zeros = self.family.unspecified();
            Route { destination: zeros, mask: Some(zeros), gateway: new.gateway, flags: new.flags, target }
        } else {
            let destination = new.destination.unwrap_or(self.family.unspecified());
            let destination = new.mask.map_or(destination, |mask| masked(destination, mask));
            Route { destination, mask: new.mask, gateway: new.gateway, flags: new.flags, target }
        };
        let at = self.routes.iter().position(|before| self.goes_before(&route, before)).unwrap_or(self.routes.len());
        self.routes.insert(at, Arc::new(route));
        Ok(())
    }

    /// Removes the route of this description and returns it, to be dropped when the table is no longer locked.
    ///
    /// # Errors
    /// `B_ENTRY_NOT_FOUND` if there is none.
    pub(crate) fn remove(&mut self, description: &Description<T>) -> Result<Arc<Route<T>>, status_t> {
        let at = self.position(description).ok_or(B_ENTRY_NOT_FOUND)?;
        Ok(self.routes.remove(at))
    }

    /// Removes every route whose target is chosen, and returns them: the last reference to an interface address must not be
    /// dropped under the table's lock.
    pub(crate) fn invalidate(&mut self, chosen: impl Fn(&T) -> bool) -> Vec<Arc<Route<T>>> {
        let (gone, kept) = std::mem::take(&mut self.routes).into_iter().partition(|route| chosen(&route.target));
        self.routes = kept;
        gone
    }

    /// The route for an address: the first that matches and has a link, or else the first that matches.
    #[must_use]
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<Arc<Route<T>>> {
        let matches = |route: &&Arc<Route<T>>| match route.mask {
            Some(mask) => masked(address, mask) == route.destination,
            None => address == route.destination,
        };
        let mut candidates = self.routes.iter().filter(matches);
        let mut unlinked = None;
        candidates
            .find(|route| {
                if !route.target.has_link() {
                    unlinked.get_or_insert(Arc::clone(route));
                    return false;
                }
                true
            })
            .cloned()
            .or(unlinked)
    }

    /// Whether a new route goes in front of one that is there.
    fn goes_before(&self, new: &Route<T>, before: &Route<T>) -> bool {
        if self.family.first_mask_bit(before.mask) > self.family.first_mask_bit(new.mask) {
            return true;
        }
        new.flags & before.flags & RTF_DEFAULT != 0 && before.target.link_speed() < new.target.link_speed()
    }

    /// Where the route of this description is.
    fn position(&self, description: &Description<T>) -> Option<usize> {
        let empty = self.family.unspecified();
        let same = |a: Option<IpAddr>, b: Option<IpAddr>| a.unwrap_or(empty) == b.unwrap_or(empty);
        self.routes.iter().position(|route| {
            let same_target = description.target.as_ref().is_none_or(|target| route.target.is(target));
            if route.flags & description.flags & RTF_DEFAULT != 0 {
                return description.target.is_some() && same_target;
            }
            let wanted = description.destination.unwrap_or(empty);
            let same_destination = match description.mask {
                Some(mask) => masked(route.destination, mask) == masked(wanted, mask),
                None => route.destination == wanted,
            };
            route.flags & IDENTITY == description.flags & IDENTITY
                && same_destination
                && same(route.mask, description.mask)
                && same(route.gateway, description.gateway)
                && same_target
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Port {
        name: &'static str,
        link: bool,
        speed: u64,
    }

    impl Target for Port {
        fn is(&self, other: &Self) -> bool {
            self.name == other.name
        }
        fn has_link(&self) -> bool {
            self.link
        }
        fn link_speed(&self) -> u64 {
            self.speed
        }
    }

    fn port(name: &'static str) -> Port {
        Port { name, link: true, speed: 0 }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn subnet(destination: &str, prefix: u32, target: Port) -> Description<Port> {
        let destination = ip(destination);
        let mask = Family::of(destination).mask(prefix);
        Description { destination: Some(destination), mask, gateway: None, flags: 0, target: Some(target) }
    }

    fn default(gateway: &str, target: Port) -> Description<Port> {
        Description {
            destination: None,
            mask: None,
            gateway: Some(ip(gateway)),
            flags: RTF_DEFAULT | RTF_GATEWAY,
            target: Some(target),
        }
    }

    #[test]
    fn ipv4_prefers_the_longest_prefix() {
        let mut table = Table::new(Family::Inet);
        table.add(&default("192.168.0.1", port("eth"))).unwrap();
        table.add(&subnet("10.0.0.0", 8, port("wide"))).unwrap();
        table.add(&subnet("10.9.0.7", 24, port("narrow"))).unwrap();
        assert_eq!(table.lookup(ip("10.9.0.2")).unwrap().target.name, "narrow");
        assert_eq!(table.lookup(ip("10.8.0.2")).unwrap().target.name, "wide");
        assert_eq!(table.lookup(ip("8.8.8.8")).unwrap().gateway, Some(ip("192.168.0.1")));
        assert_eq!(table.routes()[0].destination, ip("10.9.0.0"));
    }

    #[test]
    fn ipv6_prefers_the_shortest_prefix_as_haiku_does() {
        let mut table = Table::new(Family::Inet6);
        table.add(&subnet("fd00:9::", 64, port("narrow"))).unwrap();
        table.add(&subnet("fd00::", 8, port("wide"))).unwrap();
        assert_eq!(table.lookup(ip("fd00:9::2")).unwrap().target.name, "wide");
        table.add(&default("fd00::1", port("eth"))).unwrap();
        assert_eq!(table.lookup(ip("fd00:9::2")).unwrap().target.name, "eth");
    }

    #[test]
    fn a_route_without_link_is_passed_over() {
        let mut table = Table::new(Family::Inet);
        table.add(&subnet("10.9.0.0", 24, Port { name: "dead", link: false, speed: 0 })).unwrap();
        assert_eq!(table.lookup(ip("10.9.0.2")).unwrap().target.name, "dead");
        table.add(&subnet("10.0.0.0", 8, port("alive"))).unwrap();
        assert_eq!(table.lookup(ip("10.9.0.2")).unwrap().target.name, "alive");
    }

    #[test]
    fn the_faster_default_route_wins() {
        let mut table = Table::new(Family::Inet);
        table.add(&default("1.1.1.1", Port { name: "slow", link: true, speed: 10 })).unwrap();
        table.add(&default("2.2.2.2", Port { name: "fast", link: true, speed: 100 })).unwrap();
        assert_eq!(table.lookup(ip("8.8.8.8")).unwrap().target.name, "fast");
    }

    #[test]
    fn twice_the_same_is_refused_and_so_is_nonsense() {
        let mut table = Table::new(Family::Inet);
        table.add(&subnet("10.9.0.0", 24, port("a"))).unwrap();
        assert_eq!(table.add(&subnet("10.9.0.9", 24, port("a"))), Err(B_FILE_EXISTS));
        assert_eq!(table.add(&subnet("10.9.0.9", 24, port("b"))), Ok(()));
        let no_target = Description { target: None, ..subnet("10.7.0.0", 24, port("a")) };
        assert_eq!(table.add(&no_target), Err(B_BAD_VALUE));
        let holes = Description { mask: Some(ip("255.0.255.0")), ..subnet("10.7.0.0", 24, port("a")) };
        assert_eq!(table.add(&holes), Err(B_BAD_VALUE));
        let no_gateway = Description { flags: RTF_GATEWAY, ..subnet("10.7.0.0", 24, port("a")) };
        assert_eq!(table.add(&no_gateway), Err(B_BAD_VALUE));
        let masked_host = Description { flags: RTF_HOST, ..subnet("10.7.0.0", 24, port("a")) };
        assert_eq!(table.add(&masked_host), Err(B_BAD_VALUE));
    }

    #[test]
    fn what_was_added_can_be_removed_once() {
        let mut table = Table::new(Family::Inet);
        table.add(&subnet("10.9.0.0", 24, port("a"))).unwrap();
        table.remove(&subnet("10.9.0.0", 24, port("a"))).unwrap();
        assert_eq!(table.remove(&subnet("10.9.0.0", 24, port("a"))).err(), Some(B_ENTRY_NOT_FOUND));
        table.add(&subnet("10.9.0.0", 24, port("a"))).unwrap();
        table.add(&subnet("10.8.0.0", 24, port("b"))).unwrap();
        assert_eq!(table.invalidate(|target| target.name == "a").len(), 1);
        assert_eq!(table.routes().len(), 1);
    }
}
