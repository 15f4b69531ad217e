//! Driver settings: the files of `settings/kernel/drivers`, parsed as Haiku parses them.
//!
//! A file is a list of parameters: a name, values after it (a `=` between them is allowed), and parameters in
//! braces after those. Words are separated by white space, parameters by line ends and `;`; quotes and backslashes
//! protect. A file that cannot be parsed counts as no file at all.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Mutex;

use haiku_sys::{B_BAD_VALUE, B_OK, driver_parameter, driver_settings, status_t};

use crate::guarded::Guarded;
use crate::interrupts;
use crate::ledger;

/// Files of this size or more are not read.
const MAX_SIZE: usize = 32_768;
/// Braces may be nested as deep as this.
const MAX_LEVEL: usize = 8;

/// One parsed parameter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parameter {
    name: Vec<u8>,
    values: Vec<Vec<u8>>,
    parameters: Vec<Parameter>,
}

/// Why a file was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// What follows a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Another word of the same parameter.
    Word,
    /// The parameter's end, or a brace.
    End,
}

/// What a `=` is to the reader of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Assignment {
    /// It ends a name.
    Ends,
    /// It is skipped before a first value, and ends it.
    SkippedAndEnds,
    /// It is a letter like any other.
    Letter,
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\n' | b';')
}

/// C's `isspace`.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

struct Parser<'a> {
    text: &'a [u8],
    position: usize,
}

impl Parser<'_> {
    /// The byte at the position; 0 is the end, as in a C string.
    fn peek(&self) -> u8 {
        self.text.get(self.position).copied().unwrap_or(0)
    }

    fn skip_to_word(&mut self, assignment: Assignment, across_lines: bool) {
        loop {
            let byte = self.peek();
            let skipped = match across_lines {
                true => is_space(byte) || is_separator(byte) || byte == b'#',
                false => matches!(byte, b' ' | b'\t'),
            } || (assignment == Assignment::SkippedAndEnds && byte == b'=');
            if byte == 0 || !skipped {
                return;
            }
            if byte == b'#' {
                while !matches!(self.peek(), 0 | b'\n') {
                    self.position += 1;
                }
                // Haiku steps over the line end without looking whether there is one: a comment on a last line that
                // does not end reads on behind the file. Here the file just ends.
                if self.peek() == 0 {
                    return;
                }
            }
            self.position += 1;
        }
    }

    /// The next word and what follows it; `None` if there is none before a closing brace or the end.
    fn word(&mut self, assignment: Assignment, across_lines: bool) -> Result<Option<(Vec<u8>, After)>, Malformed> {
        self.skip_to_word(assignment, across_lines);
        if matches!(self.peek(), b'}' | 0) {
            return Ok(None);
        }
        let quote = match self.peek() {
            quote @ (b'"' | b'\'') => {
                self.position += 1;
                Some(quote)
            }
            _ => None,
        };
        let mut word = Vec::new();
        loop {
            let byte = self.peek();
            let ends = match quote {
                Some(quote) => byte == quote,
                None => is_space(byte) || is_separator(byte) || (byte == b'=' && assignment != Assignment::Letter),
            };
            if byte == 0 || ends {
                break;
            }
            self.position += 1;
            if byte != b'\\' {
                word.push(byte);
            } else if self.peek() == 0 {
                return Err(Malformed);
            } else {
                word.push(self.peek());
                self.position += 1;
            }
        }
        let end = self.peek();
        if quote.is_some() && end == 0 {
            return Err(Malformed);
        }
        if end == 0 {
            return Ok(Some((word, After::End)));
        }
        self.position += 1;
        Ok(Some((word, self.after_word(is_separator(end)))))
    }

    /// What follows, after a word whose end may have been a line's. A brace may open after one line end.
    fn after_word(&mut self, mut line_ended: bool) -> After {
        loop {
            match self.peek() {
                0 | b'{' | b'}' | b'#' => return After::End,
                byte if is_separator(byte) => {
                    if line_ended {
                        return After::End;
                    }
                    line_ended = true;
                }
                byte if !is_space(byte) => return if line_ended { After::End } else { After::Word },
                _ => {}
            }
            self.position += 1;
        }
    }

    fn parameter(&mut self) -> Result<Option<Parameter>, Malformed> {
        let Some((name, mut after)) = self.word(Assignment::Ends, true)? else { return Ok(None) };
        let mut parameter = Parameter { name, ..Parameter::default() };
        while after == After::Word {
            let assignment = if parameter.values.is_empty() { Assignment::SkippedAndEnds } else { Assignment::Letter };
            // A `=` and then nothing takes the whole parameter with it, on Haiku too.
            let Some((value, next)) = self.word(assignment, false)? else { return Ok(None) };
            parameter.values.push(value);
            after = next;
        }
        Ok(Some(parameter))
    }

    fn parameters(&mut self, level: usize) -> Result<Vec<Parameter>, Malformed> {
        if level > MAX_LEVEL {
            return Err(Malformed);
        }
        let mut parameters = Vec::new();
        loop {
            if let Some(mut parameter) = self.parameter()? {
                if self.peek() == b'{' {
                    self.position += 1;
                    parameter.parameters = self.parameters(level + 1)?;
                }
                parameters.push(parameter);
            }
            match self.peek() {
                b'}' if level > 0 => {
                    self.position += 1;
                    return Ok(parameters);
                }
                0 if level == 0 => return Ok(parameters),
                b'}' | 0 => return Err(Malformed),
                _ => {}
            }
        }
    }
}

fn parse(text: &[u8]) -> Result<Vec<Parameter>, Malformed> {
    // A C string ends at its first zero byte.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    Parser { text, position: 0 }.parameters(0)
}

/// A loaded file in the layout that drivers see, with all that its pointers point to.
struct Loaded {
    references: usize,
    settings: Box<driver_settings>,
    _strings: Vec<CString>,
    _arrays: Vec<Box<[*mut c_char]>>,
    _parameters: Vec<Box<[driver_parameter]>>,
}

// SAFETY: everything the pointers point to is in the same value and never changes.
unsafe impl Send for Loaded {}

impl Loaded {
    fn new(parameters: &[Parameter]) -> Self {
        let mut loaded = Self {
            references: 1,
            settings: Box::new(driver_settings { parameter_count: 0, parameters: core::ptr::null_mut() }),
            _strings: Vec::new(),
            _arrays: Vec::new(),
            _parameters: Vec::new(),
        };
        let (count, pointer) = loaded.add(parameters);
        *loaded.settings = driver_settings { parameter_count: count, parameters: pointer };
        loaded
    }

    fn string(&mut self, word: &[u8]) -> *mut c_char {
        let string = CString::new(word).unwrap_or_default();
        let pointer = string.as_ptr().cast_mut();
        self._strings.push(string);
        pointer
    }

    fn add(&mut self, parameters: &[Parameter]) -> (c_int, *mut driver_parameter) {
        if parameters.is_empty() {
            return (0, core::ptr::null_mut());
        }
        let mut laid_out = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let name = self.string(&parameter.name);
            let mut values: Box<[_]> = parameter.values.iter().map(|value| self.string(value)).collect();
            let (parameter_count, inner) = self.add(&parameter.parameters);
            laid_out.push(driver_parameter {
                name,
                value_count: values.len() as c_int,
                values: if values.is_empty() { core::ptr::null_mut() } else { values.as_mut_ptr() },
                parameter_count,
                parameters: inner,
            });
            self._arrays.push(values);
        }
        let mut laid_out = laid_out.into_boxed_slice();
        let result = (laid_out.len() as c_int, laid_out.as_mut_ptr());
        self._parameters.push(laid_out);
        result
    }
}

struct Files {
    texts: Option<HashMap<String, String>>,
    loaded: Option<HashMap<String, Box<Loaded>>>,
}

static FILES: Mutex<Files> = Mutex::new(Files { texts: None, loaded: None });

/// Sets the text of a driver's settings file. The next load returns it, unless the file is loaded already.
pub fn set(driver: &str, text: &str) {
    FILES.guarded().texts.get_or_insert_default().insert(driver.to_owned(), text.to_owned());
}

pub(crate) fn reset(texts: Vec<(String, String)>) {
    *FILES.guarded() = Files { texts: Some(texts.into_iter().collect()), loaded: None };
}

/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn haiku_load_driver_settings(name: *const c_char) -> *mut c_void {
    interrupts::check("load_driver_settings()");
    if name.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: the caller gives a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    let mut files = FILES.guarded();
    let loaded = files.loaded.get_or_insert_default();
    if let Some(handle) = loaded.get_mut(&name) {
        handle.references += 1;
        ledger::SETTINGS.add(1);
        return core::ptr::from_mut(&mut **handle).cast();
    }
    let Some(text) = files.texts.as_ref().and_then(|texts| texts.get(&name)) else { return core::ptr::null_mut() };
    if text.len() >= MAX_SIZE {
        return core::ptr::null_mut();
    }
    let Ok(parameters) = parse(text.as_bytes()) else { return core::ptr::null_mut() };
    let handle = files.loaded.get_or_insert_default().entry(name).or_insert(Box::new(Loaded::new(&parameters)));
    ledger::SETTINGS.add(1);
    core::ptr::from_mut(&mut **handle).cast()
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_unload_driver_settings(handle: *mut c_void) -> status_t {
    interrupts::check("unload_driver_settings()");
    let mut files = FILES.guarded();
    let loaded = files.loaded.get_or_insert_default();
    let Some((name, entry)) = loaded.iter_mut().find(|(_, entry)| core::ptr::eq(&***entry, handle.cast())) else {
        return B_BAD_VALUE;
    };
    entry.references -= 1;
    if entry.references == 0 {
        let name = name.clone();
        loaded.remove(&name);
    }
    ledger::SETTINGS.add(-1);
    B_OK
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn haiku_get_driver_settings(handle: *mut c_void) -> *const driver_settings {
    let mut files = FILES.guarded();
    let loaded = files.loaded.get_or_insert_default();
    match loaded.values().find(|entry| core::ptr::eq(&***entry, handle.cast())) {
        Some(entry) => &*entry.settings,
        None => core::ptr::null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Options};

    /// A parameter as text: `name[values]{parameters}`.
    fn show(parameters: &[Parameter]) -> String {
        let text = |word: &[u8]| String::from_utf8(word.to_vec()).unwrap();
        parameters
            .iter()
            .map(|parameter| {
                let values: Vec<_> = parameter.values.iter().map(|value| text(value)).collect();
                format!("{}[{}]{{{}}}", text(&parameter.name), values.join("|"), show(&parameter.parameters))
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn parsed(text: &str) -> String {
        parse(text.as_bytes()).map_or_else(|Malformed| "malformed".to_owned(), |parameters| show(&parameters))
    }

    #[test]
    fn names_values_and_lines() {
        assert_eq!(parsed(""), "");
        assert_eq!(parsed("\n \t\n"), "");
        assert_eq!(parsed("nodes 8\nmtu 1500"), "nodes[8]{} mtu[1500]{}");
        assert_eq!(parsed("a 1 2 3; b; c x"), "a[1|2|3]{} b[]{} c[x]{}");
    }

    #[test]
    fn an_equals_sign_stands_between_name_and_value() {
        assert_eq!(parsed("a=1\nb = 2\nc\t=3"), "a[1]{} b[2]{} c[3]{}");
        assert_eq!(parsed("a b=c d=e"), "a[b|c|d=e]{}");
        assert_eq!(parse(b"a =\nb").unwrap()[0].values, [Vec::<u8>::new()]);
        assert_eq!(parsed("a { b = }"), "a[]{}");
    }

    #[test]
    fn comments_end_with_their_line() {
        assert_eq!(parsed("# nothing\na 1 # one\n#\nb 2 #"), "a[1]{} b[2]{}");
        assert_eq!(parsed("a 1\n# the end"), "a[1]{}");
    }

    #[test]
    fn quotes_and_backslashes_protect() {
        assert_eq!(parsed("a \"x y\" 'p;q'"), "a[x y|p;q]{}");
        assert_eq!(parsed(r#"a one\ word "\"q\"""#), "a[one word|\"q\"]{}");
        assert_eq!(parsed("a \"open\nb"), "malformed");
        assert_eq!(parsed("a back\\"), "malformed");
    }

    #[test]
    fn braces_nest() {
        assert_eq!(
            parsed("device tun {\n\tmtu 1400\n\tqueue { to_user 512; to_stack 256 }\n}\nx"),
            "device[tun]{mtu[1400]{} queue[]{to_user[512]{} to_stack[256]{}}} x[]{}"
        );
        assert_eq!(parsed("a\n{ b 1\n}"), "a[]{b[1]{}}");
        assert_eq!(parsed("a {\n b"), "malformed");
        assert_eq!(parsed("a }\n"), "malformed");
        // A brace that touches a word is a letter of it.
        assert_eq!(parsed("a{ b"), "a{[b]{}");
    }

    #[test]
    fn braces_nest_eight_deep_and_no_deeper() {
        let nested = |depth: usize| format!("{}x{}", "a { ".repeat(depth), " }".repeat(depth));
        assert_ne!(parsed(&nested(8)), "malformed");
        assert_eq!(parsed(&nested(9)), "malformed");
    }

    #[test]
    fn a_driver_walks_the_settings_as_c_structs() {
        let kernel = Kernel::boot(Options {
            settings: vec![("tun_tap".into(), "nodes 8 9\nlog debug { level 3 }".into())],
            ..Options::default()
        })
        .unwrap();
        // SAFETY: a C string.
        let handle = unsafe { haiku_load_driver_settings(c"tun_tap".as_ptr()) };
        let settings = haiku_get_driver_settings(handle);
        // SAFETY: the handle is loaded, so the settings are alive.
        let settings = unsafe { &*settings };
        // SAFETY: as above.
        let parameters = unsafe { core::slice::from_raw_parts(settings.parameters, settings.parameter_count as usize) };
        // SAFETY: names and values are C strings of the loaded file.
        let text = |pointer: *mut c_char| unsafe { CStr::from_ptr(pointer) }.to_str().unwrap();
        assert_eq!((text(parameters[0].name), parameters[0].value_count), ("nodes", 2));
        // SAFETY: the second of two values.
        assert_eq!(text(unsafe { *parameters[0].values.wrapping_add(1) }), "9");
        assert_eq!((parameters[1].parameter_count, parameters[0].parameters.is_null()), (1, true));
        // SAFETY: the only inner parameter.
        assert_eq!(text(unsafe { (*parameters[1].parameters).name }), "level");
        assert_eq!(haiku_unload_driver_settings(handle), B_OK);
        assert_eq!(haiku_unload_driver_settings(handle), B_BAD_VALUE);
        assert!(haiku_get_driver_settings(handle).is_null());
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn a_loaded_file_is_shared_and_not_read_again() {
        let kernel = Kernel::boot(Options::default()).unwrap();
        // SAFETY: a C string.
        let load = || unsafe { haiku_load_driver_settings(c"x".as_ptr()) };
        assert!(load().is_null());
        set("x", "a 1");
        let first = load();
        set("x", "a 1\nb 2");
        assert_eq!(load(), first);
        // SAFETY: loaded.
        assert_eq!(unsafe { (*haiku_get_driver_settings(first)).parameter_count }, 1);
        assert_eq!((haiku_unload_driver_settings(first), haiku_unload_driver_settings(first)), (B_OK, B_OK));
        let again = load();
        // SAFETY: loaded.
        assert_eq!(unsafe { (*haiku_get_driver_settings(again)).parameter_count }, 2);
        assert_eq!(kernel.ledgers().settings, 1);
        assert_eq!(haiku_unload_driver_settings(again), B_OK);
        assert!(kernel.shutdown().is_zero());
    }

    #[test]
    fn a_file_that_is_malformed_or_too_long_is_no_file() {
        let long = format!("a {}", "x".repeat(MAX_SIZE));
        let settings = vec![("bad".into(), "a {".into()), ("long".into(), long)];
        let kernel = Kernel::boot(Options { settings, ..Options::default() }).unwrap();
        for name in [c"bad", c"long"] {
            // SAFETY: a C string.
            assert!(unsafe { haiku_load_driver_settings(name.as_ptr()) }.is_null());
        }
        assert!(kernel.shutdown().is_zero());
    }
}
