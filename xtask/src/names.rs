//! The list of kernel symbols that the add-on may import, as the repository keeps it.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// What a kernel symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A function, `STT_FUNC`.
    Function,
    /// A variable, `STT_OBJECT`.
    Data,
}

/// One symbol of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelName {
    /// Function or data.
    pub kind: Kind,
    /// The name.
    pub name: String,
}

/// Reads the list at `path`.
///
/// # Errors
/// When it cannot be read or a line is not as it should be.
pub fn read(path: &Path) -> Result<Vec<KernelName>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a list of kernel symbols", path.display()))
}

/// Reads the text of the list: `func NAME` or `data NAME` a line, sorted by name; `#` begins a comment line.
///
/// # Errors
/// The first line that is not as it should be.
pub fn parse(text: &str) -> Result<Vec<KernelName>> {
    let mut names: Vec<KernelName> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (kind, name) = match line.split_once(' ') {
            Some(("func", name)) => (Kind::Function, name),
            Some(("data", name)) => (Kind::Data, name),
            _ => bail!("line {number} is neither `func NAME` nor `data NAME`: {line}"),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            bail!("line {number} has no plain C name: {line}");
        }
        if names.last().is_some_and(|last| last.name.as_str() >= name) {
            bail!("line {number} is out of order or there twice: {name}");
        }
        names.push(KernelName { kind, name: name.to_owned() });
    }
    if names.is_empty() {
        bail!("it names no symbol");
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    #[test]
    fn the_list_of_the_repository_is_in_order() {
        let project = Project::find().expect("tests run in the workspace");
        let names = read(&project.kernel_symbols()).expect("the list is in the repository");
        let has = |wanted: &str| names.iter().any(|symbol| symbol.name == wanted);
        assert!(has("user_memcpy") && has("recursive_lock_lock") && has("memcpy"));
        assert!(["bcmp", "mutex_lock", "_mutex_lock"].iter().all(|name| !has(name)), "not every kernel exports these");
    }

    #[test]
    fn every_call_that_the_abi_crate_declares_is_in_the_list() {
        let project = Project::find().expect("tests run in the workspace");
        let names = read(&project.kernel_symbols()).expect("the list is in the repository");
        let source = std::fs::read_to_string(project.root().join("net-addon/sys/src/calls.rs")).expect("it is there");
        let declared = source.lines().filter_map(|line| {
            let line = line.trim_start();
            let signature = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("fn "))?;
            signature.split_once('(').map(|(name, _)| name)
        });
        let declared: Vec<&str> = declared.filter(|name| !name.starts_with('$')).collect();
        assert!(declared.contains(&"user_memcpy") && declared.contains(&"dprintf"), "{declared:?}");
        for name in declared {
            assert!(names.iter().any(|symbol| symbol.name == name), "{name} is not in the list");
        }
    }

    #[test]
    fn what_is_not_a_list_is_refused_with_the_line() {
        for (text, complaint) in [
            ("func b\nfunc a\n", "line 2 is out of order"),
            ("func a\nfunc a\n", "line 2 is out of order or there twice"),
            ("function a\n", "line 1 is neither"),
            ("# only this\n\nfunc a b\n", "line 3 has no plain C name"),
            ("func \n", "line 1 has no plain C name"),
            ("# nothing\n", "it names no symbol"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(complaint), "{text:?}: {error}");
        }
    }
}
