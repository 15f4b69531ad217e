//! What is alive: everything the kernel hands out and expects back.

use core::fmt;

/// What has been handed out and not come back. All zero at the end of a clean run.
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
    pub mutexes: i64,
    /// References to modules.
    pub module_references: i64,
    /// Blocks of `malloc` and `memalign`.
    pub heap_blocks: i64,
    /// Bytes in those blocks.
    pub heap_bytes: i64,
    /// Select pools.
    pub select_pools: i64,
    /// Add-on images that are mapped.
    pub images: i64,
}

impl Ledgers {
    /// The entries with their names, in the order of the table.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, i64); 10] {
        [
            ("packets", self.packets),
            ("semaphores", self.semaphores),
            ("cookies", self.cookies),
            ("nodes", self.nodes),
            ("mutexes", self.mutexes),
            ("module references", self.module_references),
            ("heap blocks", self.heap_blocks),
            ("heap bytes", self.heap_bytes),
            ("select pools", self.select_pools),
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
