//! The kernel debugger: its commands, run with interrupts off and all other threads stopped.

use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int};
use std::ffi::CString;
use std::sync::Mutex;

use haiku_sys::{B_NAME_IN_USE, B_NAME_NOT_FOUND, B_OK, status_t};

use crate::guarded::Guarded;
use crate::interrupts;
use crate::ledger;

type Hook = unsafe extern "C" fn(argc: c_int, argv: *mut *mut c_char) -> c_int;

struct Command {
    name: String,
    help: String,
    hook: Hook,
}

static COMMANDS: Mutex<Vec<Command>> = Mutex::new(Vec::new());

thread_local! {
    static OUTPUT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a command of the kernel debugger and returns what it printed. A name may be cut short if that leaves one
/// command to mean. The command runs with interrupts disabled, as in the real debugger: it can take no lock that
/// may wait, and allocate nothing.
pub fn run(command: &str, arguments: &[&str]) -> Result<String, String> {
    let (name, hook) = find(command)?;
    let words: Vec<CString> = core::iter::once(name.as_str())
        .chain(arguments.iter().copied())
        .map(|word| CString::new(word).map_err(|_| format!("{command}: an argument has a zero byte in it")))
        .collect::<Result<_, _>>()?;
    let mut argv: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    argv.push(core::ptr::null_mut());
    let outer = OUTPUT.replace(Some(String::new()));
    let state = interrupts::haiku_disable_interrupts();
    // SAFETY: a command's hook takes the number of its words and the words, ended by null; the driver that registered it
    // keeps it alive until it removes it.
    unsafe { hook(words.len() as c_int, argv.as_mut_ptr()) };
    interrupts::haiku_restore_interrupts(state);
    Ok(OUTPUT.replace(outer).unwrap_or_default())
}

fn find(command: &str) -> Result<(String, Hook), String> {
    let commands = COMMANDS.guarded();
    if let Some(found) = commands.iter().rev().find(|candidate| candidate.name == command) {
        return Ok((found.name.clone(), found.hook));
    }
    let mut similar = commands.iter().filter(|candidate| candidate.name.starts_with(command));
    match (similar.next(), similar.next()) {
        (Some(found), None) => Ok((found.name.clone(), found.hook)),
        (Some(_), Some(_)) => Err(format!("ambiguous command '{command}', use 'help' for the list of commands")),
        _ => Err(format!("unknown command '{command}', enter 'help' for a list of all supported commands")),
    }
}

/// The commands that are registered, with their help, by name.
#[must_use]
pub fn commands() -> Vec<(String, String)> {
    let mut commands: Vec<_> =
        COMMANDS.guarded().iter().map(|command| (command.name.clone(), command.help.clone())).collect();
    commands.sort();
    commands
}

pub(crate) fn reset() {
    COMMANDS.guarded().clear();
}

/// Whether the calling thread runs a command.
pub(crate) fn is_running() -> bool {
    OUTPUT.with_borrow(Option::is_some)
}

/// Adds text to the output of the command that runs on this thread; false if none runs.
pub(crate) fn print(text: &str) -> bool {
    OUTPUT.with_borrow_mut(|output| output.as_mut().map(|output| output.push_str(text)).is_some())
}

/// # Safety
/// `name` is a C string, `help` is null or one, and `hook` can be called until it is removed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_add_debugger_command(
    name: *const c_char,
    hook: Option<Hook>,
    help: *const c_char,
) -> status_t {
    interrupts::check("add_debugger_command()");
    let text = |pointer: *const c_char| match pointer.is_null() {
        true => String::new(),
        // SAFETY: the caller gives C strings.
        false => unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned(),
    };
    let name = text(name);
    let Some(hook) = hook else { crate::panic::kpanic!("add_debugger_command(): \"{name}\" has no function") };
    let mut commands = COMMANDS.guarded();
    if commands.iter().any(|command| command.name == name) {
        return B_NAME_IN_USE;
    }
    commands.push(Command { name, help: text(help), hook });
    ledger::DEBUGGER_COMMANDS.add(1);
    B_OK
}

/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_remove_debugger_command(name: *const c_char, hook: Option<Hook>) -> status_t {
    interrupts::check("remove_debugger_command()");
    // SAFETY: the caller gives a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let mut commands = COMMANDS.guarded();
    let same =
        |command: &Command| command.name == name && Some(command.hook as usize) == hook.map(|hook| hook as usize);
    let Some(index) = commands.iter().position(same) else { return B_NAME_NOT_FOUND };
    commands.remove(index);
    ledger::DEBUGGER_COMMANDS.add(-1);
    B_OK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};

    /// # Safety
    /// `argv` has `argc` C strings.
    unsafe extern "C" fn echo(argc: c_int, argv: *mut *mut c_char) -> c_int {
        assert!(!interrupts::are_enabled());
        for index in 0..argc as usize {
            // SAFETY: the debugger passes `argc` words.
            let word = unsafe { *argv.wrapping_add(index) };
            // SAFETY: "%s" and one string.
            unsafe { haiku_sys::kprintf(c"%s".as_ptr(), word) };
            // SAFETY: as above.
            unsafe { haiku_sys::kprintf(c"%s".as_ptr(), c"\n".as_ptr()) };
        }
        0
    }

    #[test]
    fn a_command_prints_with_interrupts_off() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        // SAFETY: C strings.
        let add = || unsafe { haiku_add_debugger_command(c"tun_tap".as_ptr(), Some(echo), c"shows devices".as_ptr()) };
        assert_eq!((add(), add()), (B_OK, B_NAME_IN_USE));
        assert_eq!(commands(), [("tun_tap".to_owned(), "shows devices".to_owned())]);
        assert_eq!(run("tun_tap", &["tun/0"]).unwrap(), "tun_tap\ntun/0\n");
        assert_eq!(run("tun", &[]).unwrap(), "tun_tap\n");
        assert!(run("tap", &[]).unwrap_err().starts_with("unknown command 'tap'"));
        assert!(interrupts::are_enabled());
        // SAFETY: a C string.
        let remove = || unsafe { haiku_remove_debugger_command(c"tun_tap".as_ptr(), Some(echo)) };
        assert_eq!((remove(), remove()), (B_OK, B_NAME_NOT_FOUND));
        assert!(kernel.shutdown().is_zero());
    }
}
