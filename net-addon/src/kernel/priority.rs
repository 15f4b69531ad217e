//! The priority of the thread that runs a protocol.

use core::ptr::null;

use haiku_sys as sys;

/// The priority of the stack's consumer threads, which run the protocols of packets that go through the queue.
const CONSUMER: i32 = sys::B_DISPLAY_PRIORITY as i32;

/// Runs a protocol with at least the consumer threads' priority.
///
/// A protocol wakes threads while it holds its locks: the timers' thread, and programs that wait for data. Haiku lowers the
/// priority of a thread that computes for long, so that these threads would preempt a busy program's, and then wait for its
/// locks: two switches of threads for each of up to three waits, for each packet.
///
/// Each of the two changes of the priority costs about 250 instructions.
pub(crate) fn with_consumers_priority<R>(protocol: impl FnOnce() -> R) -> R {
    // SAFETY: a plain call; null asks for the calling thread.
    let thread = unsafe { sys::find_thread(null()) };
    // SAFETY: a plain call, with interrupts enabled, as they are in every hook of a device.
    let set = |priority| unsafe { sys::set_thread_priority(thread, priority) };
    let own = set(CONSUMER);
    if !(1..CONSUMER).contains(&own) {
        // One of a real-time thread's, say.
        if own > CONSUMER {
            set(own);
        }
        return protocol();
    }
    let result = protocol();
    let meanwhile = set(own);
    if meanwhile != CONSUMER {
        // Another thread has set it.
        set(meanwhile);
    }
    result
}
