//! Faults at the n-th call: a test counts the calls of a run, then repeats it with each of them failing in turn.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;

use crate::guarded::Guarded;
use crate::schedule;

/// A kind of call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// `malloc` and `memalign`: null.
    Malloc,
    /// `create_sem`: `B_NO_MORE_SEMS`.
    CreateSem,
    /// `net_buffer` `create`: null.
    NetBufferCreate,
    /// `net_buffer` `append` and `append_size`: `B_NO_MEMORY`.
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
    /// The stack's `add_route` for a driver: `B_NO_MEMORY`.
    AddRoute,
    /// A signal that arrives in an interruptible wait: `B_INTERRUPTED`.
    Signal,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 12] = [
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
        Self::AddRoute,
        Self::Signal,
    ];
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

static ACTIVE: AtomicBool = AtomicBool::new(false);
static PLAN: Mutex<State> =
    Mutex::new(State { plan: FaultPlan::Off, counts: Counts([0; Fault::ALL.len()]), fired: None, thread: None });

struct State {
    plan: FaultPlan,
    counts: Counts,
    fired: Option<Fault>,
    /// In the deterministic mode: whose calls the plan is for.
    thread: Option<u32>,
}

/// Sets the plan and starts counting from zero. In the deterministic mode it is for the calling thread alone.
pub fn arm(plan: FaultPlan) {
    let thread = schedule::number();
    *PLAN.guarded() = State { plan, counts: Counts::default(), fired: None, thread };
    ACTIVE.store(plan != FaultPlan::Off, Ordering::Release);
}

/// The name of the semaphore whose wakes are lost; empty for none.
static LOST_WAKES: Mutex<String> = Mutex::new(String::new());
static WAKES_ARE_LOST: AtomicBool = AtomicBool::new(false);

/// Plants a fault: from now on, until the kernel ends, every wake by a semaphore of this name is lost. Tests that look for
/// lost wakes are checked with it.
pub fn lose_wakes(semaphore: &str) {
    semaphore.clone_into(&mut LOST_WAKES.guarded());
    WAKES_ARE_LOST.store(!semaphore.is_empty(), Ordering::Release);
}

/// Whether the wakes of a semaphore of this name are lost.
#[inline]
pub(crate) fn loses_wakes(semaphore: &str) -> bool {
    WAKES_ARE_LOST.load(Ordering::Relaxed) && *LOST_WAKES.guarded() == semaphore
}

/// The calls counted since the plan was set.
#[must_use]
pub fn counts() -> Counts {
    PLAN.guarded().counts
}

/// The call that was made to fail, if its turn has come.
#[must_use]
pub fn fired() -> Option<Fault> {
    PLAN.guarded().fired
}

/// Counts a call. Returns whether it must fail.
#[inline]
pub fn hit(kind: Fault) -> bool {
    ACTIVE.load(Ordering::Relaxed) && count(kind)
}

#[cold]
fn count(kind: Fault) -> bool {
    let mut state = PLAN.guarded();
    if state.thread.is_some() && state.thread != schedule::number() {
        return false;
    }
    state.counts.0[kind as usize] += 1;
    let fires = match state.plan {
        FaultPlan::Off | FaultPlan::Count => false,
        FaultPlan::Nth(of, n) => of == kind && state.counts.of(kind) == n,
        FaultPlan::NthOfAny(n) => state.counts.total() == n,
    };
    if fires {
        state.fired = Some(kind);
    }
    fires
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};

    fn run() -> [bool; 5] {
        [Fault::Malloc, Fault::CreateSem, Fault::Malloc, Fault::UserMemcpy, Fault::Malloc].map(hit)
    }

    #[test]
    fn a_counting_run_fails_nothing_and_counts_by_kind() {
        let kernel = Kernel::boot(Options { faults: FaultPlan::Count, ..Options::default() }).unwrap();
        assert_eq!(run(), [false; 5]);
        assert_eq!((counts().of(Fault::Malloc), counts().of(Fault::GetModule), counts().total()), (3, 0, 5));
        assert_eq!(fired(), None);
        drop(kernel);
    }

    #[test]
    fn the_nth_call_fails_once_of_its_kind_or_of_any() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        arm(FaultPlan::Nth(Fault::Malloc, 2));
        assert_eq!(run(), [false, false, true, false, false]);
        arm(FaultPlan::NthOfAny(2));
        assert_eq!(run(), [false, true, false, false, false]);
        assert_eq!(fired(), Some(Fault::CreateSem));
        drop(kernel);
    }

    #[test]
    fn an_unarmed_plan_counts_nothing() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        assert_eq!(run(), [false; 5]);
        assert_eq!(counts(), Counts::default());
        drop(kernel);
    }
}
