//! The log: `log`'s facade in front of the kernel's `dprintf`. Never a line per packet.

use core::fmt::{self, Write};

use haiku_sys as sys;
use log::{Log, Metadata, Record};

/// What messages of the driver role begin with.
pub(crate) const DRIVER_ROLE: &str = "driver";
/// What messages of the module role begin with.
pub(crate) const MODULE_ROLE: &str = "module";

/// The longest line; longer ones are cut.
const LINE: usize = 256;

struct KernelLog;

impl Log for KernelLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = Line::new();
        // The only error is a truncated line.
        let _ = line.write_str("tun_tap: ");
        let _ = line.write_str(record.target());
        let _ = line.write_str(": ");
        let _ = line.write_fmt(*record.args());
        let _ = line.write_str("\n");
        // SAFETY: the format takes one C string, and the line ends with a zero.
        unsafe { sys::dprintf(c"%s".as_ptr(), line.as_ptr()) };
    }

    fn flush(&self) {}
}

/// Connects the `log` crate to the kernel's log. Both roles call it; the second call changes nothing.
pub(crate) fn start() {
    static LOG: KernelLog = KernelLog;
    let _ = log::set_logger(&LOG);
}

/// A line of text in a fixed buffer, always terminated by a zero.
pub(crate) struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; LINE], length: 0 }
    }

    /// Returns its first bytes, zero-padded.
    pub(crate) fn prefix<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= LINE) };
        self.bytes.first_chunk().copied().unwrap_or([0; N])
    }

    /// Returns the line as a C string.
    pub(crate) fn as_ptr(&self) -> *const core::ffi::c_char {
        self.bytes.as_ptr().cast()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last byte stays zero.
        for &byte in text.as_bytes() {
            match self.bytes.get_mut(self.length) {
                Some(place) if self.length < LINE - 1 => *place = byte,
                _ => return Err(fmt::Error),
            }
            self.length += 1;
        }
        Ok(())
    }
}
