//! The two kinds of lock.

use tuntap_driver::Lock;

use crate::fake::Task;
use crate::sync::Mutex;

/// A lock that spins with interrupts off: the kernel dies if its holder sleeps. On the heap, because the stacks of loom's
/// threads have no room for a device.
pub(crate) struct Spinning<T>(Box<Mutex<T>>);

impl<T: Send> Lock<T> for Spinning<T> {
    fn new(value: T) -> Self {
        Self(Box::new(Mutex::new(value)))
    }

    fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        let task = Task::current();
        task.must_not_spin("a second spinning lock");
        task.world.section();
        let mut value = self.0.lock().unwrap();
        task.spins(true);
        let result = section(&mut value);
        task.spins(false);
        result
    }
}

/// A lock whose waiters sleep.
pub(crate) struct Sleeping<T>(Mutex<T>);

impl<T: Send> Lock<T> for Sleeping<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        let task = Task::current();
        // Changes of the control state notify selects, so one lock may be held when the selects' is taken. A wrong order
        // shows as a deadlock in loom's models.
        task.must_not_spin("a sleeping lock");
        let mut value = self.0.lock().unwrap();
        task.takes_sleeping_lock();
        let result = section(&mut value);
        task.leaves_sleeping_lock();
        result
    }
}
