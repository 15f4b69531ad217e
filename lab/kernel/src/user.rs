//! User memory and `user_memcpy`.
//!
//! A user pointer is a real address with one bit flipped, where nothing is mapped: a driver that touches it
//! crashes, as it would on a CPU with SMAP, and only `user_memcpy` can reach what is behind it.

/// The bit that tells the two kinds of address apart. Linux's own addresses have it set.
const FLIPPED: usize = 1 << 46;

/// The user address that stands for a real one.
#[must_use]
pub const fn to_user(address: usize) -> usize {
    address ^ FLIPPED
}

/// The real address behind a user one.
#[must_use]
pub const fn to_kernel(address: usize) -> usize {
    address ^ FLIPPED
}
