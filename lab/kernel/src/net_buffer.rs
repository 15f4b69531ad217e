//! Packets: the module `network/stack/buffer/v1`.

use haiku_sys::{net_buffer, net_buffer_module_info};

/// The module's table, for code inside the kernel.
#[must_use]
pub fn module() -> &'static net_buffer_module_info {
    todo!("module")
}

/// Poisons the packet's `link`, as it changes hands: whoever has it now must not rely on what was there.
///
/// # Safety
/// The packet must be alive and the caller's.
pub unsafe fn poison_link(buffer: *mut net_buffer) {
    let _ = buffer;
}
