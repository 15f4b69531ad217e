//! Driver settings: `headers/os/drivers/driver_settings.h`.

use core::ffi::{c_char, c_int};

/// One line of a settings file: a name, its values, and what stands in braces after it.
#[repr(C)]
pub struct driver_parameter {
    /// The first word.
    pub name: *mut c_char,
    /// How many words follow it.
    pub value_count: c_int,
    /// The words that follow it.
    pub values: *mut *mut c_char,
    /// How many parameters stand in braces after it.
    pub parameter_count: c_int,
    /// The parameters in braces.
    pub parameters: *mut driver_parameter,
}

/// A whole settings file.
#[repr(C)]
pub struct driver_settings {
    /// How many parameters.
    pub parameter_count: c_int,
    /// The parameters.
    pub parameters: *mut driver_parameter,
}
