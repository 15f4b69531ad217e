//! Haiku's package of the project: what it installs, and its attributes for the package manager.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Source, folder};
use crate::hpkg::{self, Attribute, Entry, Id};
use crate::release::Release;

/// The package's own version for a release of the project: a second package of the same release would be 2.
const REVISION: u64 = 1;
/// `B_PACKAGE_ARCHITECTURE_X86_64`.
const X86_64: u64 = 4;
/// `B_PACKAGE_RESOLVABLE_OP_GREATER_EQUAL`.
const GREATER_EQUAL: u64 = 4;
/// Who publishes the package.
const AUTHORS: &str = "The tun_tap authors";

/// Where the package has the add-on. The module's name asks for this place, and the kernel does not watch it, so that the
/// driver stays the one that was there at boot. In `drivers/bin` the kernel would exchange it at once, even under a
/// program that has a device open for the second time, and panic.
const ADDON: &str = "add-ons/kernel/network/devices/tun_tap";
/// The links: path in the package, target. By the first the add-on is a driver, too; the second lets the sources below
/// `data/tun_tap` find the header where the repository has it.
const LINKS: &[(&str, &str)] = &[
    ("add-ons/kernel/drivers/dev/tun_tap", "../../network/devices/tun_tap"),
    ("data/tun_tap/net-addon/include/tun_tap.h", "../../../../develop/headers/tun_tap.h"),
];
/// The files: path in the package, path in the repository.
const FILES: &[(&str, &str)] = &[
    ("data/tun_tap/tun_tap.settings", "net-addon/dist/tun_tap.settings"),
    ("develop/headers/tun_tap.h", "net-addon/include/tun_tap.h"),
    ("documentation/man/man4/tap.4", "docs/tap.4"),
    ("documentation/man/man4/tun.4", "docs/tun.4"),
    ("documentation/packages/tun_tap/CHANGELOG.md", "CHANGELOG.md"),
    ("documentation/packages/tun_tap/LICENSE", "LICENSE"),
    ("documentation/packages/tun_tap/README.md", "README.md"),
];
/// The folders: path in the package, path in the repository.
const FOLDERS: &[(&str, &str)] = &[("data/tun_tap/examples", "examples"), ("data/tun_tap/tests/haiku", "tests/haiku")];
/// The folder of the documents: path in the package, path in the repository. Only Markdown files are taken from it.
const DOCUMENTS: (&str, &str) = ("documentation/packages/tun_tap/docs", "docs");

/// Returns the name of the package's file.
#[must_use]
pub fn file_name(release: &Release) -> String {
    format!("tun_tap-{}-{REVISION}-x86_64.hpkg", release.version.for_haiku())
}

/// Makes the package.
///
/// # Errors
/// If something to pack is missing or cannot be stored.
pub fn make(root: &Path, addon: &[u8], release: &Release) -> Result<Vec<u8>> {
    let mut tree = Entry::folder();
    let addon =
        Entry::File { contents: addon.to_vec(), executable: true, mime_type: "application/x-vnd.Be-elfexecutable" };
    tree.add(ADDON, addon)?;
    for (path, target) in LINKS {
        tree.add(path, Entry::Link((*target).to_owned()))?;
    }
    for source in sources(root)? {
        let contents = crate::process::read(&source.path)?;
        let mime_type = mime_type(&source.inside, &contents);
        let entry = Entry::File { contents, executable: source.executable, mime_type };
        tree.add(&source.inside, entry).with_context(|| format!("{} cannot be packed", source.path.display()))?;
    }
    hpkg::encode(&attributes(release)?, &tree, release.seconds())
}

/// Lists the files that the package takes from the repository.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let file = |(inside, source): &(&str, &str)| Source::of((*inside).to_owned(), root.join(source));
    let mut sources = FILES.iter().map(file).collect::<Result<Vec<_>>>()?;
    for (inside, source) in FOLDERS {
        sources.extend(folder(inside, &root.join(source))?);
    }
    let (inside, documents) = DOCUMENTS;
    let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    sources.extend(folder(inside, &root.join(documents))?.into_iter().filter(|source| is_document(&source.path)));
    Ok(sources)
}

/// Returns Haiku's type of a file, which decides what opens it.
fn mime_type(name: &str, contents: &[u8]) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("c" | "h") => "text/x-source-code",
        Some("py") => "text/x-python",
        _ if contents.starts_with(b"#!") => "text/x-shellscript",
        _ => "text/plain",
    }
}

/// Makes what the package manager is told, in the order in which Haiku's own tool writes it.
fn attributes(release: &Release) -> Result<Vec<Attribute>> {
    ensure!(
        release.version.can_be_packed(),
        "Haiku's packages cannot have the version {}: a pre-release may consist of letters, digits, \"_\" and \".\".",
        release.version
    );
    let version = &release.version;
    let major = |id, micro| {
        let mut parts = vec![Attribute::text(Id::PackageVersionMinor, &version.minor.to_string())];
        parts.extend(micro);
        Attribute::text(id, &version.major.to_string()).with(parts)
    };
    let full = || {
        let micro = Attribute::text(Id::PackageVersionMicro, &version.micro.to_string());
        let pre_release = version.pre_release.as_ref().map(|text| Attribute::text(Id::PackageVersionPreRelease, text));
        major(Id::PackageVersionMajor, std::iter::once(micro).chain(pre_release).collect::<Vec<_>>())
    };
    let haiku =
        Attribute::text(Id::PackageVersionMajor, "r1").with([Attribute::text(Id::PackageVersionPreRelease, "beta5")]);
    let mut attributes = vec![
        Attribute::text(Id::PackageName, "tun_tap"),
        Attribute::text(Id::PackageSummary, "TUN and TAP network interfaces"),
        Attribute::text(Id::PackageDescription, include_str!("description.txt").trim_end()),
        Attribute::text(Id::PackageVendor, AUTHORS),
        Attribute::text(Id::PackagePackager, AUTHORS),
        Attribute::number(Id::PackageFlags, 0),
        Attribute::number(Id::PackageArchitecture, X86_64),
        full().with([Attribute::number(Id::PackageVersionRevision, REVISION)]),
        Attribute::text(Id::PackageCopyright, &format!("{} {AUTHORS}", release.date.year)),
        Attribute::text(Id::PackageLicense, "MIT"),
    ];
    // The one place for the address of the project is `repository` in the workspace's Cargo.toml.
    let address = env!("CARGO_PKG_REPOSITORY");
    attributes.extend((!address.is_empty()).then(|| Attribute::text(Id::PackageUrl, address)));
    attributes.extend([
        // A package that asks for this or an earlier version with the same minor number gets it.
        Attribute::text(Id::PackageProvides, "tun_tap")
            .with([full(), major(Id::PackageProvidesCompatible, Vec::new())]),
        Attribute::text(Id::PackageRequires, "haiku")
            .with([Attribute::number(Id::PackageResolvableOperator, GREATER_EQUAL), haiku]),
        Attribute::text(Id::PackageUserSettingsFile, "settings/kernel/drivers/tun_tap")
            .with([Attribute::text(Id::PackageSettingsFileTemplate, "data/tun_tap/tun_tap.settings")]),
    ]);
    Ok(attributes)
}
