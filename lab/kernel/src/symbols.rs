//! The kernel's symbols, for a loader of add-ons.

/// What a symbol is: its type in the kernel's symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// `STT_FUNC`.
    Function,
    /// `STT_OBJECT`.
    Object,
}

/// A symbol that the kernel exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name on Haiku.
    pub name: &'static str,
    /// What it is.
    pub kind: SymbolKind,
    /// Where it is.
    pub address: usize,
}

/// Every symbol of the kernel that an add-on may use.
#[must_use]
pub fn symbols() -> &'static [Symbol] {
    &[]
}
