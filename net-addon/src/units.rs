//! All units of a mode: the table, the nodes, and the leases that keep a unit alive.

use core::ops::Deref;

use tuntap_driver::{Error, Lock, MacAddress, Mode, WaitPoints};
use tuntap_tap::Tap;
use tuntap_tun::Tun;

use crate::ioctl::wire::TunFlags;
use crate::kernel::SpinLock;
use crate::reasons::{Place, TAP_PLACES, TUN_PLACES};
use crate::rescan::rescan;
use crate::settings;
use crate::shared::Shared;
use crate::unit::{Unit, random_address};

/// How many units of each mode there can be.
pub(crate) const UNITS: usize = 256;

static TUN: Units<Tun> = Units::new();
static TAP: Units<Tap> = Units::new();

/// A mode that has units: each has its own table of them, in a static that generic code can find.
pub(crate) trait Kind: Mode + Sized {
    /// Its flag in Linux's `TUNSETIFF`.
    const FLAG: TunFlags;
    /// Its type in FreeBSD's `TUNGIFINFO`.
    const BSD_TYPE: u8;
    /// What is counted at each position of the statistics' dropped packets.
    const DROPPED: &'static [Place];
    /// Returns the table.
    fn units() -> &'static Units<Self>;
}

impl Kind for Tun {
    const FLAG: TunFlags = TunFlags::TUN;
    /// `IFT_PPP`.
    const BSD_TYPE: u8 = 0x17;
    const DROPPED: &'static [Place] = TUN_PLACES;

    fn units() -> &'static Units<Self> {
        &TUN
    }
}

impl Kind for Tap {
    const FLAG: TunFlags = TunFlags::TAP;
    /// `IFT_ETHER`.
    const BSD_TYPE: u8 = 0x06;
    const DROPPED: &'static [Place] = TAP_PLACES;

    fn units() -> &'static Units<Self> {
        &TAP
    }
}

/// An entry of the table.
struct Slot<M: Mode> {
    unit: Option<Shared<Unit<M>>>,
    /// How many leases there are.
    leases: u32,
    /// Whether it ever had a lease: then its node stays, so that no node is removed while a program uses it.
    used: bool,
    /// The unit's last link address, which it keeps while the system runs.
    address: Option<MacAddress>,
}

/// The units of one mode.
pub(crate) struct Units<M: Mode> {
    slots: SpinLock<[Slot<M>; UNITS]>,
}

/// A reference to a unit. The last one deletes the unit.
pub(crate) struct Lease<M: Kind> {
    unit: Shared<Unit<M>>,
}

impl<M: Kind> Units<M> {
    const fn new() -> Self {
        Self { slots: SpinLock::free([const { Slot::FREE }; UNITS]) }
    }

    /// Leases a unit, and makes it if it does not exist. The first lease of a unit publishes another node.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there is no such number, [`Error::NoMemory`].
    pub(crate) fn lease(&self, number: usize) -> Result<Lease<M>, Error> {
        let (lease, new_node) = match self.lease_of(number, None) {
            Some(leased) => leased,
            None => self.lease_of(number, Some(&self.make(number)?)).ok_or(Error::Invalid)?,
        };
        if new_node == NewNode::Due {
            rescan();
        }
        Ok(lease)
    }

    /// Makes a unit. Called outside the lock, because this allocates. If another thread was faster, the unit is dropped.
    ///
    /// Never inlined: a unit on its way to the heap takes some kilobytes of the stack, which the kernel needs when it rescans
    /// the nodes.
    #[inline(never)]
    fn make(&self, number: usize) -> Result<Shared<Unit<M>>, Error> {
        let address = self.address(number).unwrap_or_else(random_address);
        let (settings, wait_points) = (settings::current(), WaitPoints::new()?);
        let unit = Shared::make(|| Unit::new(number, address, settings.mtu, wait_points))?;
        unit.device.set_to_user_limits(settings.limits);
        unit.device.set_to_stack_limits(settings.limits);
        Ok(unit)
    }

    /// Leases the existing unit, or else `fresh`.
    fn lease_of(&self, number: usize, fresh: Option<&Shared<Unit<M>>>) -> Option<(Lease<M>, NewNode)> {
        let (unit, new_node) = self.slots.with(|slots| slots.get_mut(number)?.lease(fresh))?;
        Some((Lease { unit }, new_node))
    }

    /// Returns the unit's last link address.
    fn address(&self, number: usize) -> Option<MacAddress> {
        self.slots.with(|slots| slots.get(number)?.address)
    }

    /// Whether a unit has a node: every unit that was ever used, and the lowest unused one.
    pub(crate) fn has_node(&self, number: usize) -> bool {
        self.slots.with(|slots| {
            let unused = slots.iter().position(|slot| !slot.used);
            unused == Some(number) || slots.get(number).is_some_and(|slot| slot.used)
        })
    }

    /// Forgets the nodes and addresses of units that are not in use, as a freshly loaded image would.
    pub(crate) fn forget_unused(&self) {
        self.slots.with(|slots| {
            for slot in slots.iter_mut().filter(|slot| slot.unit.is_none()) {
                *slot = Slot::FREE;
            }
        });
    }

    /// Returns the unit of the lowest number that is at least `from`. It may lose its opener and its interface meanwhile, and
    /// another unit take its number.
    pub(crate) fn next(&self, from: usize) -> Option<Shared<Unit<M>>> {
        self.slots.with(|slots| slots.iter().skip(from).find_map(|slot| slot.unit.clone()))
    }

    /// Calls `look` with each unit. Returns `None` if the table's lock is held, for a debugger, which cannot wait.
    pub(crate) fn try_for_each(&self, mut look: impl FnMut(&Unit<M>)) -> Option<()> {
        self.slots.try_with(|slots| slots.iter().filter_map(|slot| slot.unit.as_ref()).for_each(|unit| look(unit)))
    }
}

/// Whether a lease was the first of its unit, so that another node must be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewNode {
    Due,
    NotDue,
}

impl<M: Mode> Slot<M> {
    /// A place without a unit.
    const FREE: Self = Self { unit: None, leases: 0, used: false, address: None };

    /// Adds a lease of the existing unit, or else of `fresh`.
    fn lease(&mut self, fresh: Option<&Shared<Unit<M>>>) -> Option<(Shared<Unit<M>>, NewNode)> {
        let unit = match (&self.unit, fresh) {
            (Some(unit), _) => unit.clone(),
            (None, Some(fresh)) => fresh.clone(),
            (None, None) => return None,
        };
        self.unit = Some(unit.clone());
        self.leases += 1;
        let node = if self.used { NewNode::NotDue } else { NewNode::Due };
        self.used = true;
        Some((unit, node))
    }
}

impl<M: Kind> Deref for Lease<M> {
    type Target = Unit<M>;

    fn deref(&self) -> &Unit<M> {
        &self.unit
    }
}

impl<M: Kind> Drop for Lease<M> {
    fn drop(&mut self) {
        // The unit is dropped outside the lock, because that calls the kernel.
        let last = M::units().slots.with(|slots| {
            let slot = slots.get_mut(self.unit.number)?;
            slot.leases = slot.leases.saturating_sub(1);
            if slot.leases > 0 {
                return None;
            }
            slot.address = Some(self.device.link().address);
            slot.unit.take()
        });
        drop(last);
    }
}
