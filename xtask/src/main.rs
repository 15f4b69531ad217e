//! The command line of the workshop: `cargo xtask …`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::project::Project;
use xtask::testing::Depth;
use xtask::{addon, audit, dist, plots, release, setup, testing};

/// Builds, links, audits and packages the real add-on; runs the tests.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need: Rust's tools through rustup, the rest through apt when root on Debian.
    Setup,
    /// Build the kernel add-on, target/haiku/tun_tap, and audit it.
    Addon,
    /// Check that Haiku's kernel will load FILE, and more; print a table of rules.
    #[command(after_help = "Example:\n  cargo xtask audit target/haiku/tun_tap")]
    Audit {
        /// The linked add-on, with its symbol table.
        file: PathBuf,
    },
    /// Check formatting and lints, run every test, and the end-to-end tests a second time on the real add-on.
    Test {
        /// Also run what takes longer: fuzzing, sanitizers, reproducibility, many more random cases, a soak.
        #[arg(long)]
        thorough: bool,
        /// Only the steps with WORDS in their names, and what they need: "fuzzing", say.
        #[arg(long, value_name = "WORDS")]
        only: Option<String>,
    },
    /// Check the release, build the add-on, and pack Haiku's package and an archive with install scripts into dist/.
    Dist,
    /// Draw the plots and fill the tables of docs/performance.md from docs/measured.
    Plots,
    /// Check that everything that names the version agrees, and that each run that a document links to is there.
    ReleaseCheck,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let project = Project::find()?;
    let succeeded = match command {
        Command::Setup => setup::run(&project)?,
        Command::Addon => {
            addon::build(&project)?;
            true
        }
        Command::Audit { file } => {
            let report = audit::file(&project, &file)?;
            print!("{report}");
            report.passed()
        }
        Command::Test { thorough, only } => {
            let depth = if thorough { Depth::Thorough } else { Depth::Quick };
            testing::run(&project, depth, only.as_deref())?
        }
        Command::Dist => {
            dist::run(&project)?;
            true
        }
        Command::Plots => {
            plots::run(project.root())?;
            true
        }
        Command::ReleaseCheck => {
            let release = release::check(project.root())?;
            println!("The release {} of {} agrees with everything that names it.", release.version, release.date);
            true
        }
    };
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
