//! The tests under the compiler's sanitizers, for the packages that have `unsafe` code: the others cannot have the faults
//! that sanitizers look for.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{HOST, nightly};
use crate::process;
use crate::project::Project;
use crate::testing::steps::Outcome;

/// The tests that have threads: Cargo's words for them.
const TESTS: [&[&str]; 2] = [
    &["--package", "haiku-kernel", "--package", "tuntap-net-addon", "--tests"],
    &["--package", "tuntap-tests", "--test", "e2e", "--test", "fuzz"],
];
/// The tests without threads.
const LOADER: &[&str] = &["--package", "haiku-loader", "--tests"];

/// Runs the tests under the address sanitizer.
pub(super) fn address(project: &Project) -> Result<Outcome> {
    // The lab has its own handler for the faults that it makes on purpose, and ledgers that find leaks.
    let options = ("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:detect_leaks=0");
    run(project, "address", options, &["-Zsanitizer=address"], &[], &[LOADER, TESTS[0], TESTS[1]])
}

/// Runs the tests under the thread sanitizer.
pub(super) fn thread(project: &Project) -> Result<Outcome> {
    // The standard library is compiled with the sanitizer too. Otherwise the sanitizer does not see the slow paths of its
    // locks, and reports each access after a wait as a race.
    if nightly(project).is_some() && !has_library_source(project)? {
        let how = "`rustup component add rust-src --toolchain nightly`";
        return Ok(Outcome::Skipped(format!("the nightly has no source of the standard library; {how}")));
    }
    let options = ("TSAN_OPTIONS", "handle_segv=0:handle_sigbus=0");
    run(project, "thread", options, &["-Zsanitizer=thread"], &["-Zbuild-std"], &TESTS)
}

/// Whether the nightly can compile its own standard library.
fn has_library_source(project: &Project) -> Result<bool> {
    let Some(rustup) = process::find("rustup") else { return Ok(false) };
    let mut command = Command::new(rustup);
    command.current_dir(project.root()).args(["run", "nightly", "rustc", "--print", "sysroot"]);
    let sysroot = process::output_of(&mut command)?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").is_file())
}

fn run(
    project: &Project,
    name: &str,
    (variable, options): (&str, &str),
    flags: &[&str],
    arguments: &[&str],
    tests: &[&[&str]],
) -> Result<Outcome> {
    for &words in tests {
        let Some(mut command) = nightly(project) else {
            return Ok(Outcome::Skipped("there is no nightly toolchain".to_owned()));
        };
        command.arg("test").args(arguments).args(["--locked", "--target", HOST]).args(words);
        command.env("CARGO_TARGET_DIR", project.target().join("sanitized").join(name));
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env(variable, options);
        process::run(&mut command)?;
    }
    Ok(Outcome::Passed(String::new()))
}
