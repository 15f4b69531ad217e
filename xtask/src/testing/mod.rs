//! `cargo xtask test`: everything that can be checked without a Haiku, step by step, with a summary at the end.
//!
//! [`steps`] keeps the record; [`suites`] builds the tests once and runs them package by package; [`thorough`] has what
//! takes longer. A new suite is one more call of [`steps::Steps::step`].

pub mod guest;
pub mod steps;
pub mod suites;
pub mod thorough;
mod voice;

use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::setup::{self, Changes, Extent};
use crate::testing::steps::{Outcome, Steps};
use crate::{addon, process};

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What belongs before every commit; ten minutes at most.
    Quick,
    /// That, and what takes longer.
    Thorough,
}

/// The package of the end-to-end tests, which run once more on the real add-on.
const END_TO_END: &str = "tuntap-tests";

/// The steps that run them on one and on the other.
const LINKED_IN: &str = "end to end, linked in";
const ON_ADDON: &str = "end to end, on the real add-on";
/// The steps that need no test program, and are run alone if one of them is asked for by its whole name.
const FORMATTING: &str = "formatting";
const WORDS: &str = "banned words";
const LINTS: &str = "lints";
/// The steps that make what others need.
const LAB: &str = "the lab's program and library";
const ADDON: &str = "the add-on: build, link, audit";

/// The variable by which the tests learn of the real add-on.
const ADDON_VARIABLE: &str = "HAIKU_LAB_ADDON";

/// Runs all steps, or those with `only` in their names; `false` if one failed, or none has that name.
///
/// # Errors
/// Only when the record itself cannot be kept; a step that fails is in the summary.
pub fn run(project: &Project, depth: Depth, only: Option<&str>) -> Result<bool> {
    let mut steps = Steps::limited_to(only);
    let extent = if depth == Depth::Thorough { Extent::Thorough } else { Extent::Quick };
    let missing = setup::ensure(Changes::for_tests(), extent);
    for thing in &missing {
        println!("Left out for want of {}: {}.", thing.what, thing.consequence);
    }
    let lacks = |what: &str| missing.iter().any(|thing| thing.what == what);

    steps.step(FORMATTING, || {
        if lacks("rustfmt") {
            return Ok(Outcome::Skipped("there is no rustfmt".to_owned()));
        }
        let hint = "run `cargo fmt --all`";
        cargo_step(project, &["fmt", "--all", "--check"], hint)
    });
    steps.step(WORDS, || voice::check(project));
    steps.step(LINTS, || {
        if lacks("clippy") {
            return Ok(Outcome::Skipped("there is no clippy".to_owned()));
        }
        let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        cargo_step(project, &arguments, "its messages are above")
    });

    if only.is_some_and(|only| [FORMATTING, WORDS, LINTS].contains(&only)) {
        print!("{}", steps.summary());
        return Ok(steps.succeeded());
    }

    let suites = steps.step_with("build of the tests", || {
        let suites = suites::build(project)?;
        let note = format!("{} programs", suites.len());
        Ok((Outcome::Passed(note), Some(suites)))
    });
    let suites = suites.unwrap_or_default();
    let lab = || {
        // What the tests with VPN programs start; Cargo builds neither for a test.
        let packages = ["--package", "haiku-lab", "--package", "haiku-preload"];
        let outcome = cargo_step(project, &[&["build", "--locked"][..], &packages].concat(), "its messages are above");
        Ok((outcome?, None::<()>))
    };
    if [LAB, LINKED_IN, ON_ADDON, thorough::EVERY_VPN].iter().any(|name| steps.wants(name)) {
        steps.step_with(LAB, lab);
    }
    for package in suites::packages(&suites).filter(|package| package != END_TO_END) {
        steps.step(&format!("tests of {package}"), || suites::run(&suites, &package, &[], suites::LIMIT));
    }
    steps.step("examples in the documentation", || {
        cargo_step(project, &["test", "--workspace", "--doc", "--quiet", "--locked"], "its messages are above")
    });

    steps.step("programs for a booted Haiku", || guest::check(project));

    let has_toolchain = !lacks("a Rust for kernels");
    steps.step(LINKED_IN, || suites::run(&suites, END_TO_END, &[], suites::LIMIT));
    let build = |steps: &mut Steps| {
        steps.step_with(ADDON, || {
            if !has_toolchain {
                return Ok((Outcome::Skipped("no toolchain for the kernel".to_owned()), None));
            }
            let path = addon::build(project)?;
            let size = std::fs::metadata(&path)?.len();
            Ok((Outcome::Passed(format!("{size} bytes")), Some(path)))
        })
    };
    let needed = [ON_ADDON, ADDON, thorough::ADDON_TWICE, thorough::PACKAGE_TWICE];
    let built = if needed.iter().any(|name| steps.wants(name)) { build(&mut steps) } else { None };
    steps.step(ON_ADDON, || match &built {
        Some(path) => {
            let variable = (ADDON_VARIABLE, path.as_os_str());
            suites::run(&suites, END_TO_END, &[variable], suites::LIMIT)
        }
        None => Ok(Outcome::Skipped("there is no add-on".to_owned())),
    });
    if depth == Depth::Thorough {
        thorough::run(project, &suites, built.as_deref(), &mut steps);
    }
    print!("{}", steps.summary());
    Ok(steps.succeeded())
}

/// One run of Cargo as a step, its messages going where ours go.
fn cargo_step(project: &Project, arguments: &[&str], hint: &str) -> Result<Outcome> {
    let mut command = cargo(project);
    command.args(arguments);
    let status = command.status()?;
    Ok(match status.success() {
        true => Outcome::Passed(String::new()),
        false => Outcome::Failed(format!("`{}`: {hint}", process::describe(&command))),
    })
}

/// The Cargo that runs us, in the workspace.
pub(crate) fn cargo(project: &Project) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(project.root()).env("CARGO_TARGET_DIR", project.target()).env_remove(ADDON_VARIABLE);
    command
}
