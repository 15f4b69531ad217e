//! An add-on of a few hundred bytes, made by hand so that each part of it can be made wrong on its own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use haiku_loader::{Image, KernelSymbol, LoadError, Rule, SymbolKind, load_bytes, mapped_bytes};
use object::LittleEndian as LE;
use object::elf::*;
use object::pod::bytes_of;

/// Where the fixture's code is, in the file and in memory.
pub(crate) const CODE: u64 = 0x600;
/// Where its data begins.
pub(crate) const DATA: u64 = 0x1000;
/// The data's slots: the GOT entry of `dprintf`, a pointer to the code, a pointer to `api_version`, the version.
pub(crate) const SLOT_DPRINTF: u64 = DATA;
pub(crate) const SLOT_CODE: u64 = DATA + 8;
pub(crate) const SLOT_VERSION: u64 = DATA + 16;
pub(crate) const VERSION: u64 = DATA + 24;
/// Where the dynamic section begins.
pub(crate) const DYNAMIC: u64 = DATA + 0x100;
/// The bytes of data in the file, and in memory: the rest is zero.
pub(crate) const DATA_IN_FILE: u64 = 0x400;
pub(crate) const DATA_IN_MEMORY: u64 = 0x1800;

/// Where the tables are that tests patch.
pub(crate) const HASH: u64 = 0x200;
pub(crate) const SYMBOLS: u64 = 0x280;
pub(crate) const STRINGS: u64 = 0x400;
pub(crate) const RELOCATIONS: u64 = 0x500;

/// The program headers' places in the list.
pub(crate) const TEXT_HEADER: usize = 0;
pub(crate) const DATA_HEADER: usize = 1;
pub(crate) const DYNAMIC_HEADER: usize = 2;

/// A program header: type, flags, offset, address, size in the file, size in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) in_file: u64,
    pub(crate) in_memory: u64,
}

/// A symbol: name, type, binding, section (0: undefined), value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sym {
    pub(crate) name: &'static str,
    pub(crate) kind: u8,
    pub(crate) bind: u8,
    pub(crate) section: u16,
    pub(crate) value: u64,
}

/// A relocation: what it changes, with which symbol, type and addend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloc {
    pub(crate) offset: u64,
    pub(crate) symbol: u32,
    pub(crate) kind: u32,
    pub(crate) addend: i64,
}

/// The parts of the add-on.
#[derive(Clone, Debug)]
pub(crate) struct Addon {
    pub(crate) headers: Vec<Header>,
    pub(crate) symbols: Vec<Sym>,
    pub(crate) relocations: Vec<Reloc>,
    pub(crate) dynamic: Vec<(i64, u64)>,
}

/// The function that the add-on imports.
pub(crate) const IMPORT: u32 = 1;
/// The function that it exports; it jumps to the import.
pub(crate) const FUNCTION: u32 = 2;
/// The variable that it exports.
pub(crate) const VARIABLE: u32 = 3;

impl Addon {
    /// An add-on without fault.
    pub(crate) fn good() -> Self {
        let symbol = |name, kind: SymbolType, section, value| Sym { name, kind: kind.0, bind: 1, section, value };
        let header = |kind: ProgramType, flags, offset, in_file, in_memory| Header {
            kind: kind.0,
            flags,
            offset,
            address: offset,
            in_file,
            in_memory,
        };
        let relocation = |offset, symbol, kind: RelocationType, addend| Reloc { offset, symbol, kind: kind.0, addend };
        Self {
            headers: vec![
                header(PT_LOAD, 5, 0, 0x700, 0x700),
                header(PT_LOAD, 6, DATA, DATA_IN_FILE, DATA_IN_MEMORY),
                header(PT_DYNAMIC, 6, DYNAMIC, 0x100, 0x100),
            ],
            symbols: vec![
                symbol("dprintf", STT_FUNC, 0, 0),
                symbol("init_driver", STT_FUNC, 1, CODE),
                symbol("api_version", STT_OBJECT, 2, VERSION),
            ],
            relocations: vec![
                relocation(SLOT_DPRINTF, IMPORT, R_X86_64_GLOB_DAT, 0),
                relocation(SLOT_CODE, 0, R_X86_64_RELATIVE, CODE as i64),
                relocation(SLOT_VERSION, VARIABLE, R_X86_64_64, 0),
            ],
            dynamic: vec![
                (DT_HASH.0, HASH),
                (DT_SYMTAB.0, SYMBOLS),
                (DT_STRTAB.0, STRINGS),
                (DT_RELA.0, RELOCATIONS),
                (DT_RELASZ.0, 3 * 24),
                (DT_SYMBOLIC.0, 0),
                (DT_INIT.0, 0xdead_0000),
                (DT_NULL.0, 0),
            ],
        }
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; (DATA + DATA_IN_FILE) as usize];
        let mut put = |at: u64, bytes: &[u8]| file[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        put(0, bytes_of(&file_header(self.headers.len() as u16)));
        for (index, header) in self.headers.iter().enumerate() {
            put(64 + 56 * index as u64, bytes_of(&program_header(header)));
        }
        let mut strings = vec![0];
        for (index, symbol) in self.symbols.iter().enumerate() {
            let entry = Sym64::<LE> {
                st_name: object::U32::new(LE, strings.len() as u32),
                st_info: SymbolInfo(symbol.bind << 4 | symbol.kind),
                st_other: SymbolOther(0),
                st_shndx: SymbolSection(symbol.section).into(),
                st_value: object::U64::new(LE, symbol.value),
                st_size: object::U64::new(LE, 4),
            };
            put(SYMBOLS + 24 * (index as u64 + 1), bytes_of(&entry));
            strings.extend_from_slice(symbol.name.as_bytes());
            strings.push(0);
        }
        put(STRINGS, &strings);
        // One bucket: every symbol is in its chain.
        let count = self.symbols.len() as u32;
        let chain = (1..=count).map(|index| if index < count { index + 1 } else { 0 });
        let words: Vec<u8> =
            [1, count + 1, 1, 0].into_iter().chain(chain).flat_map(|word: u32| word.to_le_bytes()).collect();
        put(HASH, &words);
        for (index, relocation) in self.relocations.iter().enumerate() {
            put(RELOCATIONS + 24 * index as u64, &relocation_bytes(relocation));
        }
        for (index, (tag, value)) in self.dynamic.iter().enumerate() {
            put(DYNAMIC + 16 * index as u64, &[tag.to_le_bytes(), value.to_le_bytes()].concat());
        }
        // jmp *SLOT_DPRINTF(%rip)
        put(CODE, &[0xff, 0x25]);
        put(CODE + 2, &(SLOT_DPRINTF as u32 - (CODE as u32 + 6)).to_le_bytes());
        put(VERSION, &2u32.to_le_bytes());
        file
    }
}

fn file_header(headers: u16) -> FileHeader64<LE> {
    FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: ELFCLASS64,
            data: ELFDATA2LSB,
            version: EV_CURRENT,
            os_abi: ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: ET_DYN.into(),
        e_machine: EM_X86_64.into(),
        e_version: object::U32::new(LE, 1),
        e_entry: object::U64::new(LE, 0),
        e_phoff: object::U64::new(LE, 64),
        e_shoff: object::U64::new(LE, 0),
        e_flags: FileFlags(0).into(),
        e_ehsize: object::U16::new(LE, 64),
        e_phentsize: object::U16::new(LE, 56),
        e_phnum: object::U16::new(LE, headers),
        e_shentsize: object::U16::new(LE, 0),
        e_shnum: object::U16::new(LE, 0),
        e_shstrndx: SHN_UNDEF.into(),
    }
}

fn program_header(header: &Header) -> ProgramHeader64<LE> {
    ProgramHeader64 {
        p_type: ProgramType(header.kind).into(),
        p_flags: ProgramFlags(header.flags).into(),
        p_offset: object::U64::new(LE, header.offset),
        p_vaddr: object::U64::new(LE, header.address),
        p_paddr: object::U64::new(LE, header.address),
        p_filesz: object::U64::new(LE, header.in_file),
        p_memsz: object::U64::new(LE, header.in_memory),
        p_align: object::U64::new(LE, 0x1000),
    }
}

fn relocation_bytes(relocation: &Reloc) -> Vec<u8> {
    let info = u64::from(relocation.symbol) << 32 | u64::from(relocation.kind);
    [relocation.offset.to_le_bytes(), info.to_le_bytes(), relocation.addend.to_le_bytes()].concat()
}

/// What the fixture's import does.
pub(crate) extern "C" fn fake_dprintf() -> i32 {
    4711
}

/// A kernel that has `dprintf`, and a variable.
pub(crate) fn kernel() -> HashMap<&'static str, KernelSymbol> {
    let function = KernelSymbol { kind: SymbolKind::Function, address: fake_dprintf as *const () as usize };
    let object = KernelSymbol { kind: SymbolKind::Object, address: 0x5000 };
    HashMap::from([("dprintf", function), ("gKernelVariable", object)])
}

/// Only one test at a time loads something, so that each can see what is mapped.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Loads; a fault of the loader's shows as something left mapped.
pub(crate) fn try_load(bytes: &[u8]) -> Result<Image, LoadError> {
    assert_eq!(mapped_bytes(), 0, "something was mapped before");
    let result = load_bytes("/boot/add-ons/fixture", bytes, &kernel());
    if result.is_err() {
        assert_nothing_mapped();
    }
    result
}

/// Nothing of an image is mapped, neither by the loader's own count nor by Linux's.
pub(crate) fn assert_nothing_mapped() {
    assert_eq!(mapped_bytes(), 0, "the ledger of mapped bytes");
    let anonymous: Vec<String> = executable_anonymous_maps();
    assert!(anonymous.is_empty(), "executable memory is left: {anonymous:?}");
}

/// The lines of /proc/self/maps that are executable and belong to no file.
pub(crate) fn executable_anonymous_maps() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has /proc/self/maps");
    let lines = maps.lines().filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].contains('x') && fields.len() == 5
    });
    lines.map(str::to_owned).collect()
}

/// The add-on is refused for breaking `rule`, with nothing mapped; returns the error for a closer look.
#[track_caller]
pub(crate) fn refused(bytes: &[u8], rule: Rule) -> LoadError {
    let _alone = alone();
    match try_load(bytes) {
        Err(error) => {
            assert_eq!(error.rule, rule, "{error}");
            assert!(error.to_string().contains(rule.name()), "the message names the rule: {error}");
            error
        }
        Ok(_) => panic!("loaded, though it breaks the rule {}", rule.name()),
    }
}
