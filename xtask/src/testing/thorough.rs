//! What takes longer: many more random cases, fuzzing, sanitizers, and the same bytes from two builds.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::testing::cargo;
use crate::testing::steps::{Outcome, Steps};
use crate::testing::suites::{self, Suite};
use crate::{addon, dist, process, toolchain};

/// How many random cases each property is tried with.
const CASES: &str = "10000";
/// How long one test program may take here.
const LIMIT: Duration = Duration::from_secs(1200);
/// How long each fuzz target runs.
const FUZZ_SECONDS: u32 = 60;
/// The target of programs for this machine; sanitizers want it named.
const HOST: &str = "x86_64-unknown-linux-gnu";
/// The packages whose tests run under the address sanitizer.
const SANITIZED: &[&str] = &["tuntap-driver", "tuntap-ptp", "tuntap-tap", "tuntap-tun", "haiku-loader"];

/// Runs the thorough steps. `built` is the add-on, if there is one.
pub fn run(project: &Project, suites: &[Suite], built: Option<&Path>, steps: &mut Steps) {
    steps.step("documentation", || {
        let mut command = cargo(project);
        command.args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
        process::run(&mut command)?;
        Ok(Outcome::Passed(String::new()))
    });
    for package in suites::packages(suites).filter(|package| suites::has_random_tests(suites, package)) {
        steps.step(&format!("{CASES} random cases each: {package}"), || {
            suites::run(suites, &package, &[("PROPTEST_CASES", OsStr::new(CASES))], LIMIT)
        });
    }
    steps.step("every VPN program", || suites::run_ignored(suites, super::END_TO_END, "vpn", LIMIT));
    steps.step("the add-on built twice", || same_addon_twice(project, built));
    steps.step("the package made twice", || same_package_twice(project, built));
    for name in fuzz_targets(project) {
        steps.step(&format!("fuzzing: {name}"), || fuzz(project, &name));
    }
    steps.step("address sanitizer", || address_sanitizer(project));
    steps.step("interpreter (miri)", || miri(project));
}

/// A second build from nothing, from another directory, gives the same bytes.
fn same_addon_twice(project: &Project, built: Option<&Path>) -> Result<Outcome> {
    let Some(built) = built else { return Ok(Outcome::Skipped("there is no add-on".to_owned())) };
    let other = project.with_target(project.target().join("haiku/second"));
    if other.target().exists() {
        fs::remove_dir_all(other.target()).context("the second build directory could not be emptied")?;
    }
    let second = addon::build_with(&other, &toolchain::choose()?)?;
    same(&process::read(built)?, &process::read(&second)?, "the add-on")
}

/// Two packages have the same bytes.
fn same_package_twice(project: &Project, built: Option<&Path>) -> Result<Outcome> {
    if built.is_none() {
        return Ok(Outcome::Skipped("there is no add-on".to_owned()));
    }
    let pack = || -> Result<Vec<u8>> { process::read(&dist::pack(project)?) };
    same(&pack()?, &pack()?, "the package")
}

fn same(first: &[u8], second: &[u8], what: &str) -> Result<Outcome> {
    if first == second {
        return Ok(Outcome::Passed(format!("{} equal bytes", first.len())));
    }
    let at = first.iter().zip(second).position(|(one, other)| one != other).unwrap_or(first.len().min(second.len()));
    let (first, second) = (first.len(), second.len());
    bail!("two builds of {what} differ from byte {at} on (sizes {first} and {second})")
}

/// The fuzz targets: the files in `fuzz/fuzz_targets`.
fn fuzz_targets(project: &Project) -> Vec<String> {
    let Ok(entries) = fs::read_dir(project.root().join("fuzz/fuzz_targets")) else { return Vec::new() };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

/// Runs one fuzz target for a minute. With a nightly the address sanitizer watches.
fn fuzz(project: &Project, name: &str) -> Result<Outcome> {
    if process::find("c++").is_none() {
        return Ok(Outcome::Skipped("libFuzzer needs a C++ compiler".to_owned()));
    }
    let mut flags = vec![
        "--cfg=fuzzing",
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        "-Ccodegen-units=1",
        "-Cdebug-assertions=yes",
    ];
    let mut command = match nightly(project) {
        Some(cargo) => {
            flags.push("-Zsanitizer=address");
            cargo
        }
        None => cargo(project),
    };
    let target = project.target().join("fuzz");
    command
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bin", name, "--target", HOST])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    process::run(&mut command)?;
    let corpus = target.join("corpus").join(name);
    fs::create_dir_all(&corpus).context("the directory for the corpus could not be made")?;
    let mut program = Command::new(target.join(HOST).join("release").join(name));
    program.current_dir(&target).arg(&corpus);
    let seeds = project.root().join("fuzz/corpus").join(name);
    if seeds.is_dir() {
        program.arg(seeds);
    }
    program.args([format!("-max_total_time={FUZZ_SECONDS}"), "-print_final_stats=1".to_owned()]);
    let finished = process::run_limited(&mut program, LIMIT)?;
    let runs = finished.text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    if !finished.succeeded {
        println!("{}", finished.text);
        bail!("{name} found something ({}); the input is named above", finished.how);
    }
    Ok(Outcome::Passed(format!("{} runs", runs.map_or("?", str::trim))))
}

/// The tests of what can run under it, with every access checked.
fn address_sanitizer(project: &Project) -> Result<Outcome> {
    let Some(mut command) = nightly(project) else {
        return Ok(Outcome::Skipped("there is no nightly toolchain".to_owned()));
    };
    command.args(["test", "--locked", "--tests", "--target", HOST]);
    for package in SANITIZED {
        command.args(["--package", package]);
    }
    command.env("CARGO_TARGET_DIR", project.target().join("sanitized")).env("RUSTFLAGS", "-Zsanitizer=address");
    process::run(&mut command)?;
    Ok(Outcome::Passed(format!("{} packages", SANITIZED.len())))
}

/// The link layer's tests, interpreted.
fn miri(project: &Project) -> Result<Outcome> {
    let Some(mut probe) = nightly(project) else {
        return Ok(Outcome::Skipped("there is no nightly toolchain".to_owned()));
    };
    if !process::run_quietly(probe.args(["miri", "--version"]))?.status.success() {
        return Ok(Outcome::Skipped(
            "the nightly has no miri (`rustup +nightly component add miri rust-src`)".to_owned(),
        ));
    }
    let Some(mut command) = nightly(project) else { return Ok(Outcome::Skipped("no nightly".to_owned())) };
    command.args(["miri", "test", "--locked", "--lib", "--package", "tuntap-ptp", "--package", "tuntap-driver"]);
    command.env("CARGO_TARGET_DIR", project.target().join("miri"));
    process::run(&mut command)?;
    Ok(Outcome::Passed(String::new()))
}

/// The Cargo of rustup's nightly, in the workspace.
fn nightly(project: &Project) -> Option<Command> {
    let rustup = process::find("rustup")?;
    let mut probe = Command::new(&rustup);
    process::output_of(probe.args(["which", "--toolchain", "nightly", "cargo"])).ok()?;
    let mut command = Command::new(&rustup);
    command.current_dir(project.root()).args(["run", "nightly", "cargo"]);
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(variable);
    }
    Some(command)
}
