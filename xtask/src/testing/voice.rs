//! The wording of sources and documents: a sentence names who acts, so pronouns that leave the actor open are banned.
//!
//! [`BANNED`] is the list and [`EXCEPTIONS`] says where a word may stand all the same. CONTRIBUTING.md has the other
//! rules, which no program can check.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::Project;
use crate::testing::steps::Outcome;

/// The words. Say instead who it is: the caller, the reader thread, the opener, the stack, the program, the user.
const BANNED: &[&str] = &[
    "anybody",
    "anyone",
    "everybody",
    "everyone",
    "nobody",
    "somebody",
    "someone",
    "whatsoever",
    "whoever",
    "whomever",
    "whomsoever",
    "whosoever",
];

/// Where a banned word may stand.
struct Exception {
    /// The file, from the top folder on; empty for every file.
    path: &'static str,
    /// What the line contains; empty for every line of the file.
    line: &'static str,
}

impl Exception {
    fn allows(&self, path: &str, line: &str) -> bool {
        (self.path.is_empty() || self.path == path) && line.contains(self.line)
    }
}

/// Add an entry here, with a comment that says why, if a word is not this project's to choose.
const EXCEPTIONS: &[Exception] = &[
    // The list itself, and its tests.
    Exception { path: "xtask/src/testing/voice.rs", line: "" },
    // A value of the setting `open`, which users have in their settings files.
    Exception { path: "", line: "open everyone" },
    Exception { path: "", line: ".Pq Li owner No or Li everyone ," },
    Exception { path: "net-addon/src/settings.rs", line: "or: everyone" },
    Exception { path: "net-addon/src/settings.rs", line: "b\"everyone\"" },
];

/// The endings of the names of files that are checked; besides them, scripts without one.
const ENDINGS: [&str; 11] = ["4", "c", "h", "md", "py", "recipe", "rs", "sh", "toml", "txt", "yml"];

/// A banned word in a file.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    word: &'static str,
    text: String,
}

/// Looks for banned words in all sources and documents, and prints where they are.
pub(super) fn check(project: &Project) -> Result<Outcome> {
    let mut files = Vec::new();
    collect(project.root(), project.target(), &mut files)?;
    files.sort();
    let mut used = vec![false; EXCEPTIONS.len()];
    let (mut checked, mut found) = (0, 0);
    for file in &files {
        // What is not text, such as a fuzzer's input, has no sentences.
        let Ok(text) = String::from_utf8(fs::read(file)?) else { continue };
        let path = project.short(file).to_string();
        if !is_checked(file, &text) {
            continue;
        }
        checked += 1;
        for Finding { line, word, text } in findings(&text) {
            match EXCEPTIONS.iter().position(|exception| exception.allows(&path, &text)) {
                Some(index) => used[index] = true,
                None => {
                    found += 1;
                    println!("{path}:{line}: \"{word}\": {}", text.trim());
                }
            }
        }
    }
    for exception in EXCEPTIONS.iter().zip(used).filter_map(|(exception, used)| (!used).then_some(exception)) {
        found += 1;
        println!("{}: no banned word in a line with \"{}\": remove the exception", exception.path, exception.line);
    }
    Ok(match found {
        0 => Outcome::Passed(format!("{checked} files")),
        _ => Outcome::Failed(format!(
            "{found} lines above: name who acts (the caller, the stack, the reader thread), or add an exception with \
             its reason to xtask/src/testing/voice.rs"
        )),
    })
}

/// The files below a folder, without what Cargo and Git made.
fn collect(folder: &Path, target: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} could not be listed", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_file() {
            files.push(path);
        } else if kind.is_dir() && path != target && entry.file_name() != ".git" && !is_cache(&path) {
            collect(&path, target, files)?;
        }
    }
    Ok(())
}

/// Whether a folder says that programs can make its content again; Cargo's build folders do.
fn is_cache(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").exists()
}

fn is_checked(file: &Path, text: &str) -> bool {
    match file.extension() {
        Some(ending) => ENDINGS.iter().any(|checked| ending == *checked),
        None => text.starts_with("#!"),
    }
}

/// The banned words of a text, at most one a line. A name such as `nobody_reads` is words too.
fn findings(text: &str) -> impl Iterator<Item = Finding> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let mut words = line.split(|letter: char| !letter.is_alphabetic()).map(str::to_lowercase);
        let word = words.find_map(|word| BANNED.iter().copied().find(|banned| *banned == word))?;
        Some(Finding { line: index + 1, word, text: line.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(usize, &'static str)> {
        findings(text).map(|finding| (finding.line, finding.word)).collect()
    }

    #[test]
    fn banned_words_are_found_in_prose_and_in_names() {
        let text = "// Wakes the reader.\n// Whoever waits.\nfn nobody_reads() {}\n\"by somebody's hand\"";
        assert_eq!(words(text), [(2, "whoever"), (3, "nobody"), (4, "somebody")]);
    }

    #[test]
    fn other_words_are_not_taken_for_banned_ones() {
        assert_eq!(words("// The anyoneness of some one, every one.\nlet body = no_body();"), []);
    }

    #[test]
    fn sources_documents_and_scripts_are_checked() {
        for name in ["a.rs", "b/c.h", "tun.4", "README.md", "install.sh"] {
            assert!(is_checked(Path::new(name), ""), "{name}");
        }
        assert!(is_checked(Path::new(".ci/run"), "#!/bin/bash\n"));
        assert!(!is_checked(Path::new("LICENSE"), "Copyright"));
        assert!(!is_checked(Path::new("picture.svg"), "<svg/>"));
    }

    #[test]
    fn folders_of_cargo_and_git_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["src/lib.rs", "target/made.rs", "other/cache/made.rs", ".git/config.md", ".ci/run"] {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        fs::write(folder.path().join("other/cache/CACHEDIR.TAG"), "").unwrap();
        let mut files = Vec::new();
        collect(folder.path(), &folder.path().join("target"), &mut files).unwrap();
        files.sort();
        assert_eq!(files, [".ci/run", "src/lib.rs"].map(|path| folder.path().join(path)));
    }
}
