//! The device core's traits, implemented with Haiku's kernel calls.

mod lock;
pub(crate) mod modules;
mod packet;
mod select;
mod semaphore;
mod user;

pub(crate) use lock::{KernelMutex, SpinLock};
pub(crate) use modules::{device_link_changed, give_modules_back, take_modules};
pub(crate) use packet::{NetBuffer, PacketList};
pub(crate) use select::{SelectEntry, event};
pub(crate) use semaphore::Semaphore;
pub(crate) use user::UserSlice;

use tuntap_driver::Kernel;

use crate::delivery::Delivery;

/// Haiku.
#[derive(Debug)]
pub(crate) enum Haiku {}

impl Kernel for Haiku {
    type Packet = NetBuffer;
    type Fifo = PacketList;
    type User = UserSlice;
    type Lock<T: Send> = SpinLock<T>;
    type Mutex<T: Send> = KernelMutex<T>;
    type WaitPoint = Semaphore;
    type Select = SelectEntry;
    type Delivery = Delivery;
}
