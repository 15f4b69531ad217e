//! The dynamic section and the add-on's own symbols, found as the kernel finds them.

use std::collections::BTreeMap;

use object::elf::{self, Dyn64, Rela64, Sym64};
use object::{LittleEndian, U32};

use crate::error::{Rule, Step, broken};
use crate::staged::Staged;

const LE: LittleEndian = LittleEndian;

/// A word of the hash table.
type Word = U32<LittleEndian>;
/// A symbol as the file has it.
pub(crate) type Symbol = Sym64<LittleEndian>;
/// A relocation as the file has it.
pub(crate) type Relocation = Rela64<LittleEndian>;

/// Where the tables are, and what else the dynamic section says.
#[derive(Debug, Default)]
pub(crate) struct Dynamic {
    hash: Option<u64>,
    strings: Option<u64>,
    symbols: Option<u64>,
    rel: Option<u64>,
    rela: Option<u64>,
    rela_size: u64,
    plt: Option<u64>,
    plt_size: u64,
    plt_is_rel: bool,
    versions: bool,
    /// The add-on prefers its own symbols to the kernel's.
    pub(crate) symbolic: bool,
}

impl Dynamic {
    /// Reads the dynamic section at `address` up to its end mark.
    pub(crate) fn parse(image: &Staged, address: u64) -> Step<Self> {
        let mut found = Self::default();
        for index in 0u64.. {
            let entry = address.checked_add(index * 16).and_then(|at| image.read::<Dyn64<LittleEndian>>(at));
            let Some(entry) = entry else {
                return broken(Rule::DynamicSection, format!("The dynamic section at {address:#x} has no end."));
            };
            let value = entry.d_val.get(LE);
            match entry.d_tag.get(LE) {
                elf::DT_NULL => break,
                elf::DT_HASH => found.hash = Some(value),
                elf::DT_STRTAB => found.strings = Some(value),
                elf::DT_SYMTAB => found.symbols = Some(value),
                elf::DT_REL => found.rel = Some(value),
                elf::DT_RELA => found.rela = Some(value),
                elf::DT_RELASZ => found.rela_size = value,
                elf::DT_JMPREL => found.plt = Some(value),
                elf::DT_PLTRELSZ => found.plt_size = value,
                elf::DT_PLTREL => found.plt_is_rel = value == elf::DT_REL.0 as u64,
                elf::DT_VERSYM | elf::DT_VERDEF | elf::DT_VERNEED => found.versions = true,
                elf::DT_SYMBOLIC => found.symbolic = true,
                elf::DT_FLAGS => found.symbolic |= value & elf::DF_SYMBOLIC.0 != 0,
                _ => {}
            }
        }
        found.check()
    }

    /// What must be there is, and what must not be is not.
    fn check(self) -> Step<Self> {
        if self.hash.is_none() {
            return broken(Rule::HashTable, "There is no DT_HASH.");
        }
        if self.symbols.is_none() || self.strings.is_none() {
            return broken(Rule::DynamicSection, "The dynamic section names no symbol table or no string table.");
        }
        if self.versions {
            return broken(Rule::SymbolVersions, "The file has symbol versions.");
        }
        Ok(self)
    }

    /// The relocations in the order in which the kernel applies them.
    pub(crate) fn relocations(&self, image: &Staged, log: &mut Vec<String>) -> Step<Vec<Relocation>> {
        if self.rel.is_some() || (self.plt.is_some() && self.plt_is_rel) {
            log.push("arch_elf_relocate_rel: not supported on x86_64".to_owned());
            return broken(Rule::RelRelocations, "The file has relocations without addends (REL).");
        }
        let mut all = Vec::new();
        for (table, size) in [(self.plt, self.plt_size), (self.rela, self.rela_size)] {
            let Some(address) = table else { continue };
            let count = usize::try_from(size).unwrap_or(usize::MAX) / size_of::<Relocation>();
            match image.slice::<Relocation>(address, count) {
                Some(relocations) => all.extend_from_slice(relocations),
                None if count == 0 => {}
                None => {
                    let what = format!("{count} relocations at {address:#x} are not inside the image.");
                    return broken(Rule::Tables, what);
                }
            }
        }
        Ok(all)
    }

    /// The symbol with this index.
    pub(crate) fn symbol<'i>(&self, image: &'i Staged, index: u32) -> Step<&'i Symbol> {
        let address = self.symbols.and_then(|table| table.checked_add(u64::from(index) * 24));
        match address.and_then(|address| image.read(address)) {
            Some(symbol) => Ok(symbol),
            None => broken(Rule::Tables, format!("Symbol {index} is not inside the image.")),
        }
    }

    /// The name of a symbol.
    pub(crate) fn name<'i>(&self, image: &'i Staged, symbol: &Symbol) -> Step<&'i str> {
        let offset = u64::from(symbol.st_name.get(LE));
        match self.strings.and_then(|table| table.checked_add(offset)).and_then(|address| image.string(address)) {
            Some(name) => Ok(name),
            None => broken(Rule::Tables, format!("The symbol name at offset {offset:#x} is not inside the image.")),
        }
    }

    /// The global or weak symbol of this name that the add-on defines, by way of the hash table.
    pub(crate) fn find<'i>(&self, image: &'i Staged, name: &str) -> Step<Option<&'i Symbol>> {
        let (buckets, chains) = self.hash_table(image)?;
        if buckets.is_empty() {
            return Ok(None);
        }
        let mut index = buckets[elf::hash(name.as_bytes()) as usize % buckets.len()].get(LE);
        // A chain that visits more symbols than there are goes in circles.
        for _ in 0..chains.len() {
            if index == 0 {
                return Ok(None);
            }
            let symbol = self.symbol(image, index)?;
            if is_offered(symbol) && self.name(image, symbol)? == name {
                return Ok(Some(symbol));
            }
            let Some(next) = chains.get(index as usize) else { break };
            index = next.get(LE);
        }
        match index {
            0 => Ok(None),
            _ => broken(Rule::Tables, "The hash table has a chain without an end."),
        }
    }

    /// Every symbol that [`Dynamic::find`] finds, with its name.
    pub(crate) fn exported<'i>(&self, image: &'i Staged) -> Step<BTreeMap<&'i str, &'i Symbol>> {
        let (buckets, chains) = self.hash_table(image)?;
        let mut exported = BTreeMap::new();
        let mut visited = 0;
        for (bucket, head) in buckets.iter().enumerate() {
            let mut index = head.get(LE);
            while index != 0 {
                visited += 1;
                let symbol = self.symbol(image, index)?;
                let name = self.name(image, symbol)?;
                let belongs = elf::hash(name.as_bytes()) as usize % buckets.len() == bucket;
                if belongs && is_offered(symbol) {
                    exported.entry(name).or_insert(symbol);
                }
                match chains.get(index as usize) {
                    Some(next) if visited <= chains.len() => index = next.get(LE),
                    _ => return broken(Rule::Tables, "The hash table has a chain without an end."),
                }
            }
        }
        Ok(exported)
    }

    /// The buckets and the chains of the hash table.
    fn hash_table<'i>(&self, image: &'i Staged) -> Step<(&'i [Word], &'i [Word])> {
        let table = self.hash.and_then(|address| {
            let [buckets, chains] = *image.read::<[Word; 2]>(address)?;
            let (buckets, chains) = (buckets.get(LE) as usize, chains.get(LE) as usize);
            let words = image.slice(address + 8, buckets.checked_add(chains)?)?;
            Some(words.split_at(buckets))
        });
        match table {
            Some(table) => Ok(table),
            None => broken(Rule::Tables, "The hash table is not inside the image."),
        }
    }
}

/// Whether a symbol can be found from outside: defined, and not local.
fn is_offered(symbol: &Symbol) -> bool {
    symbol.st_shndx.get(LE) != elf::SHN_UNDEF
        && (symbol.st_bind() == elf::STB_GLOBAL || symbol.st_bind() == elf::STB_WEAK)
}
