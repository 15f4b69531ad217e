//! The two kinds of device, as programs know them.

use std::fmt;
use std::str::FromStr;

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
}

impl Mode {
    /// Both.
    pub const ALL: [Mode; 2] = [Mode::Tun, Mode::Tap];

    /// `tun` or `tap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tun => "tun",
            Self::Tap => "tap",
        }
    }

    /// The interface's name, which is also the node's below /dev.
    #[must_use]
    pub fn interface(self, unit: usize) -> String {
        format!("{}/{unit}", self.name())
    }

    /// The node's path.
    #[must_use]
    pub fn node(self, unit: usize) -> String {
        format!("/dev/{}/{unit}", self.name())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|mode| mode.name() == word).ok_or_else(|| "expected tun or tap".to_owned())
    }
}
