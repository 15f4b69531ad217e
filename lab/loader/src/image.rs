//! Loading from the first byte to the last, and the loaded image.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use object::LittleEndian;
use object::elf::{STT_FUNC, STT_OBJECT};

use crate::dynamic::Dynamic;
use crate::error::{Broken, LoadError, OnHaiku, Rule, Step, broken};
use crate::layout;
use crate::memory::{Access, Mapping};
use crate::relocate::Relocator;
use crate::staged::{Staged, to_usize};
use crate::symbols::{SymbolKind, SymbolTable};

/// A symbol that a loaded add-on exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSymbol {
    /// Function or data; `None` for what has neither type.
    pub kind: Option<SymbolKind>,
    /// Its address in this process.
    pub address: usize,
    /// Its size in bytes, as the file states it.
    pub size: usize,
}

/// A loaded add-on. Dropping it unmaps it, as the kernel does with the last reference to an image.
///
/// Addresses obtained from it are plain numbers. A caller that uses them must keep the image alive meanwhile, and must have
/// the add-on release what it registered (hooks, threads, semaphores) before dropping it.
#[derive(Debug)]
pub struct Image {
    name: String,
    mapping: Mapping,
    text: Range<usize>,
    data: Range<usize>,
    symbols: HashMap<String, ImageSymbol>,
    log: Vec<String>,
}

impl Image {
    /// The path or name under which it was loaded.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of the file's address 0.
    #[must_use]
    pub fn base(&self) -> usize {
        self.mapping.base()
    }

    /// The addresses of code and constants.
    #[must_use]
    pub fn text(&self) -> Range<usize> {
        self.text.clone()
    }

    /// The addresses of data.
    #[must_use]
    pub fn data(&self) -> Range<usize> {
        self.data.clone()
    }

    /// The exported symbol of this name, as `get_image_symbol` finds it.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<ImageSymbol> {
        self.symbols.get(name).copied()
    }

    /// The address of the exported function of this name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<*const ()> {
        let symbol = self.symbol(name)?;
        (symbol.kind == Some(SymbolKind::Function)).then_some(symbol.address as *const ())
    }

    /// The address of the exported variable of this name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<*mut ()> {
        let symbol = self.symbol(name)?;
        (symbol.kind == Some(SymbolKind::Object)).then_some(symbol.address as *mut ())
    }

    /// The names of all exported symbols, sorted.
    #[must_use]
    pub fn exports(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.symbols.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// What the kernel would have written to its log while loading, line by line.
    #[must_use]
    pub fn log(&self) -> &[String] {
        &self.log
    }
}

/// Loads the add-on at `path`, its imports taken from `kernel`.
///
/// # Errors
/// The rule that the file breaks. Nothing stays mapped then.
pub fn load(path: &Path, kernel: &dyn SymbolTable) -> Result<Image, LoadError> {
    let name = path.to_string_lossy();
    match std::fs::read(path) {
        Ok(bytes) => load_bytes(&name, &bytes, kernel),
        Err(error) => {
            let why = Broken { rule: Rule::File, what: format!("It cannot be read: {error}.") };
            Err(refusal(&name, why, Vec::new()))
        }
    }
}

/// Loads the add-on whose file has these bytes; `name` is the path that messages give.
///
/// # Errors
/// The rule that the file breaks. Nothing stays mapped then.
pub fn load_bytes(name: &str, bytes: &[u8], kernel: &dyn SymbolTable) -> Result<Image, LoadError> {
    let mut log = Vec::new();
    match steps(name, bytes, kernel, &mut log) {
        Ok(image) => Ok(Image { log, ..image }),
        Err(why) => Err(refusal(name, why, log)),
    }
}

/// The steps of loading, in the kernel's order.
fn steps(name: &str, bytes: &[u8], kernel: &dyn SymbolTable, log: &mut Vec<String>) -> Step<Image> {
    let file_name = name.rsplit('/').next().unwrap_or(name);
    let layout = layout::parse(bytes, file_name, log)?;
    let mut staged = Staged::new(bytes, &layout);
    let dynamic = Dynamic::parse(&staged, layout.dynamic)?;
    let Ok(mapping) = Mapping::reserve(to_usize(layout.reserved)) else {
        return broken(Rule::Memory, format!("There are no {:#x} bytes of addresses left.", layout.reserved));
    };
    let base = mapping.base();
    Relocator { path: name, dynamic: &dynamic, kernel, base: base as u64 }.run(&mut staged, log)?;
    let symbols = exports(&staged, &dynamic, base)?;

    let place = |pages: &Range<u64>, access| {
        let range = to_usize(pages.start)..to_usize(pages.end);
        match mapping.fill(range.clone(), staged.pages(pages), access) {
            Ok(()) => Ok(base + range.start..base + range.end),
            Err(error) => broken(Rule::Memory, format!("The image could not be put in memory: {error}.")),
        }
    };
    let data = place(&layout.data.pages, Access::ReadWrite)?;
    let text = place(&layout.text.pages, Access::ReadExecute)?;
    Ok(Image { name: name.to_owned(), mapping, text, data, symbols, log: Vec::new() })
}

/// The symbols that can be found by name.
fn exports(staged: &Staged, dynamic: &Dynamic, base: usize) -> Step<HashMap<String, ImageSymbol>> {
    let mut symbols = HashMap::new();
    for (name, symbol) in dynamic.exported(staged)? {
        let kind = match symbol.st_type() {
            STT_FUNC => Some(SymbolKind::Function),
            STT_OBJECT => Some(SymbolKind::Object),
            _ => None,
        };
        let address = base.wrapping_add(symbol.st_value.get(LittleEndian) as usize);
        let size = symbol.st_size.get(LittleEndian) as usize;
        symbols.insert(name.to_owned(), ImageSymbol { kind, address, size });
    }
    Ok(symbols)
}

/// The error for a broken rule, with the line that ends the kernel's log about it.
fn refusal(name: &str, why: Broken, mut log: Vec<String>) -> LoadError {
    if let OnHaiku::Refuses(status) = why.rule.on_haiku() {
        log.push(format!("Could not load kernel add-on \"{name}\": {status}"));
    }
    LoadError { rule: why.rule, what: why.what, log, file: name.to_owned() }
}
