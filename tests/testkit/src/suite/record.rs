//! What Linux showed, as it was written down: the table is the same wherever it is made, with or without root.
//!
//! One line a case: its name, a tab, what was seen. The first line says of which Linux.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::PathBuf;

use super::{GROUPS, Group, Seen, cases, linux};

/// The environment variable that has the tests write what they found instead of comparing it.
pub const RECORD: &str = "TUNTAP_RECORD";

/// Whether to write instead of comparing.
#[must_use]
pub fn recording() -> bool {
    std::env::var_os(RECORD).is_some()
}

/// What was written down.
#[derive(Debug)]
pub struct Record {
    /// Linux's release.
    pub release: String,
    seen: BTreeMap<String, Seen>,
}

impl Record {
    /// The file.
    #[must_use]
    pub fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../linux-observations.txt")
    }

    /// Reads the file that is part of the sources.
    #[must_use]
    pub fn load() -> Self {
        let text = std::fs::read_to_string(Self::path()).expect("the recorded observations");
        let (head, lines) = text.split_once('\n').expect("a first line");
        let release = head.strip_prefix("Linux ").expect("the release comes first").to_owned();
        let seen = lines.lines().map(|line| {
            let (name, seen) = line.split_once('\t').expect("a name and what was seen");
            (name.to_owned(), Seen::from(seen))
        });
        Self { release, seen: seen.collect() }
    }

    /// What Linux showed in a case.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Seen> {
        self.seen.get(name)
    }

    /// The names for which there is a record, and no case.
    #[must_use]
    pub fn stale(&self) -> Vec<&str> {
        self.seen.keys().map(String::as_str).filter(|name| cases().all(|case| case.name != *name)).collect()
    }

    /// The file's text, from the Linux that this runs on.
    #[must_use]
    pub fn make() -> String {
        // All groups at once: most of a case is waiting for Linux to make its network namespace.
        let observe = |group: &'static Group| -> String {
            group.cases.iter().map(|case| format!("{}\t{}\n", case.name, case.observe(linux::run))).collect()
        };
        std::thread::scope(|scope| {
            let groups: Vec<_> = GROUPS.iter().map(|group| scope.spawn(move || observe(group))).collect();
            let parts = groups.into_iter().map(|group| group.join().unwrap_or_else(|panic| resume_unwind(panic)));
            format!("Linux {}\n{}", linux::release(), parts.collect::<String>())
        })
    }
}
