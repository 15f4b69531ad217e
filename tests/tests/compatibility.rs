//! One test suite, two kernels: what is seen of Linux's device, of ours, and the table that is made of both.

use std::collections::BTreeSet;
use std::fs;

use tuntap_testkit::suite::record::{RECORD, Record, recording};
use tuntap_testkit::suite::{Ours, cases, haiku, linux, table};

/// The records of what was seen are made and compared in this order, so it is one test.
#[test]
fn linux_shows_what_was_recorded_of_it() {
    if let Some(reason) = linux::unavailable() {
        eprintln!("skipped: Linux's own device was not asked, for {reason}; its record stands");
        return;
    }
    let now = Record::make();
    if recording() {
        fs::write(Record::path(), &now).expect("the record can be written");
        fs::write(table::path(), table::make(&Record::load())).expect("the table can be written");
        return;
    }
    let record = Record::load();
    let changed: Vec<_> = now
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
        .filter(|(name, seen)| record.of(name).is_none_or(|recorded| recorded.0 != *seen))
        .map(|(name, seen)| format!("{name}: {seen}, recorded: {:?}", record.of(name)))
        .collect();
    let (here, there) = (linux::release(), &record.release);
    assert!(
        changed.is_empty(),
        "Linux {here} shows something else than Linux {there} did; look, then record it with {RECORD}=1:\n{}",
        changed.join("\n")
    );
}

#[test]
fn ours_shows_the_same_or_what_it_shows_on_purpose() {
    if recording() {
        return;
    }
    let record = Record::load();
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = match case.ours {
            Ours::AsLinux => record.of(case.name).expect("a record").0.as_str(),
            Ours::Differs { seen, .. } => seen,
        };
        let seen = case.observe(haiku::run);
        if seen.0 != expected {
            wrong.push(format!("{}: {seen}, expected: {expected}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} behaviours of ours are not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_is_the_one_that_the_suite_makes() {
    if recording() {
        return;
    }
    let committed = fs::read_to_string(table::path()).expect("docs/compatibility.md");
    let made = table::make(&Record::load());
    assert!(committed == made, "docs/compatibility.md is not what the suite makes; make it anew with {RECORD}=1");
}

#[test]
fn every_case_has_a_name_and_a_record_of_its_own() {
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert(case.name), "two cases are called \"{}\"", case.name);
        assert!(!case.name.contains(['|', '\t', '\n']), "\"{}\" does not fit a table", case.name);
    }
    if recording() {
        return;
    }
    let record = Record::load();
    assert_eq!(record.stale(), Vec::<&str>::new(), "records without a case");
    for case in cases() {
        let linux = record.of(case.name).unwrap_or_else(|| panic!("no record of \"{}\"", case.name));
        if let Ours::Differs { seen, .. } = case.ours {
            assert_ne!(linux.0, seen, "\"{}\" does not differ", case.name);
        }
    }
}
