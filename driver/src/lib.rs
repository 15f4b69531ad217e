//! The device core: the parts that TUN and TAP have in common.
//!
//! A [`Device`] joins a program, which reads and writes packets, with the network stack, which sends and receives
//! frames. Each direction is a bounded queue: `to_user` from the stack to the program, `to_stack` the other way.
//! A TCP acknowledgement takes the place of an earlier one of its flow that still waits for the program.
//! The [`Mode`] defines what the bytes mean, the [`Kernel`] what a thread, a lock and a packet are. The core owns queues,
//! waiting, readiness and counters, and is the same code for both modes.
//!
//! ```text
//! program --write-->  Mode::classify_to_stack -> Delivery::deliver, in the writer's thread
//!                                             \-- to_stack queue -> receive  <- the stack's reader thread
//! stack   --send--->  Mode::is_data           -> to_user queue  -> read     <- the program
//!                 \-- Mode::classify_to_user  -> the same, or answer -> to_stack queue
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod acks;
mod batch;
mod channel;
mod control;
mod counters;
mod delivery;
mod descriptor;
mod device;
mod error;
mod groups;
mod kernel;
mod limits;
mod link;
mod mode;
mod overview;
mod queue;
mod ready;
mod run;
mod selects;
mod sides;
mod to_stack;
mod to_user;

pub use batch::Batch;
pub use control::{Attachment, InterfaceState};
pub use counters::{Counters, DropReason, Dropped, MODE_REASONS, Statistics};
pub use delivery::{Delivery, Protocol};
pub use descriptor::{Blocking, Descriptor, Extent, FRAMING_HEADER, Framing};
pub use device::{Device, Snapshot, WaitPoints};
pub use error::Error;
pub use groups::Groups;
pub use kernel::{Event, Fifo, Interruptible, Kernel, Lock, Packet, SelectSync, UserMemory, WaitPoint};
pub use limits::{Backlog, Limits};
pub use link::{Link, MacAddress};
pub use mode::{
    FrameHeader, HEAD_MAX, HEAD_TO_STACK_MAX, LinkFlags, LinkSpec, Mode, SHORT_HEAD, ToStackVerdict, ToUserVerdict,
};
pub use overview::Overview;
