//! What an administrator sees of a device without opening it.

use crate::channel::Channel;
use crate::control::{Control, InterfaceState};
use crate::link::LinkCell;
use crate::sides::{ToStack, ToUser};
use crate::{Kernel, Limits, Link, Lock, Statistics};

/// A device at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    /// A program has the device open.
    pub open: bool,
    /// The interface.
    pub interface: InterfaceState,
    /// The link works: see [`Device::has_link`](crate::Device::has_link).
    pub has_link: bool,
    /// The interface's settings.
    pub link: Link,
    /// The limits of the queue to the program.
    pub to_user_limits: Limits,
    /// The limits of the queue to the stack.
    pub to_stack_limits: Limits,
    /// The counters of both directions.
    pub statistics: Statistics,
}

/// Returns a device at one moment. One copy serves every mode.
#[inline(never)]
pub(crate) fn overview<K: Kernel>(
    control: &K::Mutex<Control>,
    link: &LinkCell,
    to_user: &Channel<K, ToUser<K>>,
    to_stack: &Channel<K, ToStack<K>>,
) -> Overview {
    control.with(|control| Overview {
        open: control.open,
        interface: control.interface(),
        has_link: control.has_link(),
        link: link.get(),
        to_user_limits: to_user.limits(),
        to_stack_limits: to_stack.limits(),
        statistics: statistics(to_user, to_stack),
    })
}

/// Returns the counters of both directions. One copy serves every mode and every caller.
#[inline(never)]
pub(crate) fn statistics<K: Kernel>(to_user: &Channel<K, ToUser<K>>, to_stack: &Channel<K, ToStack<K>>) -> Statistics {
    let (to_user, to_user_queued) = to_user.look(|state| (state.counters, state.backlog()));
    let (to_stack, to_stack_queued) = to_stack.look(|state| (state.counters, state.backlog()));
    Statistics { to_user, to_user_queued, to_stack, to_stack_queued }
}
