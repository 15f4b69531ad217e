//! Where things are: the workspace, its build directory and its version.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The workspace and its directories.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    /// The workspace that this tool belongs to.
    ///
    /// # Errors
    /// When it is no longer where it was.
    pub fn find() -> Result<Self> {
        // `cargo xtask` says where the crate is now; a program that was built elsewhere would not know.
        let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&here).parent().context("The xtask crate is not inside a workspace.")?;
        if !root.join("Cargo.lock").is_file() {
            bail!("The workspace at {} is gone; run `cargo xtask` inside a clone of it.", root.display());
        }
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // Cargo takes a relative one from where it was called.
            Some(directory) => env::current_dir()?.join(directory),
            None => root.join("target"),
        };
        Ok(Self { root: root.to_owned(), target })
    }

    /// The same workspace with another build directory.
    #[must_use]
    pub fn with_target(&self, target: PathBuf) -> Self {
        Self { root: self.root.clone(), target }
    }

    /// The top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build directory.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where the real add-on and all that belongs to it are made.
    #[must_use]
    pub fn haiku(&self) -> PathBuf {
        self.target.join("haiku")
    }

    /// The finished add-on.
    #[must_use]
    pub fn addon(&self) -> PathBuf {
        self.haiku().join("tun_tap")
    }

    /// The names that the add-on may import.
    #[must_use]
    pub fn kernel_symbols(&self) -> PathBuf {
        self.root.join("net-addon/link/kernel-symbols.txt")
    }

    /// A path as messages give it: relative to the workspace where it is inside.
    #[must_use]
    pub fn short<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
