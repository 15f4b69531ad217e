//! What decides the state of a device: its opener and its interface.

/// Proof that an interface is attached: given back on removal, and recognised when it is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment(pub(crate) u32);

/// Whether there is an interface, and what state it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceState {
    /// There is none.
    Absent,
    /// It is down.
    Down,
    /// It is up.
    Up,
}

/// State that changes rarely, and in one step for both directions.
pub(crate) struct Control {
    /// From `open` to `free`.
    pub(crate) taken: bool,
    /// From `open` to `close`.
    pub(crate) open: bool,
    /// The interface, if there is one.
    pub(crate) attached: Option<Attachment>,
    /// The number of the next attachment.
    pub(crate) next: u32,
    /// The interface is up.
    pub(crate) up: bool,
    /// It was up at some time, or one that it replaced was.
    pub(crate) was_up: bool,
    /// The descriptor has lost an interface that was up, none has come up since, and no read has reported it.
    pub(crate) lost_unread: bool,
    /// The same, and no write has reported it.
    pub(crate) lost_unwritten: bool,
    /// The program says that the link works.
    pub(crate) carrier: bool,
}

impl Control {
    /// A device without an opener and without an interface.
    pub(crate) const FRESH: Self = Self {
        taken: false,
        open: false,
        attached: None,
        next: 0,
        up: false,
        was_up: false,
        lost_unread: false,
        lost_unwritten: false,
        carrier: true,
    };

    pub(crate) fn set_lost(&mut self, lost: bool) {
        self.lost_unread = lost;
        self.lost_unwritten = lost;
    }

    /// Whether the link works.
    pub(crate) const fn has_link(&self) -> bool {
        self.open && self.carrier
    }

    /// Returns the interface's state.
    pub(crate) const fn interface(&self) -> InterfaceState {
        match (self.attached, self.up) {
            (None, _) => InterfaceState::Absent,
            (Some(_), false) => InterfaceState::Down,
            (Some(_), true) => InterfaceState::Up,
        }
    }
}
