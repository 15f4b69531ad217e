//! The device: one unit, and the state that both of its directions follow.

use core::marker::PhantomData;

use crate::acks::Acks;
use crate::channel::Channel;
use crate::control::Control;
use crate::link::LinkCell;
use crate::overview;
use crate::sides::{StackEnd, ToStack, ToUser};
use crate::{
    Attachment, Blocking, Descriptor, Error, Groups, Kernel, Limits, Link, Lock, MacAddress, Mode, Overview,
    Statistics, WaitPoint,
};

/// What a debugger sees of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The interface is up.
    pub up: bool,
    /// A program has the device open.
    pub open: bool,
    /// The counters of both directions.
    pub statistics: Statistics,
}

/// The direction of a program's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// A read.
    ToUser,
    /// A write.
    ToStack,
}

/// Where the threads of a device wait.
pub struct WaitPoints<K: Kernel> {
    readers: K::WaitPoint,
    receivers: K::WaitPoint,
    writers: K::WaitPoint,
}

impl<K: Kernel> WaitPoints<K> {
    /// Makes the wait points of a device.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`] if the kernel has no semaphore left.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            readers: K::WaitPoint::new(c"tun_tap to user")?,
            receivers: K::WaitPoint::new(c"tun_tap to stack")?,
            writers: K::WaitPoint::new(c"tun_tap room")?,
        })
    }
}

/// One unit: `tun/0`, say. See the [crate] for a packet's way through it.
pub struct Device<M: Mode, K: Kernel> {
    control: K::Mutex<Control>,
    pub(crate) link: LinkCell,
    pub(crate) groups: Groups,
    pub(crate) to_user: Channel<K, ToUser<K>>,
    pub(crate) to_stack: Channel<K, ToStack<K>>,
    pub(crate) delivery: K::Delivery,
    mode: PhantomData<fn() -> M>,
}

impl<M: Mode, K: Kernel> Device<M, K> {
    /// The smallest MTU an interface may have: that of RFC 791.
    pub const MTU_MIN: usize = 68;
    /// The largest MTU, and the largest packet that a program may write: what a packet of IPv4 can hold.
    pub const MTU_MAX: usize = 65535;

    /// Makes a unit without an opener and without an interface. Cannot fail, so that the compiler can build it in its place: a
    /// kernel stack has no room for copies of a device.
    #[inline]
    pub fn new(address: MacAddress, mtu: usize, delivery: K::Delivery, wait_points: WaitPoints<K>) -> Self {
        let mtu = mtu.clamp(Self::MTU_MIN, Self::MTU_MAX);
        let WaitPoints { readers, receivers, writers } = wait_points;
        Self {
            control: K::Mutex::new(Control::FRESH),
            link: LinkCell::new(address, u32::try_from(mtu).unwrap_or(u32::MAX)),
            groups: Groups::new(),
            to_user: Channel::to_user(readers, ToUser { up: false, open: false, acks: Acks::new() }),
            to_stack: Channel::to_stack(receivers, writers, ToStack { stack_end: None }),
            delivery,
            mode: PhantomData,
        }
    }

    /// Opens the unit for a program. There is one opener at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] until the one before has been freed.
    pub fn open(&self, blocking: Blocking) -> Result<Descriptor, Error> {
        self.control.with(|control| {
            if control.taken {
                return Err(Error::Busy);
            }
            control.taken = true;
            control.open = true;
            control.set_lost(false);
            control.carrier = true;
            self.apply(control);
            Ok(Descriptor::new(blocking))
        })
    }

    /// Closes the descriptor: blocked calls of it return at once, and nothing is kept for the next opener.
    pub fn close(&self) {
        let stale = self.control.with(|control| {
            control.open = false;
            self.apply(control);
            self.to_user.with(|state| state.purge())
        });
        drop(stale);
    }

    /// Frees the unit for the next opener. The last call of the descriptor has returned.
    pub fn free(&self) {
        self.control.with(|control| {
            control.taken = false;
            self.apply(control);
        });
    }

    /// Attaches an interface of the stack. It replaces one that is attached already, because the stack drops an interface
    /// from its list before it releases it, so the successor may come first.
    ///
    /// Probing an interface that does not exist makes one for that moment, as Haiku's `BNetworkDevice` does. A program that
    /// has the unit open must not notice.
    pub fn attach(&self) -> Attachment {
        let (attachment, stale) = self.control.with(|control| {
            let attachment = Attachment(control.next);
            control.next = control.next.wrapping_add(1);
            control.attached = Some(attachment);
            control.up = false;
            self.link.set_promiscuous(false);
            self.groups.clear();
            // In this order, because a packet that came between would be the old interface's, left for the new one.
            self.apply(control);
            (attachment, self.purge())
        });
        drop(stale);
        attachment
    }

    /// Detaches that interface. Ignored if `attachment` is stale.
    pub fn detach(&self, attachment: Attachment) {
        let stale = self.control.with(|control| {
            if control.attached != Some(attachment) {
                return None;
            }
            control.attached = None;
            control.up = false;
            if core::mem::take(&mut control.was_up) {
                control.set_lost(control.open);
            }
            self.apply(control);
            Some(self.purge())
        });
        drop(stale);
    }

    /// Takes the interface up; `interface` is the stack's end of it. Ignored without an attached interface.
    pub fn up(&self, interface: StackEnd<K>) {
        self.control.with(|control| {
            control.up = control.attached.is_some();
            if control.up {
                control.was_up = true;
                control.set_lost(false);
                self.to_stack.with(|state| state.side.stack_end = Some(interface));
            }
            self.apply(control);
        });
    }

    /// Takes the interface down: the stack's reader thread returns, even if it is about to wait.
    pub fn down(&self) {
        let stale = self.control.with(|control| {
            control.up = false;
            self.apply(control);
            self.to_stack.with(|state| state.purge())
        });
        drop(stale);
    }

    /// Sets whether the program says that the link works.
    pub fn set_carrier(&self, carrier: bool) {
        self.control.with(|control| control.carrier = carrier);
    }

    /// Whether the link works: a program has the unit open, and does not say otherwise.
    #[must_use]
    pub fn has_link(&self) -> bool {
        self.control.with(|control| control.has_link())
    }

    /// Whether the unit has no opener and no interface.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.control.with(|control| !control.taken && control.attached.is_none())
    }

    /// Whether an interface is attached, and up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.control.with(|control| control.up)
    }

    /// Propagates the control state to both channels.
    fn apply(&self, control: &Control) {
        let check = |holds: bool, error: Error| if holds { Ok(()) } else { Err(error) };
        let open = check(control.open, Error::Closed);
        let up = check(control.up, Error::NetworkDown);
        self.to_user.with(|state| {
            state.side.up = control.up;
            state.side.open = control.open;
            state.hung_up = !control.open || (control.lost_unread && control.lost_unwritten);
            state.serving = open.and(check(!control.lost_unread, Error::Gone));
        });
        self.to_stack.with(|state| {
            state.accepting = open.and(check(!control.lost_unwritten, Error::Gone)).and(up);
            state.serving = up;
            if !control.up {
                state.side.stack_end = None;
            }
        });
    }

    /// Makes a program's call and lets [`Error::Gone`] through once for each loss and direction. If an earlier call has
    /// reported the loss, a read waits for the next interface, and a write finds none, as after a fresh open.
    pub(crate) fn report_loss_once<R>(
        &self,
        direction: Direction,
        mut call: impl FnMut() -> Result<R, Error>,
    ) -> Result<R, Error> {
        loop {
            let result = call();
            if !matches!(result, Err(Error::Gone)) || self.acknowledge_loss(direction) {
                return result;
            }
            // A second call of a write would fetch the program's memory again.
            if direction == Direction::ToStack {
                return Err(Error::NetworkDown);
            }
        }
    }

    /// Marks the loss as reported to this direction. Whether it was not yet.
    #[cold]
    fn acknowledge_loss(&self, direction: Direction) -> bool {
        self.control.with(|control| {
            let unreported = match direction {
                Direction::ToUser => &mut control.lost_unread,
                Direction::ToStack => &mut control.lost_unwritten,
            };
            let first = core::mem::take(unreported);
            self.apply(control);
            first
        })
    }

    /// Empties both queues.
    fn purge(&self) -> (K::Fifo, K::Fifo) {
        (self.to_user.with(|state| state.purge()), self.to_stack.with(|state| state.purge()))
    }

    /// Returns the way past the queue.
    #[must_use]
    pub const fn delivery(&self) -> &K::Delivery {
        &self.delivery
    }

    /// The interface's settings.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.get()
    }

    /// Sets the interface's link address.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a group's address, or all zeros; [`Error::Busy`] while the interface is up, because Haiku's ARP
    /// and neighbour discovery keep announcing the address that it came up with.
    pub fn set_address(&self, address: MacAddress) -> Result<(), Error> {
        let [first, ..] = address;
        if first & 1 != 0 || address == [0; 6] {
            return Err(Error::Invalid);
        }
        self.control.with(|control| {
            if control.up && address != self.link.get().address {
                return Err(Error::Busy);
            }
            self.link.set_address(address);
            Ok(())
        })
    }

    /// Sets promiscuous mode.
    pub fn set_promiscuous(&self, promiscuous: bool) {
        self.control.with(|_| self.link.set_promiscuous(promiscuous));
    }

    /// Joins a multicast group. Ignored if `attachment` is stale.
    pub fn join(&self, attachment: Attachment, group: MacAddress) {
        self.control.with(|control| {
            if control.attached == Some(attachment) {
                self.groups.join(group);
            }
        });
    }

    /// Leaves a multicast group that was joined. Ignored if `attachment` is stale.
    pub fn leave(&self, attachment: Attachment, group: MacAddress) {
        self.control.with(|control| {
            if control.attached == Some(attachment) {
                self.groups.leave(group);
            }
        });
    }

    /// Sets the MTU, in bytes of IP.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not from [`Self::MTU_MIN`] to [`Self::MTU_MAX`].
    pub fn set_mtu(&self, mtu: usize) -> Result<(), Error> {
        let Ok(word) = u32::try_from(mtu) else { return Err(Error::Invalid) };
        if !(Self::MTU_MIN..=Self::MTU_MAX).contains(&mtu) {
            return Err(Error::Invalid);
        }
        self.control.with(|_| self.link.set_mtu(word));
        Ok(())
    }

    /// Queue limits: to the program, to the stack.
    #[must_use]
    pub fn limits(&self) -> (Limits, Limits) {
        (self.to_user.limits(), self.to_stack.limits())
    }

    /// Sets the queue to the program's limits.
    pub fn set_to_user_limits(&self, limits: Limits) {
        self.to_user.set_limits(limits);
    }

    /// Sets the queue to the stack's limits.
    pub fn set_to_stack_limits(&self, limits: Limits) {
        self.to_stack.set_limits(limits);
    }

    /// The counters of both directions.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        overview::statistics(&self.to_user, &self.to_stack)
    }

    /// Returns the device at one moment: its state does not change meanwhile, and each direction's counters agree with each
    /// other. May sleep.
    #[must_use]
    pub fn overview(&self) -> Overview {
        overview::overview(&self.control, &self.link, &self.to_user, &self.to_stack)
    }

    /// Returns the state and the statistics for a debugger, which cannot wait for a lock; `None` if one is held.
    #[must_use]
    pub fn try_snapshot(&self) -> Option<Snapshot> {
        let (to_user, to_user_queued, up, open) =
            self.to_user.try_with(|state| (state.counters, state.backlog(), state.side.up, state.side.open))?;
        let (to_stack, to_stack_queued) = self.to_stack.try_with(|state| (state.counters, state.backlog()))?;
        let statistics = Statistics { to_user, to_user_queued, to_stack, to_stack_queued };
        Some(Snapshot { up, open, statistics })
    }
}
