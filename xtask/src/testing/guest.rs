//! The C programs for a booted Haiku (`tests/haiku`): their syntax and types.
//!
//! With the environment variable `HAIKU`, a checkout of Haiku, they are checked against Haiku's headers; without it
//! against this system's, except the files that need Haiku's. The step's note says which.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::testing::steps::Outcome;

/// The folder of the programs and their Makefile.
const FOLDER: &str = "tests/haiku";

/// Checks the programs; skipped without `make` and `gcc`.
///
/// # Errors
/// If `make` cannot be started or a program does not compile, with the compiler's messages.
pub fn check(project: &Project) -> Result<Outcome> {
    if let Some(missing) = ["make", "gcc"].into_iter().find(|name| process::find(name).is_none()) {
        return Ok(Outcome::Skipped(format!("there is no {missing}")));
    }
    let mut make = Command::new("make");
    make.current_dir(project.root().join(FOLDER)).args(["--silent", "--no-print-directory", "syntax"]);
    let note = process::output_of(make.stdin(Stdio::null()))?;
    Ok(Outcome::Passed(note.lines().last().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_file_belongs_to_a_program() {
        let project = Project::find().expect("the workspace");
        let folder = project.root().join(FOLDER);
        let makefile = std::fs::read_to_string(folder.join("Makefile")).expect("the Makefile");
        let words: Vec<&str> = makefile.split_whitespace().collect();
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name in UTF-8");
            if name.ends_with(".c") {
                assert!(words.contains(&name.as_str()), "{name} is in no list of the Makefile: it is not checked");
            }
        }
    }

    #[test]
    fn the_report_script_says_that_the_driver_is_not_loaded() {
        if std::path::Path::new("/dev/tun").exists() {
            return;
        }
        let project = Project::find().expect("the workspace");
        let script = project.root().join(FOLDER).join("run.sh");
        let output = Command::new("sh").arg(script).output().expect("a shell");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.starts_with("run.sh: there is no /dev/tun: the driver is not loaded."), "{message}");
    }
}
