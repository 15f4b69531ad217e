//! The record of a run: named steps, how each ended and how long it took.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::table;

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed; with a note for the summary.
    Passed(String),
    /// It failed; with what to look at.
    Failed(String),
    /// It was left out; with the reason.
    Skipped(String),
}

/// One entry of the record.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// The record.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    entries: Vec<Entry>,
    /// Only steps with this in their names are run.
    only: Option<String>,
}

impl Steps {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty record, of steps that have `only` in their names; of all without it.
    #[must_use]
    pub fn limited_to(only: Option<&str>) -> Self {
        Self { entries: Vec::new(), only: only.map(str::to_owned) }
    }

    /// Whether a step of this name is run.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }

    /// Runs a step, if it is wanted, and records how it ended. An error is a failure.
    pub fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Outcome>) {
        if self.wants(name) {
            self.step_with(name, || run().map(|outcome| (outcome, None::<()>)));
        }
    }

    /// Runs a step that makes something the next ones need, wanted or not.
    pub fn step_with<T>(&mut self, name: &str, run: impl FnOnce() -> Result<(Outcome, Option<T>)>) -> Option<T> {
        println!("\n== {name}");
        let start = Instant::now();
        let (outcome, made) = run().unwrap_or_else(|error| (Outcome::Failed(format!("{error:#}")), None));
        let took = start.elapsed();
        let (verdict, note) = words(&outcome);
        println!("-- {name}: {verdict}{} ({:.1} s)", note_after(note), took.as_secs_f64());
        self.entries.push(Entry { name: name.to_owned(), outcome, took });
        made
    }

    /// Whether no step failed, and there was one.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        !self.entries.is_empty() && self.count(|outcome| matches!(outcome, Outcome::Failed(_))) == 0
    }

    /// The table of steps, and as the last line how many passed and how many failed.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut rows = vec![vec!["step".to_owned(), "result".to_owned(), "seconds".to_owned(), String::new()]];
        for entry in &self.entries {
            let (verdict, note) = words(&entry.outcome);
            let note = note.lines().next().unwrap_or_default().to_owned();
            rows.push(vec![entry.name.clone(), verdict.to_owned(), format!("{:7.1}", entry.took.as_secs_f64()), note]);
        }
        let total: f64 = self.entries.iter().map(|entry| entry.took.as_secs_f64()).sum();
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let passed = self.count(|outcome| matches!(outcome, Outcome::Passed(_)));
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let table = table::columns(&rows);
        format!("\n{table}{total:.0} seconds in all, {skipped} steps left out.\n{passed} passed, {failed} failed\n")
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.entries.iter().filter(|entry| wanted(&entry.outcome)).count()
    }
}

fn words(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Passed(note) => ("passed", note),
        Outcome::Failed(note) => ("FAILED", note),
        Outcome::Skipped(note) => ("left out", note),
    }
}

fn note_after(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_steps() {
        let mut steps = Steps::new();
        steps.step("one", || Ok(Outcome::Passed("12 tests".to_owned())));
        steps.step("two", || Ok(Outcome::Skipped("no root".to_owned())));
        assert!(steps.succeeded());
        assert!(steps.summary().ends_with("\n1 passed, 0 failed\n"), "{}", steps.summary());
        steps.step("three", || anyhow::bail!("it broke"));
        assert!(!steps.succeeded());
        let summary = steps.summary();
        assert!(summary.ends_with("1 steps left out.\n1 passed, 1 failed\n"), "{summary}");
        assert!(summary.contains("it broke") && summary.contains("no root"), "{summary}");
    }

    #[test]
    fn only_wanted_steps_and_those_that_others_need_are_run() {
        let mut steps = Steps::limited_to(Some("fuzz"));
        steps.step("lints", || anyhow::bail!("they were not asked for"));
        assert!(!steps.succeeded(), "a name that no step has is a mistake");
        steps.step("fuzzing: responder", || Ok(Outcome::Passed(String::new())));
        assert_eq!(steps.step_with("build", || Ok((Outcome::Passed(String::new()), Some(1)))), Some(1));
        assert!(steps.succeeded());
        assert!(steps.summary().ends_with("\n2 passed, 0 failed\n"), "{}", steps.summary());
    }

    #[test]
    fn a_failed_step_hands_on_no_result() {
        let mut steps = Steps::new();
        assert_eq!(steps.step_with("good", || Ok((Outcome::Passed(String::new()), Some(7)))), Some(7));
        assert_eq!(steps.step_with::<u8>("bad", || anyhow::bail!("no")), None);
    }
}
