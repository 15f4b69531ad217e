//! User memory and `user_memcpy`.
//!
//! A user pointer is a real address with one bit flipped, where nothing is mapped: a driver that touches it
//! crashes, as it would on a CPU with SMAP, and only `user_memcpy` can reach what is behind it. Real addresses are
//! the kernel's here, wherever they are: nearly always above the flipped ones, but below them where valgrind or another
//! simulator has put the process.

use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::Once;

use haiku_sys::{B_BAD_ADDRESS, B_OK, USER_BASE, status_t};

use crate::fault::{self, Fault};
use crate::interrupts;

/// The bit that tells the two kinds of address apart.
const FLIPPED: usize = 1 << 46;

/// That bit of user addresses. Linux's own addresses have it set, so it is clear in the flipped ones, unless
/// [`settle`] finds the process elsewhere.
static USER_SIDE: AtomicUsize = AtomicUsize::new(0);

/// The user address that stands for a real one, and the other way round.
#[must_use]
pub const fn to_user(address: usize) -> usize {
    address ^ FLIPPED
}

/// Whether Haiku would take this for an address of a program (`IS_USER_ADDRESS`). Real addresses are not.
#[must_use]
#[inline]
pub fn is_user_address(address: usize) -> bool {
    // Of 47 bits: what is beyond is no program's on Linux or Haiku.
    (USER_BASE..FLIPPED << 1).contains(&address) && address & FLIPPED == USER_SIDE.load(Ordering::Relaxed)
}

/// Whether the system calls would take it for an address of the kernel (`IS_KERNEL_ADDRESS`).
#[must_use]
pub fn is_kernel_address(address: usize) -> bool {
    address >= USER_BASE && !is_user_address(address)
}

/// `is_user_address_range`, where real addresses are not a program's.
#[must_use]
pub fn is_user_range(address: usize, size: usize) -> bool {
    address.checked_add(size).is_some()
        && is_user_address(address)
        && is_user_address(address.wrapping_add(size).wrapping_sub(1))
}

/// Whether a range neither wraps around nor crosses the border between programs and the kernel. It does not say on
/// which side it is, and neither does Haiku's: that is the driver's duty.
fn is_range(address: usize, size: usize) -> bool {
    let last = address.wrapping_add(size).wrapping_sub(1);
    address.checked_add(size).is_some() && is_user_address(address) == is_user_address(last)
}

/// `user_memcpy`: copies with either side a program's; what was copied before a fault stays copied.
///
/// # Safety
/// Whatever is mapped behind the two ranges must be fit to be read and written by the caller.
pub unsafe fn user_memcpy(to: usize, from: usize, size: usize) -> status_t {
    interrupts::check("page fault in user_memcpy()");
    if fault::hit(Fault::UserMemcpy) || !is_range(to, size) || !is_range(from, size) {
        return B_BAD_ADDRESS;
    }
    // SAFETY: the caller's promise.
    if unsafe { copy(to, from, size) } { B_OK } else { B_BAD_ADDRESS }
}

/// Copies without looking at the addresses; false if it came upon one where nothing fit for it is mapped.
///
/// # Safety
/// As for [`user_memcpy`].
pub(crate) unsafe fn copy(to: usize, from: usize, size: usize) -> bool {
    install_handler();
    let real = |address| if is_user_address(address) { to_user(address) } else { address };
    // SAFETY: what is mapped is the caller's to copy; what is not mapped is turned into a count by the handler.
    unsafe { haiku_kernel_copy(real(to) as *mut u8, real(from) as *const u8, size) == 0 }
}

/// # Safety
/// Of `to` and `from`, one that is not a user address is valid for `size` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_user_memcpy(to: *mut c_void, from: *const c_void, size: usize) -> status_t {
    // SAFETY: the caller's promise.
    unsafe { user_memcpy(to as usize, from as usize, size) }
}

// The copy is one instruction that can be interrupted and keeps its count in a register, so that the signal handler
// knows where it was and can abort it.
core::arch::global_asm!(
    ".globl haiku_kernel_copy",
    ".type haiku_kernel_copy, @function",
    "haiku_kernel_copy:",
    "mov rcx, rdx",
    ".globl haiku_kernel_copy_moves",
    "haiku_kernel_copy_moves:",
    "rep movsb",
    ".globl haiku_kernel_copy_ends",
    "haiku_kernel_copy_ends:",
    "mov rax, rcx",
    "ret",
    ".size haiku_kernel_copy, . - haiku_kernel_copy",
);

unsafe extern "C" {
    /// Copies and returns how many bytes it could not copy.
    fn haiku_kernel_copy(to: *mut u8, from: *const u8, size: usize) -> usize;
    fn haiku_kernel_copy_moves();
    fn haiku_kernel_copy_ends();
}

type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void);

/// What handled the two signals before, by index.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 2];
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

fn install_handler() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        for (signal, previous) in SIGNALS.into_iter().zip(&PREVIOUS) {
            // SAFETY: a sigaction is plain data, and all zero is a valid one.
            let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
            action.sa_sigaction = on_fault as Handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            // SAFETY: as above.
            let old = Box::leak(Box::new(unsafe { core::mem::zeroed::<libc::sigaction>() }));
            // SAFETY: both point to live sigactions, and the handler is of the kind the flags say.
            unsafe { libc::sigaction(signal, &action, old) };
            previous.store(old, Ordering::Release);
        }
    });
}

/// Ends a copy that faulted; passes any other fault on to the previous handler of the signal.
///
/// # Safety
/// Linux calls it, as a handler with `SA_SIGINFO`.
unsafe extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a user context to a handler with SA_SIGINFO.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let instruction = &mut registers[libc::REG_RIP as usize];
    if *instruction == haiku_kernel_copy_moves as *const () as i64 {
        *instruction = haiku_kernel_copy_ends as *const () as i64;
        return;
    }
    let index = usize::from(signal == libc::SIGBUS);
    // SAFETY: stored once, before the first fault can come here, and never freed.
    let previous = unsafe { PREVIOUS[index].load(Ordering::Acquire).as_ref() };
    match previous {
        Some(previous) if previous.sa_sigaction != libc::SIG_DFL && previous.sa_sigaction != libc::SIG_IGN => {
            // SAFETY: it is a handler of the process; one without SA_SIGINFO ignores the further arguments.
            let handler: Handler = unsafe { core::mem::transmute(previous.sa_sigaction) };
            // SAFETY: called as the kernel would have called it.
            unsafe { handler(signal, info, context) };
        }
        // The instruction is executed again and ends the process.
        // SAFETY: restoring the default handling of a signal.
        _ => unsafe {
            libc::signal(signal, libc::SIG_DFL);
        },
    }
}

/// Chooses the side of user memory: the one on which the process is not. If it is on both, its address that stands in the
/// way of user memory where that should be.
pub(crate) fn settle() -> Result<(), usize> {
    static STATIC: u8 = 0;
    let local = 0_u8;
    let heap = Box::new(0_u8);
    let own = [
        &raw const STATIC as usize,
        &raw const local as usize,
        &raw const *heap as usize,
        settle as *const () as usize,
    ];
    let side = choose(own)?;
    USER_SIDE.store(side, Ordering::Relaxed);
    Ok(())
}

/// The bit of user addresses for a process with these addresses of its own.
fn choose(own: [usize; 4]) -> Result<usize, usize> {
    if own.iter().all(|address| address & FLIPPED == 0) {
        return Ok(FLIPPED);
    }
    own.into_iter().find(|address| address & FLIPPED == 0).map_or(Ok(0), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_memory_is_where_the_process_is_not() {
        let high = [0x5555_5555_4000, 0x7fff_ffff_0000, 0x5555_5600_0000, 0x5555_5555_8000];
        assert_eq!(choose(high), Ok(0));
        // As valgrind places it.
        let low = [0x10_8000, 0x1f_ff00_0000, 0x4a4_9000, 0x10_9000];
        assert_eq!(choose(low), Ok(FLIPPED));
        // As a program that is linked at a fixed address is: its stack is high, everything else low.
        assert_eq!(choose([0x40_2000, 0x7fff_ffff_0000, 0x41_0000, 0x40_1000]), Err(0x40_2000));
    }
}
