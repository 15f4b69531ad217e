//! The kernel's symbols, for a loader of add-ons.

use std::sync::OnceLock;

use crate::{
    creds, debugger, heap, interrupts, legacy, log, modules, priority, random, recursive_lock, select, sem, settings,
    smp, user, wait,
};

/// What a symbol is: its type in the kernel's symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// `STT_FUNC`.
    Function,
    /// `STT_OBJECT`.
    Object,
}

/// A symbol that the kernel exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name on Haiku.
    pub name: &'static str,
    /// What it is.
    pub kind: SymbolKind,
    /// Where it is.
    pub address: usize,
}

macro_rules! functions {
    ($($name:literal: $function:path,)*) => {
        vec![$(Symbol { name: $name, kind: SymbolKind::Function, address: $function as *const () as usize }),*]
    };
}

/// Every symbol of the kernel that an add-on may use.
#[must_use]
pub fn symbols() -> &'static [Symbol] {
    static SYMBOLS: OnceLock<Vec<Symbol>> = OnceLock::new();
    SYMBOLS.get_or_init(|| {
        functions! {
            "malloc": heap::haiku_malloc,
            "memalign": heap::haiku_memalign,
            "free": heap::haiku_free,
            "user_memcpy": user::haiku_user_memcpy,
            "create_sem": sem::haiku_create_sem,
            "delete_sem": sem::haiku_delete_sem,
            "acquire_sem_etc": sem::haiku_acquire_sem_etc,
            "release_sem_etc": sem::haiku_release_sem_etc,
            "recursive_lock_init": recursive_lock::haiku_recursive_lock_init,
            "recursive_lock_destroy": recursive_lock::haiku_recursive_lock_destroy,
            "recursive_lock_lock": recursive_lock::haiku_recursive_lock_lock,
            "recursive_lock_unlock": recursive_lock::haiku_recursive_lock_unlock,
            "disable_interrupts": interrupts::haiku_disable_interrupts,
            "restore_interrupts": interrupts::haiku_restore_interrupts,
            "add_select_sync_pool_entry": select::haiku_add_select_sync_pool_entry,
            "remove_select_sync_pool_entry": select::haiku_remove_select_sync_pool_entry,
            "delete_select_sync_pool": select::haiku_delete_select_sync_pool,
            "notify_select_event_pool": select::haiku_notify_select_event_pool,
            "notify_select_event": select::haiku_notify_select_event,
            "get_module": modules::haiku_get_module,
            "put_module": modules::haiku_put_module,
            "devfs_rescan_driver": legacy::haiku_devfs_rescan_driver,
            "load_driver_settings": settings::haiku_load_driver_settings,
            "unload_driver_settings": settings::haiku_unload_driver_settings,
            "get_driver_settings": settings::haiku_get_driver_settings,
            "add_debugger_command": debugger::haiku_add_debugger_command,
            "remove_debugger_command": debugger::haiku_remove_debugger_command,
            "system_time": wait::haiku_system_time,
            "smp_get_num_cpus": smp::haiku_smp_get_num_cpus,
            "find_thread": priority::haiku_find_thread,
            "set_thread_priority": priority::haiku_set_thread_priority,
            "secure_random_value": random::haiku_secure_random_value,
            "geteuid": creds::haiku_geteuid,
            "getpid": creds::haiku_getpid,
            "_get_team_info": creds::haiku__get_team_info,
            "check_access_permissions": creds::haiku_check_access_permissions,
            "dprintf": log::haiku_dprintf,
            "kprintf": log::haiku_kprintf,
            "panic": log::haiku_panic,
            "memcpy": libc::memcpy,
            "memmove": libc::memmove,
            "memset": libc::memset,
            "memcmp": libc::memcmp,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_abi_is_provided_and_nothing_else() {
        let further = ["dprintf", "kprintf", "panic", "memcpy", "memmove", "memset", "memcmp"];
        let mut expected: Vec<_> = haiku_sys::KERNEL_CALLS.iter().copied().chain(further).collect();
        let mut provided: Vec<_> = symbols().iter().map(|symbol| symbol.name).collect();
        expected.sort_unstable();
        provided.sort_unstable();
        assert_eq!(provided, expected);
    }

    #[test]
    fn a_symbol_is_where_the_linker_finds_it() {
        let address = |name| symbols().iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address);
        assert_eq!(address("create_sem"), Some(haiku_sys::create_sem as *const () as usize));
        assert_eq!(address("panic"), Some(haiku_sys::panic as *const () as usize));
    }
}
