//! `secure_random_value`: random, or the same again for the same seed.

use std::sync::Mutex;

use crate::guarded::Guarded;

/// The state of a splitmix64 generator: good enough to test with, and reproducible.
static STATE: Mutex<u64> = Mutex::new(0);

/// The next value of a splitmix64 generator.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Starts from a seed, or from Linux's randomness without one.
pub(crate) fn seed(seed: Option<u64>) {
    *STATE.guarded() = seed.unwrap_or_else(|| {
        let mut bytes = [0_u8; 8];
        // SAFETY: the pointer and the length are those of a live array.
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        u64::from_ne_bytes(bytes)
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_secure_random_value() -> u32 {
    (next(&mut STATE.guarded()) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};

    fn values(seed: Option<u64>) -> [u32; 4] {
        let kernel = Kernel::boot(Options { seed, ..Options::default() }).unwrap();
        let values = [0; 4].map(|_| haiku_secure_random_value());
        drop(kernel);
        values
    }

    #[test]
    fn a_seed_gives_the_same_values_again_and_no_seed_others() {
        assert_eq!(values(Some(7)), values(Some(7)));
        assert_ne!(values(Some(7)), values(Some(8)));
        assert_ne!(values(None), values(None));
    }
}
