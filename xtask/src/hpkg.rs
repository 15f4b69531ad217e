//! Haiku's package format, version 2, as far as a package that installs files needs it.
//!
//! A package is a header and a heap. The heap holds the contents of the files, then the table of contents ([`Entry`]),
//! then the package attributes ([`Attribute`]). [`encode`] makes the whole file in memory, without compression, so that
//! the bytes depend on the input alone. The format: Haiku's `docs/develop/packages/FileFormat.rst`; the identifiers:
//! `headers/os/package/hpkg/PackageAttributes.h`.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

/// The length of the header.
const HEADER_LENGTH: usize = 80;
/// The heap is divided into chunks of this length; without compression nothing depends on it.
const CHUNK_LENGTH: u32 = 64 * 1024;
/// The longest table of contents that Haiku reads.
const MAX_TOC_LENGTH: usize = 64 * 1024 * 1024;
/// The longest package attributes that Haiku reads.
const MAX_ATTRIBUTES_LENGTH: usize = 1024 * 1024;
/// The type of a file attribute that holds a MIME type: `B_MIME_STRING_TYPE`.
const MIME_STRING_TYPE: u64 = 0x4d49_4d53;

/// What an attribute says: `B_HPKG_ATTRIBUTE_ID_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are Haiku's")]
pub enum Id {
    DirectoryEntry = 0,
    FileType = 1,
    FilePermissions = 2,
    FileMtime = 6,
    FileAttribute = 11,
    FileAttributeType = 12,
    Data = 13,
    SymlinkPath = 14,
    PackageName = 15,
    PackageSummary = 16,
    PackageDescription = 17,
    PackageVendor = 18,
    PackagePackager = 19,
    PackageFlags = 20,
    PackageArchitecture = 21,
    PackageVersionMajor = 22,
    PackageVersionMinor = 23,
    PackageVersionMicro = 24,
    PackageVersionRevision = 25,
    PackageCopyright = 26,
    PackageLicense = 27,
    PackageProvides = 28,
    PackageRequires = 29,
    PackageResolvableOperator = 34,
    PackageVersionPreRelease = 36,
    PackageProvidesCompatible = 37,
    PackageUrl = 38,
    PackageUserSettingsFile = 43,
    PackageSettingsFileTemplate = 45,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An unsigned number, stored in as few bytes as it needs.
    Number(u64),
    /// Text, stored in place and ended by a zero.
    Text(String),
    /// A part of the heap.
    Heap {
        /// The length in bytes.
        length: usize,
        /// Where it begins in the heap.
        offset: usize,
    },
}

/// An attribute and the attributes that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    id: Id,
    value: Value,
    children: Vec<Attribute>,
}

impl Attribute {
    /// Makes an attribute of a number.
    #[must_use]
    pub fn number(id: Id, value: u64) -> Self {
        Self { id, value: Value::Number(value), children: Vec::new() }
    }

    /// Makes an attribute of a text.
    #[must_use]
    pub fn text(id: Id, value: &str) -> Self {
        Self { id, value: Value::Text(value.to_owned()), children: Vec::new() }
    }

    /// Adds attributes that belong to this one.
    #[must_use]
    pub fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// Appends the attribute as Haiku's reader expects it: tag, value, and the children up to a zero.
    fn encode(&self, bytes: &mut Vec<u8>) -> Result<()> {
        let (kind, encoding) = match &self.value {
            Value::Number(number) => (2, number_encoding(*number)),
            Value::Text(_) => (3, 0),
            Value::Heap { .. } => (4, 1),
        };
        let has_children = u64::from(!self.children.is_empty());
        put_leb128(bytes, ((encoding << 11) | (has_children << 10) | (kind << 7) | (self.id as u64)) + 1);
        match &self.value {
            Value::Number(number) => {
                let number = number.to_be_bytes();
                bytes.extend(&number[number.len() - (1 << encoding)..]);
            }
            Value::Text(text) => {
                ensure!(!text.contains('\0'), "The text {text:?} has a zero in it, which a package cannot store.");
                bytes.extend(text.as_bytes());
                bytes.push(0);
            }
            Value::Heap { length, offset } => {
                put_leb128(bytes, *length as u64);
                put_leb128(bytes, *offset as u64);
            }
        }
        if !self.children.is_empty() {
            encode_list(&self.children, bytes)?;
        }
        Ok(())
    }
}

/// Appends attributes and the zero that ends a list.
fn encode_list(list: &[Attribute], bytes: &mut Vec<u8>) -> Result<()> {
    for attribute in list {
        attribute.encode(bytes)?;
    }
    bytes.push(0);
    Ok(())
}

/// Returns the binary logarithm of the bytes that a number needs, which is how the format names a number's length.
fn number_encoding(number: u64) -> u64 {
    match number {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    }
}

/// Appends a number in groups of seven bits, the lowest first.
fn put_leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A file system object in a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File {
        /// The contents.
        contents: Vec<u8>,
        /// Whether it may be executed.
        executable: bool,
        /// Its type in Haiku's attribute `BEOS:TYPE`.
        mime_type: &'static str,
    },
    /// A symbolic link and its target.
    Link(String),
    /// A folder, in the order of its names.
    Folder(BTreeMap<String, Entry>),
}

impl Entry {
    /// Makes an empty folder.
    #[must_use]
    pub fn folder() -> Self {
        Self::Folder(BTreeMap::new())
    }

    /// Adds an entry below this folder, with the folders that lead to it.
    ///
    /// # Errors
    /// If the path has an empty part, `.` or `..`, if it is taken, or if a part of it is not a folder.
    pub fn add(&mut self, path: &str, entry: Self) -> Result<()> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        ensure!(!matches!(first, "" | "." | ".."), "A package cannot have the path \"{path}\".");
        let Self::Folder(entries) = self else { bail!("\"{path}\" lies below something that is not a folder.") };
        match rest {
            Some(rest) => entries.entry(first.to_owned()).or_insert_with(Self::folder).add(rest, entry),
            None if entries.contains_key(first) => bail!("The package already has a \"{first}\" in the same folder."),
            None => {
                entries.insert(first.to_owned(), entry);
                Ok(())
            }
        }
    }

    /// Makes the attribute that stands for this entry, and puts the contents of files on the heap.
    fn attribute(&self, name: &str, modified: u64, heap: &mut Vec<u8>) -> Attribute {
        let mut children = Vec::new();
        // The type comes first: Haiku's reader resets the permissions when it meets it.
        match self {
            Self::File { .. } => {}
            Self::Folder(_) => children.push(Attribute::number(Id::FileType, 1)),
            Self::Link(_) => children.push(Attribute::number(Id::FileType, 2)),
        }
        if let Self::File { executable: true, .. } = self {
            children.push(Attribute::number(Id::FilePermissions, 0o755));
        }
        children.push(Attribute::number(Id::FileMtime, modified));
        match self {
            Self::File { contents, mime_type, .. } => {
                children.push(on_heap(contents, heap));
                let value = [mime_type.as_bytes(), &[0]].concat();
                children.push(
                    Attribute::text(Id::FileAttribute, "BEOS:TYPE")
                        .with([Attribute::number(Id::FileAttributeType, MIME_STRING_TYPE), on_heap(&value, heap)]),
                );
            }
            Self::Link(target) => children.push(Attribute::text(Id::SymlinkPath, target)),
            Self::Folder(entries) => {
                children.extend(entries.iter().map(|(name, entry)| entry.attribute(name, modified, heap)));
            }
        }
        Attribute::text(Id::DirectoryEntry, name).with(children)
    }
}

/// Puts data on the heap and returns the attribute that refers to it.
fn on_heap(data: &[u8], heap: &mut Vec<u8>) -> Attribute {
    let offset = heap.len();
    heap.extend(data);
    Attribute { id: Id::Data, value: Value::Heap { length: data.len(), offset }, children: Vec::new() }
}

/// Encodes a package: its attributes and what it installs. `modified` is the modification time of every entry, in
/// seconds since 1970.
///
/// # Errors
/// If `root` is not a folder, or something is longer than Haiku reads.
pub fn encode(attributes: &[Attribute], root: &Entry, modified: u64) -> Result<Vec<u8>> {
    let Entry::Folder(entries) = root else { bail!("A package installs a folder.") };
    let mut heap = Vec::new();
    let entries: Vec<_> = entries.iter().map(|(name, entry)| entry.attribute(name, modified, &mut heap)).collect();
    // A table of strings would save some bytes; a zero means that there is none.
    let (mut toc, mut about) = (vec![0], vec![0]);
    encode_list(&entries, &mut toc)?;
    encode_list(attributes, &mut about)?;
    ensure!(
        toc.len() <= MAX_TOC_LENGTH,
        "The table of contents has {} bytes; Haiku reads {MAX_TOC_LENGTH}.",
        toc.len()
    );
    ensure!(
        about.len() <= MAX_ATTRIBUTES_LENGTH,
        "The package attributes have {} bytes; Haiku reads {MAX_ATTRIBUTES_LENGTH}.",
        about.len()
    );
    let heap_length = heap.len() + toc.len() + about.len();

    let mut file = Vec::with_capacity(HEADER_LENGTH + heap_length);
    file.extend(b"hpkg");
    file.extend((HEADER_LENGTH as u16).to_be_bytes());
    file.extend(2_u16.to_be_bytes());
    file.extend(((HEADER_LENGTH + heap_length) as u64).to_be_bytes());
    file.extend(1_u16.to_be_bytes());
    // The heap: no compression, the chunks' length, and twice its own length.
    file.extend(0_u16.to_be_bytes());
    file.extend(CHUNK_LENGTH.to_be_bytes());
    file.extend([(heap_length as u64).to_be_bytes(); 2].as_flattened());
    // The package attributes: their length, that of the strings and the number of strings; a reserved word.
    file.extend((about.len() as u32).to_be_bytes());
    file.extend(1_u32.to_be_bytes());
    file.extend([0_u8; 8]);
    // The table of contents: the same.
    file.extend((toc.len() as u64).to_be_bytes());
    file.extend(1_u64.to_be_bytes());
    file.extend(0_u64.to_be_bytes());
    debug_assert_eq!(file.len(), HEADER_LENGTH);
    file.extend(heap);
    file.extend(toc);
    file.extend(about);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(attribute: &Attribute) -> Vec<u8> {
        let mut bytes = Vec::new();
        attribute.encode(&mut bytes).expect("it can be encoded");
        bytes
    }

    #[test]
    fn an_attribute_is_a_tag_a_value_and_a_list_of_children() {
        // (type 2 << 7 | id 21) + 1 = 0x116, in groups of seven bits.
        assert_eq!(encoded(&Attribute::number(Id::PackageArchitecture, 4)), [0x96, 0x02, 4]);
        // (children 1 << 10 | type 3 << 7 | id 22) + 1 = 0x597; minor: (3 << 7 | 23) + 1 = 0x198.
        let version =
            Attribute::text(Id::PackageVersionMajor, "0").with([Attribute::text(Id::PackageVersionMinor, "2")]);
        assert_eq!(encoded(&version), [0x97, 0x0b, b'0', 0, 0x98, 0x03, b'2', 0, 0]);
    }

    #[test]
    fn a_number_takes_as_few_bytes_as_it_needs() {
        let value = |number| encoded(&Attribute::number(Id::FileMtime, number)).split_off(2);
        assert_eq!(value(0xff), [0xff]);
        assert_eq!(value(0x100), [1, 0]);
        assert_eq!(value(0xffff), [0xff, 0xff]);
        assert_eq!(value(0x1_0000), [0, 1, 0, 0]);
        assert_eq!(value(0x1_0000_0000), [0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn leb128_changes_its_length_where_seven_bits_end() {
        let leb128 = |number| {
            let mut bytes = Vec::new();
            put_leb128(&mut bytes, number);
            bytes
        };
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(0x7f), [0x7f]);
        assert_eq!(leb128(0x80), [0x80, 1]);
        assert_eq!(leb128(u64::MAX).len(), 10);
    }

    #[test]
    fn a_path_that_haiku_refuses_or_that_is_taken_is_an_error() {
        let mut root = Entry::folder();
        let link = || Entry::Link("target".to_owned());
        root.add("a/b", link()).expect("it is free");
        for path in ["", "/a", "a//c", "a/./c", "../c", "a/"] {
            assert!(root.add(path, link()).is_err(), "{path}");
        }
        assert!(root.add("a/b", link()).unwrap_err().to_string().contains("already has a \"b\""));
        assert!(root.add("a/b/c", link()).unwrap_err().to_string().contains("not a folder"));
    }

    #[test]
    fn a_text_with_a_zero_is_an_error() {
        let attribute = Attribute::text(Id::PackageSummary, "one\0two");
        assert!(encode(&[attribute], &Entry::folder(), 0).is_err());
    }
}
