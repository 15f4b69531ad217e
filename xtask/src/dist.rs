//! `cargo xtask dist`: the archive that a Haiku user downloads. Same inputs, same bytes.
//!
//! The link under `drivers/dev` is not in the archive: unpackers differ in what they make of symbolic links. The
//! install script makes it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::project::Project;
use crate::{addon, process};

/// What the archive holds: name inside, path in the repository, whether it is a program.
const FILES: &[(&str, &str, bool)] = &[
    ("install.sh", "net-addon/dist/install.sh", true),
    ("uninstall.sh", "net-addon/dist/uninstall.sh", true),
    ("tun_tap.settings", "net-addon/dist/tun_tap.settings", false),
    ("tun_tap.h", "net-addon/include/tun_tap.h", false),
    ("haiku.md", "docs/haiku.md", false),
    ("tun.4", "docs/tun.4", false),
    ("tap.4", "docs/tap.4", false),
    ("LICENSE", "LICENSE", false),
];

/// Builds the add-on and packs the archive.
///
/// # Errors
/// When the add-on cannot be built or something to pack is missing.
pub fn run(project: &Project) -> Result<()> {
    addon::build(project)?;
    let archive = pack(project)?;
    println!("Packed {} ({} bytes).", project.short(&archive), std::fs::metadata(&archive)?.len());
    Ok(())
}

/// Packs the add-on that was built last.
///
/// # Errors
/// When there is none, or something else to pack is missing.
pub fn pack(project: &Project) -> Result<PathBuf> {
    let name = format!("tun_tap-{}-x86_64", project.version());
    let path = project.root().join("dist").join(format!("{name}.zip"));
    let addon = project.addon();
    if !addon.is_file() {
        bail!("There is no add-on at {}; build it with `cargo xtask addon`.", project.short(&addon));
    }
    write_archive(project.root(), &addon, &name, &path)?;
    Ok(path)
}

/// Writes the archive `path`, everything in it below the folder `name`.
///
/// # Errors
/// When something to pack is missing or the archive cannot be written.
pub fn write_archive(root: &Path, addon: &Path, name: &str, path: &Path) -> Result<()> {
    let mut entries = vec![("tun_tap", addon.to_owned(), true)];
    entries.extend(FILES.iter().map(|(inside, source, program)| (*inside, root.join(source), *program)));
    entries.sort_unstable();
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("{} could not be made", directory.display()))?;
    }
    let unfinished = path.with_extension("zip.new");
    let file = File::create(&unfinished).with_context(|| format!("{} could not be written", unfinished.display()))?;
    let mut archive = ZipWriter::new(file);
    for (inside, source, program) in entries {
        // No compression and no times: nothing that a library's version or a clock could change.
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(if program { 0o755 } else { 0o644 });
        archive.start_file(format!("{name}/{inside}"), options)?;
        archive.write_all(&process::read(&source)?)?;
    }
    archive.finish()?;
    std::fs::rename(&unfinished, path).with_context(|| format!("{} could not be written", path.display()))
}
