//! Makes add-ons from assembly and patches them.

use std::path::{Path, PathBuf};
use std::process::Command;

use object::LittleEndian as LE;
use object::elf::{self, DynamicTag};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use tempfile::TempDir;
use xtask::audit::{self, Report};
use xtask::linker::Symbols;
use xtask::project::Project;
use xtask::{addon, process};

/// What goes into the gaps of `good.s`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Source<'s> {
    /// Instructions of `init_hardware`.
    pub(crate) body: &'s str,
    /// Instructions of `hook`, which only a table refers to.
    pub(crate) hook: &'s str,
    /// Anything, outside the functions.
    pub(crate) extra: &'s str,
}

/// A linked add-on in a directory of its own.
pub(crate) struct Made {
    directory: TempDir,
    pub(crate) bytes: Vec<u8>,
}

impl Made {
    /// The add-on without fault.
    pub(crate) fn good() -> Self {
        Self::from_source(Source::default())
    }

    /// Assembles and links.
    pub(crate) fn from_source(source: Source<'_>) -> Self {
        let text = include_str!("good.s")
            .replace("\tBODY\n", &format!("{}\n", source.body))
            .replace("\tHOOK\n", &format!("{}\n", source.hook))
            .replace("\tEXTRA\n", &format!("{}\n", source.extra));
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let (assembly, object) = (directory.path().join("addon.s"), directory.path().join("addon.o"));
        std::fs::write(&assembly, text).expect("the temporary directory is writable");
        process::run(Command::new("cc").arg("-c").arg(&assembly).arg("-o").arg(&object)).expect("it assembles");
        Self::link(directory, &object)
    }

    /// Links objects or archives.
    pub(crate) fn link(directory: TempDir, object: &Path) -> Self {
        let output = directory.path().join("tun_tap");
        let project = Project::find().expect("tests run in the workspace").with_target(directory.path().join("target"));
        addon::link(&project, &[object], Symbols::Keep, &output).expect("it links");
        let bytes = std::fs::read(&output).expect("it was linked");
        Self { directory, bytes }
    }

    /// What the audit says.
    pub(crate) fn audit(&self) -> Report {
        let path: PathBuf = self.directory.path().join("tun_tap");
        std::fs::write(&path, &self.bytes).expect("the temporary directory is writable");
        audit::file(&Project::find().expect("tests run in the workspace"), &path).expect("it is an ELF file")
    }

    /// The same without its symbol table.
    pub(crate) fn strip(mut self) -> Self {
        let path = self.directory.path().join("tun_tap");
        process::run(Command::new("strip").arg(&path)).expect("strip comes with the linker");
        self.bytes = std::fs::read(&path).expect("it is still there");
        self
    }

    /// Puts another add-on beside it, as the one with its names.
    pub(crate) fn with_twin(self, twin: &Self) -> Self {
        std::fs::write(self.directory.path().join("tun_tap.debug"), &twin.bytes).expect("writable");
        self
    }

    /// Puts bytes at an offset of the file.
    pub(crate) fn patch(mut self, offset: u64, bytes: &[u8]) -> Self {
        let offset = offset as usize;
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The offset of the n-th program header.
    pub(crate) fn header(&self, index: u64) -> u64 {
        64 + 56 * index
    }

    /// The offset of the n-th program header of this type.
    pub(crate) fn header_of(&self, kind: elf::ProgramType) -> u64 {
        let file = ElfFile64::<LE>::parse(&*self.bytes).expect("it is an ELF file");
        let headers = file.elf_header().program_headers(LE, &*self.bytes).expect("it has them");
        let index = headers.iter().position(|header| header.p_type(LE) == kind).expect("it has one");
        self.header(index as u64)
    }

    /// The offset in the file of what is loaded at `address`.
    pub(crate) fn offset_of(&self, address: u64) -> u64 {
        let file = ElfFile64::<LE>::parse(&*self.bytes).expect("it is an ELF file");
        let headers = file.elf_header().program_headers(LE, &*self.bytes).expect("it has them");
        let holds = |header: &&elf::ProgramHeader64<LE>| {
            (header.p_vaddr(LE)..header.p_vaddr(LE) + header.p_filesz(LE)).contains(&address)
        };
        let header = headers.iter().find(holds).expect("the address is loaded");
        address - header.p_vaddr(LE) + header.p_offset(LE)
    }

    /// The eight bytes at an offset of the file.
    pub(crate) fn word(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.bytes[offset as usize..offset as usize + 8].try_into().expect("eight bytes"))
    }

    /// The offset of an entry of the dynamic section.
    pub(crate) fn dynamic(&self, tag: DynamicTag) -> u64 {
        let start = self.word(self.header_of(elf::PT_DYNAMIC) + 8);
        (start..).step_by(16).find(|&at| self.word(at) == tag.0 as u64).expect("it has the entry")
    }

    /// The offset of the table that an entry of the dynamic section leads to.
    pub(crate) fn table(&self, tag: DynamicTag) -> u64 {
        self.offset_of(self.word(self.dynamic(tag) + 8))
    }

    /// The offset of the dynamic symbol of this name.
    pub(crate) fn symbol(&self, name: &str) -> u64 {
        let (symbols, strings) = (self.table(elf::DT_SYMTAB), self.table(elf::DT_STRTAB));
        let wanted = [name.as_bytes(), b"\0"].concat();
        (symbols + 24..)
            .step_by(24)
            .find(|&at| {
                let name_at = (strings + (self.word(at) & 0xffff_ffff)) as usize;
                self.bytes[name_at..].starts_with(&wanted)
            })
            .expect("it has the symbol")
    }
}

/// Exactly this rule is broken, and the details say so in these words.
#[track_caller]
pub(crate) fn breaks(made: &Made, rule: &str, words: &str) {
    let report = made.audit();
    let broken: Vec<&str> =
        report.findings.iter().filter(|finding| !finding.passed).map(|finding| finding.rule).collect();
    assert_eq!(broken, [rule], "{report}");
    let details = report.finding(rule).expect("it was found broken").details.join("\n");
    assert!(details.contains(words), "{details}");
    assert!(report.to_string().contains("FAIL") && report.to_string().contains(words), "{report}");
}
