//! No reachable panic: nothing of Rust's panicking machinery is left in the linked file.
//!
//! With link-time optimization and unused code dropped, every function in the file is referred to. So the presence of a
//! panicking function fails the audit, and the message names its callers, their source lines, and the path from an
//! exported symbol. The kernel's own `panic` must not be imported either: only the panic handler calls it, so its absence
//! is a second proof that the handler is gone, even if it was inlined.

use crate::audit::Finding;
use crate::audit::code::Code;
use crate::audit::elf::Addon;
use crate::audit::graph::{Edge, Graph, Node};
use crate::audit::lines::Lines;

/// How many callers are shown.
const SHOWN: usize = 20;

/// The rule's name.
pub const RULE: &str = "no reachable panic";

/// Looks for what panics.
#[must_use]
pub fn check(addon: &Addon, code: &Code, lines: &Lines) -> Finding {
    let graph = Graph::new(addon, code);
    let mut machinery: Vec<Node> = Vec::new();
    for (index, function) in code.functions.iter().enumerate() {
        if is_machinery(&function.name) {
            machinery.push(Node::Function(index));
        }
    }
    if addon.dynamic_symbols.iter().any(|symbol| !symbol.defined && symbol.name == "panic") {
        machinery.push(Node::Import("panic".to_owned()));
    }
    let mut details = Vec::new();
    let culprits = graph.edges.iter().filter(|edge| machinery.contains(&edge.to) && !machinery.contains(&edge.from));
    let mut culprits: Vec<&Edge> = culprits.collect();
    culprits.dedup_by_key(|edge| (&edge.from, &edge.to, edge.site));
    for edge in culprits.iter().take(SHOWN) {
        let place = lines.place(edge.site).map_or(String::new(), |place| format!(", at {place}"));
        details.push(format!("{} calls {}{place}", graph.name(&edge.from), graph.name(&edge.to)));
        details.push(format!("    reached by: {}", graph.describe_way(&edge.from)));
    }
    if culprits.len() > SHOWN {
        details.push(format!("… and {} more.", culprits.len() - SHOWN));
    }
    if details.is_empty() {
        details.extend(
            machinery.iter().map(|node| format!("{} is in the file; nothing seems to call it.", graph.name(node))),
        );
    }
    let figures = match machinery.len() {
        0 => "nothing of the machinery is left".to_owned(),
        count => format!("{count} parts of the machinery, {} places that use them", culprits.len()),
    };
    Finding::new(RULE, figures, details)
}

/// Whether a function of this name belongs to the panicking machinery.
///
/// In the standard library, the name of every function that panics contains one of a few words. The handler itself is
/// always called `rust_begin_unwind`.
#[must_use]
pub fn is_machinery(name: &str) -> bool {
    const TELLTALE: [&str; 7] =
        ["panic", "_fail", "capacity_overflow", "handle_alloc_error", "handle_error", "alloc_error", "_oom"];
    let name = name.trim_start_matches('<');
    let of_the_library = ["core::", "alloc::", "std::"].iter().any(|prefix| name.starts_with(prefix));
    of_the_library && TELLTALE.iter().any(|word| name.contains(word))
        || ["rust_begin_unwind", "rust_panic", "__rust_alloc_error", "__rdl_oom", "__rg_oom"]
            .iter()
            .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_machinery;

    #[test]
    fn the_librarys_ways_to_panic_are_known() {
        for name in [
            "core::panicking::panic_bounds_check",
            "core::panicking::panic_const::panic_const_add_overflow",
            "core::option::unwrap_failed",
            "core::result::unwrap_failed",
            "core::slice::index::slice_index_fail",
            "core::slice::index::slice_end_index_len_fail::do_panic::runtime",
            "core::slice::copy_from_slice_impl::len_mismatch_fail",
            "core::cell::panic_already_borrowed",
            "alloc::alloc::handle_alloc_error",
            "alloc::raw_vec::capacity_overflow",
            "alloc::raw_vec::handle_error",
            "<core::panic::location::Location as core::fmt::Display>::fmt",
            "rust_begin_unwind",
            "__rustc::rust_begin_unwind",
        ] {
            assert!(is_machinery(name), "{name}");
        }
    }

    #[test]
    fn ordinary_functions_are_not_taken_for_panics() {
        for name in [
            "core::fmt::write",
            "core::fmt::Formatter::pad_integral",
            "alloc::sync::Arc<T>::drop_slow",
            "tuntap_driver::queue::push_failed",
            "compiler_builtins::mem::memcpy",
        ] {
            assert!(!is_machinery(name), "{name}");
        }
    }
}
