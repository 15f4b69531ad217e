//! What the loader needs of a kernel: its symbols by name.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

/// What a symbol stands for. The kernel compares the two sides of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// `STT_FUNC`.
    Function,
    /// `STT_OBJECT`.
    Object,
}

/// A symbol that the kernel exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSymbol {
    /// Function or data.
    pub kind: SymbolKind,
    /// Its address in this process.
    pub address: usize,
}

/// The kernel's exported symbols.
pub trait SymbolTable {
    /// The symbol of this name, if the kernel exports one.
    fn lookup(&self, name: &str) -> Option<KernelSymbol>;
}

impl<S: BuildHasher> SymbolTable for HashMap<&str, KernelSymbol, S> {
    fn lookup(&self, name: &str) -> Option<KernelSymbol> {
        self.get(name).copied()
    }
}

impl SymbolTable for BTreeMap<&str, KernelSymbol> {
    fn lookup(&self, name: &str) -> Option<KernelSymbol> {
        self.get(name).copied()
    }
}
