//! The selects that wait on one direction of a device.
//!
//! The kernel calls the `select` hook several times for each `poll`, so registering neither allocates nor sleeps: an entry
//! takes a slot of a fixed table, in one short critical section. Notifying calls the kernel, so it happens with the table
//! unlocked; a removal waits until a notification that may have found its entry has returned.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::{Event, Kernel, Lock, SelectSync};

/// How many selects can wait on one direction at the same time. A VPN program needs one for each thread that waits, and Haiku
/// keeps one for each kqueue that was closed while the device was open.
pub(crate) const SLOTS: usize = 64;

/// A select and the events that it waits for, as bits.
#[derive(Clone, Copy)]
struct Entry<S> {
    sync: S,
    events: u8,
}

/// What the lock guards.
struct Table<S> {
    /// Entries keep their slots, so that a notification can go from one to the next without the lock.
    slots: [Option<Entry<S>>; SLOTS],
    /// Slots from here on were never used.
    used: usize,
    /// A notification is under way.
    is_notifying: bool,
}

impl<S: SelectSync> Table<S> {
    /// Finds the slot of a select, or one that is free.
    #[inline]
    fn slot(&mut self, sync: S) -> Option<&mut Option<Entry<S>>> {
        let mut free = self.used;
        for (index, slot) in self.slots.iter().enumerate().take(self.used) {
            match slot {
                Some(entry) if entry.sync == sync => return self.slots.get_mut(index),
                Some(_) => {}
                None => free = free.min(index),
            }
        }
        self.used = self.used.max(free + 1).min(SLOTS);
        self.slots.get_mut(free)
    }

    /// Whether a select waits for one of these events.
    fn awaits(&self, events: u8) -> bool {
        self.slots.iter().take(self.used).flatten().any(|entry| entry.events & events != 0)
    }

    /// Returns the first select that waits for an event, from `index` on, and the index behind it.
    fn next(&self, index: usize, event: Event) -> Option<(usize, S)> {
        let slots = self.slots.iter().enumerate().take(self.used).skip(index);
        slots
            .flat_map(|(index, slot)| slot.map(|entry| (index, entry)))
            .find_map(|(index, entry)| (entry.events & event.bit() != 0).then_some((index + 1, entry.sync)))
    }
}

/// The selects that wait on one direction.
pub(crate) struct Selects<K: Kernel> {
    table: K::Lock<Table<K::Select>>,
    /// Held while selects are notified.
    notifying: K::Mutex<()>,
    /// Whether a select waits for the direction's own event. Changes under the table's lock.
    is_awaited: AtomicBool,
    /// The direction's own event.
    event: Event,
}

impl<K: Kernel> Selects<K> {
    pub(crate) fn new(event: Event) -> Self {
        let table = Table { slots: [None; SLOTS], used: 0, is_notifying: false };
        Self { table: K::Lock::new(table), notifying: K::Mutex::new(()), is_awaited: AtomicBool::new(false), event }
    }

    /// Whether a select waits for the direction's own event.
    ///
    /// Called under the channel's lock. A select registers first and looks at the channel's state, under that lock, second.
    /// So if this misses one, that one's look comes later and sees what this section has changed.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }

    /// Registers a select for an event. Without a free slot it is notified of the direction's own event at once instead, so
    /// that its program asks again and is not left waiting. It is not told of an error or a hang-up that there is not.
    ///
    /// Haiku keeps the registrations of a kqueue that was closed until the device is closed, so slots can run out.
    pub(crate) fn add(&self, sync: K::Select, event: Event) {
        let is_registered = self.table.with(|table| {
            let Some(slot) = table.slot(sync) else { return false };
            slot.get_or_insert(Entry { sync, events: 0 }).events |= event.bit();
            if event == self.event {
                self.is_awaited.store(true, Ordering::Relaxed);
            }
            true
        });
        if !is_registered && event == self.event {
            sync.notify(event);
        }
    }

    /// Removes a select's registration for an event. It is not notified of it after this returns.
    pub(crate) fn remove(&self, sync: K::Select, event: Event) {
        let may_be_notified = self.table.with(|table| {
            let slot =
                table.slots.iter_mut().take(table.used).find(|slot| slot.is_some_and(|entry| entry.sync == sync));
            if let Some(slot) = slot {
                *slot = slot.and_then(|entry| match entry.events & !event.bit() {
                    0 => None,
                    events => Some(Entry { events, ..entry }),
                });
                if event == self.event {
                    let is_awaited = table.awaits(event.bit());
                    self.is_awaited.store(is_awaited, Ordering::Relaxed);
                }
            }
            table.is_notifying
        });
        if may_be_notified {
            self.notifying.with(|()| ());
        }
    }

    /// Notifies all selects that wait for an event. Called with no lock held.
    pub(crate) fn notify(&self, event: Event) {
        self.notifying.with(|()| {
            let mut index = 0;
            loop {
                let next = self.table.with(|table| {
                    let next = table.next(index, event);
                    table.is_notifying = next.is_some();
                    next
                });
                let Some((behind, sync)) = next else { break };
                sync.notify(event);
                index = behind;
            }
        });
    }
}
