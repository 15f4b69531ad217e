//! The device: one unit, from its first open or interface to its last.

use core::marker::PhantomData;

use crate::channel::Channel;
use crate::link::LinkCell;
use crate::{Blocking, Descriptor, Error, Groups, Kernel, Limits, Link, LinkAddress, Lock, Mode, Statistics};

/// Proof that an interface is attached: given back on removal, and recognised when it comes too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment(u32);

/// What a debugger sees of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The interface is up.
    pub up: bool,
    /// It is, and a program listens.
    pub listening: bool,
    /// What became of every packet so far.
    pub statistics: Statistics,
}

/// What changes rarely, and in one step for both directions.
struct Control {
    /// From `open` to `free`: the unit is taken.
    taken: bool,
    /// From `open` to `close`: somebody listens.
    open: bool,
    /// The interface, if there is one.
    attached: Option<Attachment>,
    /// The number of the attachment that is next.
    next: u32,
    /// The interface is up.
    up: bool,
    /// It was at some time, or one was that it replaced.
    was_up: bool,
    /// The descriptor that is open has lost an interface that was up, and none has come up since.
    gone: bool,
    /// The program says the link works.
    carrier: bool,
}

impl Control {
    /// Nobody has the unit open and no interface is attached to it.
    const FRESH: Self = Self {
        taken: false,
        open: false,
        attached: None,
        next: 0,
        up: false,
        was_up: false,
        gone: false,
        carrier: true,
    };
}

/// One unit: `tun/0`, say. See the [crate] for a packet's way through it.
pub struct Device<M: Mode, K: Kernel> {
    control: K::Mutex<Control>,
    pub(crate) link: LinkCell,
    pub(crate) groups: Groups,
    pub(crate) to_user: Channel<K, M::State>,
    pub(crate) to_stack: Channel<K, ()>,
    mode: PhantomData<fn() -> M>,
}

impl<M: Mode, K: Kernel> Device<M, K> {
    /// The smallest MTU an interface may have: that of RFC 791.
    pub const MTU_MIN: usize = 68;
    /// The largest: what a packet of IPv4 can hold.
    pub const MTU_MAX: usize = 65535;

    /// A unit that nobody has open and no interface is attached to.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`] if the kernel has no place to wait left.
    pub fn new(address: LinkAddress, mtu: usize) -> Result<Self, Error> {
        let mtu = mtu.clamp(Self::MTU_MIN, Self::MTU_MAX);
        let longest = M::LINK.longest(mtu);
        let device = Self {
            control: K::Mutex::new(Control::FRESH),
            link: LinkCell::new(address, u32::try_from(mtu).unwrap_or(u32::MAX)),
            groups: Groups::new(),
            to_user: Channel::to_user(c"tun_tap to user", longest, M::state(address))?,
            to_stack: Channel::to_stack(c"tun_tap to stack", c"tun_tap room", longest, ())?,
            mode: PhantomData,
        };
        // Not under the mutex: the device has yet to move to its place, and a mutex that was locked once must not.
        device.apply(&Control::FRESH);
        Ok(device)
    }

    /// A program opens the unit. There is one opener at a time.
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
            control.gone = false;
            control.carrier = true;
            self.apply(control);
            Ok(Descriptor::new(blocking))
        })
    }

    /// The descriptor was closed: everyone inside a call of it returns at once, and nothing is kept for the next.
    pub fn close(&self) {
        let stale = self.control.with(|control| {
            control.open = false;
            self.apply(control);
            self.to_user.with(|state| state.purge())
        });
        drop(stale);
    }

    /// The last call of the descriptor has returned: the unit may be opened again.
    pub fn free(&self) {
        self.control.with(|control| {
            control.taken = false;
            self.apply(control);
        });
    }

    /// The stack has made an interface for the unit. One that is attached already is forgotten: the stack drops an
    /// interface from its list before it lets go of it, so its successor may come first.
    ///
    /// Whoever merely looks at an interface that does not exist makes one for that moment, as Haiku's `BNetworkDevice`
    /// does. A program that has the unit open must not notice.
    pub fn attach(&self) -> Attachment {
        let (attachment, stale) = self.control.with(|control| {
            let attachment = Attachment(control.next);
            control.next = control.next.wrapping_add(1);
            control.attached = Some(attachment);
            control.up = false;
            self.link.set_promiscuous(false);
            self.groups.clear();
            // In this order: what came between would be the old interface's, and left for the new one.
            self.apply(control);
            (attachment, self.forget())
        });
        drop(stale);
        attachment
    }

    /// The stack has removed that interface.
    pub fn detach(&self, attachment: Attachment) {
        let stale = self.control.with(|control| {
            if control.attached != Some(attachment) {
                return None;
            }
            control.attached = None;
            control.up = false;
            if core::mem::take(&mut control.was_up) {
                control.gone = control.open;
            }
            self.apply(control);
            Some(self.forget())
        });
        drop(stale);
    }

    /// `ifconfig up`. Without an interface there is nothing to be up.
    pub fn up(&self) {
        self.control.with(|control| {
            control.up = control.attached.is_some();
            if control.up {
                control.was_up = true;
                control.gone = false;
            }
            self.apply(control);
        });
    }

    /// `ifconfig down`: the stack's reader returns, even if it is just about to wait.
    pub fn down(&self) {
        let stale = self.control.with(|control| {
            control.up = false;
            self.apply(control);
            self.to_stack.with(|state| state.purge())
        });
        drop(stale);
    }

    /// The program says whether the link works.
    pub fn set_carrier(&self, carrier: bool) {
        self.control.with(|control| control.carrier = carrier);
    }

    /// Whether the link works: somebody listens, and does not say otherwise.
    #[must_use]
    pub fn has_link(&self) -> bool {
        self.control.with(|control| control.open && control.carrier)
    }

    /// Whether nobody has the unit open and no interface is attached to it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.control.with(|control| !control.taken && control.attached.is_none())
    }

    /// Whether an interface is attached, and up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.control.with(|control| control.up)
    }

    /// What is told to whom follows from what is so.
    fn apply(&self, control: &Control) {
        let lost = if control.gone { Err(Error::Gone) } else { Ok(()) };
        let closed = if control.taken && !control.open { Err(Error::Closed) } else { Ok(()) };
        let down = if control.up { Ok(()) } else { Err(Error::NetworkDown) };
        let nobody = if control.open { Ok(()) } else { Err(Error::NetworkDown) };
        self.to_user.with(|state| {
            state.up = control.up;
            state.accepting = nobody.and(down);
            state.serving = closed.and(lost);
        });
        self.to_stack.with(|state| {
            state.accepting = closed.and(lost).and(down).and(nobody);
            state.serving = down;
        });
    }

    /// Empties both queues and forgets what was learned of the interface.
    fn forget(&self) -> (K::Fifo, K::Fifo) {
        let fresh = M::state(self.link.get().address);
        let to_user = self.to_user.with(|state| {
            state.mode = fresh;
            state.purge()
        });
        (to_user, self.to_stack.with(|state| state.purge()))
    }

    /// The interface's settings.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.get()
    }

    /// Gives the interface another address.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the address of a group, or all zeros; [`Error::Busy`] while the interface is up: Haiku's ARP
    /// and neighbour discovery go on telling everyone the address that it came up with.
    pub fn set_address(&self, address: LinkAddress) -> Result<(), Error> {
        let [first, ..] = address;
        if first & 1 != 0 || address == [0; 6] {
            return Err(Error::Invalid);
        }
        self.control.with(|control| {
            if control.up && address != self.link.get().address {
                return Err(Error::Busy);
            }
            self.link.set_address(address);
            self.to_user.with(|state| M::set_address(&mut state.mode, address));
            Ok(())
        })
    }

    /// Whether frames to other stations are wanted too.
    pub fn set_promiscuous(&self, promiscuous: bool) {
        self.control.with(|_| self.link.set_promiscuous(promiscuous));
    }

    /// That interface joins a group. One that was replaced since has nothing to say.
    pub fn join(&self, attachment: Attachment, group: LinkAddress) {
        self.control.with(|control| {
            if control.attached == Some(attachment) {
                self.groups.join(group);
            }
        });
    }

    /// That interface leaves a group that it joined.
    pub fn leave(&self, attachment: Attachment, group: LinkAddress) {
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
        self.control.with(|_| {
            self.link.set_mtu(word);
            self.to_stack.set_longest(M::LINK.longest(mtu));
        });
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

    /// What became of every packet so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let (to_user, to_user_queued) = self.to_user.with(|state| (state.counters, state.backlog()));
        let (to_stack, to_stack_queued) = self.to_stack.with(|state| (state.counters, state.backlog()));
        Statistics { to_user, to_user_queued, to_stack, to_stack_queued }
    }

    /// The same for a debugger, which cannot wait for a lock: `None` if one is held.
    #[must_use]
    pub fn glance(&self) -> Option<Glance> {
        let (to_user, to_user_queued, listening) =
            self.to_user.glance(|state| (state.counters, state.backlog(), state.accepting.is_ok()))?;
        let (to_stack, to_stack_queued, up) =
            self.to_stack.glance(|state| (state.counters, state.backlog(), state.serving.is_ok()))?;
        let statistics = Statistics { to_user, to_user_queued, to_stack, to_stack_queued };
        Some(Glance { up, listening, statistics })
    }
}
