//! The test programs: built once by Cargo, then run one by one, so that some can be run twice without building again.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;
use crate::project::Project;
use crate::testing::cargo;
use crate::testing::steps::Outcome;

/// proptest's variable for the seed of the random cases. Unless it is set, every run has the same cases, so that a change
/// alone makes a run fail; fuzzing looks for new ones.
const CASES_SEED: &str = "PROPTEST_RNG_SEED";

/// How long one test program may take.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A test program.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The package it belongs to.
    pub package: String,
    /// The target's name: that of the library, or of the file under `tests/`.
    pub name: String,
    /// Whether its package has tests with random cases.
    pub random: bool,
    program: PathBuf,
    directory: PathBuf,
}

/// Builds every test of the workspace.
///
/// # Errors
/// When they do not compile.
pub fn build(project: &Project) -> Result<Vec<Suite>> {
    let mut command = cargo(project);
    command.args(["test", "--workspace", "--no-run", "--locked", "--message-format=json-render-diagnostics"]);
    let line = process::describe(&command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("Cargo could not be run")?;
    if !output.status.success() {
        bail!("the tests do not compile; see the messages above (`{line}`)");
    }
    let packages = package_table(project)?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| suite(line, &packages)).collect())
}

/// A package of the workspace: its name, and whether it has tests with random cases.
type Package = (String, bool);

/// The workspace's packages by Cargo's identifiers.
fn package_table(project: &Project) -> Result<HashMap<String, Package>> {
    let mut command = cargo(project);
    let text = process::output_of(command.args(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&text).context("Cargo's metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("Cargo's metadata has no packages")?;
    let table = packages.iter().filter_map(|package| {
        let random = package["dependencies"].as_array()?.iter().any(|dependency| dependency["name"] == "proptest");
        Some((package["id"].as_str()?.to_owned(), (package["name"].as_str()?.to_owned(), random)))
    });
    Ok(table.collect())
}

/// The test program that a line of Cargo's messages announces, if it does.
fn suite(line: &str, packages: &HashMap<String, Package>) -> Option<Suite> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let program = message["executable"].as_str().filter(|_| is_test)?;
    let (package, random) = packages.get(message["package_id"].as_str()?)?;
    Some(Suite {
        package: package.clone(),
        name: message["target"]["name"].as_str()?.to_owned(),
        random: *random,
        program: PathBuf::from(program),
        directory: Path::new(message["manifest_path"].as_str()?).parent()?.to_owned(),
    })
}

/// Whether a package has tests with random cases.
#[must_use]
pub fn has_random_tests(suites: &[Suite], package: &str) -> bool {
    suites.iter().any(|suite| suite.random && suite.package == package)
}

/// The packages that have tests, in alphabetical order.
pub fn packages(suites: &[Suite]) -> impl Iterator<Item = String> {
    let names: BTreeSet<String> = suites.iter().map(|suite| suite.package.clone()).collect();
    names.into_iter()
}

/// Runs the test programs of one package, each with these environment variables and for at most `limit`.
///
/// # Errors
/// When a program cannot be started.
pub fn run(suites: &[Suite], package: &str, variables: &[(&str, &OsStr)], limit: Duration) -> Result<Outcome> {
    let chosen = suites.iter().filter(|suite| suite.package == package);
    run_each(chosen, package, &[], variables, limit)
}

/// Runs one test program's tests that are left out otherwise, as [`run`] does the others.
///
/// # Errors
/// When it cannot be started.
pub fn run_ignored(suites: &[Suite], package: &str, name: &str, limit: Duration) -> Result<Outcome> {
    let chosen = suites.iter().filter(|suite| suite.package == package && suite.name == name);
    run_each(chosen, package, &["--ignored"], &[], limit)
}

fn run_each<'a>(
    chosen: impl Iterator<Item = &'a Suite>,
    package: &str,
    arguments: &[&str],
    variables: &[(&str, &OsStr)],
    limit: Duration,
) -> Result<Outcome> {
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    let mut programs = 0;
    for suite in chosen {
        let mut command = Command::new(&suite.program);
        command.args(arguments);
        // As Cargo runs them.
        command.current_dir(&suite.directory).env("CARGO_MANIFEST_DIR", &suite.directory);
        command.env_remove(super::ADDON_VARIABLE).env("RUST_BACKTRACE", "1").envs(variables.iter().copied());
        if env::var_os(CASES_SEED).is_none() {
            command.env(CASES_SEED, "0");
        }
        let finished = process::run_limited(&mut command, limit)?;
        programs += 1;
        counts.add(&finished.text);
        if !finished.succeeded {
            println!("{}", finished.text.trim_end());
            failed.push(format!("{} ({})", suite.name, finished.how));
        }
    }
    Ok(match (programs, failed.is_empty()) {
        (0, _) => Outcome::Skipped(format!("{package} has no test programs")),
        (_, true) => Outcome::Passed(counts.to_string()),
        (_, false) => Outcome::Failed(format!("{}; {counts}", failed.join(", "))),
    })
}

/// What test programs say at their end, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    fn add(&mut self, text: &str) {
        for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            let words: Vec<&str> = line.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
            for pair in words.windows(2) {
                let Ok(count) = pair[0].parse::<usize>() else { continue };
                match pair[1] {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" => self.ignored += count,
                    _ => {}
                }
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} tests", self.passed)?;
        if self.failed > 0 {
            write!(out, ", {} failed", self.failed)?;
        }
        if self.ignored > 0 {
            write!(out, ", {} ignored", self.ignored)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up() {
        let mut counts = Counts::default();
        counts.add("running 2 tests\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n");
        counts
            .add("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n");
        assert_eq!(counts, Counts { passed: 5, failed: 1, ignored: 1 });
        assert_eq!(counts.to_string(), "5 tests, 1 failed, 1 ignored");
    }

    #[test]
    fn only_test_programs_of_the_workspace_are_taken_from_cargos_messages() {
        let package = ("tuntap-ptp".to_owned(), true);
        let names = HashMap::from([("path+file:///w/ptp#tuntap-ptp@0.1.0".to_owned(), package)]);
        let message = |test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/ptp#tuntap-ptp@0.1.0",
                "manifest_path":"/w/ptp/Cargo.toml","target":{{"name":"codecs"}},"profile":{{"test":{test}}},
                "executable":{executable}}}"#
            )
            .replace('\n', " ")
        };
        let found = suite(&message(true, r#""/w/target/codecs-1""#), &names).expect("it is a test program");
        assert_eq!((found.package.as_str(), found.name.as_str()), ("tuntap-ptp", "codecs"));
        assert_eq!(found.directory, Path::new("/w/ptp"));
        assert!(suite(&message(false, r#""/w/target/lab""#), &names).is_none(), "an ordinary program");
        assert!(suite(&message(true, "null"), &names).is_none(), "nothing to run");
        assert!(suite("warning: something", &names).is_none());
    }
}
