//! The form of the file: what Haiku's loader looks at, and a little more.

use std::collections::BTreeMap;

use object::elf;

use crate::audit::Finding;
use crate::audit::elf::{Addon, Symbol};
use crate::linker::{EXPORTED_FUNCTIONS, EXPORTED_VARIABLES, exports};
use crate::names::{KernelName, Kind};
use crate::stub;

/// The largest file that passes.
pub const MAX_SIZE: usize = 128 * 1024;

/// Every rule about the form of the file, except its size.
#[must_use]
pub fn check(addon: &Addon, allowed: &[KernelName]) -> Vec<Finding> {
    vec![
        machine(addon),
        segments(addon),
        hash(addon),
        relocations(addon),
        needed(addon),
        imports(addon, allowed),
        exported(addon),
        constructors(addon),
        thread_locals(addon),
    ]
}

/// The file's size.
#[must_use]
pub fn size(bytes: usize) -> Finding {
    let too_large =
        (bytes >= MAX_SIZE).then(|| format!("It must stay under {MAX_SIZE} bytes; look for large statics."));
    Finding::new("size", format!("{bytes} of {MAX_SIZE} bytes"), too_large.into_iter().collect())
}

fn machine(addon: &Addon) -> Finding {
    let (machine, kind) = addon.machine;
    let mut faults = Vec::new();
    if machine != elf::EM_X86_64.0 {
        faults.push(format!("The machine is {machine}, not x86_64 (62): build for the target x86_64-unknown-none."));
    }
    if kind != elf::ET_DYN.0 {
        faults.push(format!("The type is {kind}, not shared object (3): link with -shared."));
    }
    Finding::new("machine", format!("machine {machine}, type {kind}"), faults)
}

fn segments(addon: &Addon) -> Finding {
    const TEXT: u32 = elf::PF_R.0 | elf::PF_X.0;
    const DATA: u32 = elf::PF_R.0 | elf::PF_W.0;
    const READ_ONLY: u32 = elf::PF_R.0;
    let mut shown: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    let (mut text, mut data) = (0, 0);
    for segment in addon.loadable() {
        let name = match segment.flags {
            TEXT => "R+X",
            DATA => "RW",
            READ_ONLY => "R",
            _ => "other",
        };
        text += u32::from(segment.flags == TEXT);
        data += u32::from(segment.flags == DATA);
        let size = segment.addresses.end - segment.addresses.start;
        shown.push(format!("{name} {size} bytes"));
        if segment.flags != TEXT && segment.flags != DATA {
            faults.push(format!(
                "The segment at {:#x} has the flags {:#x}: Haiku skips it and then crashes, or runs writable code.",
                segment.addresses.start, segment.flags
            ));
        }
    }
    if text != 1 || data != 1 {
        faults.push(format!("There must be one segment R+X and one RW; there are {text} and {data}."));
    }
    Finding::new("two segments, R+X and RW", shown.join(", "), faults)
}

fn hash(addon: &Addon) -> Finding {
    match addon.dynamic_value(elf::DT_HASH) {
        Some(_) => Finding::new("DT_HASH", format!("{} dynamic symbols", addon.dynamic_symbols.len()), Vec::new()),
        None => {
            let fault = "There is no DT_HASH, and Haiku reads no other: link with --hash-style=sysv.".to_owned();
            Finding::new("DT_HASH", "none", vec![fault])
        }
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
        match name {
            "unknown" => faults.push(format!("{at} has type {}, which Haiku refuses.", relocation.kind)),
            "PC32" => faults.push(format!("{at} is PC32, which Haiku accepts and then computes without the base.")),
            _ => {}
        }
        if !addon.is_writable(relocation.offset) {
            faults.push(format!("{at} changes code: something is not position independent."));
        }
    }
    for (tag, name) in [(elf::DT_REL, "DT_REL"), (elf::DT_RELR, "DT_RELR")] {
        if addon.dynamic_value(tag).is_some() {
            faults.push(format!("There is a {name}, which Haiku does not apply."));
        }
    }
    let shown: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    Finding::new("relocations Haiku knows", shown.join(", "), faults)
}

fn needed(addon: &Addon) -> Finding {
    let mut faults = Vec::new();
    if addon.needed != [stub::SONAME] {
        faults.push(format!("It needs {:?}; only the kernel, {}, may be needed.", addon.needed, stub::SONAME));
    }
    let versions = [elf::DT_VERSYM, elf::DT_VERNEED, elf::DT_VERDEF];
    if versions.iter().any(|tag| addon.dynamic_value(*tag).is_some()) {
        faults.push("It has symbol versions: link against the stub of the kernel, which has none.".to_owned());
    }
    // Some linkers bind the add-on's own symbols for good and then see no need for the mark.
    let defined = |name: &String| addon.dynamic_symbols.iter().any(|symbol| symbol.defined && symbol.name == *name);
    let by_name = addon.relocations.values().any(|relocation| relocation.symbol.as_ref().is_some_and(defined));
    if by_name && addon.dynamic_value(elf::DT_SYMBOLIC).is_none() {
        faults.push("It is not symbolic: the kernel's symbols would come before its own. Link with -Bsymbolic.".into());
    }
    Finding::new("needs the kernel only", addon.needed.join(", "), faults)
}

fn imports(addon: &Addon, allowed: &[KernelName]) -> Finding {
    let imports: Vec<&Symbol> = addon.dynamic_symbols.iter().filter(|symbol| !symbol.defined).collect();
    let mut faults = Vec::new();
    for symbol in &imports {
        let name = &symbol.name;
        let Some(known) = allowed.iter().find(|known| known.name == *name) else {
            faults.push(format!("{name} is not in net-addon/link/kernel-symbols.txt."));
            continue;
        };
        let expected = match known.kind {
            Kind::Function => elf::STT_FUNC.0,
            Kind::Data => elf::STT_OBJECT.0,
        };
        if symbol.kind != expected {
            let (found, hint) = (symbol.kind, "link against the stub of the kernel");
            faults.push(format!(
                "{name} is imported with type {found} instead of {expected}, which Haiku refuses: {hint}."
            ));
        }
    }
    Finding::new("imports listed and typed", format!("{} imports", imports.len()), faults)
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
