//! `cargo xtask release-check`: the release's version and date, and whether everything that names them agrees.
//!
//! The version is in the workspace's `Cargo.toml`, the date beside it in `CHANGELOG.md`. Runs that a document relies on
//! are in `docs/evidence/`, one file a run, named `YYYY-MM-DD-TOPIC.md`; the document refers to them by a link.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::Table;

use crate::process;

mod documents;

/// The version of a crate that is no part of a release, such as that of the fuzz targets.
const NEVER_RELEASED: &str = "0.0.0";

/// A version as Cargo writes it, without build metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The first number.
    pub major: u64,
    /// The second number.
    pub minor: u64,
    /// The third number.
    pub micro: u64,
    /// What follows a hyphen: "rc.1".
    pub pre_release: Option<String>,
}

impl Version {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Self> {
        let (numbers, pre_release) = text.split_once('-').map_or((text, None), |(one, other)| (one, Some(other)));
        let parsed: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
        let Ok(&[major, minor, micro]) = parsed.as_deref() else { bail!("\"{text}\" is not a version such as 1.2.3.") };
        Ok(Self { major, minor, micro, pre_release: pre_release.map(str::to_owned) })
    }

    /// Returns the version as Haiku's package manager writes it, with a tilde before the pre-release.
    #[must_use]
    pub fn for_haiku(&self) -> String {
        self.to_string().replacen('-', "~", 1)
    }

    /// Whether Haiku's packages can have this version.
    #[must_use]
    pub fn can_be_packed(&self) -> bool {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        self.pre_release.as_ref().is_none_or(|text| !text.is_empty() && text.chars().all(allowed))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.micro)?;
        self.pre_release.iter().try_for_each(|text| write!(formatter, "-{text}"))
    }
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year.
    pub year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads a date such as 2026-11-28.
    ///
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Self> {
        let date = || {
            let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
            let is_padded = year.len() == 4 && month.len() == 2 && day.len() == 2;
            let date = Self { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
            (is_padded && (1970..).contains(&date.year) && (1..=date.days_in_month()).contains(&date.day))
                .then_some(date)
        };
        date().with_context(|| format!("\"{text}\" is not a date such as 2026-11-28."))
    }

    fn is_leap_year(year: u16) -> bool {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    }

    /// Returns the days of the month, or 0 if there is no such month.
    fn days_in_month(self) -> u8 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(Self::is_leap_year(self.year)),
            1..=12 => 31,
            _ => 0,
        }
    }

    /// Returns the seconds from the beginning of 1970 to that of this day, in universal time.
    #[must_use]
    pub fn seconds(self) -> u64 {
        let years = (1970..self.year).map(|year| 365 + u64::from(Self::is_leap_year(year)));
        let months = (1..self.month).map(|month| u64::from(Self { month, ..self }.days_in_month()));
        (years.sum::<u64>() + months.sum::<u64>() + u64::from(self.day) - 1) * 24 * 60 * 60
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A release: its version and the day on which it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The day.
    pub date: Date,
}

impl Release {
    /// Reads the version from the workspace's `Cargo.toml` and the date from `CHANGELOG.md`.
    ///
    /// # Errors
    /// If either file lacks it.
    pub fn of(root: &Path) -> Result<Self> {
        let version = workspace_version(root)?;
        let changelog = read(&root.join("CHANGELOG.md"))?;
        let heading = format!("## [{version}]");
        let line = changelog.lines().find(|line| line.starts_with(&heading));
        let line = line.with_context(|| format!("CHANGELOG.md has no section \"{heading} - DATE\"."))?;
        let date = line[heading.len()..].strip_prefix(" - ").with_context(|| {
            format!("The section \"{line}\" of CHANGELOG.md has no date: write \"{heading} - 2026-11-28\".")
        })?;
        Ok(Self { version, date: Date::parse(date.trim()).context("In CHANGELOG.md")? })
    }

    /// Returns the modification time of what is packed, in seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.date.seconds()
    }
}

/// Checks that everything that names the version agrees, and that every run that a document names is there.
///
/// # Errors
/// If something disagrees; with all that does.
pub fn check(root: &Path) -> Result<Release> {
    let release = Release::of(root)?;
    let mut problems = Vec::new();
    versions(root, &release, &mut problems)?;
    documents::check(root, &release, &mut problems)?;
    if problems.is_empty() {
        return Ok(release);
    }
    let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    bail!("The release {} is not ready:{list}", release.version);
}

/// Compares the version with that of every crate, of the lock files, of the changelog and of the recipe.
fn versions(root: &Path, release: &Release, problems: &mut Vec<String>) -> Result<()> {
    let version = release.version.to_string();
    for member in members(root)? {
        let manifest = table(&root.join(&member).join("Cargo.toml"))?;
        let package = manifest.get("package").and_then(|package| package.get("version"));
        let inherits =
            package.and_then(|version| version.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
        if !inherits && package.and_then(toml::Value::as_str) != Some(&version) {
            problems.push(format!("{member}/Cargo.toml: write `version.workspace = true`"));
        }
    }
    for file in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = table(&root.join(file))?;
        for package in lock.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
            let text = |key| package.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            let is_ours = package.get("source").is_none() && text("version") != NEVER_RELEASED;
            if is_ours && text("version") != version {
                problems.push(format!("{file}: {} is {}; run `cargo check` there", text("name"), text("version")));
            }
        }
    }
    let changelog = read(&root.join("CHANGELOG.md"))?;
    let mut sections = changelog.lines().filter_map(|line| line.strip_prefix("## [")?.split(']').next());
    if let Some(first) = sections.find(|name| *name != "Unreleased").filter(|name| *name != version) {
        problems.push(format!("CHANGELOG.md: the newest release is {first}"));
    }
    let recipe = format!("haikuports/tun_tap-{}.recipe", release.version.for_haiku());
    if !root.join(&recipe).is_file() {
        problems.push(format!("{recipe}: there is no such recipe"));
    }
    Ok(())
}

/// Lists the folders of the workspace's crates.
fn members(root: &Path) -> Result<Vec<String>> {
    let manifest = table(&root.join("Cargo.toml"))?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let members = members.context("Cargo.toml has no workspace.members.")?;
    Ok(members.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
}

/// Reads the version that the crates of the workspace share.
fn workspace_version(root: &Path) -> Result<Version> {
    let manifest = table(&root.join("Cargo.toml"))?;
    let version = manifest.get("workspace").and_then(|workspace| workspace.get("package")?.get("version")?.as_str());
    Version::parse(version.context("Cargo.toml has no workspace.package.version.")?).context("In Cargo.toml")
}

fn table(path: &Path) -> Result<Table> {
    read(path)?.parse().with_context(|| format!("{} could not be understood", path.display()))
}

fn read(path: &Path) -> Result<String> {
    String::from_utf8(process::read(path)?).with_context(|| format!("{} is not text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_three_numbers_and_perhaps_a_pre_release() {
        let version = Version::parse("0.2.10-rc.1").expect("it is one");
        assert_eq!((version.major, version.minor, version.micro), (0, 2, 10));
        assert_eq!(version.to_string(), "0.2.10-rc.1");
        assert_eq!(version.for_haiku(), "0.2.10~rc.1");
        assert!(version.can_be_packed());
        assert!(!Version::parse("1.0.0-rc-1").expect("it is one").can_be_packed());
        for text in ["", "1.2", "1.2.3.4", "1.2.x", "v1.2.3"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_date_is_a_day_that_exists() {
        let seconds = |text| Date::parse(text).expect("it is a date").seconds();
        // As `date -u -d DATE +%s` has them.
        assert_eq!(seconds("1970-01-01"), 0);
        assert_eq!(seconds("2000-03-01"), 951_868_800);
        assert_eq!(seconds("2024-12-31"), 1_735_603_200);
        assert_eq!(seconds("2026-11-28"), 1_795_824_000);
        for text in ["", "2026-11", "2026-11-31", "2026-02-29", "2026-13-01", "2026-11-00", "26-11-28", "2026-1-02"] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
    }
}
