//! The file as the audit sees it: segments, dynamic section, symbols, relocations and code, in plain types.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, bail};
use object::elf::{self, DynamicTag, FileHeader64, RelocationType};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Rela, Sym};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbolTable, ReadRef, SectionKind};

const LE: LittleEndian = LittleEndian;

/// A program header.
#[derive(Clone, Debug)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// Its addresses.
    pub addresses: Range<u64>,
}

/// A symbol, dynamic or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name as the file has it.
    pub name: String,
    /// `STT_…`.
    pub kind: u8,
    /// Whether it is defined in the file.
    pub defined: bool,
    /// Its address.
    pub address: u64,
    /// Its size.
    pub size: u64,
}

/// A dynamic relocation.
#[derive(Clone, Debug)]
pub struct Relocation {
    /// What it changes.
    pub offset: u64,
    /// `R_X86_64_…`.
    pub kind: u32,
    /// The name of the symbol, if it has one.
    pub symbol: Option<String>,
    /// The addend.
    pub addend: u64,
}

/// Bytes and the address at which they lie.
type Piece = (u64, Vec<u8>);

/// A linked add-on.
#[derive(Debug)]
pub struct Addon {
    /// The program headers.
    pub segments: Vec<Segment>,
    /// The entries of the dynamic section.
    pub dynamic: Vec<(i64, u64)>,
    /// The libraries it needs.
    pub needed: Vec<String>,
    /// Dynamic symbols: imports and exports.
    pub dynamic_symbols: Vec<Symbol>,
    /// All symbols; empty when they were stripped.
    pub symbols: Vec<Symbol>,
    /// Dynamic relocations by the address they change.
    pub relocations: BTreeMap<u64, Relocation>,
    /// The names of all sections.
    pub sections: Vec<String>,
    /// The executable sections.
    pub code: Vec<Piece>,
    /// What is loaded: address and bytes.
    loaded: Vec<Piece>,
}

impl Addon {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not a 64-bit little-endian ELF file or is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file = ElfFile64::<LittleEndian>::parse(bytes)?;
        let header = file.elf_header();
        let mut addon = Self {
            segments: Vec::new(),
            dynamic: Vec::new(),
            needed: Vec::new(),
            dynamic_symbols: Vec::new(),
            symbols: Vec::new(),
            relocations: BTreeMap::new(),
            sections: Vec::new(),
            code: Vec::new(),
            loaded: Vec::new(),
        };
        addon.read_segments(header, bytes)?;
        addon.read_dynamic()?;
        for section in file.sections() {
            addon.sections.push(section.name().unwrap_or("?").to_owned());
            if section.kind() == SectionKind::Text {
                addon.code.push((section.address(), section.data()?.to_owned()));
            }
        }
        if let Some(table) = file.symbol_table() {
            addon.symbols = table.symbols().filter_map(|symbol| read_symbol(&symbol)).collect();
        }
        Ok(addon)
    }

    fn read_segments(&mut self, header: &FileHeader64<LittleEndian>, bytes: &[u8]) -> Result<()> {
        for segment in header.program_headers(LE, bytes)? {
            let start = segment.p_vaddr(LE);
            let end = start.checked_add(segment.p_memsz(LE)).context("a segment has no end")?;
            let kind = segment.p_type(LE);
            self.segments.push(Segment { kind: kind.0, flags: segment.p_flags(LE).0, addresses: start..end });
            if kind == elf::PT_LOAD {
                let Ok(data) = segment.data(LE, bytes) else { bail!("a segment reaches beyond the end of the file") };
                self.loaded.push((start, data.to_owned()));
            }
        }
        Ok(())
    }

    /// Reads everything that the dynamic section leads to, as the kernel does: by addresses, not by sections.
    fn read_dynamic(&mut self) -> Result<()> {
        let Some(segment) = self.segments.iter().find(|segment| segment.kind == elf::PT_DYNAMIC.0) else {
            return Ok(());
        };
        for address in segment.addresses.clone().step_by(16) {
            let (Some(tag), Some(value)) = (self.word(address), self.word(address.wrapping_add(8))) else {
                bail!("the dynamic section reaches beyond its segment");
            };
            if tag as i64 == elf::DT_NULL.0 {
                break;
            }
            self.dynamic.push((tag as i64, value));
        }
        let needed = self.dynamic.iter().filter(|(tag, _)| *tag == elf::DT_NEEDED.0);
        self.needed = needed.filter_map(|&(_, offset)| self.dynamic_string(offset)).collect();
        self.dynamic_symbols = self.read_dynamic_symbols();
        let mut relocations = BTreeMap::new();
        for (table, size) in [(elf::DT_RELA, elf::DT_RELASZ), (elf::DT_JMPREL, elf::DT_PLTRELSZ)] {
            let (Some(table), Some(size)) = (self.dynamic_value(table), self.dynamic_value(size)) else { continue };
            for address in (table..table.saturating_add(size)).step_by(24) {
                let relocation = self.read_relocation(address).context("a relocation is outside the segments")?;
                relocations.insert(relocation.offset, relocation);
            }
        }
        self.relocations = relocations;
        Ok(())
    }

    fn read_dynamic_symbols(&self) -> Vec<Symbol> {
        // The number of symbols is the length of the chains in the hash table.
        let count = self.dynamic_value(elf::DT_HASH).and_then(|table| self.word(table)).map_or(0, |word| word >> 32);
        (1..count.min(1 << 20)).filter_map(|index| self.dynamic_symbol(index)).collect()
    }

    fn dynamic_symbol(&self, index: u64) -> Option<Symbol> {
        let address = self.dynamic_value(elf::DT_SYMTAB)?.checked_add(index.checked_mul(24)?)?;
        let symbol = self.bytes_at(address)?.read_at::<elf::Sym64<LittleEndian>>(0).ok()?;
        Some(Symbol {
            name: self.dynamic_string(u64::from(symbol.st_name(LE)))?,
            kind: symbol.st_type().0,
            defined: symbol.st_shndx(LE) != elf::SHN_UNDEF,
            address: symbol.st_value(LE),
            size: symbol.st_size(LE),
        })
    }

    fn read_relocation(&self, address: u64) -> Option<Relocation> {
        let entry = self.bytes_at(address)?.read_at::<elf::Rela64<LittleEndian>>(0).ok()?;
        let symbol = match entry.r_sym(LE, false) {
            0 => None,
            index => Some(self.dynamic_symbol(u64::from(index))?.name),
        };
        let kind: RelocationType = entry.r_type(LE, false);
        Some(Relocation { offset: entry.r_offset(LE), kind: kind.0, symbol, addend: entry.r_addend(LE) as u64 })
    }

    fn dynamic_string(&self, offset: u64) -> Option<String> {
        self.string(self.dynamic_value(elf::DT_STRTAB)?.checked_add(offset)?)
    }

    /// The value of an entry of the dynamic section.
    #[must_use]
    pub fn dynamic_value(&self, tag: DynamicTag) -> Option<u64> {
        self.dynamic.iter().find(|entry| entry.0 == tag.0).map(|entry| entry.1)
    }

    /// The loaded bytes from `address` to the end of what the file has of its segment.
    #[must_use]
    pub fn bytes_at(&self, address: u64) -> Option<&[u8]> {
        self.loaded.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..).filter(|rest| !rest.is_empty())
        })
    }

    /// The eight bytes at `address` before relocation.
    #[must_use]
    pub fn word(&self, address: u64) -> Option<u64> {
        let bytes = self.bytes_at(address)?.get(..8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The C string at `address`.
    #[must_use]
    pub fn string(&self, address: u64) -> Option<String> {
        let bytes = self.bytes_at(address)?;
        let length = bytes.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&bytes[..length]).ok().map(str::to_owned)
    }

    /// Whether the kernel would load the same from both files. The file header, which also counts sections, is left out.
    #[must_use]
    pub fn loads_the_same(&self, other: &Self) -> bool {
        const HEADER: usize = size_of::<FileHeader64<LittleEndian>>();
        let same = |(one, other): (&Piece, &Piece)| {
            let from = if one.0 == 0 { HEADER } else { 0 };
            one.0 == other.0 && one.1.get(from..) == other.1.get(from..)
        };
        self.loaded.len() == other.loaded.len() && self.loaded.iter().zip(&other.loaded).all(same)
    }

    /// The loadable segments.
    pub fn loadable(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0)
    }

    /// Whether `address` is in a segment that can be written.
    #[must_use]
    pub fn is_writable(&self, address: u64) -> bool {
        self.loadable().any(|segment| segment.flags & elf::PF_W.0 != 0 && segment.addresses.contains(&address))
    }
}

/// A symbol of the full table that stands for code or data.
fn read_symbol(symbol: &object::read::elf::ElfSymbol64<'_, '_, LittleEndian>) -> Option<Symbol> {
    use object::ObjectSymbol;
    let raw = symbol.elf_symbol();
    let kind = raw.st_type();
    let wanted = [elf::STT_FUNC, elf::STT_OBJECT, elf::STT_NOTYPE, elf::STT_TLS].contains(&kind);
    let name = symbol.name().ok().filter(|name| !name.is_empty())?;
    wanted.then(|| Symbol {
        name: name.to_owned(),
        kind: kind.0,
        defined: raw.st_shndx(LE) != elf::SHN_UNDEF,
        address: raw.st_value(LE),
        size: raw.st_size(LE),
    })
}
