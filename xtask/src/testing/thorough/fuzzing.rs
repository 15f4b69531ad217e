//! The fuzz targets, each for a minute.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{HOST, LIMIT, nightly};
use crate::process;
use crate::project::Project;
use crate::testing::cargo;
use crate::testing::steps::{Outcome, Steps};

/// How long each target runs.
const SECONDS: u32 = 60;
/// The step that builds them.
const BUILD: &str = "fuzzing: build";
/// What libFuzzer needs of the compiler.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=yes",
];

/// Builds all targets and runs each.
pub(super) fn run(project: &Project, steps: &mut Steps) {
    let names = targets(project);
    let step = |name: &str| format!("fuzzing: {name}");
    if !steps.wants(BUILD) && !names.iter().any(|name| steps.wants(&step(name))) {
        return;
    }
    let Some(programs) = steps.step_with(BUILD, || build(project)) else { return };
    for name in names {
        steps.step(&step(&name), || fuzz(project, &programs, &name));
    }
}

/// The targets: the files in `fuzz/fuzz_targets`.
fn targets(project: &Project) -> Vec<String> {
    let Ok(entries) = fs::read_dir(project.root().join("fuzz/fuzz_targets")) else { return Vec::new() };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

/// Builds them, and returns where they are. With a nightly the address sanitizer watches them.
fn build(project: &Project) -> Result<(Outcome, Option<PathBuf>)> {
    if process::find("c++").is_none() {
        return Ok((Outcome::Skipped("libFuzzer needs a C++ compiler".to_owned()), None));
    }
    let mut flags = FLAGS.to_vec();
    let (mut command, note) = match nightly(project) {
        Some(cargo) => {
            flags.push("-Zsanitizer=address");
            (cargo, "with the address sanitizer")
        }
        None => (cargo(project), "without sanitizers, because there is no nightly toolchain"),
    };
    let target = project.target().join("fuzz");
    command
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--target", HOST])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    process::run(&mut command)?;
    Ok((Outcome::Passed(note.to_owned()), Some(target.join(HOST).join("release"))))
}

/// Runs one target for a minute, from its corpus.
fn fuzz(project: &Project, programs: &Path, name: &str) -> Result<Outcome> {
    let target = project.target().join("fuzz");
    let found = target.join("corpus").join(name);
    fs::create_dir_all(&found).context("the directory for the corpus could not be made")?;
    let mut program = Command::new(programs.join(name));
    program.current_dir(&target).arg(&found).arg(project.root().join("fuzz/corpus").join(name));
    // The ledgers find leaks. The sanitizer would stop all threads after every input to look for them.
    let time = format!("-max_total_time={SECONDS}");
    program.args([&time, "-print_final_stats=1", "-detect_leaks=0"]);
    let finished = process::run_limited(&mut program, LIMIT)?;
    let runs = finished.text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    if !finished.succeeded {
        println!("{}", finished.text);
        bail!("{name} found something ({}); the input is named above", finished.how);
    }
    Ok(Outcome::Passed(format!("{} runs", runs.map_or("?", str::trim))))
}
