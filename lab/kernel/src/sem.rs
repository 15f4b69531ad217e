//! Counting semaphores.
//!
//! Ids index a fixed table, and each semaphore has a lock of its own that is held for a few instructions. A
//! semaphore has two counts, as Haiku's: `count` includes the waiters, `net_count` does not. Of the flags those are known that
//! the driver uses.

use core::ffi::{CStr, c_char};
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

use haiku_sys::{
    B_ABSOLUTE_TIMEOUT, B_BAD_SEM_ID, B_BAD_VALUE, B_CAN_INTERRUPT, B_DO_NOT_RESCHEDULE, B_INFINITE_TIMEOUT,
    B_INTERRUPTED, B_KILL_CAN_INTERRUPT, B_NO_MORE_SEMS, B_OK, B_RELATIVE_TIMEOUT, B_TIMED_OUT, B_WOULD_BLOCK,
    bigtime_t, sem_id, status_t,
};

use crate::fault::{self, Fault};
use crate::guarded::Guarded;
use crate::interrupts;
use crate::ledger;
use crate::panic::kpanic;
use crate::schedule::{self, Place};
use crate::thread::ThreadRef;
use crate::wait::{Claim, Interruption, now};

/// How many semaphores there can be, as on a Haiku with half a gigabyte or more.
const MAX_SEMS: usize = 65_536;
/// The table is made in pieces, as they are needed.
const CHUNK: usize = 1024;

#[derive(Debug, Default)]
struct Sem {
    live: bool,
    id: sem_id,
    count: i32,
    net_count: i32,
    queue: VecDeque<(ThreadRef, i32)>,
    name: String,
}

type Slot = Mutex<Sem>;

static SLOTS: [OnceLock<Box<[Slot]>>; MAX_SEMS / CHUNK] = [const { OnceLock::new() }; MAX_SEMS / CHUNK];
static FREE: Mutex<FreeSlots> = Mutex::new(FreeSlots { never_used: 0, used: Vec::new() });

struct FreeSlots {
    never_used: usize,
    /// Slots that were used, with the id they get next: an old id never comes back before 32,768 lives.
    used: Vec<sem_id>,
}

fn slot(id: sem_id) -> Option<&'static Slot> {
    let index = usize::try_from(id).ok()? % MAX_SEMS;
    SLOTS[index / CHUNK].get()?.get(index % CHUNK)
}

fn make_slot(index: usize) {
    SLOTS[index / CHUNK].get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
}

/// Threads that were claimed under a semaphore's lock and are woken after it.
#[derive(Default)]
pub(crate) struct Woken {
    first: Option<ThreadRef>,
    others: Vec<ThreadRef>,
}

impl Woken {
    /// Ends a thread's wait; false if it had ended by itself.
    pub(crate) fn claim(&mut self, thread: ThreadRef, status: status_t) -> bool {
        match thread.parker().claim(status) {
            Claim::TooLate => return false,
            Claim::Done => {}
            Claim::MustWake if self.first.is_none() => self.first = Some(thread),
            Claim::MustWake => self.others.push(thread),
        }
        true
    }

    pub(crate) fn wake(self) {
        for thread in self.first.into_iter().chain(self.others) {
            thread.parker().wake();
        }
    }
}

impl Sem {
    /// Takes a thread out of the queue whose wait ended without the semaphore, and serves those behind it.
    fn give_up(&mut self, thread: ThreadRef, woken: &mut Woken) {
        let Some(index) = self.queue.iter().position(|(waiter, _)| core::ptr::eq(*waiter, thread)) else { return };
        let Some((_, count)) = self.queue.remove(index) else { return };
        self.count += count;
        while let Some(&(next, count)) = self.queue.front() {
            if next.parker().is_blocked() && count > self.net_count {
                break;
            }
            self.queue.pop_front();
            if woken.claim(next, B_OK) {
                self.net_count -= count;
            } else {
                self.count += count;
            }
        }
    }

    fn release(&mut self, mut count: i32, woken: &mut Woken) {
        while count > 0 {
            let Some(&(next, wanted)) = self.queue.front() else {
                self.count += count;
                self.net_count += count;
                break;
            };
            if next.parker().is_blocked() && wanted > self.net_count + count {
                self.count += count;
                self.net_count += count;
                break;
            }
            self.queue.pop_front();
            if woken.claim(next, B_OK) {
                let given = count.min(wanted);
                self.count += given;
                self.net_count += given - wanted;
                count -= given;
            } else {
                // It no longer waits: its claim on the count goes with it.
                self.count += wanted;
            }
        }
    }
}

/// `create_sem`.
pub(crate) fn create(count: i32, name: &str) -> Result<sem_id, status_t> {
    interrupts::check("create_sem()");
    if count < 0 {
        return Err(B_BAD_VALUE);
    }
    if fault::hit(Fault::CreateSem) {
        return Err(B_NO_MORE_SEMS);
    }
    let id = {
        let mut free = FREE.guarded();
        match free.used.pop() {
            Some(id) => id,
            None if free.never_used < MAX_SEMS => {
                free.never_used += 1;
                (free.never_used - 1) as sem_id
            }
            None => return Err(B_NO_MORE_SEMS),
        }
    };
    make_slot(id as usize % MAX_SEMS);
    let Some(slot) = slot(id) else { return Err(B_NO_MORE_SEMS) };
    let mut sem = slot.guarded();
    sem.live = true;
    sem.id = id;
    sem.count = count;
    sem.net_count = count;
    name.clone_into(&mut sem.name);
    ledger::SEMAPHORES.add(1);
    Ok(id)
}

/// `delete_sem`.
pub(crate) fn delete(id: sem_id) -> status_t {
    interrupts::check("delete_sem()");
    let Some(slot) = slot(id) else { return B_BAD_SEM_ID };
    let mut woken = Woken::default();
    {
        let mut sem = slot.guarded();
        if !sem.live || sem.id != id {
            return B_BAD_SEM_ID;
        }
        sem.live = false;
        while let Some((thread, _)) = sem.queue.pop_front() {
            let _ = woken.claim(thread, B_BAD_SEM_ID);
        }
    }
    woken.wake();
    FREE.guarded().used.push(id.checked_add(MAX_SEMS as sem_id).unwrap_or(id % MAX_SEMS as sem_id));
    ledger::SEMAPHORES.add(-1);
    B_OK
}

/// `acquire_sem_etc`.
pub(crate) fn acquire(id: sem_id, count: i32, flags: u32, timeout: bigtime_t) -> status_t {
    if !interrupts::are_enabled() {
        kpanic!("switch_sem_etc: called with interrupts disabled for sem {id}");
    }
    schedule::point("acquire_sem");
    let Some(slot) = slot(id) else { return B_BAD_SEM_ID };
    let both = B_RELATIVE_TIMEOUT | B_ABSOLUTE_TIMEOUT;
    if count <= 0 || flags & both == both {
        return B_BAD_VALUE;
    }
    let by = match flags {
        flags if flags & B_CAN_INTERRUPT != 0 => Interruption::Signals,
        flags if flags & B_KILL_CAN_INTERRUPT != 0 => Interruption::KillingSignals,
        _ => Interruption::Never,
    };
    let this;
    {
        let mut sem = slot.guarded();
        if !sem.live || sem.id != id {
            return B_BAD_SEM_ID;
        }
        if sem.count - count >= 0 {
            sem.count -= count;
            sem.net_count -= count;
            return B_OK;
        }
        if flags & B_RELATIVE_TIMEOUT != 0 && timeout <= 0 {
            return B_WOULD_BLOCK;
        }
        if flags & B_ABSOLUTE_TIMEOUT != 0 && timeout < 0 {
            return B_TIMED_OUT;
        }
        this = crate::thread::this();
        this.parker().prepare(by);
        if this.is_interrupted(by) || (by != Interruption::Never && fault::hit(Fault::Signal)) {
            this.parker().cancel();
            return B_INTERRUPTED;
        }
        sem.count -= count;
        sem.queue.push_back((this, count));
    }
    let deadline = match flags & both {
        _ if timeout == B_INFINITE_TIMEOUT => None,
        B_RELATIVE_TIMEOUT => Some(now().saturating_add(timeout)),
        B_ABSOLUTE_TIMEOUT => Some(timeout),
        _ => None,
    };
    let status = this.parker().block(deadline, Place::Semaphore(id, name));
    if status != B_OK {
        let mut woken = Woken::default();
        slot.guarded().give_up(this, &mut woken);
        woken.wake();
    }
    status
}

/// `release_sem_etc`.
pub(crate) fn release(id: sem_id, count: i32, flags: u32) -> status_t {
    let Some(slot) = slot(id) else { return B_BAD_SEM_ID };
    if flags & !B_DO_NOT_RESCHEDULE != 0 {
        kpanic!("release_sem_etc(): the lab does not know the flags {flags:#x}");
    }
    if count <= 0 {
        return B_BAD_VALUE;
    }
    if flags & B_DO_NOT_RESCHEDULE == 0 && !interrupts::are_enabled() {
        kpanic!("release_sem_etc(): called with interrupts disabled and rescheduling allowed for sem_id {id}");
    }
    let mut woken = Woken::default();
    let lost;
    {
        let mut sem = slot.guarded();
        if !sem.live || sem.id != id {
            return B_BAD_SEM_ID;
        }
        sem.release(count, &mut woken);
        lost = fault::loses_wakes(&sem.name);
    }
    if !lost {
        woken.wake();
    }
    if interrupts::are_enabled() {
        schedule::point("release_sem");
    }
    B_OK
}

/// The semaphores that are alive, by id, name and count: for the report of a leak.
#[must_use]
pub fn live() -> Vec<(sem_id, String, i32)> {
    let slots = SLOTS.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter());
    slots
        .filter_map(|slot| {
            let sem = slot.guarded();
            sem.live.then(|| (sem.id, sem.name.clone(), sem.count))
        })
        .collect()
}

/// A semaphore's name, for the report of its waiters.
pub(crate) fn name(id: sem_id) -> String {
    slot(id).map(|slot| slot.guarded().name.clone()).unwrap_or_default()
}

/// Forgets the semaphores that an earlier kernel leaked.
pub(crate) fn reset() {
    for (id, _, _) in live() {
        let _ = delete(id);
    }
}

/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_create_sem(count: i32, name: *const c_char) -> sem_id {
    let name = match name.is_null() {
        true => "unnamed semaphore".into(),
        // SAFETY: the caller gives a C string.
        false => unsafe { CStr::from_ptr(name) }.to_string_lossy(),
    };
    create(count, &name).unwrap_or_else(|error| error)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_delete_sem(id: sem_id) -> status_t {
    delete(id)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_acquire_sem_etc(id: sem_id, count: i32, flags: u32, timeout: bigtime_t) -> status_t {
    acquire(id, count, flags, timeout)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_release_sem_etc(id: sem_id, count: i32, flags: u32) -> status_t {
    release(id, count, flags)
}
