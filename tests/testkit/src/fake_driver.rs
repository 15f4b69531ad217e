//! A driver for the stack's own tests: each device keeps what it is sent and hands up what it is given.

use std::ffi::{CStr, c_char};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use haiku_kernel::Exports;
use haiku_kernel::sync::{Condvar, Mutex, MutexGuard};
use haiku_sys::{
    B_CANCELED, B_ENTRY_NOT_FOUND, B_ERROR, B_OK, IFF_LINK, IFT_ETHER, module_info, net_buffer, net_device,
    net_device_module_info, sockaddr, sockaddr_dl, status_t,
};

use haiku_stack::lock;

use crate::card::Packet;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The state of a device, the calls that it got, and its planned behaviour.
#[derive(Debug, Default)]
pub struct State {
    /// The interface is up.
    pub up: bool,
    /// Frames that the stack sent.
    pub sent: Vec<Vec<u8>>,
    /// Frames that the reader has not taken yet.
    pub waiting: Vec<Vec<u8>>,
    /// What `send_data` returns, if not `B_OK`.
    pub refusal: status_t,
    /// How many packets it still takes before that.
    pub taken_before: usize,
    /// Whether it frees what it takes.
    pub loses: bool,
    /// What `receive_data` answers once, instead of a packet.
    pub stumble: Option<status_t>,
    /// The last bytes of the groups that were joined.
    pub groups: Vec<u8>,
    /// Calls of `uninit_device`.
    pub uninits: usize,
    /// Calls of `init_device`.
    pub inits: usize,
}

/// A device. The stack's part comes first, so that the stack's pointer is ours.
#[repr(C)]
pub struct FakeDevice {
    device: Mutex<()>,
    c: std::cell::UnsafeCell<net_device>,
    name: String,
    /// What it was told and has.
    pub state: Mutex<State>,
    changed: Condvar,
}

// SAFETY: the C part is the stack's and the tests' to share as a driver's would be.
unsafe impl Send for FakeDevice {}
// SAFETY: as above.
unsafe impl Sync for FakeDevice {}

static FAKES: Mutex<Vec<Arc<FakeDevice>>> = Mutex::new(Vec::new());
static TURN: Mutex<()> = Mutex::new(());

/// The link-layer address of the device of this number.
pub fn mac(number: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, number]
}

/// Tests take turns, because the devices are statics as a driver's are. Each starts with these.
pub fn devices(names: &[&str]) -> (MutexGuard<'static, ()>, Vec<Arc<FakeDevice>>) {
    let turn = TURN.lock();
    let fakes: Vec<Arc<FakeDevice>> =
        (1..).zip(names).map(|(number, name)| Arc::new(FakeDevice::new(name, number))).collect();
    *lock(&FAKES) = fakes.clone();
    (turn, fakes)
}

impl FakeDevice {
    fn new(name: &str, number: u8) -> Self {
        // SAFETY: zeros are a value of every field.
        let mut device: net_device = unsafe { std::mem::zeroed() };
        for (to, from) in device.name.iter_mut().zip(name.bytes()) {
            *to = from as c_char;
        }
        device.flags = IFF_LINK;
        device.r#type = IFT_ETHER;
        device.mtu = 1500;
        device.header_length = 14;
        device.address.length = 6;
        device.address.data[..6].copy_from_slice(&mac(number));
        Self {
            device: Mutex::new(()),
            c: device.into(),
            name: name.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Replaces the device's `IFF_*`.
    pub fn set_flags(&self, flags: u32) {
        let _guard = lock(&self.device);
        // SAFETY: tests change flags only while nothing else does.
        unsafe { (*self.c.get()).flags = flags };
    }

    /// Hands a frame up.
    pub fn give(&self, frame: &[u8]) {
        lock(&self.state).waiting.push(frame.to_vec());
        self.changed.notify_all();
    }

    /// Changes the state and wakes its waiters.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits until `ready` has a result.
    pub fn wait<R>(&self, ready: impl FnMut(&mut State) -> Option<R>) -> R {
        self.wait_for(PATIENCE, ready).expect("it never came to be")
    }

    /// Waits until `ready` has a result, but no longer than `patience`.
    pub fn wait_for<R>(&self, patience: Duration, mut ready: impl FnMut(&mut State) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            if let Some(result) = ready(&mut state) {
                return Some(result);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left);
        }
    }

    /// Waits for a frame of this Ethernet type to be sent, and takes it.
    pub fn sent(&self, ether_type: u16, fits: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        self.wait(|state| {
            let at = state.sent.iter().position(|frame| frame[12..14] == ether_type.to_be_bytes() && fits(frame))?;
            Some(state.sent.remove(at))
        })
    }
}

fn find(device: *mut net_device) -> Arc<FakeDevice> {
    let fakes = lock(&FAKES);
    Arc::clone(fakes.iter().find(|fake| fake.c.get() == device).expect("a device of ours"))
}

unsafe extern "C" fn init_device(name: *const c_char, device: *mut *mut net_device) -> status_t {
    // SAFETY: the stack gives a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let Some(fake) = lock(&FAKES).iter().find(|fake| fake.name == *name).cloned() else { return B_ENTRY_NOT_FOUND };
    lock(&fake.state).inits += 1;
    // SAFETY: the stack's variable.
    unsafe { *device = fake.c.get() };
    B_OK
}

unsafe extern "C" fn uninit_device(device: *mut net_device) -> status_t {
    find(device).change(|state| state.uninits += 1);
    B_ERROR
}

unsafe extern "C" fn up(device: *mut net_device) -> status_t {
    find(device).change(|state| state.up = true);
    B_OK
}

unsafe extern "C" fn down(device: *mut net_device) {
    find(device).change(|state| state.up = false);
}

unsafe extern "C" fn send_data(device: *mut net_device, buffer: *mut net_buffer) -> status_t {
    let fake = find(device);
    {
        let mut state = lock(&fake.state);
        if state.refusal != B_OK && state.taken_before == 0 {
            return state.refusal;
        }
        state.taken_before = state.taken_before.saturating_sub(1);
    }
    // SAFETY: with `B_OK` the packet is ours.
    let packet = unsafe { Packet::from_raw(buffer) };
    let bytes = packet.bytes().expect("its bytes");
    fake.change(|state| {
        if !state.loses {
            state.sent.push(bytes);
        }
    });
    B_OK
}

unsafe extern "C" fn receive_data(device: *mut net_device, buffer: *mut *mut net_buffer) -> status_t {
    let fake = find(device);
    let mut state = lock(&fake.state);
    loop {
        if !state.up {
            return B_CANCELED;
        }
        if let Some(status) = state.stumble.take() {
            fake.changed.notify_all();
            return status;
        }
        if !state.waiting.is_empty() {
            let frame = state.waiting.remove(0);
            fake.changed.notify_all();
            let packet = Packet::new(&frame).expect("a packet").into_raw();
            // SAFETY: the stack's variable.
            unsafe { *buffer = packet };
            return B_OK;
        }
        state = fake.changed.wait(state);
    }
}

unsafe extern "C" fn set_mtu(device: *mut net_device, mtu: usize) -> status_t {
    // SAFETY: the stack calls this for a device of ours.
    unsafe { (*device).mtu = mtu };
    B_OK
}

unsafe extern "C" fn add_multicast(device: *mut net_device, address: *const sockaddr) -> status_t {
    // SAFETY: the stack gives a link-layer address.
    let address = unsafe { address.cast::<sockaddr_dl>().read_unaligned() };
    find(device).change(|state| state.groups.push(address.sdl_data[5]));
    B_OK
}

/// The driver's file.
pub fn exports() -> Exports {
    struct Table(net_device_module_info, [*mut module_info; 2]);
    // SAFETY: never written after it was made.
    unsafe impl Sync for Table {}
    // SAFETY: as above.
    unsafe impl Send for Table {}
    static TABLE: OnceLock<&'static Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        // SAFETY: zeros are a table without functions.
        let mut module: net_device_module_info = unsafe { std::mem::zeroed() };
        module.info.name = c"network/devices/tun_tap/v1".as_ptr();
        module.init_device = Some(init_device);
        module.uninit_device = Some(uninit_device);
        module.up = Some(up);
        module.down = Some(down);
        module.send_data = Some(send_data);
        module.receive_data = Some(receive_data);
        module.set_mtu = Some(set_mtu);
        module.add_multicast = Some(add_multicast);
        let table = Box::leak(Box::new(Table(module, [std::ptr::null_mut(); 2])));
        table.1[0] = (&raw mut table.0).cast();
        table
    });
    Exports { modules: table.1.as_ptr(), ..Exports::NONE }
}
