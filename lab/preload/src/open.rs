//! One open of a device, as the program has it: the emulated descriptor behind a real one.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use haiku_kernel::devfs::{Observer, observe};
use haiku_kernel::syscalls::{self, Fd, POLLERR, POLLHUP, POLLIN, POLLOUT, PollFd};
use haiku_sys::{B_INTERRUPTED, B_WOULD_BLOCK, FIONREAD, O_NONBLOCK, status_t};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{LinuxRequest, TUNGETIFF, TUNSETIFF};

use crate::errno::from_status;
use crate::mirror::Mirror;
use crate::{hidden, names};

/// The emulated descriptor.
#[derive(Debug)]
struct Device {
    fd: Fd,
    observer: Mutex<Option<Observer>>,
}

/// Puts a new socket under all the program's numbers of a device.
type Replace = fn(&Open, RawFd);

/// One open: what all duplicates of a descriptor share.
#[derive(Debug)]
pub(crate) struct Open {
    mirror: Arc<Mirror>,
    /// The program's access mode; Linux and Haiku number it alike.
    access: u32,
    replace: Replace,
    /// Missing until `TUNSETIFF` has named it.
    device: RwLock<Option<Arc<Device>>>,
}

impl Open {
    /// Opens `/dev/net/tun`, of which only `TUNSETIFF` will say which device it is, or a node.
    pub(crate) fn new(node: Option<&str>, access: u32, replace: Replace) -> Result<(Arc<Self>, RawFd), i32> {
        let (mirror, fd) = Mirror::new()?;
        let open = Self { mirror: Arc::new(mirror), access, replace, device: RwLock::new(None) };
        if let Some(node) = node
            && let Err(status) = open.attach(node, None)
        {
            hidden::unhide(fd);
            return Err(from_status(status));
        }
        Ok((Arc::new(open), fd))
    }

    /// Its address, for comparison only.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
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

    /// Opens the emulated node, gives it these flags by `TUNSETIFF` and mirrors its readiness from now on.
    fn attach(&self, node: &str, flags: Option<u16>) -> Result<(), status_t> {
        let fd = syscalls::open(node, self.access | O_NONBLOCK)?;
        let prepared = flags.map_or(Ok(()), |flags| set_interface(fd, flags));
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
        let device = Device { fd, observer: Mutex::new(Some(observer)) };
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(device));
        Ok(())
    }

    /// `TUNSETIFF` on `/dev/net/tun`: becomes the unit that the name asks for, or else the lowest that is free. With
    /// `clones` one node stands for all units.
    pub(crate) fn choose(&self, mode: Mode, wanted: Option<usize>, flags: u16, clones: bool) -> Result<(), i32> {
        if self.device().is_some() {
            return Err(libc::EINVAL);
        }
        let attach = |node: &str| self.attach(node, Some(flags));
        if clones {
            return attach(&format!("/dev/{mode}")).map_err(from_status);
        }
        let mut result = Err(haiku_sys::B_BUSY);
        if let Some(unit) = wanted {
            // The driver publishes a unit's node only once all units below are open.
            let below: Vec<Fd> =
                (0..unit).filter_map(|unit| syscalls::open(&mode.node(unit), self.access).ok()).collect();
            result = attach(&mode.node(unit));
            for fd in below {
                let _ = syscalls::close(fd);
            }
        }
        for unit in 0..256 {
            if !matches!(result, Err(haiku_sys::B_BUSY)) {
                break;
            }
            result = attach(&mode.node(unit));
        }
        result.map_err(from_status)
    }

    /// Reads with `call`, which gets the emulated descriptor, waiting if the program wants to.
    pub(crate) fn read(&self, call: impl Fn(Fd) -> Result<usize, status_t>) -> Result<usize, i32> {
        let device = self.device().ok_or(libc::EBADFD)?;
        loop {
            let before = self.mirror.notifications();
            match call(device.fd) {
                Ok(length) => {
                    self.is_readable();
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

    /// Writes with `call`, waiting if the program wants to.
    pub(crate) fn write(&self, call: impl Fn(Fd) -> Result<usize, status_t>) -> Result<usize, i32> {
        let device = self.device().ok_or(libc::EBADFD)?;
        loop {
            match call(device.fd) {
                Ok(result) => {
                    self.show_room(&device);
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
        if device.polled(POLLERR | POLLHUP) == 0 && self.mirror.recover(before, |new| (self.replace)(self, new)) {
            self.show_room(device);
        }
    }

    /// Shows whether there is room for another packet.
    fn show_room(&self, device: &Device) {
        let has_room = device.has_room();
        self.mirror.set_writable(has_room);
        // What became of it meanwhile was notified while the mirror showed room.
        if !has_room && device.has_room() {
            self.mirror.set_writable(true);
        }
    }

    /// The last of the program's descriptors was closed.
    pub(crate) fn close(&self) {
        names::forget(self.id());
        let device = self.device.write().unwrap_or_else(PoisonError::into_inner).take();
        self.mirror.end();
        if let Some(device) = device {
            device.end();
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
