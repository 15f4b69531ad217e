//! What takes longer: many more random cases, schedules and steps, a soak, fuzzing, sanitizers, and the same bytes from
//! two builds.

mod fuzzing;
mod sanitizers;

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
/// How many random schedules the whole device is run under.
const SCHEDULES: &str = "1000000";
/// The variable by which the tests of `driver` learn of it.
const SCHEDULES_VARIABLE: &str = "TUNTAP_SHUTTLE_SCHEDULES";
/// How many steps each of two simulations takes.
const SIMULATED_STEPS: &str = "5000000";
/// How long the soak takes, in minutes.
const SOAK_MINUTES: &str = "1";
/// How long one program may take here.
const LIMIT: Duration = Duration::from_secs(1200);
/// The target of programs for this machine; sanitizers want it named.
const HOST: &str = "x86_64-unknown-linux-gnu";
/// The step that needs the lab's program.
pub(super) const EVERY_VPN: &str = "every VPN program";
/// The steps that need the add-on.
pub(super) const ADDON_TWICE: &str = "the add-on built twice";
pub(super) const PACKAGE_TWICE: &str = "the package made twice";

/// Runs the thorough steps. `built` is the add-on, if there is one.
pub fn run(project: &Project, suites: &[Suite], built: Option<&Path>, steps: &mut Steps) {
    steps.step("documentation", || {
        let mut command = cargo(project);
        command.args(["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        process::run(&mut command)?;
        Ok(Outcome::Passed(String::new()))
    });
    for package in suites::packages(suites).filter(|package| suites::has_random_tests(suites, package)) {
        steps.step(&format!("{CASES} random cases each: {package}"), || {
            suites::run(suites, &package, &[("PROPTEST_CASES", OsStr::new(CASES))], LIMIT)
        });
    }
    steps.step(EVERY_VPN, || suites::run_ignored(suites, super::END_TO_END, "vpn", LIMIT));
    steps.step(ADDON_TWICE, || same_addon_twice(project, built));
    steps.step(PACKAGE_TWICE, || same_package_twice(project, built));
    steps.step(&format!("{SCHEDULES} random schedules"), || schedules(project));
    steps.step(&format!("simulation: twice {SIMULATED_STEPS} steps"), || simulation(project));
    steps.step("soak", || lab(project, &["soak", "--minutes", SOAK_MINUTES]));
    fuzzing::run(project, steps);
    steps.step("address sanitizer", || sanitizers::address(project));
    steps.step("thread sanitizer", || sanitizers::thread(project));
    steps.step("interpreter (miri)", || miri(project));
}

/// The whole device under random schedules, compiled for speed: there are a hundred times as many as in a quick run.
fn schedules(project: &Project) -> Result<Outcome> {
    let mut command = cargo(project);
    command.args(["test", "--release", "--locked", "--package", "tuntap-driver", "--test", "schedules"]);
    process::run(command.env(SCHEDULES_VARIABLE, SCHEDULES))?;
    Ok(Outcome::Passed(String::new()))
}

/// Runs two simulations at a time, because each uses one processor, from two different first seeds.
fn simulation(project: &Project) -> Result<Outcome> {
    let run = |seed| lab(project, &["simulate", "--seed", seed, "--steps", SIMULATED_STEPS]);
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| run("1000000"));
        (run("0"), second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    first.and(second)
}

/// Runs the lab's program, compiled for speed; the note is its last line.
fn lab(project: &Project, arguments: &[&str]) -> Result<Outcome> {
    let mut build = cargo(project);
    process::run(build.args(["build", "--release", "--locked", "--package", "haiku-lab", "--bin", "haiku-lab"]))?;
    let mut program = Command::new(project.target().join("release/haiku-lab"));
    let finished = process::run_limited(program.args(arguments).env_remove(super::ADDON_VARIABLE), LIMIT)?;
    if !finished.succeeded {
        println!("{}", finished.text);
        bail!("`haiku-lab {}` ended with {}", arguments.join(" "), finished.how);
    }
    Ok(Outcome::Passed(finished.text.trim_end().lines().last().unwrap_or_default().to_owned()))
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

/// Two packages have the same bytes, and so have two archives.
fn same_package_twice(project: &Project, built: Option<&Path>) -> Result<Outcome> {
    if built.is_none() {
        return Ok(Outcome::Skipped("there is no add-on".to_owned()));
    }
    let pack = || -> Result<Vec<u8>> {
        let [package, archive] = dist::pack(project)?;
        Ok([process::read(&package)?, process::read(&archive)?].concat())
    };
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

/// Runs the unit tests of the link layer and of the core under miri.
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
