//! `cargo xtask dist`: the package and the archive that a Haiku user downloads. Same inputs, same bytes.
//!
//! The package ([`package`]) is for Haiku's package manager; the archive is a zip with scripts that install without it.
//! The link under `drivers/dev` is not in the archive, because unpackers differ in what they make of symbolic links. The
//! install script makes it.

use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian;
use object::elf::{EM_X86_64, ET_DYN, FileHeader64};
use object::read::elf::FileHeader;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::project::Project;
use crate::release::{self, Release};
use crate::{addon, process};

pub mod package;

/// What the archive holds: name inside, path in the repository.
const FILES: &[(&str, &str)] = &[
    ("install.sh", "net-addon/dist/install.sh"),
    ("uninstall.sh", "net-addon/dist/uninstall.sh"),
    ("tun_tap.settings", "net-addon/dist/tun_tap.settings"),
    ("tun_tap.h", "net-addon/include/tun_tap.h"),
    ("haiku.md", "docs/haiku.md"),
    ("tun.4", "docs/tun.4"),
    ("tap.4", "docs/tap.4"),
    ("LICENSE", "LICENSE"),
];

/// A file to pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its path in what is packed.
    pub inside: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it may be executed.
    pub executable: bool,
}

impl Source {
    /// Looks at a file.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(inside: String, path: PathBuf) -> Result<Self> {
        let about = std::fs::metadata(&path).with_context(|| format!("{} cannot be packed", path.display()))?;
        ensure!(about.is_file(), "{} is not a file and cannot be packed.", path.display());
        Ok(Self { inside, path, executable: about.permissions().mode() & 0o100 != 0 })
    }
}

/// Lists the files below a folder, by name. Hidden ones and what Python compiles are left out.
fn folder(inside: &str, path: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(path).with_context(|| format!("{} cannot be packed", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has a name that is not text", path.display()))?;
        let inside = format!("{inside}/{name}");
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        if path.is_dir() {
            files.extend(folder(&inside, &path)?);
        } else {
            files.push(Source::of(inside, path)?);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Checks the release, builds the add-on and packs it.
///
/// # Errors
/// If versions or documents disagree, the add-on cannot be built, or something to pack is missing.
pub fn run(project: &Project) -> Result<()> {
    release::check(project.root())?;
    addon::build(project)?;
    for path in pack(project)? {
        println!("Packed {} ({} bytes).", project.short(&path), std::fs::metadata(&path)?.len());
    }
    Ok(())
}

/// Packs the add-on that was built last, and returns the paths of the package and of the archive.
///
/// # Errors
/// If there is none, or something else to pack is missing.
pub fn pack(project: &Project) -> Result<[PathBuf; 2]> {
    let addon = project.addon();
    if !addon.is_file() {
        bail!("There is no add-on at {}; build it with `cargo xtask addon`.", project.short(&addon));
    }
    pack_into(project.root(), &addon, &Release::of(project.root())?, &project.root().join("dist"))
}

/// Packs an add-on and the workspace `root` into the folder `directory`.
///
/// # Errors
/// If the add-on is not one for x86_64, something else to pack is missing, or the folder cannot be written. What the
/// folder had before is then still there.
pub fn pack_into(root: &Path, addon: &Path, release: &Release, directory: &Path) -> Result<[PathBuf; 2]> {
    let contents = process::read(addon)?;
    check_architecture(&contents).with_context(|| format!("{} cannot be packed", addon.display()))?;
    let package = package::make(root, &contents, release)?;
    let name = format!("tun_tap-{}-x86_64", release.version);
    let archive = make_archive(root, addon, &name)?;
    let paths = [directory.join(package::file_name(release)), directory.join(format!("{name}.zip"))];
    process::replace(&[(&paths[0], &package), (&paths[1], &archive)])?;
    Ok(paths)
}

/// Checks that a file is what Haiku's kernel for x86_64 loads, because the package says that it is.
fn check_architecture(addon: &[u8]) -> Result<()> {
    let header = FileHeader64::<LittleEndian>::parse(addon).context("it is no ELF file of 64 bits")?;
    let machine = header.e_machine(LittleEndian);
    ensure!(
        machine == EM_X86_64,
        "it is for another architecture (ELF machine {}); the package is for x86_64",
        machine.0
    );
    ensure!(header.e_type(LittleEndian) == ET_DYN, "it is an ELF file, but no add-on");
    Ok(())
}

/// Makes the archive, everything in it below the folder `name`.
fn make_archive(root: &Path, addon: &Path, name: &str) -> Result<Vec<u8>> {
    let mut sources = vec![Source { inside: "tun_tap".to_owned(), path: addon.to_owned(), executable: true }];
    for (inside, source) in FILES {
        sources.push(Source::of((*inside).to_owned(), root.join(source))?);
    }
    sources.extend(folder("examples", &root.join("examples"))?);
    sources.sort_unstable();
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for source in sources {
        // No compression and no times: nothing that a library's version or a clock could change.
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(if source.executable { 0o755 } else { 0o644 });
        archive.start_file(format!("{name}/{}", source.inside), options)?;
        archive.write_all(&process::read(&source.path)?)?;
    }
    Ok(archive.finish()?.into_inner())
}
