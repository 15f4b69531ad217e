//! The system log: the lines of `dprintf`.

/// The lines logged since the kernel started.
#[must_use]
pub fn lines() -> Vec<String> {
    Vec::new()
}
