//! The command line of the lab.

use std::process::ExitCode;

fn main() -> ExitCode {
    haiku_lab::main()
}
