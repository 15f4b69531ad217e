//! The interrupt flag of the CPU a thread runs on.

/// Whether the calling thread has interrupts enabled.
#[must_use]
pub fn are_enabled() -> bool {
    true
}
