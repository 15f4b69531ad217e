//! The package and the archive: what is in them, and what packing refuses. The package is read by the crate `hpkg`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hpkg::hpkg_common::{decode_attribute_tag, read_unsigned_leb128};
use hpkg::package::{FileEntry, HPKG_FILE_TYPE_DIRECTORY, HPKG_FILE_TYPE_FILE, HPKG_FILE_TYPE_SYMLINK, Package};
use tempfile::TempDir;
use xtask::dist;
use xtask::project::Project;
use xtask::release::{Date, Release, Version};

const X86_64: u16 = 62;
const RISCV: u16 = 243;
/// What the package calls its folder of documents.
const DOCUMENTS: &str = "documentation/packages/tun_tap";

/// A folder to pack into, and an add-on for it.
struct Shelf {
    directory: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let shelf = Self { directory: tempfile::tempdir().expect("the temporary directory is writable") };
        fs::create_dir(shelf.path("dist")).expect("writable");
        shelf.put_addon(X86_64);
        shelf
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes an add-on of nothing but an ELF header.
    fn put_addon(&self, machine: u16) {
        let mut header = [0; 64];
        header[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        header[16..18].copy_from_slice(&3_u16.to_le_bytes());
        header[18..20].copy_from_slice(&machine.to_le_bytes());
        fs::write(self.path("tun_tap"), header).expect("writable");
    }

    fn pack(&self, version: &str) -> anyhow::Result<[PathBuf; 2]> {
        let release = Release {
            version: Version::parse(version).expect("it is one"),
            date: Date::parse("2026-11-28").expect("it is one"),
        };
        dist::pack_into(root(), &self.path("tun_tap"), &release, &self.path("dist"))
    }

    /// Packs what must succeed, and reads the package.
    fn package(&self, version: &str) -> Package {
        let [package, _] = self.pack(version).expect("everything is there");
        Package::load(&package).expect("the package can be read")
    }

    /// Lists the names in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("dist")).expect("it is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

fn root() -> &'static Path {
    static ROOT: std::sync::LazyLock<PathBuf> =
        std::sync::LazyLock::new(|| Project::find().expect("tests run in the workspace").root().to_owned());
    &ROOT
}

fn entry<'p>(package: &'p Package, path: &str) -> &'p FileEntry {
    package.list_files().iter().find(|entry| entry.path == path).unwrap_or_else(|| panic!("there is no {path}"))
}

/// Reads the package attributes as lines of identifier and value, indented below what they belong to.
fn attributes(package: &Package) -> String {
    let header = package.header.expect("it was read");
    let heap = package.heap_data.concat();
    let section = &heap[heap.len() - header.attributes_length as usize..];
    let mut at = header.attributes_strings_length as usize;
    let (mut lines, mut depth) = (String::new(), 0);
    loop {
        let tag = read_unsigned_leb128(section, &mut at).expect("a tag");
        if tag == 0 {
            if depth == 0 {
                break;
            }
            depth -= 1;
            continue;
        }
        let (id, kind, encoding, has_children) = decode_attribute_tag(tag);
        let value = match kind {
            2 => {
                let length = 1 << encoding;
                let number = section[at..at + length].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                at += length;
                number.to_string()
            }
            3 => {
                let length = section[at..].iter().position(|byte| *byte == 0).expect("it ends");
                let text = String::from_utf8(section[at..at + length].to_vec()).expect("it is text");
                at += length + 1;
                text
            }
            other => panic!("attribute {id} is of type {other}"),
        };
        lines += &format!("{}{id} {value}\n", "  ".repeat(depth));
        depth += usize::from(has_children);
    }
    assert_eq!(at, section.len(), "the list ends with the section");
    lines
}

#[test]
fn the_package_installs_the_add_on_and_the_link_that_makes_it_a_driver() {
    let shelf = Shelf::new();
    let package = shelf.package("1.2.3");
    let addon = entry(&package, "add-ons/kernel/network/devices/tun_tap");
    assert_eq!((addon.file_type, addon.permissions), (HPKG_FILE_TYPE_FILE, 0o755));
    let contents = package.read_file("add-ons/kernel/network/devices/tun_tap").expect("it has contents");
    assert_eq!(contents, fs::read(shelf.path("tun_tap")).expect("readable"));
    let link = entry(&package, "add-ons/kernel/drivers/dev/tun_tap");
    assert_eq!(link.file_type, HPKG_FILE_TYPE_SYMLINK);
    assert_eq!(link.symlink_path.as_deref(), Some("../../network/devices/tun_tap"));
}

#[test]
fn every_link_of_the_package_leads_to_one_of_its_files() {
    let package = Shelf::new().package("1.2.3");
    let links = package.list_files().iter().filter(|entry| entry.file_type == HPKG_FILE_TYPE_SYMLINK);
    let mut count = 0;
    for link in links {
        let target = link.symlink_path.as_deref().expect("a link has a target");
        let mut path: Vec<_> = link.path.split('/').collect();
        path.pop();
        for part in target.split('/') {
            match part {
                ".." => path.truncate(path.len() - 1),
                part => path.push(part),
            }
        }
        assert_eq!(entry(&package, &path.join("/")).file_type, HPKG_FILE_TYPE_FILE, "{}", link.path);
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn the_package_holds_header_manual_documents_settings_and_tests_as_the_repository_has_them() {
    let package = Shelf::new().package("1.2.3");
    let pairs = [
        ("develop/headers/tun_tap.h", "net-addon/include/tun_tap.h"),
        ("documentation/man/man4/tun.4", "docs/tun.4"),
        ("documentation/man/man4/tap.4", "docs/tap.4"),
        ("data/tun_tap/tun_tap.settings", "net-addon/dist/tun_tap.settings"),
        ("data/tun_tap/tests/haiku/survive.c", "tests/haiku/survive.c"),
        ("data/tun_tap/examples/openvpn/openvpn-up", "examples/openvpn/openvpn-up"),
        (&format!("{DOCUMENTS}/LICENSE"), "LICENSE"),
        (&format!("{DOCUMENTS}/docs/haiku.md"), "docs/haiku.md"),
        (&format!("{DOCUMENTS}/docs/evidence/README.md"), "docs/evidence/README.md"),
    ];
    for (path, source) in pairs {
        let contents = package.read_file(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(contents, fs::read(root().join(source)).expect("readable"), "{path}");
        assert_eq!(entry(&package, path).permissions, 0o644, "{path}");
    }
    for entry in package.list_files() {
        assert_eq!(entry.modified_time, Some(1_795_824_000), "{}", entry.path);
        assert!(entry.file_type != HPKG_FILE_TYPE_DIRECTORY || entry.data_offset.is_none(), "{}", entry.path);
        // Manual pages have a place of their own.
        assert!(!entry.path.ends_with("docs/tun.4"), "{}", entry.path);
    }
}

#[test]
fn the_package_manager_is_told_version_licence_and_what_is_provided_and_required() {
    let package = Shelf::new().package("1.2.3-rc.4");
    assert_eq!(package.name.as_deref(), Some("tun_tap"));
    assert_eq!(package.architecture.as_deref(), Some("x86_64"));
    assert!(package.description.as_ref().expect("there is one").contains("/dev/tun/0"));
    // The identifiers are those of Haiku's PackageAttributes.h.
    let lines = attributes(&package);
    let version = "22 1\n  23 2\n  24 3\n  36 rc.4\n  25 1\n";
    let provides = "28 tun_tap\n  22 1\n    23 2\n    24 3\n    36 rc.4\n  37 1\n    23 2\n";
    let requires = "29 haiku\n  34 4\n  22 r1\n    36 beta5\n";
    let settings = "43 settings/kernel/drivers/tun_tap\n  45 data/tun_tap/tun_tap.settings\n";
    for part in [version, "26 2026 The tun_tap authors\n", "27 MIT\n", provides, requires, settings] {
        assert!(lines.contains(part), "{part} is not in\n{lines}");
    }
}

#[test]
fn packing_twice_gives_equal_bytes_and_names_that_tell_the_release() {
    let shelf = Shelf::new();
    let pack = || shelf.pack("1.2.3").expect("everything is there").map(|path| fs::read(path).expect("readable"));
    let first = pack();
    assert_eq!(first, pack());
    assert_eq!(shelf.names(), ["tun_tap-1.2.3-1-x86_64.hpkg", "tun_tap-1.2.3-x86_64.zip"]);
}

#[test]
fn the_archive_holds_the_scripts_and_marks_programs() {
    let shelf = Shelf::new();
    let [_, archive] = shelf.pack("1.2.3").expect("everything is there");
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).expect("readable")).expect("it is a zip archive");
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).expect("it is whole");
        let name = entry.name().expect("it is text").into_owned();
        if !name.contains("/examples/") {
            let program = ["/tun_tap", "install.sh"].iter().any(|end| name.ends_with(end));
            assert_eq!(entry.unix_mode().expect("it has one") & 0o777, if program { 0o755 } else { 0o644 }, "{name}");
        }
        names.push(name);
    }
    for name in ["tun_tap", "install.sh", "uninstall.sh", "tun_tap.settings", "tun_tap.h", "haiku.md", "LICENSE"] {
        assert!(names.contains(&format!("tun_tap-1.2.3-x86_64/{name}")), "{name}: {names:?}");
    }
}

#[test]
fn an_add_on_for_another_architecture_is_refused_and_nothing_is_written() {
    let shelf = Shelf::new();
    shelf.put_addon(RISCV);
    let error = format!("{:#}", shelf.pack("1.2.3").unwrap_err());
    assert!(error.contains("for another architecture (ELF machine 243); the package is for x86_64"), "{error}");
    fs::write(shelf.path("tun_tap"), "#!/bin/sh\n").expect("writable");
    assert!(format!("{:#}", shelf.pack("1.2.3").unwrap_err()).contains("no ELF file"));
    assert!(shelf.names().is_empty());
}

#[test]
fn a_version_that_haiku_cannot_write_is_refused() {
    let error = format!("{:#}", Shelf::new().pack("1.2.3-rc-4").unwrap_err());
    assert!(error.contains("cannot have the version 1.2.3-rc-4"), "{error}");
}

#[test]
fn a_full_disk_leaves_the_package_and_the_archive_that_were_there() {
    for full in ["tun_tap-1.2.3-1-x86_64.hpkg", "tun_tap-1.2.3-x86_64.zip"] {
        let shelf = Shelf::new();
        let read = |path: &PathBuf| fs::read(path).expect("it is there");
        let paths = shelf.pack("1.2.3").expect("everything is there");
        let before = paths.each_ref().map(read);
        // Another add-on, so that what is packed differs.
        fs::write(shelf.path("tun_tap"), [fs::read(shelf.path("tun_tap")).expect("readable"), vec![0; 8]].concat())
            .expect("writable");
        symlink("/dev/full", shelf.path("dist").join(format!("{full}.new"))).expect("writable");
        let error = format!("{:#}", shelf.pack("1.2.3").unwrap_err());
        assert!(error.contains(&format!("{full}.new could not be written: No space left on device")), "{error}");
        assert_eq!(paths.each_ref().map(read), before, "{full}");
        assert_eq!(shelf.names(), ["tun_tap-1.2.3-1-x86_64.hpkg", "tun_tap-1.2.3-x86_64.zip"]);
        let after = shelf.pack("1.2.3").expect("there is room again");
        assert_ne!(after.each_ref().map(read), before, "{full}");
    }
}

#[test]
fn the_recipe_installs_what_the_package_holds() {
    let shelf = Shelf::new();
    let package = shelf.package("1.2.3");
    let mut packed: Vec<_> = package
        .list_files()
        .iter()
        .filter(|entry| entry.file_type != HPKG_FILE_TYPE_DIRECTORY)
        .map(|entry| (entry.path.clone(), entry.permissions, entry.symlink_path.clone().unwrap_or_default()))
        .collect();
    packed.sort();

    let recipe = fs::read_dir(root().join("haikuports")).expect("it is there").next().expect("there is a recipe");
    let prefix = shelf.path("prefix");
    // What haikuporter gives a recipe, as far as this one asks for it.
    let script = "set -eu; . \"$recipe\"; BUILD; INSTALL; cd \"$prefix\"; find . ! -type d -printf '%P %m %l\n'";
    let output = std::process::Command::new("bash")
        .args(["-c", script])
        .current_dir(root())
        .env("recipe", recipe.expect("readable").path())
        .env("prefix", &prefix)
        .env("portVersion", "1.2.3")
        .env("sourceDir", root())
        .env("sourceDir2", shelf.directory.path())
        .env("addOnsDir", prefix.join("add-ons"))
        .env("dataDir", prefix.join("data"))
        .env("docDir", prefix.join("documentation/packages/tun_tap"))
        .env("includeDir", prefix.join("develop/headers"))
        .env("manDir", prefix.join("documentation/man"))
        .output()
        .expect("bash is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it is text");
    let mut installed: Vec<_> = text
        .lines()
        .map(|line| {
            let [path, mode, target] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("three columns");
            // The format says nothing of a link's permissions, nor does the crate's reader.
            let mode = if target.is_empty() { u32::from_str_radix(mode, 8).expect("octal") } else { 0o644 };
            (path.to_owned(), mode, target.to_owned())
        })
        .collect();
    installed.sort();
    assert_eq!(installed, packed);
}
