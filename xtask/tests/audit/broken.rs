//! One broken rule at a time.

use object::elf::*;
use xtask::audit;
use xtask::project::Project;

use crate::made::{Made, Source, breaks};

const LOADER: &str = audit::rules::LOADER;
const RELOCATIONS: &str = "relocations Haiku applies rightly";
const EXPORTS: &str = "exports exactly the eight";
const FLOATS: &str = "no floating point, no SSE";
const RED_ZONE: &str = "no red zone";
const TRAPS: &str = "no reachable trap (ud2)";

#[test]
fn an_add_on_without_fault_passes_every_rule() {
    let report = Made::good().audit();
    assert!(report.passed(), "{report}");
    assert_eq!(report.findings.len(), 12);
    assert!(report.to_string().ends_with("All 12 rules hold.\n"), "{report}");
}

#[test]
fn another_machine_is_refused() {
    breaks(&Made::good().patch(18, &EM_AARCH64.0.to_le_bytes()), LOADER, "the rule machine");
    breaks(&Made::good().patch(16, &ET_EXEC.0.to_le_bytes()), LOADER, "the rule machine");
}

#[test]
fn a_read_only_segment_is_refused() {
    let made = Made::good();
    let flags = made.header(0) + 4;
    breaks(&made.patch(flags, &4u32.to_le_bytes()), LOADER, "the rule segment-flags");
}

#[test]
fn a_third_segment_is_refused() {
    let made = Made::good();
    let third = made.header_of(PT_DYNAMIC);
    // Without the dynamic section more than one rule is broken; the segments' must be among them.
    let report = made.patch(third, &PT_LOAD.0.to_le_bytes()).audit();
    let finding = report.finding(LOADER).expect("the rule is checked");
    assert_eq!((finding.passed, finding.figures.as_str()), (false, "segment-count"), "{report}");
}

#[test]
fn a_missing_hash_is_refused() {
    let made = Made::good();
    let entry = made.dynamic(DT_HASH);
    let report = made.patch(entry, &DT_GNU_HASH.0.to_le_bytes()).audit();
    assert_eq!(report.finding(LOADER).expect("the rule is checked").figures, "hash-table", "{report}");
}

#[test]
fn an_unknown_relocation_is_refused() {
    let made = Made::good();
    let kind = made.table(DT_RELA) + 8;
    breaks(&made.patch(kind, &R_X86_64_IRELATIVE.0.to_le_bytes()), LOADER, "has type 37");
}

#[test]
fn a_pc32_relocation_is_refused_because_haiku_computes_it_wrongly() {
    let made = Made::good();
    let kind = made.table(DT_RELA) + 8;
    breaks(&made.patch(kind, &R_X86_64_PC32.0.to_le_bytes()), RELOCATIONS, "without the base");
}

#[test]
fn a_relocation_in_code_is_refused() {
    let made = Made::good();
    let (offset, code) = (made.table(DT_RELA), made.word(made.symbol("find_device") + 8));
    breaks(&made.patch(offset, &code.to_le_bytes()), RELOCATIONS, "changes code");
}

#[test]
fn another_library_is_refused() {
    let made = Made::good();
    let name = made.table(DT_STRTAB) + made.word(made.dynamic(DT_NEEDED) + 8);
    breaks(&made.patch(name, b"_KERNEL2"), "needs the kernel only", "_KERNEL2");
}

#[test]
fn an_import_outside_the_list_is_refused() {
    let made = Made::good();
    let name = made.table(DT_STRTAB) + (made.word(made.symbol("dprintf")) & 0xffff_ffff);
    breaks(&made.patch(name, b"xprintf"), LOADER, "defines 'xprintf'");
}

#[test]
fn an_untyped_import_is_refused() {
    let made = Made::good();
    let info = made.symbol("dprintf") + 4;
    breaks(&made.patch(info, &[STB_GLOBAL.0 << 4 | STT_NOTYPE.0]), LOADER, "the rule untyped-import");
}

#[test]
fn a_missing_export_is_refused() {
    let made = Made::good();
    let name = made.table(DT_STRTAB) + (made.word(made.symbol("find_device")) & 0xffff_ffff);
    let report = made.patch(name, b"fend_device").audit();
    let details = report.finding(EXPORTS).expect("the rule is checked").details.join("\n");
    assert!(
        details.contains("find_device is not exported") && details.contains("fend_device is exported"),
        "{details}"
    );
}

#[test]
fn an_export_of_the_wrong_kind_is_refused() {
    let made = Made::good();
    let info = made.symbol("api_version") + 4;
    breaks(&made.patch(info, &[STB_GLOBAL.0 << 4 | STT_FUNC.0]), EXPORTS, "not as a variable");
}

#[test]
fn a_constructor_is_refused() {
    let made = Made::good();
    let entry = made.dynamic(DT_RELACOUNT);
    breaks(&made.patch(entry, &DT_INIT.0.to_le_bytes()), "no constructors", "DT_INIT");
    let array = Source { extra: ".section .init_array, \"aw\"\n.quad hook\n", ..Source::default() };
    let report = Made::from_source(array).audit();
    assert!(report.finding("no constructors").is_some_and(|finding| !finding.passed), "{report}");
}

#[test]
fn thread_local_storage_is_refused() {
    let source = Source {
        hook: "lea mine@dtpoff(%rax), %rax",
        extra: ".section .tdata, \"awT\"\n.type mine, @object\nmine: .quad 1\n.size mine, 8\n.text\n",
        ..Source::default()
    };
    let report = Made::from_source(source).audit();
    assert!(report.finding("no thread-local storage").is_some_and(|finding| !finding.passed), "{report}");
}

#[test]
fn sse_and_x87_are_refused() {
    let sse = Source { body: "movaps %xmm0, %xmm1", ..Source::default() };
    breaks(&Made::from_source(sse), FLOATS, "init_hardware +0x");
    let x87 = Source { hook: "fldz", ..Source::default() };
    breaks(&Made::from_source(x87), FLOATS, "hook +0x");
    let fence = Source { body: "mfence\npause\nprefetcht0 (%rax)", ..Source::default() };
    assert!(Made::from_source(fence).audit().passed(), "these use no register");
}

#[test]
fn the_red_zone_is_refused() {
    let said = Source { hook: "mov %rax, -8(%rsp)", ..Source::default() };
    breaks(&Made::from_source(said), RED_ZONE, "hook +0x");
    let by_frame = Source { body: "mov %rax, -8(%rbp)", ..Source::default() };
    breaks(&Made::from_source(by_frame), RED_ZONE, "init_hardware +0x");
    let honest = Source { body: "sub $16, %rsp\nmov %rax, -8(%rbp)\nadd $16, %rsp", ..Source::default() };
    assert!(Made::from_source(honest).audit().passed(), "it made room first");
}

#[test]
fn a_trap_is_refused_unless_it_guards_a_reference_count() {
    let plain = Source { hook: "test %rdi, %rdi\njne 1f\nud2\n1:", ..Source::default() };
    breaks(&Made::from_source(plain), TRAPS, "hook +0x");
    let after_call = Source { body: "call hook\nud2", ..Source::default() };
    breaks(&Made::from_source(after_call), TRAPS, "(Call)");
    let hidden = Source { hook: "ret\nud2", ..Source::default() };
    breaks(&Made::from_source(hidden), TRAPS, "cannot see");
    let clone = Source { hook: "lock incq (%rdi)\njle 1f\nret\n1: ud2", ..Source::default() };
    let report = Made::from_source(clone).audit();
    assert!(report.passed(), "{report}");
    assert!(report.finding(TRAPS).is_some_and(|finding| finding.figures.contains("1 behind")), "{report}");
}

#[test]
fn a_large_file_is_refused() {
    let mut made = Made::good();
    made.bytes.resize(128 * 1024, 0);
    breaks(&made, "size", "131072");
}

#[test]
fn what_is_no_elf_file_is_an_error_and_not_a_finding() {
    let project = Project::find().expect("tests run in the workspace");
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let path = directory.path().join("text");
    let missing = audit::file(&project, &path).expect_err("it is not there");
    assert!(format!("{missing:#}").contains("could not be read"), "{missing:#}");
    std::fs::write(&path, "#!/bin/sh\n").expect("the temporary directory is writable");
    let text = audit::file(&project, &path).expect_err("it is no ELF file");
    assert!(format!("{text:#}").contains("is not a linked 64-bit ELF file"), "{text:#}");
}

#[test]
fn a_cut_file_never_crashes_the_audit() {
    let whole = Made::good();
    let project = Project::find().expect("tests run in the workspace");
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let path = directory.path().join("cut");
    for length in (0..whole.bytes.len()).step_by(61) {
        std::fs::write(&path, &whole.bytes[..length]).expect("the temporary directory is writable");
        let passed = audit::file(&project, &path).is_ok_and(|report| report.passed());
        assert!(!passed, "cut to {length} bytes");
    }
}
