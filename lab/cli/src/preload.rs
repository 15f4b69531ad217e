//! `haiku-lab exec`: any program, with an emulated Haiku in its process.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use haiku_stack::Error;

/// The environment variable that names the library, if it is not beside the program.
pub const LIBRARY: &str = "HAIKU_LAB_PRELOAD";

const FILE: &str = "libhaiku_preload.so";

/// This command line's own program, for scripts that tools run.
///
/// # Errors
/// It could not be built.
pub fn program() -> Result<PathBuf, Error> {
    beside("haiku-lab", "haiku-lab")
}

/// Returns the library to preload: the one that is named, or the one beside this program.
///
/// # Errors
/// It is nowhere, or could not be built.
pub fn library() -> Result<PathBuf, Error> {
    let path = std::env::var_os(LIBRARY).map_or_else(|| beside("haiku-preload", FILE), |path| Ok(path.into()))?;
    if path.exists() {
        return Ok(path);
    }
    Err(Error::Failed(format!(
        "the library {} is not there; build it with `cargo build --release -p haiku-preload`, or name it in {LIBRARY}",
        path.display()
    )))
}

/// A package's file beside this program; a test's program lies one folder deeper. Under cargo the package is built first,
/// because nothing else builds it.
fn beside(package: &'static str, file: &str) -> Result<PathBuf, Error> {
    let this = std::env::current_exe().map_err(|error| Error::io("finding this program's own file", error))?;
    let folder = this.parent().unwrap_or(&this);
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = folder.join(file);
    if let (Some(cargo), Some(manifest)) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"))
        && path != this
    {
        build(package, &cargo, &manifest, folder)?;
    }
    Ok(path)
}

/// Has cargo build a package in the same profile as this program, once in a process.
fn build(package: &'static str, cargo: &OsStr, manifest: &OsStr, folder: &Path) -> Result<(), Error> {
    static BUILT: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if built.contains(&package) {
        return Ok(());
    }
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--profile", profile]).current_dir(manifest);
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.status().map_err(|error| Error::io(format!("running cargo to build {package}"), error))?;
    if status.success() {
        built.push(package);
        return Ok(());
    }
    Err(Error::Failed(format!("cargo could not build {package} ({status})")))
}

/// Adds the library to a command's environment, in front of what is preloaded already.
pub fn insert(command: &mut Command, library: &Path) {
    let mut value = library.as_os_str().to_owned();
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    command.env("LD_PRELOAD", value);
}

/// Becomes the program. Returns only if that failed.
///
/// # Errors
/// The library is missing, or the program.
pub fn exec(program: &OsStr, arguments: &[OsString]) -> Result<std::convert::Infallible, Error> {
    let mut command = Command::new(program);
    command.args(arguments);
    insert(&mut command, &library()?);
    let error = command.exec();
    Err(Error::io(format!("running {}", program.display()), error))
}
