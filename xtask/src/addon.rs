//! `cargo xtask addon`: from the workspace to the file that Haiku loads.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::linker::{Inputs, Linker, Symbols};
use crate::process;
use crate::project::Project;
use crate::toolchain::{self, TARGET, Toolchain};
use crate::{audit, names, stub};

/// The package that becomes the add-on.
const PACKAGE: &str = "tuntap-net-addon";

/// Builds, links and audits the add-on, and says where it is.
///
/// # Errors
/// When there is no toolchain, or the build, the link or the audit fails.
pub fn build(project: &Project) -> Result<PathBuf> {
    let toolchain = toolchain::choose()?;
    println!("Toolchain: {}.", toolchain.name);
    let addon = build_with(project, &toolchain)?;
    let size = fs::metadata(&addon)?.len();
    println!("Built {} ({size} bytes).", project.short(&addon));
    Ok(addon)
}

/// As [`build`], with this toolchain and without the closing words.
///
/// # Errors
/// When the build, the link or the audit fails. No add-on is left then, only what was refused beside it.
pub fn build_with(project: &Project, toolchain: &Toolchain) -> Result<PathBuf> {
    let (addon, refused) = (project.addon(), project.haiku().join("tun_tap.refused"));
    let twin = project.haiku().join("tun_tap.debug");
    let compiler = project.haiku().join("tun_tap.compiler");
    for stale in [&addon, &refused, &twin, &compiler] {
        if stale.exists() {
            fs::remove_file(stale).with_context(|| format!("{} could not be removed", stale.display()))?;
        }
    }
    let archive = compile(project, toolchain)?;
    // It is renamed only after it has passed the audit, so that a refused file is not mistaken for an add-on.
    link(project, &[&archive], Symbols::Strip, &refused)?;
    // The same with symbols and line numbers, for the audit and for debugging.
    link(project, &[&archive], Symbols::Keep, &twin)?;
    let report = audit::file(project, &refused)?;
    print!("{report}");
    if !report.passed() {
        bail!("The audit refuses the add-on; it is kept as {} for a closer look.", project.short(&refused));
    }
    // Tests that count instructions read which compiler built the file.
    fs::write(&compiler, toolchain.compiler()?)
        .with_context(|| format!("{} could not be written", compiler.display()))?;
    fs::rename(&refused, &addon).with_context(|| format!("{} could not be written", addon.display()))?;
    Ok(addon)
}

/// Compiles the package and all it needs into one archive.
fn compile(project: &Project, toolchain: &Toolchain) -> Result<PathBuf> {
    let target = project.haiku().join("build");
    let mut command = toolchain.cargo();
    command
        .current_dir(project.root())
        .args(["rustc", "--locked", "--lib", "--package", PACKAGE, "--profile", "addon"])
        .args(["--crate-type", "staticlib", "--target", TARGET])
        .args(toolchain.core_options())
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_ADDON_DEBUG", "line-tables-only")
        .env("RUSTFLAGS", FLAGS);
    wrap_compiler(&mut command, project, toolchain)?;
    process::run(&mut command).context("The add-on could not be compiled")?;
    let archive = target.join(TARGET).join("addon/libtuntap_net_addon.a");
    if !archive.is_file() {
        bail!("Cargo built no {}; is {PACKAGE} still a library of that name?", archive.display());
    }
    Ok(archive)
}

/// The compiler's flags. The target itself brings soft floating point, position independence and no red zone; that
/// these hold is checked in the result, by the audit.
const FLAGS: &str = "-Cforce-frame-pointers=yes -Cno-redzone=yes";

/// Stands between Cargo and the compiler, and takes the places of the sources out of what is compiled.
///
/// As flags of Cargo's the same would change the names of all symbols, because Cargo mixes its flags into them; so two
/// clones in two places would not give the same bytes.
const COMPILER_WRAPPER: &str = r#"#!/bin/sh
exec "$@" "--remap-path-prefix=$TUN_TAP_CARGO=/cargo" "--remap-path-prefix=$TUN_TAP_ROOT=/tun_tap" \
	"--remap-path-prefix=$TUN_TAP_RUST=/rust" "--remap-path-prefix=$TUN_TAP_RUST_LINK=/rust"
"#;

/// Sets up the wrapper of the compiler.
fn wrap_compiler(command: &mut Command, project: &Project, toolchain: &Toolchain) -> Result<()> {
    let wrapper = project.haiku().join("rustc-wrapper.sh");
    process::write(&wrapper, COMPILER_WRAPPER)?;
    fs::set_permissions(&wrapper, Permissions::from_mode(0o755))
        .with_context(|| format!("{} could not be made a program", wrapper.display()))?;
    let sources = toolchain.sysroot.join("lib/rustlib/src/rust");
    // Debian's sources are reached by a link; the compiler may see either name.
    let resolved = sources.canonicalize().unwrap_or_else(|_| sources.clone());
    command
        .env("RUSTC_WRAPPER", &wrapper)
        .env("TUN_TAP_CARGO", cargo_home()?)
        .env("TUN_TAP_ROOT", project.root())
        .env("TUN_TAP_RUST", resolved)
        .env("TUN_TAP_RUST_LINK", sources);
    Ok(())
}

/// Where Cargo keeps the sources of dependencies.
fn cargo_home() -> Result<PathBuf> {
    match env::var_os("CARGO_HOME") {
        Some(home) => Ok(PathBuf::from(home)),
        None => {
            let home = env::var_os("HOME").context("Neither CARGO_HOME nor HOME is set")?;
            Ok(Path::new(&home).join(".cargo"))
        }
    }
}

/// Links `objects` with the stub of the kernel into `output`.
///
/// # Errors
/// When there is no linker or it finds fault.
pub fn link(project: &Project, objects: &[&Path], symbols: Symbols, output: &Path) -> Result<()> {
    let scratch = project.haiku().join("link");
    let stub_path = scratch.join("kernel-stub.so");
    process::write(&stub_path, stub::shared_object(&names::read(&project.kernel_symbols())?)?)?;
    let script = project.root().join("net-addon/link/addon.ld");
    let inputs = Inputs { objects, stub: &stub_path, script: &script, scratch: &scratch };
    Linker::find()?.link(inputs, symbols, output)
}
