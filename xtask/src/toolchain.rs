//! Finds a Rust that can build for a machine without an operating system.
//!
//! Three ways, in this order: a rustup toolchain with the target installed; a nightly of rustup with the sources of
//! `core`; Debian's `rustc-web`, `cargo-web` and `rust-web-src`. The ordinary `core` of a Linux toolchain will not do:
//! it is compiled with a red zone and with SSE, which a kernel's interrupts would trample on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// The target: x86_64 without an operating system, without a red zone, with soft floating point.
pub const TARGET: &str = "x86_64-unknown-none";

/// The oldest Rust that compiles the crates of the kernel side: their `rust-version`.
pub const OLDEST: Version = Version { major: 1, minor: 85 };

/// What is said when there is no toolchain.
const NONE_FOUND: &str = "No Rust toolchain here can build for a kernel. Any one of these three will do:\n\
    \x20 1. rustup: `rustup target add x86_64-unknown-none`;\n\
    \x20 2. a nightly with the sources: `rustup toolchain install nightly --component rust-src`;\n\
    \x20 3. Debian: `apt-get update && apt-get install rustc-web cargo-web rust-web-src` \
    (as root; `cargo xtask setup` does it).";

/// A version of Rust, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Version {
    /// Reads `1.85.0`, `1.96.0+dfsg1-1` or the line that `rustc -V` prints.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let start = text.find(|character: char| character.is_ascii_digit())?;
        let mut numbers = text[start..].split(|character: char| !character.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self { major: next()?, minor: next()? })
    }
}

/// How `core` and `alloc` for the target come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// They are installed.
    Installed,
    /// They are compiled along; needs an unstable option of Cargo's.
    Built,
}

/// A toolchain that can build the add-on.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// What to call it in messages.
    pub name: String,
    /// The Cargo to run.
    pub cargo: PathBuf,
    /// The compiler it shall use.
    pub rustc: PathBuf,
    /// The directory of its libraries.
    pub sysroot: PathBuf,
    /// How `core` comes about.
    pub core: Core,
}

impl Toolchain {
    /// Returns the line that the compiler says of its version.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub fn compiler(&self) -> Result<String> {
        process::output_of(clean_command(&self.rustc).arg("-V"))
    }

    /// The command `cargo`, with an environment that cannot change the result.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut command = clean_command(&self.cargo);
        command.env("RUSTC", &self.rustc);
        if self.core == Core::Built {
            // Stable releases allow unstable options only with this; a nightly does not mind it.
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// The options that make Cargo provide `core`.
    #[must_use]
    pub fn core_options(&self) -> &'static [&'static str] {
        match self.core {
            Core::Installed => &[],
            Core::Built => &["-Zbuild-std=core,alloc,compiler_builtins", "-Zbuild-std-features=compiler-builtins-mem"],
        }
    }
}

/// A command without the variables by which an outer Cargo, or a user's settings, would reach into the build.
fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let harmful = text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_TARGET_")
            || text.starts_with("CARGO_PKG_")
            || matches!(
                &*text,
                "CARGO"
                    | "CARGO_BUILD_RUSTC"
                    | "CARGO_BUILD_RUSTFLAGS"
                    | "CARGO_BUILD_TARGET"
                    | "CARGO_ENCODED_RUSTFLAGS"
                    | "CARGO_INCREMENTAL"
                    | "CARGO_MANIFEST_DIR"
                    | "LD_LIBRARY_PATH"
                    | "RUSTC"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "RUSTC_WRAPPER"
                    | "RUSTFLAGS"
                    | "RUSTUP_TOOLCHAIN"
            );
        if harmful {
            command.env_remove(&name);
        }
    }
    command
}

/// The toolchain to take.
///
/// # Errors
/// When there is none: the message names all three ways to get one.
pub fn choose() -> Result<Toolchain> {
    let all = rustup_toolchains();
    let found = all
        .iter()
        .find_map(|(name, rustc)| installed(name, rustc))
        .or_else(|| all.iter().find_map(|(name, rustc)| nightly(name, rustc)))
        .or_else(|| distribution(Path::new("/usr/bin")));
    match found {
        Some(toolchain) => Ok(toolchain),
        None => bail!("{NONE_FOUND}"),
    }
}

/// The toolchains of rustup and where their compilers are, the active one first.
fn rustup_toolchains() -> Vec<(String, PathBuf)> {
    let Some(rustup) = process::find("rustup") else { return Vec::new() };
    // Whatever fails here means one toolchain less to choose from.
    let ask = |arguments: &[&str]| process::output_of(clean_command(&rustup).args(arguments)).unwrap_or_default();
    let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let active = first_word(&ask(&["show", "active-toolchain"]));
    let mut names: Vec<String> = ask(&["toolchain", "list"]).lines().filter_map(first_word).collect();
    names.sort_by_key(|name| Some(name) != active.as_ref());
    let located = names.into_iter().map(|name| {
        let rustc = PathBuf::from(ask(&["which", "--toolchain", &name, "rustc"]));
        (name, rustc)
    });
    located.filter(|(_, rustc)| rustc.is_file()).collect()
}

/// A rustup toolchain with the target installed.
fn installed(name: &str, rustc: &Path) -> Option<Toolchain> {
    let sysroot = sysroot_of(rustc)?;
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let toolchain = Toolchain {
        name: format!("rustup's {name} with {TARGET}"),
        cargo: rustc.with_file_name("cargo"),
        rustc: rustc.to_owned(),
        sysroot,
        core: Core::Installed,
    };
    (libraries.is_dir() && is_recent(rustc)).then_some(toolchain)
}

/// A nightly of rustup with the sources of `core`.
fn nightly(name: &str, rustc: &Path) -> Option<Toolchain> {
    let toolchain = Toolchain {
        name: format!("rustup's {name} with rust-src"),
        cargo: rustc.with_file_name("cargo"),
        rustc: rustc.to_owned(),
        sysroot: sysroot_of(rustc)?,
        core: Core::Built,
    };
    (name.starts_with("nightly") && has_sources(&toolchain.sysroot) && is_recent(rustc)).then_some(toolchain)
}

/// A distribution's own Rust in `directory`, with the sources of `core`.
fn distribution(directory: &Path) -> Option<Toolchain> {
    let rustc = directory.join("rustc");
    let cargo = directory.join("cargo");
    if !rustc.is_file() || !cargo.is_file() {
        return None;
    }
    let version = process::output_of(clean_command(&rustc).arg("-V")).ok()?;
    let toolchain = Toolchain {
        name: format!("the distribution's {version} with its sources"),
        cargo,
        sysroot: sysroot_of(&rustc)?,
        rustc: rustc.clone(),
        core: Core::Built,
    };
    (has_sources(&toolchain.sysroot) && is_recent(&rustc)).then_some(toolchain)
}

/// Where the compiler's libraries are.
fn sysroot_of(rustc: &Path) -> Option<PathBuf> {
    let path = process::output_of(clean_command(rustc).args(["--print", "sysroot"])).ok()?;
    Some(PathBuf::from(path))
}

/// Whether the sources of `core` are there.
fn has_sources(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
}

/// Whether the compiler is not too old.
fn is_recent(rustc: &Path) -> bool {
    let version = process::output_of(clean_command(rustc).arg("-V")).ok();
    version.and_then(|line| Version::parse(&line)).is_some_and(|version| version >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_tools_and_packages_say() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(Version::parse("rustc 1.95.0 (59807616e 2026-04-14)"), version(1, 95));
        assert_eq!(Version::parse("1.96.0+dfsg1-1~deb12u2"), version(1, 96));
        assert_eq!(Version::parse("rustc 1.97.0-nightly (abc 2026-05-01)"), version(1, 97));
        assert_eq!(Version::parse("(none)"), None);
        assert!(Version::parse("1.85.0") >= Some(OLDEST) && Version::parse("1.63.0") < Some(OLDEST));
    }

    #[test]
    fn an_empty_directory_has_no_toolchain() {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        assert!(distribution(directory.path()).is_none());
    }

    #[test]
    fn the_message_names_all_three_ways() {
        for way in ["rustup target add x86_64-unknown-none", "--component rust-src", "rustc-web cargo-web rust-web-src"]
        {
            assert!(NONE_FOUND.contains(way), "{way}");
        }
    }
}
