//! What is alive: everything the kernel hands out and expects back.

use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};

/// One ledger: how much of something is out. Each has a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Counter(AtomicI64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    pub(crate) fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) static PACKETS: Counter = Counter::new();
pub(crate) static SEMAPHORES: Counter = Counter::new();
pub(crate) static COOKIES: Counter = Counter::new();
pub(crate) static NODES: Counter = Counter::new();
pub(crate) static LOCKS: Counter = Counter::new();
pub(crate) static MODULE_REFERENCES: Counter = Counter::new();
pub(crate) static HEAP_BLOCKS: Counter = Counter::new();
pub(crate) static HEAP_BYTES: Counter = Counter::new();
pub(crate) static SELECT_POOLS: Counter = Counter::new();
pub(crate) static SELECTS: Counter = Counter::new();
pub(crate) static SETTINGS: Counter = Counter::new();
pub(crate) static DEBUGGER_COMMANDS: Counter = Counter::new();
pub(crate) static THREADS: Counter = Counter::new();
pub(crate) static IMAGES: Counter = Counter::new();

/// Starts all ledgers from zero: what an earlier kernel leaked was reported by it.
pub(crate) fn reset() {
    for counter in COUNTERS {
        counter.0.store(0, Ordering::Relaxed);
    }
}

const COUNTERS: [&Counter; 14] = [
    &PACKETS,
    &SEMAPHORES,
    &COOKIES,
    &NODES,
    &LOCKS,
    &MODULE_REFERENCES,
    &HEAP_BLOCKS,
    &HEAP_BYTES,
    &SELECT_POOLS,
    &SELECTS,
    &SETTINGS,
    &DEBUGGER_COMMANDS,
    &THREADS,
    &IMAGES,
];

/// What was handed out and not released yet. All zero at the end of a clean run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledgers {
    /// `net_buffer`s.
    pub packets: i64,
    /// Semaphores.
    pub semaphores: i64,
    /// Opens that have had no `free` yet.
    pub cookies: i64,
    /// Character nodes below /dev.
    pub nodes: i64,
    /// Mutexes that were initialised and not destroyed.
    pub locks: i64,
    /// References to modules.
    pub module_references: i64,
    /// Blocks of `malloc` and `memalign`.
    pub heap_blocks: i64,
    /// Bytes in those blocks.
    pub heap_bytes: i64,
    /// Select pools.
    pub select_pools: i64,
    /// Entries of descriptors in polls, selects and observers that were never taken back.
    pub selects: i64,
    /// Driver settings that were loaded and not unloaded.
    pub settings: i64,
    /// Commands of the kernel debugger.
    pub debugger_commands: i64,
    /// Kernel threads that still run.
    pub threads: i64,
    /// Add-on images that are mapped.
    pub images: i64,
}

impl Ledgers {
    /// The ledgers at this moment.
    pub(crate) fn now() -> Self {
        Self {
            packets: PACKETS.get(),
            semaphores: SEMAPHORES.get(),
            cookies: COOKIES.get(),
            nodes: NODES.get(),
            locks: LOCKS.get(),
            module_references: MODULE_REFERENCES.get(),
            heap_blocks: HEAP_BLOCKS.get(),
            heap_bytes: HEAP_BYTES.get(),
            select_pools: SELECT_POOLS.get(),
            selects: SELECTS.get(),
            settings: SETTINGS.get(),
            debugger_commands: DEBUGGER_COMMANDS.get(),
            threads: THREADS.get(),
            images: IMAGES.get(),
        }
    }

    /// The entries with their names, in the order of the table.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, i64); 14] {
        [
            ("packets", self.packets),
            ("semaphores", self.semaphores),
            ("cookies", self.cookies),
            ("nodes", self.nodes),
            ("locks", self.locks),
            ("module references", self.module_references),
            ("heap blocks", self.heap_blocks),
            ("heap bytes", self.heap_bytes),
            ("select pools", self.select_pools),
            ("selects", self.selects),
            ("settings", self.settings),
            ("debugger commands", self.debugger_commands),
            ("kernel threads", self.threads),
            ("images", self.images),
        ]
    }

    /// Whether everything came back.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.entries().iter().all(|&(_, count)| count == 0)
    }
}

impl fmt::Display for Ledgers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.entries().iter().enumerate() {
            let end = if index + 1 < self.entries().len() { "\n" } else { "" };
            write!(f, "{name:<18} {count:>10}{end}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_count_off_zero_is_not_zero() {
        assert!(Ledgers::default().is_zero());
        assert!(!Ledgers { packets: -1, ..Ledgers::default() }.is_zero());
        assert!(!Ledgers { images: 1, ..Ledgers::default() }.is_zero());
    }

    #[test]
    fn the_table_has_a_line_for_each() {
        let table = Ledgers { cookies: 3, ..Ledgers::default() }.to_string();
        assert_eq!(table.lines().count(), 14);
        assert!(table.contains("cookies                     3\n"), "{table}");
    }
}
