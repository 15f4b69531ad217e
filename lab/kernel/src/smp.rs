//! The number of processors that the kernel reports. Its threads run on Linux's processors.

use core::sync::atomic::{AtomicI32, Ordering};

static PROCESSORS: AtomicI32 = AtomicI32::new(1);

/// Sets what `smp_get_num_cpus` answers; 1 is the default.
pub fn set_processors(count: i32) {
    PROCESSORS.store(count, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_smp_get_num_cpus() -> i32 {
    PROCESSORS.load(Ordering::Relaxed)
}
