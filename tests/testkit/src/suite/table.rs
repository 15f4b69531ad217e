//! `docs/compatibility.md`, as the suite makes it.

use std::fmt::Write;
use std::path::PathBuf;

use super::record::Record;
use super::{Case, GROUPS, Ours, cases};

/// The file.
#[must_use]
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md")
}

/// Its text.
#[must_use]
pub fn make(record: &Record) -> String {
    let all = cases().count();
    let same = cases().filter(|case| case.ours == Ours::AsLinux).count();
    let mut text = format!(
        "# What programs observe: Linux and ours\n\
         \n\
         Made by the tests, not by hand: each row is a case that ran against Linux's own `/dev/net/tun` (release {}) and\n\
         against this driver in the lab. Of {} behaviours, {} are the same, and {} differ on purpose; those say why.\n\
         `TUNTAP_RECORD=1 cargo test -p tuntap-tests --test compatibility`, as root, makes this file and the record of\n\
         Linux anew.\n\
         \n\
         Reads and writes are of a unit that is open with `O_NONBLOCK` and has an interface that is up, unless the row\n\
         says otherwise. Where TUN and TAP show different things, both are given.\n",
        record.release,
        all,
        same,
        all - same,
    );
    for group in GROUPS {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {}\n\n| behaviour | Linux | ours | why |\n|---|---|---|---|\n", group.title);
        for case in group.cases {
            let _ = writeln!(text, "{}", row(case, record));
        }
    }
    text
}

fn row(case: &Case, record: &Record) -> String {
    let linux = record.of(case.name).unwrap_or_else(|| panic!("no record of \"{}\"", case.name));
    match case.ours {
        Ours::AsLinux => format!("| {} | {linux} | the same | |", case.name),
        Ours::Differs { seen, why } => format!("| {} | {linux} | **{seen}** | {why} |", case.name),
    }
}
