//! One open of a device, as the program has it: the emulated descriptor behind a real one.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use haiku_kernel::devfs::{Observer, observe};
use haiku_kernel::syscalls::{self, Fd, POLLERR, POLLHUP, POLLIN, POLLOUT, PollFd};
use haiku_sys::{B_INTERRUPTED, B_WOULD_BLOCK, FIONREAD, O_NONBLOCK, status_t};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{
    LimitsRequest, LinuxRequest, Preamble, StatisticsRequest, TUNGETIFF, TUNGETLIMITS, TUNGETSTATISTICS, TUNSETIFF,
    VERSION,
};

use crate::errno::from_status;
use crate::mirror::{Mirror, Waiting};
use crate::{haiku, names, table};

/// The longest packet that a queue must have room for before it says that it has room.
const LONGEST: i64 = 65_600;
/// Packets that the device may put into its queue itself, by answering.
const ANSWERS: i64 = 64;

/// How a device was opened, so that it can be opened again.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    node: String,
    access: u32,
    /// What `TUNSETIFF` was given, if it was.
    flags: Option<u16>,
}

/// The emulated descriptor.
#[derive(Debug)]
struct Device {
    fd: Fd,
    recipe: Recipe,
    observer: Mutex<Option<Observer>>,
    /// Packets and bytes that the queue to the stack surely takes before it could be full.
    packets: AtomicI64,
    bytes: AtomicI64,
}

/// One open: what all duplicates of a descriptor share.
#[derive(Debug)]
pub(crate) struct Open {
    mirror: Arc<Mirror>,
    /// The program's access mode; Linux and Haiku number it alike.
    access: u32,
    /// Missing until `TUNSETIFF` has named it.
    device: RwLock<Option<Arc<Device>>>,
    /// What to open again after a fork.
    resting: Mutex<Option<Recipe>>,
}

impl Open {
    /// Opens `/dev/net/tun`, of which only `TUNSETIFF` will say which device it is, or a node.
    pub(crate) fn new(node: Option<&str>, access: u32) -> Result<(Arc<Self>, RawFd), i32> {
        let (mirror, fd) = Mirror::new()?;
        let mirror = Arc::new(mirror);
        let open = Self { mirror, access, device: RwLock::new(None), resting: Mutex::new(None) };
        if let Some(node) = node {
            let recipe = Recipe { node: node.to_owned(), access, flags: None };
            let opened = open.attach(recipe).map_err(from_status);
            if let Err(errno) = opened {
                table::unhide(fd);
                return Err(errno);
            }
        }
        Ok((Arc::new(open), fd))
    }

    fn device(&self) -> Option<Arc<Device>> {
        self.device.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The emulated descriptor.
    ///
    /// # Errors
    /// `EBADFD` before `TUNSETIFF`, as on Linux.
    pub(crate) fn fd(&self) -> Result<Fd, i32> {
        self.device().map(|device| device.fd).ok_or(libc::EBADFD)
    }

    /// Opens the emulated node and mirrors its readiness from now on.
    fn attach(&self, recipe: Recipe) -> Result<Fd, status_t> {
        let fd = syscalls::open(&recipe.node, recipe.access | O_NONBLOCK)?;
        let prepared = recipe.flags.map_or(Ok(()), |flags| set_interface(fd, flags));
        let mirror = Arc::clone(&self.mirror);
        let observed = prepared.and_then(|()| {
            observe(fd, POLLIN | POLLOUT | POLLERR | POLLHUP, move |events| {
                let has = |mask: u16| events & mask != 0;
                if has(POLLERR | POLLHUP) {
                    mirror.hang_up();
                }
                mirror.notify(has(POLLIN), has(POLLOUT));
            })
        });
        let observer = observed.inspect_err(|_| {
            let _ = syscalls::close(fd);
        })?;
        let device = Device {
            fd,
            recipe,
            observer: Mutex::new(Some(observer)),
            packets: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
        };
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(device));
        Ok(fd)
    }

    /// `TUNSETIFF` on `/dev/net/tun`: becomes the unit that the name asks for, or else the lowest that is free.
    pub(crate) fn choose(&self, mode: Mode, wanted: Option<usize>, flags: u16) -> Result<(), i32> {
        if self.device().is_some() {
            return Err(libc::EINVAL);
        }
        let recipe = |node: String| Recipe { node, access: self.access, flags: Some(flags) };
        if haiku::clones() {
            return self.attach(recipe(format!("/dev/{mode}"))).map(drop).map_err(from_status);
        }
        let mut result = Err(haiku_sys::B_BUSY);
        if let Some(unit) = wanted {
            // The driver publishes a unit's node only once all units below are open.
            let below: Vec<Fd> =
                (0..unit).filter_map(|unit| syscalls::open(&mode.node(unit), self.access).ok()).collect();
            result = self.attach(recipe(mode.node(unit)));
            for fd in below {
                let _ = syscalls::close(fd);
            }
        }
        for unit in 0..256 {
            if !matches!(result, Err(haiku_sys::B_BUSY)) {
                break;
            }
            result = self.attach(recipe(mode.node(unit)));
        }
        result.map(drop).map_err(from_status)
    }

    /// Reads with `call`, which gets the emulated descriptor, waiting if the program wants to.
    pub(crate) fn read(&self, call: impl Fn(Fd) -> Result<usize, status_t>) -> Result<usize, i32> {
        let device = self.device().ok_or(libc::EBADFD)?;
        loop {
            let before = self.mirror.notifications();
            match call(device.fd) {
                Ok(length) => {
                    if self.mirror.must_look() {
                        self.is_readable();
                    }
                    return Ok(length);
                }
                Err(B_WOULD_BLOCK) => {
                    self.recover(&device);
                    if !self.mirror.seen_empty(before) {
                        continue;
                    }
                    if self.mirror.is_nonblocking() {
                        return Err(libc::EAGAIN);
                    }
                    self.mirror.wait_readable()?;
                }
                Err(status) => return Err(from_status(status)),
            }
        }
    }

    /// Writes `length` bytes with `call`, waiting if the program wants to.
    pub(crate) fn write(&self, length: usize, call: impl Fn(Fd) -> Result<usize, status_t>) -> Result<usize, i32> {
        self.write_some(call, || (1, length))
    }

    /// Writes with `call`, waiting if the program wants to; `written` then says how many packets that were, and of how
    /// many bytes at most.
    pub(crate) fn write_some(
        &self,
        call: impl Fn(Fd) -> Result<usize, status_t>,
        written: impl FnOnce() -> (u32, usize),
    ) -> Result<usize, i32> {
        let device = self.device().ok_or(libc::EBADFD)?;
        loop {
            match call(device.fd) {
                Ok(result) => {
                    let (packets, bytes) = written();
                    self.settle_writable(&device, packets, bytes);
                    return Ok(result);
                }
                Err(B_WOULD_BLOCK) => {
                    self.show_room(&device);
                    if self.mirror.is_nonblocking() {
                        return Err(libc::EAGAIN);
                    }
                    self.mirror.wait_writable()?;
                }
                Err(B_INTERRUPTED) => return Err(libc::EINTR),
                Err(status) => return Err(from_status(status)),
            }
        }
    }

    /// Asks the device whether there is something to read, and shows it.
    pub(crate) fn is_readable(&self) -> bool {
        let Some(device) = self.device() else { return true };
        self.recover(&device);
        loop {
            let before = self.mirror.notifications();
            if device.queued() > 0 || self.mirror.is_hung_up() {
                return true;
            }
            if self.mirror.seen_empty(before) {
                return false;
            }
        }
    }

    /// Ends a hang-up that the device no longer reports, because it has an interface again.
    fn recover(&self, device: &Device) {
        if !self.mirror.is_hung_up() {
            return;
        }
        let before = self.mirror.notifications();
        if device.polled(POLLERR | POLLHUP) == 0 && self.mirror.recover(before, |new| table::replace(self, new)) {
            self.show_room(device);
        }
    }

    /// Counts a thread that is about to wait in Linux until there is something to read; `None` if there is something
    /// now.
    pub(crate) fn enter(&self) -> Option<Waiting<'_>> {
        loop {
            if let Some(waiting) = self.mirror.enter() {
                return Some(waiting);
            }
            if self.is_readable() {
                return None;
            }
        }
    }

    /// From now on Linux always shows what there is to read, because a thread may wait there unseen.
    pub(crate) fn make_eager(&self) {
        self.is_readable();
        self.mirror.make_eager();
    }

    /// After a write: shows whether there is room for another. That is asked only when there might not be.
    fn settle_writable(&self, device: &Device, packets: u32, bytes: usize) {
        let packets = i64::from(packets);
        let bytes = i64::try_from(bytes).unwrap_or(LONGEST) + packets * 18;
        let packets = device.packets.fetch_sub(packets, Ordering::Relaxed) - packets;
        let bytes = device.bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if packets > 0 && bytes > LONGEST {
            return;
        }
        if self.show_room(device) {
            let (packets, bytes) = device.room().unwrap_or((0, 0));
            device.packets.store(packets - ANSWERS, Ordering::Relaxed);
            device.bytes.store(bytes - ANSWERS * 128, Ordering::Relaxed);
        }
    }

    fn show_room(&self, device: &Device) -> bool {
        if device.has_room() {
            self.mirror.set_writable(true);
            return true;
        }
        device.packets.store(0, Ordering::Relaxed);
        self.mirror.set_writable(false);
        let room = device.has_room();
        if room {
            self.mirror.set_writable(true);
        }
        room
    }

    /// What may change how much there is room for: an `ioctl`.
    pub(crate) fn forget_room(&self) {
        if let Some(device) = self.device() {
            device.packets.store(0, Ordering::Relaxed);
        }
    }

    /// The last of the program's descriptors was closed.
    pub(crate) fn close(&self) {
        names::forget(self);
        let device = self.device.write().unwrap_or_else(PoisonError::into_inner).take();
        self.mirror.end();
        if let Some(device) = device {
            device.end();
        }
    }

    /// Closes the emulated descriptor only: the Haiku behind it ends, and another will take its place.
    pub(crate) fn rest(&self) {
        let device = self.device.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(device) = device {
            *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(device.recipe.clone());
            device.end();
        }
    }

    /// Opens the emulated descriptor again.
    pub(crate) fn resume(&self) {
        let recipe = self.resting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(recipe) = recipe
            && let Err(status) = self.attach(recipe)
        {
            eprintln!("haiku-preload: a device could not be opened again: {}", haiku_stack::strerror(status));
        }
    }
}

impl Device {
    /// Bytes of the next packet; 0 if there is none.
    fn queued(&self) -> i32 {
        let mut bytes = 0_i32;
        match syscalls::ioctl_ref(self.fd, FIONREAD, &mut bytes) {
            Ok(_) => bytes,
            Err(_) => 0,
        }
    }

    /// Whether the device would take another packet now.
    fn has_room(&self) -> bool {
        self.polled(POLLOUT) != 0
    }

    /// Which of these events hold now.
    fn polled(&self, events: u16) -> u16 {
        let mut entry = [PollFd { fd: self.fd, events, revents: 0 }];
        let _ = syscalls::poll(&mut entry, 0);
        entry[0].revents & events
    }

    /// How many packets and bytes the queue to the stack has room for.
    fn room(&self) -> Option<(i64, i64)> {
        let preamble = |size: usize| Preamble { version: VERSION, size: size as u32 };
        // SAFETY: the structure is made of integers only, for which zeros are a value.
        let mut statistics: StatisticsRequest = unsafe { std::mem::zeroed() };
        statistics.preamble = preamble(size_of::<StatisticsRequest>());
        syscalls::ioctl_ref(self.fd, TUNGETSTATISTICS, &mut statistics).ok()?;
        // SAFETY: as above.
        let mut limits: LimitsRequest = unsafe { std::mem::zeroed() };
        limits.preamble = preamble(size_of::<LimitsRequest>());
        syscalls::ioctl_ref(self.fd, TUNGETLIMITS, &mut limits).ok()?;
        let left = |limit: u32, used: u64| i64::from(limit) - i64::try_from(used).unwrap_or(i64::MAX);
        Some((
            left(limits.to_stack_packets, statistics.to_stack.queued),
            left(limits.to_stack_bytes, statistics.to_stack.queued_bytes),
        ))
    }

    fn end(&self) {
        let observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(observer);
        let _ = syscalls::close(self.fd);
    }
}

/// `TUNSETIFF`, with no name: the unit is known already.
fn set_interface(fd: Fd, flags: u16) -> Result<(), status_t> {
    let mut request = LinuxRequest { name: [0; 16], flags, address: [0; 6], rest: [0; 16] };
    syscalls::ioctl_ref(fd, TUNSETIFF, &mut request).map(drop)
}

/// The interface behind an emulated descriptor: `tun/0`.
pub(crate) fn interface_of(fd: Fd) -> Option<String> {
    let mut request = LinuxRequest { name: [0; 16], flags: 0, address: [0; 6], rest: [0; 16] };
    syscalls::ioctl_ref(fd, TUNGETIFF, &mut request).ok()?;
    Some(names::text(&request.name).to_owned())
}
