//! The invariants of the loader for any file: the oracle of the fuzzer and of its corpus.

use std::collections::HashMap;

use haiku_loader::{KernelSymbol, SymbolKind, load_bytes, mapped_bytes};

/// Where the kernel's symbols are said to be. Nothing follows the addresses.
const FUNCTION: usize = 0x7000;
const OBJECT: usize = 0x5000;

/// Loads a file and unloads it. It is loaded whole or refused whole, and nothing of it stays.
///
/// # Panics
/// If not.
pub(crate) fn play(file: &[u8]) {
    let kernel = HashMap::from([
        ("dprintf", KernelSymbol { kind: SymbolKind::Function, address: FUNCTION }),
        ("gKernelVariable", KernelSymbol { kind: SymbolKind::Object, address: OBJECT }),
    ]);
    assert_eq!(mapped_bytes(), 0, "something was mapped before");
    match load_bytes("/boot/add-ons/fuzz", file, &kernel) {
        Ok(image) => {
            let (text, data) = (image.text(), image.data());
            assert!(!text.is_empty() && !data.is_empty());
            assert!(text.end <= data.start || data.end <= text.start, "{text:x?} and {data:x?}");
            assert!(image.base() <= text.start.min(data.start));
            // The kernel's symbols are no part of the image, and what is exported can be looked up.
            for name in image.exports() {
                assert!(image.symbol(name).is_some(), "{name} is lost");
                assert!(!(image.function(name).is_some() && image.variable(name).is_some()), "{name} is both");
            }
            touch(&image);
            assert!(mapped_bytes() >= text.len() + data.len());
        }
        Err(error) => {
            assert!(error.to_string().contains(error.rule.name()), "the message names the rule: {error}");
        }
    }
    assert_eq!(mapped_bytes(), 0, "the ledger of mapped bytes");
}

/// Reads every page of the image: one that is not there ends the process.
fn touch(image: &haiku_loader::Image) {
    for page in [image.text(), image.data()].into_iter().flat_map(|range| range.step_by(4096)) {
        // SAFETY: the pages belong to the image, which is mapped readable as long as it lives.
        std::hint::black_box(unsafe { (page as *const u8).read_volatile() });
    }
}
