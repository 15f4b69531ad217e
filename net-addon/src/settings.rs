//! Driver settings: `settings/kernel/drivers/tun_tap`, read when the first role starts.
//!
//! ```text
//! queue_packets 512        # packets in each queue
//! queue_bytes 1048576      # bytes in each queue
//! mtu 1500                 # of a new interface, in bytes of IP
//! nodes units              # or: clone
//! link reader              # or: always
//! open owner               # or: everyone
//! log info                 # or: error, warn, debug
//! ```

use core::ffi::{CStr, c_char};
use core::ops::RangeInclusive;

use ::log::LevelFilter;
use haiku_sys as sys;
use tuntap_driver::{Limits, Lock};

use crate::kernel::SpinLock;

/// Everything that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Of each queue of a new unit.
    pub limits: Limits,
    /// Of a new interface.
    pub mtu: usize,
    /// One node for each mode, each open of which takes the lowest unit without an opener, instead of a node for each unit.
    pub clone_nodes: bool,
    /// The link is up even while no program has the unit open.
    pub link_always: bool,
    /// Any user may open a unit that has neither an owner nor a group.
    pub open_everyone: bool,
    /// What is logged.
    pub log: LevelFilter,
}

impl Settings {
    const DEFAULT: Self = Self {
        limits: Limits::DEFAULT,
        mtu: 1500,
        clone_nodes: false,
        link_always: false,
        open_everyone: false,
        log: LevelFilter::Info,
    };

    /// Takes one line of the file; says whether it was understood.
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
                self.open_everyone = value == b"everyone";
                true
            }
            (b"log", _) => level(value).map(|level| self.log = level).is_some(),
            _ => false,
        }
    }
}

static CURRENT: SpinLock<Settings> = SpinLock::free(Settings::DEFAULT);

/// The settings in force.
pub(crate) fn current() -> Settings {
    CURRENT.with(|settings| *settings)
}

/// Reads the file again, if there is one.
pub(crate) fn load() {
    let mut settings = Settings::DEFAULT;
    // In an image that was just loaded nothing is logged yet; complaints about the file are to be.
    ::log::set_max_level(settings.log);
    // SAFETY: a C string; null means no file.
    let handle = unsafe { sys::load_driver_settings(c"tun_tap".as_ptr()) };
    if !handle.is_null() {
        // SAFETY: the handle is open.
        let file = unsafe { sys::get_driver_settings(handle) };
        // SAFETY: null, or what is in the file, until it is unloaded.
        if let Some(file) = unsafe { file.as_ref() } {
            read(file, &mut settings);
        }
        // SAFETY: the handle is open, and nothing of it is used any more.
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
    // SAFETY: the kernel says how many parameters there are.
    for parameter in unsafe { core::slice::from_raw_parts(file.parameters, count) } {
        // SAFETY: a name is a C string that lives as long as the handle.
        let name = unsafe { text(parameter.name) };
        let value = if parameter.value_count == 1 {
            // SAFETY: there is one value.
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

/// # Safety
/// `text` is null or a C string that lives long enough.
unsafe fn text<'t>(text: *const c_char) -> &'t [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// A number in decimal digits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u32::from(digit - b'0')),
        _ => None,
    })
}

/// A number within bounds.
fn within(digits: &[u8], bounds: RangeInclusive<u32>) -> Option<u32> {
    decimal(digits).filter(|number| bounds.contains(number))
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
