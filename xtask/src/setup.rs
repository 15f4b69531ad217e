//! `cargo xtask setup`: fetches what building and testing need and this machine lacks.
//!
//! Rust's own tools come through rustup; everything else through apt, which needs root on Debian or a system made from
//! it. Where neither can be used, it says what is missing and what goes without it.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::toolchain::{self, TARGET, Version};

/// Something that is not there, and could not be fetched.
#[derive(Clone, Debug)]
pub struct Missing {
    /// What it is.
    pub what: String,
    /// What goes without it, and how to get it.
    pub consequence: String,
}

/// What may be changed on this machine without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Everything that is needed: the user asked for it, or this is a machine for tests.
    Allowed,
    /// Nothing: it is only said what is missing.
    Forbidden,
}

impl Changes {
    /// What the tests may do: install when this is a machine for tests (`CI` is set) or the user is root.
    #[must_use]
    pub fn for_tests() -> Self {
        if env::var_os("CI").is_some() || is_root() { Self::Allowed } else { Self::Forbidden }
    }
}

/// A program that comes in a package.
struct Tool {
    program: &'static str,
    package: &'static str,
    without: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "cc", package: "gcc", without: "nothing can be linked" },
    Tool { program: "ld", package: "binutils", without: "the add-on cannot be linked" },
    Tool { program: "ip", package: "iproute2", without: "the test with Linux's own ping is left out" },
    Tool { program: "ping", package: "iputils-ping", without: "the test with Linux's own ping is left out" },
    Tool { program: "unshare", package: "util-linux", without: "the test with Linux's own ping is left out" },
    Tool { program: "valgrind", package: "valgrind", without: "no instructions are counted" },
];

/// The VPN programs of Debian's that the tests run over the device, the quick ones OpenVPN and the thorough ones all; and
/// libFuzzer's compiler.
const QUICK_TOOLS: &[Tool] = &[
    Tool { program: "openvpn", package: "openvpn", without: "the tests with OpenVPN are passed over" },
    Tool { program: "openssl", package: "openssl", without: "the tests with OpenVPN and tinc are passed over" },
];
const THOROUGH_TOOLS: &[Tool] = &[
    Tool { program: "c++", package: "g++", without: "nothing is fuzzed" },
    Tool { program: "tincd", package: "tinc", without: "the tests with tinc are passed over" },
    Tool { program: "edge", package: "n2n", without: "the tests with n2n are passed over" },
    Tool { program: "vtund", package: "vtun", without: "the tests with vtun are passed over" },
    Tool { program: "quicktun", package: "quicktun", without: "the tests with QuickTun are passed over" },
    Tool { program: "iodined", package: "iodine", without: "the test with iodine is passed over" },
    Tool { program: "fastd", package: "fastd", without: "the tests with fastd are passed over" },
];

/// How much is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What building and the quick tests need.
    Quick,
    /// That, and what the thorough ones need.
    Thorough,
}

/// The packages with a Rust that can build for a kernel: Debian's newest, then what later releases call plainly.
const RUST_PACKAGES: [[&str; 3]; 2] = [["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

/// The command: fetches everything and says what it did. `false` if something is still missing.
///
/// # Errors
/// None at present; what cannot be fetched is said and counted.
pub fn run(_project: &Project) -> Result<bool> {
    let missing = ensure(Changes::Allowed, Extent::Thorough);
    for thing in &missing {
        println!("Missing: {} — {}.", thing.what, thing.consequence);
    }
    match toolchain::choose() {
        Ok(toolchain) => println!("The add-on will be built with {}.", toolchain.name),
        Err(_) => println!("Without a toolchain for the kernel, `cargo xtask addon` cannot work."),
    }
    if missing.is_empty() {
        println!("Everything is there.");
    }
    Ok(missing.is_empty())
}

/// Sees to it that everything is there, as far as `changes` allows, and returns what is not.
pub fn ensure(changes: Changes, extent: Extent) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut apt = Apt { updated: false, usable: changes == Changes::Allowed && can_use_apt() };
    for (component, without) in [("rustfmt", "formatting is not checked"), ("clippy", "lints are not checked")] {
        let there = has_component(component) || (changes == Changes::Allowed && add_component(component));
        if !there {
            let consequence = format!("{without}; `rustup component add {component}`");
            missing.push(Missing { what: component.to_owned(), consequence });
        }
    }
    let thorough = if extent == Extent::Thorough { THOROUGH_TOOLS } else { &[] };
    for tool in TOOLS.iter().chain(QUICK_TOOLS).chain(thorough) {
        if !has_program(tool.program) && !apt.install(&[tool.package]) {
            let consequence = format!("{}; Debian has it in the package {}", tool.without, tool.package);
            missing.push(Missing { what: tool.program.to_owned(), consequence });
        }
    }
    let mut fetched = || changes == Changes::Allowed && (add_target() || add_rust_packages(&mut apt));
    if let Err(ways) = toolchain::choose()
        && !fetched()
    {
        let consequence = format!("the add-on is not built and nothing is run on it. {ways}");
        missing.push(Missing { what: "a Rust for kernels".to_owned(), consequence });
    }
    missing
}

/// Whether a program is there. Debian keeps daemons where only root's search path leads.
fn has_program(name: &str) -> bool {
    process::find(name).is_some() || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).is_file())
}

/// Whether `cargo NAME` or the program itself works.
fn has_component(component: &str) -> bool {
    let program = match component {
        "clippy" => "clippy-driver",
        other => other,
    };
    // Rustup has a stand-in for each component; it fails when the component is not there.
    process::run_quietly(Command::new(program).arg("--version")).is_ok_and(|output| output.status.success())
}

fn add_component(component: &str) -> bool {
    rustup(&["component", "add", component])
}

/// The target for kernels, for the active toolchain of rustup.
fn add_target() -> bool {
    rustup(&["target", "add", TARGET]) && toolchain::choose().is_ok()
}

fn rustup(arguments: &[&str]) -> bool {
    let Some(rustup) = process::find("rustup") else { return false };
    say_and_run(Command::new(rustup).args(arguments))
}

/// A Rust of Debian's with its sources.
fn add_rust_packages(apt: &mut Apt) -> bool {
    if !apt.update() {
        return false;
    }
    let recent = |package: &str| {
        let policy = process::output_of(Command::new("apt-cache").args(["policy", package])).unwrap_or_default();
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: ").map(str::to_owned));
        candidate.and_then(|version| Version::parse(&version)).is_some_and(|version| version >= toolchain::OLDEST)
    };
    let suitable = RUST_PACKAGES.iter().find(|packages| packages.iter().all(|package| recent(package)));
    suitable.is_some_and(|packages| apt.install(packages)) && toolchain::choose().is_ok()
}

/// apt, brought up to date once before the first package.
struct Apt {
    updated: bool,
    usable: bool,
}

impl Apt {
    fn update(&mut self) -> bool {
        if self.usable && !self.updated {
            // An unreachable server makes this fail; what was known before may still do.
            say_and_run(Command::new("apt-get").arg("update").env("DEBIAN_FRONTEND", "noninteractive"));
            self.updated = true;
        }
        self.usable
    }

    fn install(&mut self, packages: &[&str]) -> bool {
        if !self.update() {
            return false;
        }
        let mut command = Command::new("apt-get");
        command.args(["install", "-y", "--no-install-recommends"]).args(packages);
        say_and_run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    }
}

fn say_and_run(command: &mut Command) -> bool {
    println!("Running `{}` …", process::describe(command));
    match process::run_quietly(command) {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr).trim());
            false
        }
        Err(error) => {
            eprintln!("{error:#}");
            false
        }
    }
}

fn can_use_apt() -> bool {
    is_root() && process::find("apt-get").is_some() && Path::new("/etc/debian_version").exists()
}

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    process::output_of(Command::new("id").arg("-u")).is_ok_and(|user| user == "0")
}
