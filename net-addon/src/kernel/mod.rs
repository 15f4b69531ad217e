//! Haiku's kernel calls, as the device core wants them.

mod lock;
pub(crate) mod modules;
mod packet;
mod priority;
mod select;
mod semaphore;
mod user;

pub(crate) use lock::{KernelMutex, SpinLock};
pub(crate) use modules::{device_link_changed, give_modules_back, take_modules};
pub(crate) use packet::{NetBuffer, PacketList};
pub(crate) use priority::with_consumers_priority;
pub(crate) use select::{SelectEntry, event};
pub(crate) use semaphore::Semaphore;
pub(crate) use user::UserSlice;
