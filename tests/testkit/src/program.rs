//! [`Program`]: a program of the emulated userland that has a unit open, with its memory.

use std::net::IpAddr;
use std::sync::OnceLock;

use haiku_kernel::syscalls::{self, FdSet, PollFd};
use haiku_kernel::user;
use haiku_sys::{FIONREAD, O_NONBLOCK, O_RDWR, status_t};
use haiku_system::Mode;
use tuntap_net_addon::ioctl::wire::{
    DirectionStatistics, LimitsRequest, LinuxRequest, PeerRequest, Preamble, STATISTICS_VERSION, StatisticsRequest,
    TUNGETIFF, TUNGETLIMITS, TUNGETSTATISTICS, TUNSETIFF, TUNSETLIMITS, VERSION,
};
use tuntap_net_addon::reasons::NAMES;
use zerocopy::{FromBytes, IntoBytes};

use crate::suite::{Blocking, Fd};

/// `IFF_NO_PI`.
pub const NO_PI: u16 = 0x1000;

/// An open unit. It is closed by [`Self::close`], or with the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    fd: Fd,
}

impl Program {
    /// Opens a node, to wait.
    pub fn open(node: &str) -> Result<Self, status_t> {
        Self::with_mode(node, O_RDWR)
    }

    /// Opens a node with `O_*`.
    pub fn with_mode(node: &str, mode: u32) -> Result<Self, status_t> {
        syscalls::open(node, mode).map(|fd| Self { fd })
    }

    /// Opens a mode's first unit, to wait.
    #[must_use]
    pub fn waiting(mode: Mode) -> Self {
        Self::open(&mode.node(0)).expect("the unit is free")
    }

    /// Opens a mode's first unit, not to wait.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let fd = syscalls::open(&mode.node(0), O_RDWR | O_NONBLOCK).expect("the unit is free");
        Self { fd }
    }

    /// A descriptor that the caller opened and closes.
    #[must_use]
    pub const fn borrow(fd: Fd) -> Self {
        Self { fd }
    }

    /// The descriptor.
    #[must_use]
    pub fn fd(&self) -> Fd {
        self.fd
    }

    /// Another of the same open.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { fd: syscalls::dup(self.fd).expect("a descriptor") }
    }

    /// Closes it.
    pub fn close(self) {
        syscalls::close(self.fd).expect("it was open");
    }

    /// Lets its calls wait, or not.
    pub fn set_blocking(&self, blocking: Blocking) {
        let flags = if blocking == Blocking::DontWait { O_NONBLOCK } else { 0 };
        syscalls::fcntl(self.fd, syscalls::F_SETFL, flags as usize).expect("it is open");
    }

    /// Reads into so much room.
    pub fn read(&self, room: usize) -> Result<Vec<u8>, status_t> {
        let mut buffer = vec![0; room];
        let length = syscalls::read(self.fd, &mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Reads into more room than any packet needs.
    pub fn packet(&self) -> Result<Vec<u8>, status_t> {
        self.read(1 << 17)
    }

    /// Writes a packet.
    pub fn write(&self, packet: &[u8]) -> Result<usize, status_t> {
        syscalls::write(self.fd, packet)
    }

    /// Reads to any user address.
    pub fn read_at(&self, address: usize, length: usize) -> Result<usize, status_t> {
        syscalls::read_raw(self.fd, address, length)
    }

    /// Writes from any user address.
    pub fn write_at(&self, address: usize, length: usize) -> Result<usize, status_t> {
        syscalls::write_raw(self.fd, address, length)
    }

    /// `FIONREAD`.
    pub fn readable(&self) -> Result<i32, status_t> {
        self.exchange(FIONREAD, -1i32)
    }

    /// Events that hold now, of these, errors and hang-ups.
    #[must_use]
    pub fn ready(&self, events: u16) -> u16 {
        self.poll(events, 0).expect("no signal came")
    }

    /// `poll`; a negative timeout waits for ever.
    pub fn poll(&self, events: u16, timeout: i64) -> Result<u16, status_t> {
        let mut entries = [PollFd { fd: self.fd, events, revents: 0 }];
        syscalls::poll(&mut entries, timeout)?;
        Ok(entries[0].revents)
    }

    /// `select` for reading, waiting for ever.
    pub fn select_read(&self) -> Result<bool, status_t> {
        let mut set = FdSet::default();
        set.insert(self.fd);
        syscalls::select(self.fd + 1, Some(&mut set), None, None, -1)?;
        Ok(set.contains(self.fd))
    }

    /// `select` for writing, waiting for ever.
    pub fn select_write(&self) -> Result<bool, status_t> {
        let mut set = FdSet::default();
        set.insert(self.fd);
        syscalls::select(self.fd + 1, None, Some(&mut set), None, -1)?;
        Ok(set.contains(self.fd))
    }

    /// `ioctl` with a number, or any user address.
    pub fn control(&self, op: u32, argument: usize) -> Result<(), status_t> {
        syscalls::ioctl(self.fd, op, argument, 0).map(drop)
    }

    /// `ioctl` with a pointer to a value, as from C.
    pub fn exchange<T: FromBytes + IntoBytes>(&self, op: u32, mut value: T) -> Result<T, status_t> {
        self.control(op, user_address(value.as_mut_bytes()))?;
        Ok(value)
    }

    /// What became of every packet.
    #[must_use]
    pub fn statistics(&self) -> StatisticsRequest {
        self.try_statistics().expect("statistics")
    }

    /// The same where a test has the kernel fail.
    pub fn try_statistics(&self) -> Result<StatisticsRequest, status_t> {
        let request = StatisticsRequest { preamble: preamble::<StatisticsRequest>(), ..zeroed() };
        self.exchange(TUNGETSTATISTICS, request)
    }

    /// Fails unless every packet is accounted for.
    pub fn check_accounts(&self) {
        check_accounts(&self.statistics());
    }

    /// The same where a test has the kernel fail: the accounts may not be told.
    pub fn check_accounts_if_told(&self) {
        if let Ok(statistics) = self.try_statistics() {
            check_accounts(&statistics);
        }
    }

    /// Limits of the queues: packets and bytes to the program, packets and bytes to the stack.
    #[must_use]
    pub fn limits(&self) -> [u32; 4] {
        let request = LimitsRequest { preamble: preamble::<LimitsRequest>(), ..zeroed() };
        let limits = self.exchange(TUNGETLIMITS, request).expect("limits");
        [limits.to_user_packets, limits.to_user_bytes, limits.to_stack_packets, limits.to_stack_bytes]
    }

    /// Sets them.
    pub fn set_limits(&self, [packets, bytes, to_stack_packets, to_stack_bytes]: [u32; 4]) -> Result<(), status_t> {
        let request = LimitsRequest {
            preamble: preamble::<LimitsRequest>(),
            to_user_packets: packets,
            to_user_bytes: bytes,
            to_stack_packets,
            to_stack_bytes,
        };
        self.exchange(TUNSETLIMITS, request).map(drop)
    }

    /// `TUNSETIFF` without a name.
    pub fn set_interface(&self, flags: u16) -> Result<(), status_t> {
        self.exchange(TUNSETIFF, LinuxRequest { flags, ..zeroed() }).map(drop)
    }

    /// The name that `TUNGETIFF` tells.
    #[must_use]
    pub fn interface(&self) -> String {
        let request: LinuxRequest = self.exchange(TUNGETIFF, zeroed()).expect("a name");
        let name = request.name.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}

/// A request with nothing in it.
#[must_use]
pub fn zeroed<T: FromBytes>() -> T {
    T::new_zeroed()
}

/// What a request of the driver's own begins with.
#[must_use]
pub fn preamble<T>() -> Preamble {
    // The sizes of all requests differ.
    let version = if size_of::<T>() == size_of::<StatisticsRequest>() { STATISTICS_VERSION } else { VERSION };
    Preamble { version, size: size_of::<T>() as u32 }
}

/// The argument of `TUNSETPEER` for this peer.
#[must_use]
pub fn peer_request(peer: IpAddr) -> PeerRequest {
    let mut address = [0; 16];
    let ip_version = match peer {
        IpAddr::V4(peer) => {
            address[..4].copy_from_slice(&peer.octets());
            4
        }
        IpAddr::V6(peer) => {
            address = peer.octets();
            6
        }
    };
    PeerRequest { preamble: preamble::<PeerRequest>(), ip_version, address }
}

/// Fails unless every packet is accounted for.
pub fn check_accounts(statistics: &StatisticsRequest) {
    for (way, direction) in [("to user", statistics.to_user), ("to stack", statistics.to_stack)] {
        assert_eq!(direction.accepted, accounted(&direction), "{way}: {direction:?}");
    }
}

/// How many packets of a direction are accounted for.
#[must_use]
pub fn accounted(direction: &DirectionStatistics) -> u64 {
    direction.delivered + direction.answered + direction.purged + dropped(direction) + direction.queued
}

/// How many packets of a direction were dropped for the reason of this name.
#[must_use]
pub fn dropped_for(direction: &DirectionStatistics, reason: &str) -> u64 {
    direction.dropped[NAMES.iter().position(|name| *name == reason).expect("the name of a drop reason")]
}

/// How many packets of a direction were dropped for any reason.
#[must_use]
pub fn dropped(direction: &DirectionStatistics) -> u64 {
    direction.dropped.iter().sum()
}

/// The address of memory as a program has it.
#[must_use]
pub fn user_address(memory: &mut [u8]) -> usize {
    user::to_user(memory.as_mut_ptr() as usize)
}

/// Bytes of user addresses where nothing is.
pub const NOTHING: usize = 1 << 20;

/// A user address where nothing is, nor ever will be.
#[must_use]
pub fn nowhere() -> usize {
    static START: OnceLock<usize> = OnceLock::new();
    user::to_user(*START.get_or_init(|| reserve(NOTHING)))
}

/// Memory that ends where nothing is.
#[derive(Debug)]
pub struct Cliff {
    page: usize,
}

impl Cliff {
    const PAGE: usize = 4096;

    /// A page of memory, and none behind it.
    #[must_use]
    pub fn new() -> Self {
        let page = reserve(2 * Self::PAGE);
        // SAFETY: the first of two pages that were reserved just now.
        let status =
            unsafe { libc::mprotect(page as *mut libc::c_void, Self::PAGE, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(status, 0, "a page");
        Self { page }
    }

    /// The user address of the last bytes before the edge, which become these.
    pub fn edge(&mut self, bytes: &[u8]) -> usize {
        let page = self.page as *mut u8;
        // SAFETY: the page is ours, readable and writable, until `self` goes.
        let page = unsafe { std::slice::from_raw_parts_mut(page, Self::PAGE) };
        let start = Self::PAGE - bytes.len();
        page[start..].copy_from_slice(bytes);
        user::to_user(self.page + start)
    }
}

impl Cliff {
    /// The last bytes before the edge.
    #[must_use]
    pub fn read(&self, length: usize) -> Vec<u8> {
        let page = self.page as *const u8;
        // SAFETY: the page is ours, and readable, until `self` goes.
        let page = unsafe { std::slice::from_raw_parts(page, Self::PAGE) };
        page[Self::PAGE - length..].to_vec()
    }

    /// Makes the memory fit to be read only.
    pub fn protect(&mut self) {
        // SAFETY: the page belongs to `self` until it is dropped; only `edge` writes to it, before this call.
        let status = unsafe { libc::mprotect(self.page as *mut libc::c_void, Self::PAGE, libc::PROT_READ) };
        assert_eq!(status, 0, "a page");
    }
}

impl Default for Cliff {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cliff {
    fn drop(&mut self) {
        // SAFETY: the two pages belong to `self`, and its addresses are not used after this.
        unsafe { libc::munmap(self.page as *mut libc::c_void, 2 * Self::PAGE) };
    }
}

/// Reserves addresses where nothing is.
fn reserve(bytes: usize) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses; it can be neither read nor written.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "{bytes} bytes of addresses");
    start as usize
}
