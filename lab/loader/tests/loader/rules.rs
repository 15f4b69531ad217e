//! For every rule an add-on that breaks just that one: refused with the rule's name, and nothing stays mapped.

use std::collections::HashSet;

use crate::fixture::*;
use haiku_loader::{OnHaiku, Rule};
use object::elf::*;

/// The fixture with one thing changed.
fn addon(change: impl FnOnce(&mut Addon)) -> Vec<u8> {
    let mut addon = Addon::good();
    change(&mut addon);
    addon.bytes()
}

/// The fixture with some bytes changed.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = Addon::good().bytes();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

/// A third segment, with these flags, behind the others.
fn third_segment(flags: u32) -> Vec<u8> {
    addon(|addon| {
        let text = addon.headers[TEXT_HEADER];
        addon.headers.push(Header { flags, address: 0x3000, in_file: 0x10, in_memory: 0x10, ..text });
    })
}

#[test]
fn what_is_not_elf_is_refused() {
    refused(&patched(0, b"#!/bin/sh\n"), Rule::ElfHeader);
    refused(b"", Rule::ElfHeader);
    refused(b"\x7fELF", Rule::ElfHeader);
}

#[test]
fn a_32_bit_file_is_refused() {
    let error = refused(&patched(4, &[1]), Rule::ElfHeader);
    assert_eq!(error.log, ["Could not load kernel add-on \"/boot/add-ons/fixture\": Not an executable"]);
}

#[test]
fn an_object_file_without_program_headers_is_refused() {
    refused(&patched(32, &[0; 8]), Rule::ElfHeader);
}

#[test]
fn program_headers_of_another_size_are_refused() {
    refused(&patched(54, &[32, 0]), Rule::ElfHeader);
    refused(&patched(54, &[64, 0]), Rule::ProgramHeaders);
}

#[test]
fn another_machine_is_refused() {
    let aarch64 = refused(&patched(18, &EM_AARCH64.0.to_le_bytes()), Rule::Machine);
    assert!(aarch64.what.contains("183"), "{aarch64}");
    refused(&patched(5, &[2]), Rule::Machine);
}

#[test]
fn an_executable_is_refused() {
    refused(&patched(16, &ET_EXEC.0.to_le_bytes()), Rule::Machine);
}

#[test]
fn program_headers_beyond_the_file_are_refused() {
    refused(&patched(32, &u64::MAX.to_le_bytes()), Rule::ProgramHeaders);
    refused(&patched(32, &0x13f0u64.to_le_bytes()), Rule::ProgramHeaders);
    refused(&patched(56, &u16::MAX.to_le_bytes()), Rule::ProgramHeaders);
}

#[test]
fn a_read_only_segment_is_refused_with_the_kernels_words() {
    let error = refused(&third_segment(4), Rule::SegmentFlags);
    assert_eq!(error.log, ["fixture: weird program header flags 0x4"]);
    assert_eq!(error.rule.on_haiku(), OnHaiku::Misbehaves);
}

#[test]
fn a_third_segment_of_code_or_data_is_refused() {
    refused(&third_segment(5), Rule::SegmentCount);
    refused(&third_segment(6), Rule::SegmentCount);
}

#[test]
fn a_missing_segment_is_refused() {
    refused(&addon(|addon| addon.headers[TEXT_HEADER].kind = PT_NULL.0), Rule::SegmentCount);
    let small_hole = addon(|addon| {
        addon.headers[DATA_HEADER].kind = PT_NULL.0;
    });
    refused(&small_hole, Rule::SegmentCount);
}

#[test]
fn a_segment_that_is_writable_and_executable_is_refused() {
    refused(&addon(|addon| addon.headers[DATA_HEADER].flags = 7), Rule::SegmentWritableCode);
}

#[test]
fn a_hole_between_the_segments_is_refused() {
    let error = refused(&addon(|addon| addon.headers[DATA_HEADER].address = 0x10_0000), Rule::SegmentHole);
    assert!(error.log[0].ends_with(": Bad data"), "{:?}", error.log);
}

#[test]
fn segments_in_one_page_are_refused() {
    let error = refused(&addon(|addon| addon.headers[DATA_HEADER].address = 0x800), Rule::SegmentOverlap);
    assert!(error.log[0].starts_with("fixture: error allocating area: "), "{:?}", error.log);
}

#[test]
fn a_segment_outside_the_file_is_refused() {
    refused(&addon(|addon| addon.headers[DATA_HEADER].offset = 0x1401), Rule::SegmentInFile);
    refused(&addon(|addon| addon.headers[DATA_HEADER].offset = u64::MAX), Rule::SegmentInFile);
    refused(&addon(|addon| addon.headers[DATA_HEADER].in_file = 0x1800), Rule::SegmentInFile);
}

#[test]
fn absurd_sizes_are_refused() {
    refused(&addon(|addon| addon.headers[DATA_HEADER].in_memory = 0), Rule::SegmentSize);
    refused(&addon(|addon| addon.headers[DATA_HEADER].in_memory = u64::MAX), Rule::SegmentSize);
    refused(&addon(|addon| addon.headers[DATA_HEADER].address = u64::MAX - 1), Rule::SegmentSize);
    refused(&addon(|addon| addon.headers[DATA_HEADER].in_file = 0x1801), Rule::SegmentSize);
    refused(&addon(|addon| addon.headers[DATA_HEADER].in_memory = 1 << 40), Rule::Memory);
}

#[test]
fn a_missing_dynamic_section_is_refused() {
    refused(&addon(|addon| addon.headers[DYNAMIC_HEADER].kind = PT_NULL.0), Rule::DynamicSection);
    for tag in [DT_SYMTAB, DT_STRTAB] {
        refused(&addon(|addon| addon.dynamic.retain(|entry| entry.0 != tag.0)), Rule::DynamicSection);
    }
}

#[test]
fn a_dynamic_section_that_does_not_end_is_refused() {
    refused(&addon(|addon| addon.headers[DYNAMIC_HEADER].address = u64::MAX - 7), Rule::DynamicSection);
    let last_bytes = DATA + 0x2000 - 16;
    refused(&addon(|addon| addon.headers[DYNAMIC_HEADER].address = last_bytes + 8), Rule::DynamicSection);
}

#[test]
fn a_file_with_only_the_gnu_hash_is_refused() {
    let bytes = addon(|addon| addon.dynamic[0].0 = DT_GNU_HASH.0);
    let error = refused(&bytes, Rule::HashTable);
    assert!(error.to_string().contains("--hash-style=sysv"), "{error}");
}

#[test]
fn symbol_versions_are_refused() {
    refused(&addon(|addon| addon.dynamic[6] = (DT_VERSYM.0, HASH)), Rule::SymbolVersions);
}

#[test]
fn tables_outside_the_image_are_refused() {
    let entry = |tag: DynamicTag, value: u64| {
        addon(|addon| addon.dynamic.iter_mut().filter(|entry| entry.0 == tag.0).for_each(|entry| entry.1 = value))
    };
    for wild in [0x700_0000, u64::MAX, u64::MAX - 15] {
        for table in [DT_HASH, DT_SYMTAB, DT_STRTAB, DT_RELA] {
            refused(&entry(table, wild), Rule::Tables);
        }
    }
    refused(&entry(DT_RELASZ, u64::MAX), Rule::Tables);
    refused(&addon(|addon| addon.relocations[0].symbol = u32::MAX), Rule::Tables);
}

#[test]
fn a_wrong_hash_table_is_refused() {
    let at = HASH as usize;
    refused(&patched(at, &u32::MAX.to_le_bytes()), Rule::Tables);
    refused(&patched(at + 4, &u32::MAX.to_le_bytes()), Rule::Tables);
    refused(&patched(at + 8, &0x00ff_ffffu32.to_le_bytes()), Rule::Tables);
    // The last symbol's chain leads back to the first.
    refused(&patched(at + 12 + 4 * 3, &1u32.to_le_bytes()), Rule::Tables);
}

#[test]
fn relocations_without_addends_are_refused() {
    let error = refused(&addon(|addon| addon.dynamic[6] = (DT_REL.0, RELOCATIONS)), Rule::RelRelocations);
    assert_eq!(error.log[0], "arch_elf_relocate_rel: not supported on x86_64");
}

#[test]
fn every_relocation_type_that_the_kernel_does_not_know_is_refused() {
    let known = [R_X86_64_NONE, R_X86_64_64, R_X86_64_PC32, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, R_X86_64_RELATIVE];
    let known: HashSet<u32> = known.iter().map(|kind| kind.0).collect();
    for kind in (0..64).chain([0xffff_ffff]).filter(|kind| !known.contains(kind)) {
        let error = refused(&addon(|addon| addon.relocations[1].kind = kind), Rule::RelocationType);
        assert_eq!(error.log[0], format!("arch_elf_relocate_rela: unhandled relocation type {kind}"));
    }
}

#[test]
fn a_relocation_outside_the_image_is_refused() {
    for wild in [0x3000, DATA + 0x2000 - 7, u64::MAX, u64::MAX - 7, 1 << 40] {
        let error = refused(&addon(|addon| addon.relocations[1].offset = wild), Rule::RelocationTarget);
        assert_eq!(error.log[0], format!("arch_elf_relocate_rela: invalid offset {wild:#x}"));
    }
}

#[test]
fn an_unknown_symbol_is_refused_by_name() {
    let bytes = addon(|addon| addon.symbols[IMPORT as usize - 1].name = "bcmp");
    let error = refused(&bytes, Rule::UnknownSymbol);
    assert_eq!(error.log[0], "\"/boot/add-ons/fixture\": could not resolve symbol 'bcmp'");
    assert_eq!(error.log[1], "Could not load kernel add-on \"/boot/add-ons/fixture\": Symbol not found");
}

#[test]
fn an_untyped_import_is_refused_with_the_kernels_words() {
    let bytes = addon(|addon| addon.symbols[IMPORT as usize - 1].kind = STT_NOTYPE.0);
    let error = refused(&bytes, Rule::UntypedImport);
    assert_eq!(
        error.log[0],
        "elf_resolve_symbol: found symbol 'dprintf' in image 'kernel_x86_64' (requested by image \
         '/boot/add-ons/fixture') but wrong type (2 vs. 0)"
    );
}

#[test]
fn an_import_of_the_wrong_type_is_refused() {
    refused(&addon(|addon| addon.symbols[IMPORT as usize - 1].kind = STT_OBJECT.0), Rule::ImportType);
    refused(&addon(|addon| addon.symbols[IMPORT as usize - 1].name = "gKernelVariable"), Rule::ImportType);
}

#[test]
fn every_length_that_the_file_can_be_cut_to_is_refused() {
    let bytes = Addon::good().bytes();
    for length in 0..bytes.len() {
        let expected = match length {
            0..64 => Rule::ElfHeader,
            64..232 => Rule::ProgramHeaders,
            _ => Rule::SegmentInFile,
        };
        refused(&bytes[..length], expected);
    }
}

#[test]
fn every_rule_has_a_name_and_a_remedy_of_its_own() {
    let names: HashSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    for rule in Rule::ALL {
        assert!(rule.remedy().ends_with('.'), "{}: {}", rule.name(), rule.remedy());
    }
}
