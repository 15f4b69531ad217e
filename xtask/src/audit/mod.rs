//! `cargo xtask audit FILE`: proves that Haiku's kernel will load the file, and that it is fit to run there.
//!
//! [`elf`] reads the file, [`rules`] checks its form, [`code`] disassembles it, [`panics`], [`traps`] and
//! [`frames`] look at what the code does, [`lines`] finds the source of it. Each rule gives one line of the [`Report`].

pub mod code;
pub mod elf;
pub mod frames;
pub mod graph;
pub mod lines;
pub mod panics;
pub mod rules;
pub mod traps;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{names, process, table};

/// What one rule has to say about the file.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule, in a few words.
    pub rule: &'static str,
    /// Whether the file keeps it.
    pub passed: bool,
    /// The figures that were looked at.
    pub figures: String,
    /// What to look at when it failed, a line each.
    pub details: Vec<String>,
}

impl Finding {
    /// A finding; it passed when there is nothing to look at.
    #[must_use]
    pub fn new(rule: &'static str, figures: impl Into<String>, details: Vec<String>) -> Self {
        Self { rule, passed: details.is_empty(), figures: figures.into(), details }
    }
}

/// What all rules have to say.
#[derive(Clone, Debug)]
pub struct Report {
    file: String,
    /// One entry per rule, in the order in which they are printed.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether the file keeps every rule.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.passed)
    }

    /// What the rule of this name found.
    #[must_use]
    pub fn finding(&self, rule: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.rule == rule)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Audit of {}:", self.file)?;
        let rows: Vec<Vec<String>> = self.findings.iter().map(row).collect();
        write!(out, "{}", table::columns(&rows))?;
        for finding in self.findings.iter().filter(|finding| !finding.passed) {
            writeln!(out, "\n{}:", finding.rule)?;
            for line in &finding.details {
                writeln!(out, "  {line}")?;
            }
        }
        let failed = self.findings.iter().filter(|finding| !finding.passed).count();
        match failed {
            0 => writeln!(out, "All {} rules hold.", self.findings.len()),
            _ => writeln!(out, "\n{failed} of {} rules are broken.", self.findings.len()),
        }
    }
}

/// One line of the table.
fn row(finding: &Finding) -> Vec<String> {
    let verdict = if finding.passed { "ok" } else { "FAIL" };
    vec![verdict.to_owned(), finding.rule.to_owned(), finding.figures.clone()]
}

/// Audits the file at `path`.
///
/// # Errors
/// When it cannot be read or is no ELF file at all; anything short of that is a finding.
pub fn file(project: &Project, path: &Path) -> Result<Report> {
    let bytes = process::read(path)?;
    let allowed = names::read(&project.kernel_symbols())?;
    let mut addon = elf::Addon::parse(&bytes).with_context(|| {
        format!("{} is not a linked 64-bit ELF file; `cargo xtask addon` makes one", path.display())
    })?;
    let names = if addon.symbols.is_empty() { borrow_names(&mut addon, path) } else { Ok(()) };
    let code = code::Code::disassemble(&addon);
    let mut findings = vec![rules::loader(&project.short(path).to_string(), &bytes, &allowed)];
    findings.extend(rules::check(&addon));
    findings.extend(code.check_registers());
    let lines = lines::Lines::of(path);
    findings.push(match names {
        Ok(()) => panics::check(&addon, &code, &lines),
        Err(why) => Finding::new(panics::RULE, "no symbols", vec![why]),
    });
    findings.push(traps::check(&code, &lines));
    findings.push(frames::check(&code));
    findings.push(rules::size(bytes.len()));
    Ok(Report { file: project.short(path).to_string(), findings })
}

/// Takes the symbols of a stripped add-on from the file beside it that has them, if that is the same code.
fn borrow_names(addon: &mut elf::Addon, path: &Path) -> Result<(), String> {
    let twin_path = path.with_extension("debug");
    let twin = process::read(&twin_path).ok().and_then(|bytes| elf::Addon::parse(&bytes).ok());
    let Some(twin) = twin else {
        let expected = twin_path.display();
        return Err(format!("It is stripped and there is no file with its symbols beside it ({expected})."));
    };
    if !addon.loads_the_same(&twin) {
        return Err(format!("{} is not the same code as this file; build both anew.", twin_path.display()));
    }
    addon.symbols = twin.symbols;
    Ok(())
}
