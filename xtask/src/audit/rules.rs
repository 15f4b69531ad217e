//! The form of the file: Haiku's rules, by the loader that has them, and what is required beyond.

use std::collections::BTreeMap;

use haiku_loader::{KernelSymbol, SymbolKind};
use object::elf;

use crate::audit::Finding;
use crate::audit::elf::Addon;
use crate::linker::{EXPORTED_FUNCTIONS, EXPORTED_VARIABLES, exports};
use crate::names::{KernelName, Kind};
use crate::stub;

/// The largest file that passes.
pub const MAX_SIZE: usize = 128 * 1024;

/// The rule that [`loader`] checks.
pub const LOADER: &str = "Haiku's loader takes it";

/// What is required of the file's form beyond Haiku's rules, except its size.
#[must_use]
pub fn check(addon: &Addon) -> Vec<Finding> {
    vec![relocations(addon), needed(addon), exported(addon), constructors(addon), thread_locals(addon)]
}

/// The file's size.
#[must_use]
pub fn size(bytes: usize) -> Finding {
    let too_large =
        (bytes >= MAX_SIZE).then(|| format!("It must stay under {MAX_SIZE} bytes; look for large statics."));
    Finding::new("size", format!("{bytes} of {MAX_SIZE} bytes"), too_large.into_iter().collect())
}

/// Loads the file by Haiku's rules, which the lab's loader has, with the listed symbols for the kernel's.
#[must_use]
pub fn loader(name: &str, bytes: &[u8], allowed: &[KernelName]) -> Finding {
    let symbol = |known: &KernelName| {
        let kind = match known.kind {
            Kind::Function => SymbolKind::Function,
            Kind::Data => SymbolKind::Object,
        };
        // Nothing is called: any address will do.
        KernelSymbol { kind, address: 0x1000 }
    };
    let kernel: BTreeMap<&str, KernelSymbol> =
        allowed.iter().map(|known| (known.name.as_str(), symbol(known))).collect();
    match haiku_loader::load_bytes(name, bytes, &kernel) {
        Ok(image) => {
            let figures = format!("R+X {} bytes, RW {} bytes", image.text().len(), image.data().len());
            Finding::new(LOADER, figures, Vec::new())
        }
        Err(error) => Finding::new(LOADER, error.rule.name(), vec![error.to_string()]),
    }
}

fn relocations(addon: &Addon) -> Finding {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for relocation in addon.relocations.values() {
        let name = match elf::RelocationType(relocation.kind) {
            elf::R_X86_64_NONE => "NONE",
            elf::R_X86_64_64 => "64",
            elf::R_X86_64_PC32 => "PC32",
            elf::R_X86_64_GLOB_DAT => "GLOB_DAT",
            elf::R_X86_64_JUMP_SLOT => "JUMP_SLOT",
            elf::R_X86_64_RELATIVE => "RELATIVE",
            _ => "unknown",
        };
        *counts.entry(name).or_default() += 1;
        let of = relocation.symbol.as_deref().map_or(String::new(), |symbol| format!(" of {symbol}"));
        let at = format!("The relocation at {:#x}{of}", relocation.offset);
        if name == "PC32" {
            faults.push(format!("{at} is PC32, which Haiku accepts and then computes without the base."));
        }
        if !addon.is_writable(relocation.offset) {
            faults.push(format!("{at} changes code: something is not position independent."));
        }
    }
    if addon.dynamic_value(elf::DT_RELR).is_some() {
        faults.push("There is a DT_RELR, which Haiku does not apply.".to_owned());
    }
    let shown: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    Finding::new("relocations Haiku applies rightly", shown.join(", "), faults)
}

fn needed(addon: &Addon) -> Finding {
    let mut faults = Vec::new();
    if addon.needed != [stub::SONAME] {
        faults.push(format!("It needs {:?}; only the kernel, {}, may be needed.", addon.needed, stub::SONAME));
    }
    // Some linkers bind the add-on's own symbols for good and then see no need for the mark.
    let defined = |name: &String| addon.dynamic_symbols.iter().any(|symbol| symbol.defined && symbol.name == *name);
    let by_name = addon.relocations.values().any(|relocation| relocation.symbol.as_ref().is_some_and(defined));
    if by_name && addon.dynamic_value(elf::DT_SYMBOLIC).is_none() {
        faults.push("It is not symbolic: the kernel's symbols would come before its own. Link with -Bsymbolic.".into());
    }
    Finding::new("needs the kernel only", addon.needed.join(", "), faults)
}

fn exported(addon: &Addon) -> Finding {
    let found: BTreeMap<&str, u8> = addon
        .dynamic_symbols
        .iter()
        .filter(|symbol| symbol.defined)
        .map(|symbol| (symbol.name.as_str(), symbol.kind))
        .collect();
    let mut faults = Vec::new();
    let functions = EXPORTED_FUNCTIONS.iter().map(|name| (*name, elf::STT_FUNC.0, "function"));
    let variables = EXPORTED_VARIABLES.iter().map(|name| (*name, elf::STT_OBJECT.0, "variable"));
    for (name, kind, what) in functions.chain(variables) {
        match found.get(name) {
            None => faults.push(format!("{name} is not exported: give the {what} `#[unsafe(no_mangle)]` and `pub`.")),
            Some(&found) if found != kind => faults.push(format!("{name} is exported, but not as a {what}.")),
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| !exports().any(|expected| expected == **name)) {
        faults.push(format!("{name} is exported and must not be."));
    }
    Finding::new("exports exactly the eight", format!("{} exports", found.len()), faults)
}

fn constructors(addon: &Addon) -> Finding {
    // An array that is announced but empty is a habit of some linkers.
    let tags = [
        (elf::DT_INIT, None, "DT_INIT"),
        (elf::DT_FINI, None, "DT_FINI"),
        (elf::DT_INIT_ARRAY, Some(elf::DT_INIT_ARRAYSZ), "DT_INIT_ARRAY"),
        (elf::DT_FINI_ARRAY, Some(elf::DT_FINI_ARRAYSZ), "DT_FINI_ARRAY"),
        (elf::DT_PREINIT_ARRAY, Some(elf::DT_PREINIT_ARRAYSZ), "DT_PREINIT_ARRAY"),
    ];
    let counts = |tag, size: Option<_>| {
        addon.dynamic_value(tag).is_some() && size.is_none_or(|size| addon.dynamic_value(size) != Some(0))
    };
    let present = tags.iter().filter(|(tag, size, _)| counts(*tag, *size)).map(|(_, _, name)| *name);
    let sections = [".init_array", ".fini_array", ".ctors", ".dtors", ".preinit_array"];
    let named = sections.into_iter().filter(|name| addon.sections.iter().any(|section| section == name));
    let faults: Vec<String> =
        present.chain(named).map(|name| format!("There is {name}, which Haiku never runs.")).collect();
    Finding::new("no constructors", if faults.is_empty() { "none" } else { "some" }, faults)
}

fn thread_locals(addon: &Addon) -> Finding {
    let segment = addon.segments.iter().any(|segment| segment.kind == elf::PT_TLS.0);
    let mut faults = Vec::new();
    if segment {
        faults.push("There is a PT_TLS segment; the kernel has no thread-local storage for add-ons.".to_owned());
    }
    let symbols = addon.symbols.iter().chain(&addon.dynamic_symbols).filter(|symbol| symbol.kind == elf::STT_TLS.0);
    faults.extend(symbols.map(|symbol| format!("{} is thread-local.", symbol.name)));
    Finding::new("no thread-local storage", if faults.is_empty() { "none" } else { "some" }, faults)
}
