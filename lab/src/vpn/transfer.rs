//! A TCP transfer across a tunnel, each byte compared.

use crate::error::Error;
use crate::lab::Lab;

/// `transfer …` on a control socket.
///
/// # Errors
/// The command's complaint.
pub(super) fn execute(_: &Lab, _: &[&str]) -> Result<String, Error> {
    Err(Error::Usage("transfer: not understood".to_owned()))
}
