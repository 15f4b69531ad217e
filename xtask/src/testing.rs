//! x
use crate::project::Project;
use anyhow::Result;
/// x
pub enum Depth {
    /// q
    Quick,
    /// t
    Thorough,
}
/// x
pub fn run(_: &Project, _: Depth) -> Result<bool> {
    Ok(true)
}
