//! The kernel debugger's commands.

/// Runs a command of the kernel debugger and returns what it printed.
pub fn run(command: &str, arguments: &[&str]) -> Result<String, String> {
    let _ = arguments;
    Err(format!("unknown command '{command}'"))
}

/// The commands that are registered, with their help.
#[must_use]
pub fn commands() -> Vec<(String, String)> {
    Vec::new()
}
