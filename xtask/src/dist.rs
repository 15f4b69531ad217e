//! x
use crate::project::Project;
use anyhow::Result;
/// x
pub fn run(_: &Project) -> Result<()> {
    Ok(())
}
