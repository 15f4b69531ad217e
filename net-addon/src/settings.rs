//! Driver settings: `settings/kernel/drivers/tun_tap`, read when the first role starts.
//!
//! ```text
//! queue_packets 512        # packets in each queue
//! queue_bytes 1048576      # bytes in each queue
//! mtu 1500                 # of a new interface, in bytes of IP
//! nodes units              # or: clone
//! link reader              # or: always
//! open owner               # or: everyone
//! delivery auto            # or: direct, reader
//! log info                 # or: error, warn, debug
//! ```

use core::ffi::{CStr, c_char};
use core::ops::RangeInclusive;

use ::log::LevelFilter;
use haiku_sys as sys;
use tuntap_driver::{Limits, Lock};

use crate::kernel::SpinLock;

/// How a program's packets reach the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliverySetting {
    /// `Direct`; with several processors `Reader` while the program is behind with reading.
    Auto,
    /// To their protocol, in the writer's thread.
    Direct,
    /// Through the queue and the stack's reader thread.
    Reader,
}

/// All settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The limits of each queue of a new unit.
    pub limits: Limits,
    /// The MTU of a new interface.
    pub mtu: usize,
    /// One node for each mode, whose open takes the lowest unit without an opener, instead of a node for each unit.
    pub clone_nodes: bool,
    /// The link is up even while no program has the unit open.
    pub link_always: bool,
    /// Any user may open a unit that has neither an owner nor a group.
    pub open_to_all: bool,
    /// How a program's packets reach the stack.
    pub delivery: DeliverySetting,
    /// The log level.
    pub log: LevelFilter,
}

impl Settings {
    const DEFAULT: Self = Self {
        limits: Limits::DEFAULT,
        mtu: 1500,
        clone_nodes: false,
        link_always: false,
        open_to_all: false,
        delivery: DeliverySetting::Auto,
        log: LevelFilter::Info,
    };

    /// Whether the stack's threads take over the protocols' work from a program that is behind with reading.
    pub(crate) fn yields_to_reader(&self) -> bool {
        // SAFETY: a plain call.
        self.delivery == DeliverySetting::Auto && unsafe { sys::smp_get_num_cpus() } > 1
    }

    /// Applies one line of the file. Returns whether it was understood.
    fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        match (name, value) {
            (b"queue_packets", _) => within(value, 1..=Limits::MOST.packets).map(|n| self.limits.packets = n).is_some(),
            (b"queue_bytes", _) => within(value, 1..=Limits::MOST.bytes).map(|n| self.limits.bytes = n).is_some(),
            (b"mtu", _) => within(value, 68..=65535).map(|n| self.mtu = n as usize).is_some(),
            (b"nodes", b"units" | b"clone") => {
                self.clone_nodes = value == b"clone";
                true
            }
            (b"link", b"reader" | b"always") => {
                self.link_always = value == b"always";
                true
            }
            (b"open", b"owner" | b"everyone") => {
                self.open_to_all = value == b"everyone";
                true
            }
            (b"delivery", _) => delivery(value).map(|delivery| self.delivery = delivery).is_some(),
            (b"log", _) => level(value).map(|level| self.log = level).is_some(),
            _ => false,
        }
    }
}

static CURRENT: SpinLock<Settings> = SpinLock::free(Settings::DEFAULT);

/// Returns the current settings.
pub(crate) fn current() -> Settings {
    CURRENT.with(|settings| *settings)
}

/// Reads the file again, if there is one.
pub(crate) fn load() {
    let mut settings = Settings::DEFAULT;
    // In a freshly loaded image the level is still off, but errors in the file must be logged.
    ::log::set_max_level(settings.log);
    // SAFETY: a C string; null means no file.
    let handle = unsafe { sys::load_driver_settings(c"tun_tap".as_ptr()) };
    if !handle.is_null() {
        // SAFETY: the handle is open.
        let file = unsafe { sys::get_driver_settings(handle) };
        // SAFETY: null, or the parsed file, which lives until it is unloaded below.
        if let Some(file) = unsafe { file.as_ref() } {
            read(file, &mut settings);
        }
        // SAFETY: the handle is open, and nothing from it is used after this.
        unsafe { sys::unload_driver_settings(handle) };
    }
    ::log::set_max_level(settings.log);
    CURRENT.with(|current| *current = settings);
}

fn read(file: &sys::driver_settings, settings: &mut Settings) {
    let count = usize::try_from(file.parameter_count).unwrap_or(0);
    if count == 0 {
        return;
    }
    // SAFETY: the kernel's parser made the array and counted its elements; they live as long as the handle.
    for parameter in unsafe { core::slice::from_raw_parts(file.parameters, count) } {
        // SAFETY: a name is a C string that lives as long as the handle.
        let name = unsafe { text(parameter.name) };
        let value = if parameter.value_count == 1 {
            // SAFETY: the array has one element.
            let value = unsafe { *parameter.values };
            // SAFETY: a value is a C string that lives as long as the handle.
            unsafe { text(value) }
        } else {
            b""
        };
        if !settings.set(name, value) {
            let (name, value) = (core::str::from_utf8(name), core::str::from_utf8(value));
            ::log::error!(
                target: "settings",
                "\"{} {}\" is not understood and was ignored: see the comments in the settings file",
                name.unwrap_or("?"), value.unwrap_or("?"),
            );
        }
    }
}

/// Returns the bytes of a C string; none for null.
///
/// # Safety
/// `text` is null or a C string that lives for `'t`.
unsafe fn text<'t>(text: *const c_char) -> &'t [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// Parses a decimal number.
pub(crate) fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u32::from(digit - b'0')),
        _ => None,
    })
}

/// Parses a decimal number within bounds.
fn within(digits: &[u8], bounds: RangeInclusive<u32>) -> Option<u32> {
    decimal(digits).filter(|number| bounds.contains(number))
}

fn delivery(name: &[u8]) -> Option<DeliverySetting> {
    match name {
        b"auto" => Some(DeliverySetting::Auto),
        b"direct" => Some(DeliverySetting::Direct),
        b"reader" => Some(DeliverySetting::Reader),
        _ => None,
    }
}

fn level(name: &[u8]) -> Option<LevelFilter> {
    match name {
        b"error" => Some(LevelFilter::Error),
        b"warn" => Some(LevelFilter::Warn),
        b"info" => Some(LevelFilter::Info),
        b"debug" => Some(LevelFilter::Debug),
        _ => None,
    }
}
