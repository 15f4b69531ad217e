//! `cargo xtask release-check` on small workspaces that lack one thing each.

use std::fs;

use tempfile::TempDir;
use xtask::project::Project;
use xtask::release;

/// A workspace whose release is ready.
struct Workspace {
    directory: TempDir,
}

impl Workspace {
    fn new() -> Self {
        let workspace = Self { directory: tempfile::tempdir().expect("the temporary directory is writable") };
        workspace.put("Cargo.toml", "[workspace]\nmembers = [\"one\"]\n[workspace.package]\nversion = \"1.2.3\"\n");
        workspace.put("one/Cargo.toml", "[package]\nname = \"one\"\nversion.workspace = true\n");
        workspace.put(
            "Cargo.lock",
            "[[package]]\nname = \"one\"\nversion = \"1.2.3\"\n\
             [[package]]\nname = \"other\"\nversion = \"9.0.0\"\nsource = \"registry\"\n",
        );
        workspace.put("fuzz/Cargo.lock", "[[package]]\nname = \"fuzz\"\nversion = \"0.0.0\"\n");
        workspace.put(
            "CHANGELOG.md",
            "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-28\n\n## [1.2.2] - 2026-01-01\n",
        );
        workspace.put("haikuports/tun_tap-1.2.3.recipe", "");
        workspace.put("docs/evidence/2026-11-28-boot.md", "It booted tun_tap-1.2.2.\n");
        workspace.put("docs/haiku.md", "`tun_tap-1.2.3-x86_64.zip`, as [seen](evidence/2026-11-28-boot.md#ping).\n");
        workspace
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    /// Runs the check, which must fail, and returns what it says.
    fn refusal(&self) -> String {
        match release::check(self.directory.path()) {
            Ok(_) => panic!("the release was found ready"),
            Err(error) => format!("{error:#}"),
        }
    }
}

#[test]
fn this_repository_is_ready_for_its_release() {
    let project = Project::find().expect("tests run in the workspace");
    if let Err(error) = release::check(project.root()) {
        panic!("{error:#}");
    }
}

#[test]
fn a_release_that_agrees_is_ready() {
    let release = release::check(Workspace::new().directory.path()).expect("everything agrees");
    assert_eq!((release.version.to_string(), release.date.to_string()), ("1.2.3".to_owned(), "2026-11-28".to_owned()));
}

#[test]
fn each_version_that_disagrees_is_named() {
    let workspace = Workspace::new();
    workspace.put("one/Cargo.toml", "[package]\nname = \"one\"\nversion = \"1.2.2\"\n");
    workspace.put("Cargo.lock", "[[package]]\nname = \"one\"\nversion = \"1.2.2\"\n");
    workspace.put("fuzz/Cargo.lock", "[[package]]\nname = \"one\"\nversion = \"1.2.1\"\n");
    workspace.put("CHANGELOG.md", "## [1.3.0] - 2026-12-01\n\n## [1.2.3] - 2026-11-28\n");
    workspace.put("docs/haiku.md", "Unpack tun_tap-1.2.2-x86_64.zip.\n");
    fs::remove_file(workspace.directory.path().join("haikuports/tun_tap-1.2.3.recipe")).expect("it was there");
    let refusal = workspace.refusal();
    for problem in [
        "one/Cargo.toml: write `version.workspace = true`",
        "Cargo.lock: one is 1.2.2; run `cargo check` there",
        "fuzz/Cargo.lock: one is 1.2.1; run `cargo check` there",
        "CHANGELOG.md: the newest release is 1.3.0",
        "haikuports/tun_tap-1.2.3.recipe: there is no such recipe",
        "docs/haiku.md: names the package of release 1.2.2",
    ] {
        assert!(refusal.contains(problem), "{problem} is not in {refusal}");
    }
    assert_eq!(refusal.lines().count(), 7, "{refusal}");
}

#[test]
fn a_crate_with_the_same_version_of_its_own_agrees() {
    let workspace = Workspace::new();
    workspace.put("one/Cargo.toml", "[package]\nname = \"one\"\nversion = \"1.2.3\"\n");
    assert!(release::check(workspace.directory.path()).is_ok());
}

#[test]
fn a_release_without_a_section_or_a_date_in_the_changelog_is_refused() {
    let workspace = Workspace::new();
    workspace.put("CHANGELOG.md", "## [Unreleased]\n");
    assert!(workspace.refusal().contains("CHANGELOG.md has no section \"## [1.2.3] - DATE\""));
    workspace.put("CHANGELOG.md", "## [1.2.3]\n");
    assert!(workspace.refusal().contains("has no date: write \"## [1.2.3] - 2026-11-28\""));
    workspace.put("CHANGELOG.md", "## [1.2.3] - soon\n");
    assert!(workspace.refusal().contains("\"soon\" is not a date"));
}

#[test]
fn a_run_that_is_not_there_is_named_with_the_document_that_links_to_it() {
    let workspace = Workspace::new();
    workspace.put("docs/performance.md", "41 ns ([run](evidence/2026-11-27-speed.md))\n");
    workspace.put("README.md", "[it](docs/evidence/2026-11-28-boot.md) [ping](docs/evidence/2026-11-26-ping.md)\n");
    let refusal = workspace.refusal();
    assert!(refusal.contains("docs/performance.md: there is no run docs/evidence/2026-11-27-speed.md"), "{refusal}");
    assert!(refusal.contains("README.md: there is no run docs/evidence/2026-11-26-ping.md"), "{refusal}");
    assert_eq!(refusal.lines().count(), 3, "{refusal}");
}

#[test]
fn a_run_without_a_date_in_its_name_is_refused() {
    let workspace = Workspace::new();
    workspace.put("docs/evidence/boot.md", "");
    assert!(workspace.refusal().contains("docs/evidence/boot.md: name it YYYY-MM-DD-TOPIC.md"));
}
