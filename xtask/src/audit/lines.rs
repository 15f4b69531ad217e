//! From an address of the code to the line of the source, with the help of binutils' `addr2line`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// Where the lines of the source are recorded.
#[derive(Debug)]
pub struct Lines {
    tool: Option<PathBuf>,
    file: PathBuf,
}

impl Lines {
    /// For the add-on at `path`: in the file beside it whose name ends in `.debug`, or else in itself.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let beside = path.with_extension("debug");
        let file = if beside.is_file() { beside } else { path.to_owned() };
        Self { tool: process::find("addr2line"), file }
    }

    /// The place in the source from which the instruction at `address` comes.
    ///
    /// Of functions inlined into each other the innermost is given that belongs to this project.
    #[must_use]
    pub fn place(&self, address: u64) -> Option<String> {
        let mut command = Command::new(self.tool.as_ref()?);
        command.arg("-i").arg("-e").arg(&self.file).arg(format!("{address:#x}"));
        let text = process::output_of(&mut command).ok()?;
        let known = |line: &&str| !line.starts_with("??") && !line.ends_with(":?") && !line.ends_with(":0");
        let places: Vec<&str> = text.lines().filter(known).collect();
        let foreign = |place: &str| ["/rust/", "/rustc/", "/cargo/"].iter().any(|prefix| place.starts_with(prefix));
        let chosen = places.iter().find(|place| !foreign(place)).or(places.first())?;
        Some(chosen.strip_prefix("/tun_tap/").unwrap_or(chosen).to_owned())
    }
}
