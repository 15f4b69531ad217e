//! The rules by name, and the error that says which one a file broke.

use std::fmt;

/// What Haiku's kernel does with a file that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHaiku {
    /// It refuses the file with this text of `strerror`.
    Refuses(&'static str),
    /// It carries on, and the kernel crashes or runs wrong code sooner or later.
    Misbehaves,
    /// It loads the file. The lab is stricter, because the result is not what a release should be.
    Loads,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $on_haiku:expr, $remedy:literal;)*) => {
        /// A rule of the loader. Its name, in messages and tests, is [`Rule::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// Every rule there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name under which the rule is reported.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What Haiku's kernel does with a file that breaks it.
            #[must_use]
            pub const fn on_haiku(self) -> OnHaiku {
                match self { $(Self::$variant => $on_haiku,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

use OnHaiku::{Loads, Misbehaves, Refuses};

rules! {
    /// The file can be opened and read.
    File = "file", Refuses("No such file or directory"), "Check the path and its permissions.";
    /// The ELF header is whole and that of a 64-bit file with program headers.
    ElfHeader = "elf-header", Refuses("Not an executable"),
        "Give the add-on itself, as `cargo xtask addon` makes it.";
    /// A little-endian shared object for x86_64.
    Machine = "machine", Misbehaves, "Build for x86_64: `cargo xtask addon`.";
    /// The program headers are whole.
    ProgramHeaders = "program-headers", Refuses("General system error"),
        "The file is damaged or cut short: build or copy it again.";
    /// The segments' sizes and addresses are sane.
    SegmentSize = "segment-size", Refuses("Not an executable"),
        "Link with the linker script of the repository; such sizes come from a damaged file.";
    /// No more than 8 KiB lie unused between the segments.
    SegmentHole = "segment-hole", Refuses("Bad data"),
        "Link with `-z max-page-size=0x1000`, so that the segments follow each other closely.";
    /// There is memory for the image.
    Memory = "memory", Refuses("Out of memory"), "An add-on is far below 16 MiB: check the size of its statics.";
    /// A segment is either readable and executable or readable and writable.
    SegmentFlags = "segment-flags", Misbehaves,
        "Link with `-z noseparate-code` (and `--no-rosegment` for lld), so that read-only data joins the code.";
    /// No segment is both writable and executable.
    SegmentWritableCode = "segment-writable-code", Loads, "Keep code and data in segments of their own.";
    /// Exactly one segment of code and one of data.
    SegmentCount = "segment-count", Misbehaves,
        "Haiku maps one segment of each kind and drops the rest: link with the repository's linker script.";
    /// The segments do not share a page.
    SegmentOverlap = "segment-overlap", Refuses("Not an executable"),
        "Align the data segment to a page: link with the repository's linker script.";
    /// A segment's bytes are inside the file.
    SegmentInFile = "segment-in-file", Misbehaves, "The file is cut short: build or copy it again.";
    /// There is a dynamic section, whole, with a symbol table and a string table.
    DynamicSection = "dynamic-section", Refuses("General system error"), "Link with `-shared`.";
    /// There is a `DT_HASH`; the GNU hash is not read.
    HashTable = "hash-table", Refuses("General system error"), "Link with `--hash-style=sysv`.";
    /// Every table and every name the dynamic section leads to is inside the image.
    Tables = "tables", Misbehaves, "The file is damaged: build it again.";
    /// No symbol versions; the kernel has them, the lab has not.
    SymbolVersions = "symbol-versions", Loads,
        "Link against the stub of the kernel, which has no versions, and without a versioned version script.";
    /// Relocations have addends (`RELA`).
    RelRelocations = "rel-relocations", Refuses("General system error"), "Link for x86_64, whose relocations are RELA.";
    /// Only `NONE`, `64`, `PC32`, `GLOB_DAT`, `JUMP_SLOT` and `RELATIVE`.
    RelocationType = "relocation-type", Refuses("Bad data"),
        "Build position-independent code without thread-local storage and without indirect functions.";
    /// A relocation changes memory of the image.
    RelocationTarget = "relocation-target", Refuses("Bad address"), "The file is damaged: build it again.";
    /// Every import is defined by the add-on or by the kernel.
    UnknownSymbol = "unknown-symbol", Refuses("Symbol not found"),
        "Call only what the kernel exports (`net-addon/link/kernel-symbols.txt`); if it is there, the lab's kernel \
         lacks it.";
    /// An import carries a type.
    UntypedImport = "untyped-import", Refuses("Symbol not found"),
        "Link against the stub of the kernel, whose symbols are typed, instead of allowing undefined symbols.";
    /// An import's type is that of its definition.
    ImportType = "import-type", Refuses("Symbol not found"),
        "Correct the symbol's type in `net-addon/link/kernel-symbols.txt` (func or data) and link again.";
}

/// Why an add-on was not loaded.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// The rule that the file breaks.
    pub rule: Rule,
    /// What is wrong, with the figures, as one sentence.
    pub what: String,
    /// What Haiku's kernel writes to its log about it, line by line.
    pub log: Vec<String>,
    /// The path or name under which the file was given.
    pub file: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_haiku = match self.rule.on_haiku() {
            OnHaiku::Refuses(why) => format!("Haiku refuses it: {why}."),
            OnHaiku::Misbehaves => "Haiku does not check this and would crash or run wrong code.".to_owned(),
            OnHaiku::Loads => "Haiku would load it; the lab is stricter.".to_owned(),
        };
        let (file, rule) = (&self.file, self.rule.name());
        write!(out, "{file} breaks the rule {rule}: {} {on_haiku} {}", self.what, self.rule.remedy())
    }
}

impl std::error::Error for LoadError {}

/// A broken rule before the file's name and the log are known.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// The result of one step of loading.
pub(crate) type Step<T> = Result<T, Broken>;

/// Says that `rule` is broken, and how.
pub(crate) fn broken<T>(rule: Rule, what: impl Into<String>) -> Step<T> {
    Err(Broken { rule, what: what.into() })
}
