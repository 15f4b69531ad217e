//! The rule that nothing can panic: found, and traced back to the line that is to blame.

use std::process::Command;

use xtask::process;

use crate::made::{Made, Source, breaks};

const RULE: &str = "no reachable panic";

#[test]
fn a_call_of_the_machinery_is_traced_to_an_export() {
    // core::panicking::panic_fmt, as the compiler spells it.
    let symbol = "_ZN4core9panicking9panic_fmt17h0123456789abcdefE";
    let extra = format!(".type {symbol}, @function\n{symbol}: ret\n.size {symbol}, . - {symbol}\n");
    let source = Source { hook: &format!("call {symbol}"), extra: &extra, ..Source::default() };
    breaks(&Made::from_source(source), RULE, "hook calls core::panicking::panic_fmt");
    let way = Made::from_source(source).audit().finding(RULE).expect("the rule is checked").details[1].clone();
    assert_eq!(way.trim(), "reached by: modules -> hooks -> hook");
}

#[test]
fn the_kernels_own_panic_may_not_be_imported() {
    let source = Source { body: "call *panic@GOTPCREL(%rip)", ..Source::default() };
    breaks(&Made::from_source(source), RULE, "init_hardware calls the kernel's panic");
}

#[test]
fn a_stripped_file_alone_is_refused_because_nothing_can_be_said() {
    breaks(&Made::good().strip(), RULE, "there is no file with its symbols beside it");
}

#[test]
fn a_stripped_file_is_judged_by_its_twin() {
    let report = Made::good().strip().with_twin(&Made::good()).audit();
    assert!(report.passed(), "{report}");

    let panics = || Made::from_source(Source { body: "call *panic@GOTPCREL(%rip)", ..Source::default() });
    breaks(&panics().strip().with_twin(&panics()), RULE, "init_hardware calls the kernel's panic");
}

#[test]
fn a_twin_with_other_code_is_refused() {
    let other = Made::from_source(Source { body: "nop", ..Source::default() });
    breaks(&Made::good().strip().with_twin(&other), RULE, "is not the same code");
}

#[test]
fn the_message_names_the_line_that_panics() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let archive = directory.path().join("libpanics.a");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command
        .args(["--edition", "2024", "--crate-type", "staticlib", "--crate-name", "panics", "-O"])
        .args([
            "-Cpanic=abort",
            "-Clto=fat",
            "-Crelocation-model=pic",
            "-Coverflow-checks=no",
            "-Cdebuginfo=line-tables-only",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/panics_sample.rs"))
        .arg("-o")
        .arg(&archive);
    process::run(&mut command).expect("the sample compiles");
    let report = Made::link(directory, &archive).audit();
    let finding = report.finding(RULE).expect("the rule is checked");
    let details = finding.details.join("\n");
    assert!(!finding.passed, "{report}");
    assert!(details.contains("panics::pick calls core::panicking::panic_bounds_check, at "), "{details}");
    assert!(details.contains("panics_sample.rs:24"), "{details}");
    assert!(details.contains("reached by: find_device -> panics::pick"), "{details}");
}
