//! Straight delivery: a program's IP packets go to their protocol in the writer's thread, as the stack's consumer thread
//! would hand them over, without the reader thread, the consumer thread and the queue between them.
//!
//! A packet goes through the queue instead while a packet capture runs, because only the reader thread feeds captures, and
//! while the interface has no address of the packet's family. With several processors, and the setting `auto`, it does so also
//! while the program is behind with reading: the stack's threads then do the protocols' work on another processor. The stack
//! tells a driver neither of captures nor of addresses, so the writer looks at the interface when the last look is
//! [`LOOK_EVERY`] old.
//!
//! Packets that went through the queue may still be on their way when the next is written. To keep their order, straight
//! delivery of a protocol resumes with the first packet after [`QUIET`] without one that was queued.

use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use haiku_sys as sys;
use sys::{bigtime_t, net_buffer, net_device, net_device_monitor, net_domain, status_t};
use tuntap_driver::{FrameHeader, Lock, Protocol};

use crate::kernel::{KernelMutex, NetBuffer, modules, with_consumers_priority};
use crate::settings::{self, DeliverySetting};
use crate::stack::{HeldDomain, Module, Name, NetInterface, domain, protocol_module};

/// How old the last look at the interface may be, in microseconds.
const LOOK_EVERY: bigtime_t = 10_000;
/// How long a protocol's queued packets are taken to be on their way, in microseconds.
const QUIET: bigtime_t = 1_000_000;

/// The stack's end of an interface that is up.
///
/// # Invariants
///
/// `device` is alive while the device core has this value in its state, which `uninit_device` clears.
#[derive(Clone, Copy)]
pub(crate) struct StackEnd {
    device: *mut net_device,
    /// The device's index, by which protocols find the interface.
    index: u32,
}

// SAFETY: a `net_device` belongs to no thread; what of it is written here is written atomically.
unsafe impl Send for StackEnd {}

impl StackEnd {
    /// Returns the stack's end of an interface.
    ///
    /// # Safety
    /// `device` is alive, has its index, and stays until the core no longer has this value.
    pub(crate) unsafe fn new(device: *mut net_device) -> Self {
        // SAFETY: the caller's promise.
        Self { device, index: unsafe { (*device).index } }
    }
}

/// The state of one protocol.
///
/// # Invariants
///
/// `domain` is null, or stays registered while the reference to the protocol's module is held (`holds_module`).
struct Way {
    /// The family's domain, if the interface has an address in it.
    domain: AtomicPtr<net_domain>,
    /// When a packet was last queued, in microseconds; 0 if all have arrived.
    queued_at: AtomicI64,
    /// A reference to the protocol's module was taken, and its domain stays registered.
    holds_module: AtomicBool,
}

impl Way {
    const fn new() -> Self {
        Self { domain: AtomicPtr::new(null_mut()), queued_at: AtomicI64::new(0), holds_module: AtomicBool::new(false) }
    }

    /// Whether straight delivery resumes after queued packets: all have arrived.
    #[cold]
    #[inline(never)]
    fn resumes(&self, is_drained: impl FnOnce() -> bool) -> bool {
        let queued_at = self.queued_at.load(Ordering::Relaxed);
        // A writer that notes a packet meanwhile keeps its note.
        now() - queued_at >= QUIET
            && is_drained()
            && self.queued_at.compare_exchange(queued_at, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Returns the protocol's domain, or null while the interface has no address in it. The first time that it has one, a
    /// reference to the protocol's module is taken for the unit, so that the domain stays registered although the last
    /// socket of the family may be closed.
    fn find_domain(
        &self,
        stack: &sys::net_stack_module_info,
        interface: &NetInterface<'_>,
        protocol: Protocol,
    ) -> *mut net_domain {
        let found = domain(stack, family(protocol));
        if found.is_null() || interface.address(found).is_err() {
            return null_mut();
        }
        if self.holds_module.load(Ordering::Relaxed) {
            return found;
        }
        let Ok(module) = Module::<sys::module_info>::take(protocol_module(family(protocol))) else { return null_mut() };
        // Given back when the unit's delivery state is dropped.
        core::mem::forget(module);
        self.holds_module.store(true, Ordering::Relaxed);
        // The domain may have been registered anew before the reference was taken.
        domain(stack, family(protocol))
    }
}

const fn family(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Ipv4 => sys::AF_INET,
        Protocol::Ipv6 => sys::AF_INET6,
    }
}

/// What of an interface a driver is not told, and has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The interface is in promiscuous mode.
    pub promiscuous: bool,
}

/// How the packets of one unit are delivered.
pub(crate) struct Delivery {
    /// The setting allows straight delivery.
    is_allowed: bool,
    /// It is left to the reader while the program is behind with reading.
    yields: bool,
    ways: [Way; 2],
    /// A packet capture runs.
    is_captured: AtomicBool,
    /// When the interface was looked at last, in microseconds.
    looked_at: AtomicI64,
    is_looking: AtomicBool,
    /// Held while a look registers a monitor. The stack then takes its lock for all devices and the one for the monitors of
    /// this device. A capture that unregisters because the interface goes down takes them in the opposite order, so that
    /// both together would lock the stack up. `down_device_interface` clears `IFF_UP` and calls our `down` before.
    registering: KernelMutex<()>,
}

impl Delivery {
    /// Returns the state of a unit whose interface was not looked at yet.
    pub(crate) fn new() -> Self {
        Self {
            is_allowed: settings::current().delivery != DeliverySetting::Reader,
            yields: settings::current().yields_to_reader(),
            ways: [const { Way::new() }; 2],
            is_captured: AtomicBool::new(false),
            looked_at: AtomicI64::new(-LOOK_EVERY),
            is_looking: AtomicBool::new(false),
            registering: KernelMutex::new(()),
        }
    }

    fn way(&self, protocol: Protocol) -> &Way {
        let [ipv4, ipv6] = &self.ways;
        match protocol {
            Protocol::Ipv4 => ipv4,
            Protocol::Ipv6 => ipv6,
        }
    }

    /// Looks at the interface of this name again, if the last look is old. Called with no lock held.
    #[inline]
    pub(crate) fn look(&self, name: impl FnOnce() -> Option<Name>) -> Option<Look> {
        if now() - self.looked_at.load(Ordering::Relaxed) < LOOK_EVERY {
            return None;
        }
        self.look_now(&name()?)
    }

    #[cold]
    #[inline(never)]
    fn look_now(&self, name: &Name) -> Option<Look> {
        // Two looks at once would take each other for a capture.
        if self.is_looking.swap(true, Ordering::Acquire) {
            return None;
        }
        let look = self.look_at(name);
        if look.is_none() {
            self.ways.iter().for_each(|way| way.domain.store(null_mut(), Ordering::Release));
        }
        self.looked_at.store(now(), Ordering::Relaxed);
        self.is_looking.store(false, Ordering::Release);
        look
    }

    /// Returns a domain that stays registered because the unit holds its protocol's module.
    fn own_domain(&self, stack: &sys::net_stack_module_info) -> Option<*mut net_domain> {
        let ways = self.ways.iter().zip([Protocol::Ipv4, Protocol::Ipv6]);
        let mut own = ways.filter(|(way, _)| way.holds_module.load(Ordering::Relaxed));
        own.next().map(|(_, protocol)| domain(stack, family(protocol))).filter(|domain| !domain.is_null())
    }

    /// Waits until no look registers a monitor. None does once `IFF_UP` is clear.
    pub(crate) fn wait_for_look(&self) {
        self.registering.with(|()| ());
    }

    /// Whether a capture is registered for a device that is up. The caller holds its interface.
    fn find_capture(&self, stack: &sys::net_stack_module_info, device: *mut net_device) -> bool {
        self.registering.with(|()| {
            // SAFETY: the interface that the caller holds keeps the device.
            let flags = unsafe { &raw const (*device).flags };
            // SAFETY: as above; the stack changes the word whole.
            let flags = unsafe { flags.read_volatile() };
            flags & sys::IFF_UP != 0 && is_captured(stack, device)
        })
    }

    fn look_at(&self, name: &Name) -> Option<Look> {
        let (stack, datalink) = (modules::stack()?, modules::datalink()?);
        let protocols = [Protocol::Ipv4, Protocol::Ipv6];
        let mut held = None;
        let any = match self.own_domain(stack) {
            Some(domain) => domain,
            None => {
                let take = |protocol| HeldDomain::take(stack, family(protocol)).ok();
                held.insert(protocols.into_iter().find_map(take)?).domain()
            }
        };
        let interface = NetInterface::find(datalink, any, name).ok()?;
        if self.is_allowed {
            self.is_captured.store(self.find_capture(stack, interface.device()), Ordering::Relaxed);
            for (way, protocol) in self.ways.iter().zip(protocols) {
                way.domain.store(way.find_domain(stack, &interface, protocol), Ordering::Release);
            }
        }
        Some(Look { promiscuous: interface.flags() & sys::IFF_PROMISC != 0 })
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        for (way, protocol) in self.ways.iter_mut().zip([Protocol::Ipv4, Protocol::Ipv6]) {
            if *way.holds_module.get_mut() {
                // SAFETY: a reference was taken in `Way::find_domain`.
                unsafe { sys::put_module(protocol_module(family(protocol)).as_ptr()) };
            }
        }
    }
}

impl tuntap_driver::Delivery<NetBuffer> for Delivery {
    type StackEnd = StackEnd;

    #[inline]
    fn is_direct(
        &self,
        protocol: Protocol,
        keeps_up: impl FnOnce() -> bool,
        is_drained: impl FnOnce() -> bool,
    ) -> bool {
        let way = self.way(protocol);
        // In this order: `look_at` stores the domain last.
        if way.domain.load(Ordering::Acquire).is_null()
            || self.is_captured.load(Ordering::Relaxed)
            || (self.yields && !keeps_up())
        {
            return false;
        }
        way.queued_at.load(Ordering::Relaxed) == 0 || way.resumes(is_drained)
    }

    fn note_queued(&self, protocol: Protocol) {
        if self.is_allowed {
            self.way(protocol).queued_at.store(now().max(1), Ordering::Relaxed);
        }
    }

    #[inline]
    fn count_received(interface: StackEnd, bytes: usize) {
        // SAFETY: the invariant of `StackEnd`: the core calls this while it has the value.
        let stats = unsafe { &raw mut (*interface.device).stats.receive };
        // SAFETY: as above.
        let packets = unsafe { &raw mut (*stats).packets };
        // SAFETY: as above.
        let total = unsafe { &raw mut (*stats).bytes };
        // SAFETY: the word is alive and aligned; the stack adds to it atomically too.
        unsafe { AtomicU32::from_ptr(packets) }.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(total) }.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    // A call costs 20 instructions for each packet.
    #[inline(always)]
    fn deliver(&self, interface: StackEnd, mut packet: NetBuffer, header: &FrameHeader, crowded: bool) {
        let Some(protocol) = header.protocol() else { return };
        let domain = self.way(protocol).domain.load(Ordering::Acquire);
        // SAFETY: null, or a domain that stays registered while the unit holds the protocol's module.
        let Some(domain) = (unsafe { domain.as_ref() }) else { return };
        // SAFETY: a domain's protocol is its module's table, which stays with it.
        let Some(receive_data) = (unsafe { domain.module.as_ref() }).and_then(|module| module.receive_data) else {
            return;
        };
        packet.describe(header, interface.index);
        let buffer = packet.into_raw();
        // SAFETY: the packet is ours to give, whole, and described as the deframer and the consumer thread would.
        let receive = || unsafe { receive_data(buffer) };
        let received = if crowded { with_consumers_priority(receive) } else { receive() };
        if received != sys::B_OK {
            // SAFETY: a protocol that fails leaves the packet to the caller.
            drop(unsafe { NetBuffer::from_raw(buffer) });
        }
    }
}

/// Whether a capture is registered for a device: a monitor of our own, registered for a moment, is not alone in the list.
fn is_captured(stack: &sys::net_stack_module_info, device: *mut net_device) -> bool {
    let (Some(register), Some(unregister)) = (stack.register_device_monitor, stack.unregister_device_monitor) else {
        return true;
    };
    let monitor = UnsafeCell::new(net_device_monitor {
        link: sys::list_link { next: null_mut(), prev: null_mut() },
        cookie: null_mut(),
        receive: Some(ignore_packet),
        event: Some(ignore_event),
    });
    // SAFETY: the caller holds a reference to the interface, so the device stays; the monitor outlives its registration.
    if unsafe { register(device, monitor.get()) } != sys::B_OK {
        return true;
    }
    // SAFETY: the monitor is alive.
    let link = unsafe { &raw const (*monitor.get()).link };
    // SAFETY: as above; the stack changes the words whole.
    let link = unsafe { link.read_volatile() };
    // SAFETY: registered above.
    unsafe { unregister(device, monitor.get()) };
    !link.next.is_null() || !link.prev.is_null()
}

/// # Safety
/// Has no requirements; the arguments are not used.
unsafe extern "C" fn ignore_packet(_: *mut net_device_monitor, _: *mut net_buffer) -> status_t {
    sys::B_OK
}

/// # Safety
/// Has no requirements; the arguments are not used.
unsafe extern "C" fn ignore_event(_: *mut net_device_monitor, _: i32) {}

fn now() -> bigtime_t {
    // SAFETY: a plain call.
    unsafe { sys::system_time() }
}
