//! The scripts that install and uninstall on Haiku, run here below a directory that stands for its file system.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use xtask::project::Project;

const ADDON: &str = "boot/system/non-packaged/add-ons/kernel/network/devices/tun_tap";
const LINK: &str = "boot/system/non-packaged/add-ons/kernel/drivers/dev/tun_tap";
const HEADER: &str = "boot/system/non-packaged/develop/headers/tun_tap.h";
const SETTINGS: &str = "boot/home/config/settings/kernel/drivers/tun_tap";
const PACKAGES: &str = "boot/system/settings/packages";
const RECORD: &str = "boot/system/non-packaged/data/tun_tap/installed";

/// An unpacked archive and a file system to install into.
struct Haiku {
    directory: TempDir,
}

impl Haiku {
    /// A fresh Haiku of this architecture.
    fn new(architecture: &str) -> Self {
        let haiku = Self { directory: tempfile::tempdir().expect("the temporary directory is writable") };
        let archive = haiku.path("archive");
        fs::create_dir_all(&archive).expect("writable");
        let source = Project::find().expect("tests run in the workspace").root().join("net-addon/dist");
        for file in ["install.sh", "uninstall.sh", "tun_tap.settings"] {
            fs::copy(source.join(file), archive.join(file)).expect("the scripts are in the repository");
        }
        fs::write(archive.join("tun_tap"), "the add-on").expect("writable");
        fs::write(archive.join("tun_tap.h"), "/* the header */").expect("writable");
        for directory in ["boot/system/settings", "boot/system/non-packaged", "boot/home/config/settings"] {
            fs::create_dir_all(haiku.root().join(directory)).expect("writable");
        }
        haiku.program("getarch", &format!("echo {architecture}"));
        haiku
    }

    fn path(&self, name: &str) -> PathBuf {
        // A blank in the path must not matter.
        self.directory.path().join("a b").join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("root")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Puts a program on the search path of the scripts.
    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::create_dir_all(self.path("bin")).expect("writable");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("writable");
    }

    fn script(&self, path: &Path, arguments: &[&str], root: Option<&Path>) -> Output {
        let search = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").expect("it is set"));
        let mut command = Command::new("bash");
        command.arg(path).args(arguments).env("PATH", search).env_remove("TUN_TAP_ROOT");
        if let Some(root) = root {
            command.arg("--root").arg(root);
        }
        command.output().expect("bash is there")
    }

    fn install(&self, arguments: &[&str]) -> Output {
        self.script(&self.path("archive/install.sh"), arguments, Some(&self.root()))
    }

    fn uninstall(&self, arguments: &[&str]) -> Output {
        let installed = self.root().join("boot/system/non-packaged/data/tun_tap/uninstall.sh");
        self.script(&installed, arguments, Some(&self.root()))
    }

    /// Every path below the root, with what is in it.
    fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        fn walk(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
            for entry in fs::read_dir(directory).expect("readable") {
                let path = entry.expect("readable").path();
                let content = match fs::symlink_metadata(&path).expect("readable") {
                    data if data.is_symlink() => format!("-> {}", fs::read_link(&path).expect("a link").display()),
                    data if data.is_dir() => {
                        walk(&path, found);
                        "a directory".to_owned()
                    }
                    _ => fs::read_to_string(&path).expect("text"),
                };
                found.insert(path, content);
            }
        }
        let mut found = BTreeMap::new();
        walk(&self.root(), &mut found);
        found
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

#[track_caller]
fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "it should have failed: {}", text(output));
    text(output)
}

#[test]
fn everything_is_put_where_haiku_looks_for_it() {
    let haiku = Haiku::new("x86_64");
    let said = succeeded(&haiku.install(&[]));
    assert_eq!(haiku.read(ADDON), "the add-on");
    assert_eq!(fs::read_link(haiku.root().join(LINK)).expect("a link"), Path::new("../../network/devices/tun_tap"));
    assert_eq!(haiku.read(LINK), "the add-on", "the link leads to the add-on");
    assert_eq!(haiku.read(HEADER), "/* the header */");
    assert!(haiku.read(SETTINGS).contains("#queue_packets 512"));
    assert!(said.contains("tun_tap is installed.") && said.contains("Restart"), "{said}");
}

#[test]
fn uninstalling_leaves_what_was_there_before() {
    let haiku = Haiku::new("x86_64");
    haiku.write("boot/system/add-ons/kernel/network/devices/tunnel", "the stock add-on");
    haiku.write("boot/system/non-packaged/add-ons/kernel/drivers/dev/other", "another driver");
    haiku.write(PACKAGES, "Package other {\n}\n");
    let before = haiku.snapshot();
    succeeded(&haiku.install(&["--block-stock"]));
    assert_ne!(haiku.snapshot(), before);
    let said = succeeded(&haiku.uninstall(&[]));
    assert!(said.contains("tun_tap is removed."), "{said}");
    assert_eq!(haiku.snapshot(), before);
    let again = failed(&haiku.script(&haiku.path("archive/uninstall.sh"), &[], Some(&haiku.root())));
    assert!(again.contains("not installed here"), "{again}");
}

#[test]
fn another_architecture_is_refused_and_nothing_is_changed() {
    for architecture in ["x86_gcc2", "arm64"] {
        let haiku = Haiku::new(architecture);
        let before = haiku.snapshot();
        let said = failed(&haiku.install(&[]));
        assert!(said.contains(architecture) && said.contains("x86_64 only"), "{said}");
        assert_eq!(haiku.snapshot(), before);
    }
}

#[test]
fn without_getarch_the_machine_decides() {
    let haiku = Haiku::new("x86_64");
    haiku.program("getarch", "exit 1");
    haiku.program("uname", "echo BePC");
    let said = failed(&haiku.install(&[]));
    assert!(said.contains("this system is for BePC"), "{said}");
    haiku.program("uname", "echo x86_64");
    succeeded(&haiku.install(&[]));
}

#[test]
fn another_system_is_refused() {
    let haiku = Haiku::new("x86_64");
    haiku.program("uname", "echo Linux");
    for script in ["archive/install.sh", "archive/uninstall.sh"] {
        let said = failed(&haiku.script(&haiku.path(script), &[], None));
        assert!(said.contains("this is Linux, not Haiku"), "{said}");
    }
}

#[test]
fn the_stock_add_on_is_told_of_only_where_it_is() {
    let without = Haiku::new("x86_64");
    assert!(!succeeded(&without.install(&[])).contains("BlockedEntries"));
    let with = Haiku::new("x86_64");
    with.write("boot/system/add-ons/kernel/network/devices/tunnel", "the stock add-on");
    let said = succeeded(&with.install(&[]));
    assert!(said.contains("add-ons/kernel/network/devices/tunnel") && said.contains("/boot/system/settings/packages"));
    assert!(!with.root().join(PACKAGES).exists(), "without being asked it changes nothing of the system's");
}

#[test]
fn the_stock_add_on_is_blocked_when_asked() {
    let haiku = Haiku::new("x86_64");
    haiku.write(PACKAGES, "Package other {\n}");
    succeeded(&haiku.install(&["--block-stock"]));
    let packages = haiku.read(PACKAGES);
    assert!(packages.starts_with("Package other {\n}\n# tun_tap: begin\nPackage haiku {\n"), "{packages}");
    assert!(packages.contains("\t\tadd-ons/kernel/network/devices/tunnel\n"), "{packages}");
    // What the user adds later stays.
    haiku.write(PACKAGES, &(packages + "Package third {\n}\n"));
    succeeded(&haiku.uninstall(&[]));
    assert_eq!(haiku.read(PACKAGES), "Package other {\n}\nPackage third {\n}\n");
}

#[test]
fn a_section_that_the_user_wrote_is_not_touched() {
    let haiku = Haiku::new("x86_64");
    let own = "Package haiku {\n\tBlockedEntries {\n\t\tadd-ons/kernel/drivers/bin/x\n\t}\n}\n";
    haiku.write(PACKAGES, own);
    let said = succeeded(&haiku.install(&["--block-stock"]));
    assert!(said.contains("by hand"), "{said}");
    assert_eq!(haiku.read(PACKAGES), own);
    succeeded(&haiku.uninstall(&[]));
    assert_eq!(haiku.read(PACKAGES), own);
}

#[test]
fn a_second_installation_replaces_the_first() {
    let haiku = Haiku::new("x86_64");
    let before = haiku.snapshot();
    succeeded(&haiku.install(&[]));
    fs::write(haiku.path("archive/tun_tap"), "a newer add-on").expect("writable");
    succeeded(&haiku.install(&[]));
    assert_eq!(haiku.read(ADDON), "a newer add-on");
    succeeded(&haiku.uninstall(&[]));
    assert_eq!(haiku.snapshot(), before);
}

#[test]
fn changed_settings_survive_until_they_are_purged() {
    let haiku = Haiku::new("x86_64");
    let before = haiku.snapshot();
    succeeded(&haiku.install(&[]));
    haiku.write(SETTINGS, "mtu 1400\n");
    assert!(succeeded(&haiku.install(&[])).contains("are kept"));
    assert_eq!(haiku.read(SETTINGS), "mtu 1400\n");
    let said = succeeded(&haiku.uninstall(&[]));
    assert!(said.contains("was changed since and is kept"), "{said}");
    assert_eq!(haiku.read(SETTINGS), "mtu 1400\n");
    fs::remove_file(haiku.root().join(SETTINGS)).expect("it was kept");

    succeeded(&haiku.install(&[]));
    haiku.write(SETTINGS, "mtu 1300\n");
    succeeded(&haiku.uninstall(&["--purge"]));
    assert!(!haiku.root().join(SETTINGS).exists());
    let kept: Vec<_> = haiku.snapshot().into_keys().filter(|path| !before.contains_key(path)).collect();
    let empty_directories = kept.iter().all(|path| path.is_dir());
    assert!(empty_directories, "{kept:?}");
}

#[test]
fn nothing_is_installed_beside_a_package() {
    for place in ["boot/system", "boot/home/config"] {
        let haiku = Haiku::new("x86_64");
        haiku.write(&format!("{place}/add-ons/kernel/network/devices/tun_tap"), "the package's add-on");
        let before = haiku.snapshot();
        let said = failed(&haiku.install(&[]));
        assert!(said.contains("run \"pkgman uninstall tun_tap\" first"), "{place}: {said}");
        assert_eq!(haiku.snapshot(), before, "{place}");
    }
}

#[test]
fn files_of_other_packages_are_not_overwritten() {
    for path in [ADDON, LINK] {
        let haiku = Haiku::new("x86_64");
        haiku.write(path, "of another package");
        let before = haiku.snapshot();
        let said = failed(&haiku.install(&[]));
        assert!(said.contains("is not from this script"), "{said}");
        assert_eq!(haiku.snapshot(), before);
    }
}

#[test]
fn an_installation_that_fails_halfway_is_undone() {
    for obstacle in ["boot/system/non-packaged/add-ons/kernel/drivers", "boot/system/non-packaged/data"] {
        let haiku = Haiku::new("x86_64");
        haiku.write(obstacle, "a file where a directory should be");
        let before = haiku.snapshot();
        let said = failed(&haiku.install(&[]));
        assert!(said.contains("everything is undone"), "{said}");
        assert_eq!(haiku.snapshot(), before);
        assert!(!haiku.root().join(RECORD).exists());
    }
}

#[test]
fn wrong_arguments_and_an_incomplete_archive_are_refused() {
    let haiku = Haiku::new("x86_64");
    assert!(failed(&haiku.install(&["--frobnicate"])).contains("\"--frobnicate\" is not understood"));
    assert!(succeeded(&haiku.install(&["--help"])).contains("usage: install.sh"));
    fs::remove_file(haiku.path("archive/tun_tap")).expect("it was there");
    assert!(failed(&haiku.install(&[])).contains("tun_tap is missing beside this script"));
}
