//! A fiber's stack, and the switch from one stack to another.

use super::sanitizer::Track;

/// Bytes of a stack, as Linux's own threads have by default; only what is used takes memory.
const SIZE: usize = 2 << 20;
/// The page below it that nothing may touch.
const GUARD: usize = 4096;

// A switch keeps what a function keeps for its caller, on the stack that is left, and takes it up from the other one. If the
// thread sanitizer is there, it is told in between, from here: it counts the calls and returns of every other function.
core::arch::global_asm!(
    ".globl haiku_fiber_switch",
    ".type haiku_fiber_switch, @function",
    "haiku_fiber_switch:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rax, [rip + haiku_sanitizer + 16]",
    "test rax, rax",
    "jz 2f",
    "mov rbx, rdi",
    "mov r12, rsi",
    "mov rdi, rdx",
    "xor esi, esi",
    "sub rsp, 8",
    "call rax",
    "add rsp, 8",
    "mov rdi, rbx",
    "mov rsi, r12",
    "2:",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    ".size haiku_fiber_switch, . - haiku_fiber_switch",
    ".globl haiku_fiber_begin",
    ".type haiku_fiber_begin, @function",
    "haiku_fiber_begin:",
    "mov rdi, r12",
    "call r13",
    "ud2",
    ".size haiku_fiber_begin, . - haiku_fiber_begin",
);

unsafe extern "C" {
    /// Leaves the current stack, whose place is stored at `from`, for another one.
    fn haiku_fiber_switch(from: *mut *mut u8, to: *mut u8, track: Track);
    fn haiku_fiber_begin();
}

/// Leaves the current stack, whose place is stored at `from`, for the one whose place is `to`.
///
/// # Safety
/// `to` comes from [`Stack::lay_out`], or was stored by a switch that nobody has taken up since. `track` is that stack's.
pub(super) unsafe fn switch(from: *mut *mut u8, to: *mut u8, track: Track) {
    // SAFETY: the caller's promise.
    unsafe { haiku_fiber_switch(from, to, track) };
}

/// A stack with a page below it that faults. It is never given back.
pub(super) struct Stack(*mut u8);

impl Stack {
    /// A new one.
    ///
    /// # Panics
    /// If Linux has no memory for it.
    pub(super) fn new() -> Self {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new mapping wherever Linux wants it.
        let stack = unsafe { libc::mmap(core::ptr::null_mut(), SIZE, protection, flags, -1, 0) };
        assert_ne!(stack, libc::MAP_FAILED, "Linux has no memory for another kernel thread");
        // SAFETY: the first page of the mapping.
        unsafe { libc::mprotect(stack, GUARD, libc::PROT_NONE) };
        Self(stack.cast())
    }

    /// Writes what the first switch takes up: it enters `entry` with `argument`. Nobody runs on the stack.
    pub(super) fn lay_out<T>(&self, entry: extern "C" fn(&'static T), argument: &'static T) -> *mut u8 {
        // What `haiku_fiber_switch` takes up, r15 first, then its return address, then an end for whoever looks
        // further down. The call in `haiku_fiber_begin` finds the stack aligned.
        let (entry, begin) = (entry as *const () as usize, haiku_fiber_begin as *const () as usize);
        let words: [usize; 8] = [0, 0, entry, core::ptr::from_ref(argument) as usize, 0, 0, begin, 0];
        // SAFETY: well within the stack's own memory.
        let top = unsafe { self.0.add(SIZE - 8 - size_of_val(&words)) };
        // SAFETY: as above; nobody uses the stack yet.
        unsafe { top.cast::<[usize; 8]>().write(words) };
        top
    }
}
