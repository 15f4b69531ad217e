//! Links the add-on the one way that Haiku's kernel can load.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// What the add-on exports, and nothing else: first the functions, then the variables.
pub const EXPORTED_FUNCTIONS: [&str; 5] =
    ["find_device", "init_driver", "init_hardware", "publish_devices", "uninit_driver"];
/// The exported variables.
pub const EXPORTED_VARIABLES: [&str; 3] = ["api_version", "module_dependencies", "modules"];

/// What becomes of the names of functions and the lines of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// They stay in the file: for the audit, and for tools that turn an address into a line.
    Keep,
    /// They are left out; what the kernel loads is the same.
    Strip,
}

/// What to link.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'p> {
    /// Archives or object files.
    pub objects: &'p [&'p Path],
    /// The stub of the kernel.
    pub stub: &'p Path,
    /// The linker script of the repository.
    pub script: &'p Path,
    /// A directory for what the linker wants as files.
    pub scratch: &'p Path,
}

/// A linker of this machine's.
#[derive(Clone, Debug)]
pub struct Linker {
    program: PathBuf,
    /// Arguments that make it behave as an ELF linker, and as this project needs it.
    first: &'static [&'static str],
}

impl Linker {
    /// The linker to take: the system's, or else the one that comes with Rust.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self> {
        let gnu = ["ld", "ld.bfd", "x86_64-linux-gnu-ld"].into_iter().find_map(process::find);
        if let Some(program) = gnu {
            return Ok(Self { program, first: &[] });
        }
        if let Some(program) = process::find("ld.lld") {
            return Ok(Self { program, first: &["--no-rosegment"] });
        }
        if let Some(program) = rust_lld() {
            return Ok(Self { program, first: &["-flavor", "gnu", "--no-rosegment"] });
        }
        bail!(
            "There is no linker: neither ld nor ld.lld nor rust-lld was found. Install binutils, which gcc needs too."
        )
    }

    /// The linker's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Links the add-on into `output`.
    ///
    /// # Errors
    /// When the linker finds fault; its own messages are shown.
    pub fn link(&self, inputs: Inputs<'_>, symbols: Symbols, output: &Path) -> Result<()> {
        let versions = inputs.scratch.join("exports.map");
        process::write(&versions, version_script())?;
        let mut command = Command::new(&self.program);
        command.args(self.first).args([
            "-m",
            "elf_x86_64",
            "-shared",
            "-Bsymbolic",
            "--hash-style=sysv",
            "--gc-sections",
            "--build-id=none",
            "--no-eh-frame-hdr",
            "-znoseparate-code",
            "-znorelro",
            "-zmax-page-size=0x1000",
            "-ztext",
            "-zdefs",
        ]);
        if symbols == Symbols::Strip {
            command.arg("--strip-all");
        }
        for name in exports() {
            command.arg(format!("--undefined={name}"));
        }
        command.arg(format!("--version-script={}", versions.display()));
        command.arg(format!("--script={}", inputs.script.display()));
        command.args(inputs.objects).arg(inputs.stub).arg("-o").arg(output);
        process::run(&mut command).context(
            "The add-on could not be linked. A symbol that is called undefined is missing from \
             net-addon/link/kernel-symbols.txt, or from the kernel",
        )
    }
}

/// Every exported name, sorted.
pub fn exports() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<&str> = EXPORTED_FUNCTIONS.iter().chain(&EXPORTED_VARIABLES).copied().collect();
    names.sort_unstable();
    names.into_iter()
}

/// What tells the linker which symbols stay visible. It makes no versions.
fn version_script() -> String {
    let names: Vec<&str> = exports().collect();
    format!("{{\n\tglobal: {};\n\tlocal: *;\n}};\n", names.join("; "))
}

/// The linker that comes with a Rust toolchain.
fn rust_lld() -> Option<PathBuf> {
    let sysroot = process::output_of(Command::new("rustc").args(["--print", "sysroot"])).ok()?;
    let path = Path::new(&sysroot).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    path.is_file().then_some(path)
}
