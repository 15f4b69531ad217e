//! One test suite, two kernels: what a program can observe of a TUN or TAP, on Linux and on Haiku with our driver.
//!
//! A [`Case`] does something to a [`System`] and says in a few words what it saw. What Linux's own device shows is
//! recorded in a file, and checked against the real one wherever the tests may make interfaces; ours must show the
//! same, unless the case says what it shows instead, and why. [`table`] writes it all down.

mod cases;
pub mod haiku;
pub mod linux;
pub mod record;
mod system;
pub mod table;

use std::fmt;

use haiku_system::Mode;

pub use cases::GROUPS;
pub use system::{
    Access, Argument, BOTH, Blocked, Blocking, Errno, Events, Fd, Framing, InterfaceFlags, Numbers, Patience, System,
    TAP, TUN, Thread, flag, while_blocked,
};

/// What was seen, in words that are the same for every kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(pub String);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Seen {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Seen {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<bool> for Seen {
    fn from(so: bool) -> Self {
        Self(if so { "yes" } else { "no" }.into())
    }
}

impl From<Errno> for Seen {
    fn from(error: Errno) -> Self {
        Self(error.0.into())
    }
}

impl From<()> for Seen {
    fn from((): ()) -> Self {
        Self("works".into())
    }
}

/// A count of bytes.
impl From<usize> for Seen {
    fn from(bytes: usize) -> Self {
        Self(format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" }))
    }
}

/// Flags by their names.
impl From<Events> for Seen {
    fn from(events: Events) -> Self {
        if events.is_empty() {
            return "nothing".into();
        }
        let names: Vec<_> = events.iter_names().map(|(name, _)| name).collect();
        Self(names.join(" "))
    }
}

impl<T: Into<Self>> From<Result<T, Errno>> for Seen {
    fn from(result: Result<T, Errno>) -> Self {
        match result {
            Ok(value) => value.into(),
            Err(error) => error.into(),
        }
    }
}

impl Seen {
    /// This, and after it something else.
    #[must_use]
    pub fn then(self, next: impl Into<Self>) -> Self {
        Self(format!("{self}, then {}", next.into()))
    }
}

/// How our device compares to Linux's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// The same is seen.
    AsLinux,
    /// Something else is seen, on purpose.
    Differs {
        /// What.
        seen: &'static str,
        /// Why.
        why: &'static str,
    },
}

/// One observable behaviour.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is done: unique, and short enough for a table.
    pub name: &'static str,
    /// With units of which modes.
    pub modes: &'static [Mode],
    /// Does it.
    pub run: fn(&dyn System) -> Seen,
    /// What ours shows.
    pub ours: Ours,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    const fn new(name: &'static str, modes: &'static [Mode], run: fn(&dyn System) -> Seen) -> Self {
        Self { name, modes, run, ours: Ours::AsLinux }
    }

    const fn differs(self, seen: &'static str, why: &'static str) -> Self {
        Self { ours: Ours::Differs { seen, why }, ..self }
    }

    /// Runs the case on each of its modes by means of `run`, and sums up what was seen.
    pub fn observe(&self, mut run: impl FnMut(&Self, Mode) -> Seen) -> Seen {
        let seen: Vec<_> = self.modes.iter().map(|&mode| (mode, run(self, mode))).collect();
        match seen.as_slice() {
            [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => first.clone(),
            _ => {
                let each: Vec<_> = seen.iter().map(|(mode, seen)| format!("{}: {seen}", mode.name())).collect();
                Seen(each.join("; "))
            }
        }
    }
}

/// Cases that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// The cases.
    pub cases: &'static [Case],
}

/// All cases of all groups.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    GROUPS.iter().flat_map(|group| group.cases)
}
