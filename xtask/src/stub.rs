//! The stub of the kernel to link against: a shared object without code, named `_KERNEL_`, whose symbols are typed.
//!
//! An import takes its type from the definition that the linker sees. Linking without one leaves it untyped, and
//! Haiku refuses untyped imports.

use anyhow::{Context, Result};
use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};

use crate::names::{KernelName, Kind};

/// The name by which Haiku's kernel goes in an add-on's list of needed libraries.
pub const SONAME: &str = "_KERNEL_";

/// The distance between the symbols' addresses, which mean nothing.
const STRIDE: u64 = 16;

/// The shared object that defines all of `names`.
///
/// # Errors
/// When the file cannot be composed, which only a list of absurd length causes.
pub fn shared_object(names: &[KernelName]) -> Result<Vec<u8>> {
    compose(names).context("The stub of the kernel could not be composed from the list of symbols")
}

fn compose(names: &[KernelName]) -> object::write::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(Endianness::Little, true, &mut bytes);
    let symbol_count = names.len() as u32 + 1;
    let buckets = (symbol_count / 2).max(1);

    // The order of reserving is the order in the file.
    out.reserve_file_header();
    out.reserve_program_headers(2);
    out.reserve_null_section_index();
    let text = out.reserve_section_index();
    let text_name = out.add_section_name(b".text");
    out.reserve_hash_section_index();
    out.reserve_dynsym_section_index();
    out.reserve_dynstr_section_index();
    out.reserve_dynamic_section_index();
    out.reserve_shstrtab_section_index();
    out.reserve_null_dynamic_symbol_index();
    let mut strings = Vec::new();
    for symbol in names {
        strings.push(out.add_dynamic_string(symbol.name.as_bytes()));
        out.reserve_dynamic_symbol_index();
    }
    let soname = out.add_dynamic_string(SONAME.as_bytes());
    let hash_at = out.reserve_hash(buckets, symbol_count);
    let dynsym_at = out.reserve_dynsym();
    let dynstr_at = out.reserve_dynstr()?;
    let dynamic_at = out.reserve_dynamic(6);
    let loaded = out.reserved_len();
    out.reserve_shstrtab()?;
    out.reserve_section_headers();

    let code_at = loaded.next_multiple_of(0x1000);
    let code_size = STRIDE * u64::from(symbol_count);
    out.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_DYN,
        e_machine: elf::EM_X86_64,
        e_entry: 0,
        e_flags: elf::FileFlags(0),
    })?;
    out.write_align_program_headers();
    out.write_program_header(&ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: elf::PF_R | elf::PF_X,
        p_offset: 0,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: loaded,
        p_memsz: code_at + code_size,
        p_align: 0x1000,
    });
    out.write_program_header(&ProgramHeader {
        p_type: elf::PT_DYNAMIC,
        p_flags: elf::PF_R,
        p_offset: dynamic_at,
        p_vaddr: dynamic_at,
        p_paddr: dynamic_at,
        p_filesz: 6 * 16,
        p_memsz: 6 * 16,
        p_align: 8,
    });
    out.write_hash(buckets, symbol_count, |index| {
        let name = names.get((index as usize).checked_sub(1)?)?;
        Some(elf::hash(name.name.as_bytes()))
    });
    out.write_null_dynamic_symbol();
    for (position, (symbol, string)) in (1..).zip(names.iter().zip(strings)) {
        let kind = match symbol.kind {
            Kind::Function => elf::STT_FUNC,
            Kind::Data => elf::STT_OBJECT,
        };
        let st_name = out.dynamic_string_offset(Some(string));
        out.write_dynamic_symbol(&Sym {
            st_name,
            section: Some(text.0),
            st_info: elf::SymbolInfo(elf::STB_GLOBAL.0 << 4 | kind.0),
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SHN_UNDEF,
            st_value: code_at + STRIDE * position,
            st_size: 8,
        });
    }
    out.write_dynstr();
    out.write_align_dynamic();
    out.write_dynamic_string(elf::DT_SONAME, soname)?;
    out.write_dynamic(elf::DT_HASH, hash_at)?;
    out.write_dynamic(elf::DT_STRTAB, dynstr_at)?;
    out.write_dynamic(elf::DT_SYMTAB, dynsym_at)?;
    let string_bytes = u64::from(out.dynstr_len());
    out.write_dynamic(elf::DT_STRSZ, string_bytes)?;
    out.write_dynamic(elf::DT_NULL, 0)?;
    out.write_shstrtab();
    out.write_null_section_header();
    let sh_name = out.section_name_offset(Some(text_name));
    out.write_section_header(&SectionHeader {
        sh_name,
        sh_type: elf::SHT_NOBITS,
        sh_flags: elf::SHF_ALLOC | elf::SHF_EXECINSTR,
        sh_addr: code_at,
        sh_offset: loaded,
        sh_size: code_size,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 16,
        sh_entsize: 0,
    });
    out.write_hash_section_header(hash_at);
    out.write_dynsym_section_header(dynsym_at, 1);
    out.write_dynstr_section_header(dynstr_at);
    out.write_dynamic_section_header(dynamic_at);
    out.write_shstrtab_section_header();
    Ok(bytes)
}
