//! What a descriptor of the program's shows, apart from the socket that shows it: which byte must be sent and when.
//!
//! A byte in the socket is for waiters in Linux. Without a waiter a notification is only recorded, and a thread that is
//! about to wait finds it here: two system calls fewer for a packet. Once threads may wait in Linux unseen (`epoll`, a
//! descriptor sent elsewhere), every byte is sent from then on.
//!
//! The holder of the lock around it does what these functions return, in that order; sending may come after the lock is
//! released. Nothing is lost: the code that clears `pending` compares the count of notifications with that from before
//! it asked the device.

/// What a thread must do that is about to wait until there is something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Ask the device first: there may be something. The thread does not count as a waiter.
    Look,
    /// Wait in Linux. It counts until [`Shown::leave`].
    Wait,
}

/// Whether a byte must be sent, before or after the lock is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Byte {
    Send,
    Keep,
}

/// What the program is shown, and who looks.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The device notified, and was not seen empty since.
    pending: bool,
    /// How often it notified.
    notifications: u32,
    /// Bytes that were sent, or are about to be, and have not been taken back. One at most.
    bytes: u32,
    /// Threads that wait in Linux, or are about to.
    waiting: u32,
    /// Others may wait in Linux without our knowing.
    eager: bool,
    /// The device reported a hang-up; the socket stays reset until the device works again.
    hung_up: bool,
    /// The socket has room.
    pub(crate) writable: bool,
}

impl Shown {
    /// The device has something to read.
    pub(crate) fn notify(&mut self) -> Byte {
        self.notifications = self.notifications.wrapping_add(1);
        self.pending = true;
        self.settle_byte()
    }

    /// Records a hang-up. Returns whether it is a new one: the caller then resets the socket and leaves a byte in it.
    /// A socket that was reset is readable and writable.
    pub(crate) fn hang_up(&mut self) -> bool {
        self.notifications = self.notifications.wrapping_add(1);
        (self.pending, self.bytes, self.writable) = (true, 1, true);
        !std::mem::replace(&mut self.hung_up, true)
    }

    /// Ends a hang-up, unless the device notified after `notifications`. Returns whether it did: the caller then
    /// replaces the socket by one that is empty and not writable.
    pub(crate) fn recover(&mut self, notifications: u32) -> bool {
        let recovers = self.hung_up && self.notifications == notifications;
        if recovers {
            (self.hung_up, self.bytes, self.writable) = (false, 0, false);
        }
        recovers
    }

    /// Whether the socket was reset.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Whether every byte is sent.
    pub(crate) fn is_eager(&self) -> bool {
        self.eager
    }

    /// Returns the count of notifications, which is read before the device is asked and passed to [`Shown::seen_empty`]
    /// after.
    pub(crate) fn notifications(&self) -> u32 {
        self.notifications
    }

    /// The device was asked after there had been so many notifications, and had nothing. Says whether that still holds:
    /// if not, ask again. `take` takes a byte that is in the socket, and says how many it found.
    pub(crate) fn seen_empty(&mut self, notifications: u32, take: impl FnOnce() -> u32) -> bool {
        if self.notifications != notifications {
            return false;
        }
        if !self.hung_up {
            self.pending = false;
            if self.eager {
                self.take_back(take);
            }
        }
        true
    }

    /// A thread is about to wait. A byte that is left of something that was read meanwhile is taken, with `take`.
    pub(crate) fn enter(&mut self, take: impl FnOnce() -> u32) -> Entry {
        if self.pending {
            return Entry::Look;
        }
        self.take_back(take);
        self.waiting += 1;
        Entry::Wait
    }

    /// A thread no longer waits.
    pub(crate) fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// From now on every byte is sent, because a thread may wait in Linux unseen.
    pub(crate) fn make_eager(&mut self, take: impl FnOnce() -> u32) -> Byte {
        self.eager = true;
        if !self.pending {
            self.take_back(take);
        }
        self.settle_byte()
    }

    fn settle_byte(&mut self) -> Byte {
        if self.pending && self.bytes == 0 && (self.eager || self.waiting > 0) {
            self.bytes = 1;
            return Byte::Send;
        }
        Byte::Keep
    }

    /// A byte that is still on its way stays: the thread that later finds nothing behind it takes it.
    fn take_back(&mut self, take: impl FnOnce() -> u32) {
        if self.bytes > 0 {
            self.bytes = self.bytes.saturating_sub(take());
        }
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    use loom::thread;

    use super::*;

    /// A device that notifies when its queue is no longer empty, after it let its lock go; and what shows it.
    struct Model {
        queue: Mutex<u32>,
        shown: Mutex<Shown>,
        socket: Mutex<u32>,
        arrived: Condvar,
        /// How many bytes were ever sent.
        sent: AtomicU32,
    }

    impl Model {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                queue: Mutex::new(0),
                shown: Mutex::new(Shown::default()),
                socket: Mutex::new(0),
                arrived: Condvar::new(),
                sent: AtomicU32::new(0),
            })
        }

        fn lock(&self) -> MutexGuard<'_, Shown> {
            self.shown.lock().unwrap()
        }

        fn send(&self, byte: Byte) {
            if byte == Byte::Send {
                *self.socket.lock().unwrap() += 1;
                self.arrived.notify_all();
                self.sent.fetch_add(1, Ordering::SeqCst);
            }
        }

        fn take(&self) -> u32 {
            std::mem::take(&mut *self.socket.lock().unwrap())
        }

        fn put(&self) {
            let was_empty = {
                let mut queue = self.queue.lock().unwrap();
                *queue += 1;
                *queue == 1
            };
            if was_empty {
                let byte = self.lock().notify();
                self.send(byte);
            }
        }

        /// The program's `read`, without waiting.
        fn read(&self) -> bool {
            loop {
                let seen = self.lock().notifications();
                {
                    let mut queue = self.queue.lock().unwrap();
                    if *queue > 0 {
                        *queue -= 1;
                        return true;
                    }
                }
                if self.lock().seen_empty(seen, || self.take()) {
                    return false;
                }
            }
        }

        /// The program's `poll`: returns when there is something to read.
        fn poll(&self) {
            loop {
                let entry = self.lock().enter(|| self.take());
                if entry == Entry::Wait {
                    let mut socket = self.socket.lock().unwrap();
                    while *socket == 0 {
                        socket = self.arrived.wait(socket).unwrap();
                    }
                    drop(socket);
                    self.lock().leave();
                }
                let seen = self.lock().notifications();
                if *self.queue.lock().unwrap() > 0 {
                    return;
                }
                self.lock().seen_empty(seen, || self.take());
            }
        }

        /// A wait in Linux that this library does not see.
        fn wait_in_linux(&self) {
            let mut socket = self.socket.lock().unwrap();
            while *socket == 0 {
                socket = self.arrived.wait(socket).unwrap();
            }
        }
    }

    fn explore(test: impl Fn() + Send + Sync + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(test);
    }

    #[test]
    fn who_polls_and_reads_gets_every_packet() {
        explore(|| {
            let model = Model::new();
            let device = Arc::clone(&model);
            let device = thread::spawn(move || (0..2).for_each(|_| device.put()));
            for _ in 0..2 {
                model.poll();
                assert!(model.read(), "who alone reads finds what poll saw");
            }
            device.join().unwrap();
            assert!(!model.read());
        });
    }

    #[test]
    fn a_polling_reader_beside_a_blocking_one_misses_no_packet() {
        explore(|| {
            let model = Model::new();
            let (device, reader) = (Arc::clone(&model), Arc::clone(&model));
            let device = thread::spawn(move || (0..2).for_each(|_| device.put()));
            // It takes one at most, and so one is left for the other.
            let reader = thread::spawn(move || reader.read());
            let mut own = 0;
            while own == 0 {
                model.poll();
                own += u32::from(model.read());
            }
            device.join().unwrap();
            let both = own + u32::from(reader.join().unwrap());
            assert_eq!(both + u32::from(model.read()), 2);
        });
    }

    #[test]
    fn an_epoll_that_begins_at_any_time_reports_each_packet_after_an_empty_read() {
        explore(|| {
            let model = Model::new();
            let device = Arc::clone(&model);
            let device = thread::spawn(move || (0..2).for_each(|_| device.put()));
            let byte = model.lock().make_eager(|| model.take());
            model.send(byte);
            let mut own = 0;
            while own < 2 {
                model.wait_in_linux();
                while model.read() {
                    own += 1;
                }
            }
            device.join().unwrap();
        });
    }

    #[test]
    fn a_late_byte_leaves_nothing_behind() {
        explore(|| {
            let model = Model::new();
            let byte = model.lock().make_eager(|| model.take());
            model.send(byte);
            let device = Arc::clone(&model);
            let device = thread::spawn(move || device.put());
            let early = model.read();
            device.join().unwrap();
            // A byte that came late is taken by the thread that finds nothing behind it.
            assert_eq!(model.read(), !early);
            model.read();
            assert_eq!(*model.socket.lock().unwrap(), 0);
        });
    }

    #[test]
    fn without_a_waiter_no_byte_is_sent() {
        explore(|| {
            let model = Model::new();
            for _ in 0..3 {
                model.put();
                model.poll();
                assert!(model.read());
            }
            assert_eq!(model.sent.load(Ordering::SeqCst), 0);
        });
    }

    #[test]
    fn a_hang_up_is_readable_until_the_device_works_again() {
        let mut shown = Shown::default();
        let before = shown.notifications();
        assert!(shown.hang_up());
        assert!(!shown.hang_up(), "the socket is reset once");
        assert!(!shown.recover(before), "the device hung up after it was asked");
        let seen = shown.notifications();
        assert!(shown.seen_empty(seen, || 0));
        assert_eq!(shown.enter(|| 0), Entry::Look);
        assert!(shown.recover(seen));
        assert!(shown.seen_empty(seen, || 0));
        assert_eq!(shown.enter(|| 0), Entry::Wait);
    }
}
