//! `ls`, below /dev.

use haiku_kernel::devfs::{self, NodeKind};

use super::Context;
use haiku_stack::Error;

/// The command.
pub(super) fn run(context: &mut Context<'_>, arguments: &[&str]) -> Result<(), Error> {
    let path = match arguments {
        [] => "/dev",
        [path] => path.trim_end_matches('/'),
        _ => return Err(Error::Usage("usage: ls [/dev/PATH]".to_owned())),
    };
    let Some(below) = path.strip_prefix("/dev").filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Err(Error::Usage(format!("ls: {path}: the lab has nothing but /dev")));
    };
    let entries =
        devfs::list(below.trim_start_matches('/')).map_err(|status| Error::status(format!("ls: {path}"), status))?;
    for entry in entries {
        let mark = if entry.kind == NodeKind::Directory { "/" } else { "" };
        context.line(&format!("{}{mark}", entry.name));
    }
    Ok(())
}
