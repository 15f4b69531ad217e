//! What is alive: everything the kernel hands out and expects back.

use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};

/// One ledger: how much of something is out. Each has a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Counter(AtomicI64);

impl Counter {
    pub(crate) fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }
}

macro_rules! ledgers {
    ($($(#[$attribute:meta])* $counter:ident $field:ident $name:literal;)*) => {
        $(pub(crate) static $counter: Counter = Counter(AtomicI64::new(0));)*

        /// Starts all ledgers from zero: what an earlier kernel leaked was reported by it.
        pub(crate) fn reset() {
            $($counter.0.store(0, Ordering::Relaxed);)*
        }

        /// What was handed out and not released yet. All zero at the end of a clean run.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Ledgers {
            $($(#[$attribute])* pub $field: i64,)*
        }

        impl Ledgers {
            /// The ledgers at this moment.
            pub(crate) fn now() -> Self {
                Self { $($field: $counter.0.load(Ordering::Relaxed),)* }
            }
        }

        impl fmt::Display for Ledgers {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let lines = [$(format!("{:<18} {:>10}", $name, self.$field),)*];
                f.write_str(&lines.join("\n"))
            }
        }
    };
}

ledgers! {
    /// `net_buffer`s.
    PACKETS packets "packets";
    /// Semaphores.
    SEMAPHORES semaphores "semaphores";
    /// Opens that have had no `free` yet.
    COOKIES cookies "cookies";
    /// Character nodes below /dev.
    NODES nodes "nodes";
    /// Mutexes that were initialised and not destroyed.
    LOCKS locks "locks";
    /// References to modules.
    MODULE_REFERENCES module_references "module references";
    /// Blocks of `malloc` and `memalign`.
    HEAP_BLOCKS heap_blocks "heap blocks";
    /// Bytes in those blocks.
    HEAP_BYTES heap_bytes "heap bytes";
    /// Select pools.
    SELECT_POOLS select_pools "select pools";
    /// Entries of descriptors in polls, selects and observers that were never taken back.
    SELECTS selects "selects";
    /// Driver settings that were loaded and not unloaded.
    SETTINGS settings "settings";
    /// Commands of the kernel debugger.
    DEBUGGER_COMMANDS debugger_commands "debugger commands";
    /// Kernel threads that still run.
    THREADS threads "kernel threads";
    /// Add-on images that are mapped.
    IMAGES images "images";
}

impl Ledgers {
    /// Whether everything came back.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_count_off_zero_is_not_zero_and_has_its_line() {
        assert!(Ledgers::default().is_zero());
        assert!(!Ledgers { packets: -1, ..Ledgers::default() }.is_zero());
        let table = Ledgers { cookies: 3, ..Ledgers::default() }.to_string();
        assert!(table.contains("cookies                     3\n"), "{table}");
    }
}
