//! What the documents of the repository name: runs in `docs/evidence/`, and packages by their version.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use super::{Date, Release, read};

/// The folder of the runs.
const EVIDENCE: &str = "docs/evidence";
/// Folders without documents of the project.
const SKIPPED: &[&str] = &["target", "dist", "corpus", "artifacts"];

/// Checks every document.
pub(super) fn check(root: &Path, release: &Release, problems: &mut Vec<String>) -> Result<()> {
    let mut documents = Vec::new();
    find(root, Path::new(""), &mut documents)?;
    for document in documents {
        let text = read(&root.join(&document))?;
        if document.starts_with(EVIDENCE) && !is_name_of_run(&document) {
            problems.push(format!("{}: name it YYYY-MM-DD-TOPIC.md", document.display()));
        }
        for run in runs(&document, &text) {
            if !root.join(&run).is_file() {
                problems.push(format!("{}: there is no run {}", document.display(), run.display()));
            }
        }
        // The changelog and the runs tell of earlier releases.
        if document != Path::new("CHANGELOG.md") && !document.starts_with(EVIDENCE) {
            for version in packages(&text).filter(|version| *version != release.version.to_string()) {
                problems.push(format!("{}: names the package of release {version}", document.display()));
            }
        }
    }
    Ok(())
}

/// Collects the Markdown files below `folder`, relative to `root`.
fn find(root: &Path, folder: &Path, documents: &mut Vec<PathBuf>) -> Result<()> {
    let path = root.join(folder);
    for entry in std::fs::read_dir(&path).with_context(|| format!("{} could not be read", path.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = folder.join(&*name);
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&&*name) {
                find(root, &path, documents)?;
            }
        } else if name.ends_with(".md") {
            documents.push(path);
        }
    }
    documents.sort_unstable();
    Ok(())
}

/// Whether a document of the runs is named as one, or is the folder's introduction.
fn is_name_of_run(document: &Path) -> bool {
    let name = document.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let dated = |name: &str| {
        name.is_char_boundary(10)
            && Date::parse(&name[..10]).is_ok()
            && name[10..].strip_prefix('-').is_some_and(|topic| !topic.is_empty())
    };
    name == "README" || (name.len() > 10 && dated(name))
}

/// Returns the runs that a document links to, as paths from the top folder.
fn runs<'t>(document: &'t Path, text: &'t str) -> impl Iterator<Item = PathBuf> + 't {
    let folder = document.parent().unwrap_or(Path::new(""));
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ").map(|(_, target)| target));
    inline
        .chain(reference)
        .map(|target| target.split('#').next().unwrap_or_default().trim())
        .filter(|target| !target.contains("://"))
        .map(move |target| normalize(&folder.join(target)))
        .filter(|target| target.starts_with(EVIDENCE) && target != Path::new(EVIDENCE))
}

/// Resolves `.` and `..` without looking at the file system.
fn normalize(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        match component {
            Component::ParentDir => {
                let _ = path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
        path
    })
}

/// Returns the versions in names such as `tun_tap-1.2.3`; a name with a word in the version's place has none.
fn packages(text: &str) -> impl Iterator<Item = &str> {
    text.split("tun_tap-").skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let version = rest[..end].trim_end_matches('.');
        (version.split('.').count() == 3).then_some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(document: &str, text: &str) -> Vec<String> {
        runs(Path::new(document), text).map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_link_to_a_run_is_found_wherever_the_document_is() {
        let run = ["docs/evidence/2026-11-28-boot.md"];
        assert_eq!(runs_of("README.md", "see [it](docs/evidence/2026-11-28-boot.md), and"), run);
        assert_eq!(
            runs_of("docs/haiku.md", "[a](evidence/2026-11-28-boot.md#ping) [b](https://example.org/evidence/x)"),
            run
        );
        assert_eq!(runs_of("tests/haiku/README.md", "[a][b]\n\n[b]: ../../docs/evidence/2026-11-28-boot.md\n"), run);
        assert_eq!(runs_of("docs/evidence/2026-11-28-a.md", "[b](2026-11-28-boot.md \"the run\")"), run);
        assert!(runs_of("docs/haiku.md", "[all](evidence/) [tun](tun.4) `evidence/2026-01-01-x.md`").is_empty());
    }

    #[test]
    fn a_run_is_named_by_its_date_and_topic() {
        for name in ["2026-11-28-package.md", "README.md"] {
            assert!(is_name_of_run(&Path::new(EVIDENCE).join(name)), "{name}");
        }
        for name in ["package.md", "2026-11-28.md", "2026-11-28-.md", "2026-11-31-package.md", "2026-11-2ä-package.md"]
        {
            assert!(!is_name_of_run(&Path::new(EVIDENCE).join(name)), "{name}");
        }
    }

    #[test]
    fn only_a_name_with_a_version_names_a_release() {
        let text = "tun_tap-0.1.0-x86_64.zip, tun_tap-VERSION-x86_64.zip, `tun_tap-*`, pkgman install tun_tap-1.2.30.";
        assert_eq!(packages(text).collect::<Vec<_>>(), ["0.1.0", "1.2.30"]);
    }
}
