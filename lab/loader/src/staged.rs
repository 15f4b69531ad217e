//! The image as a plain vector of bytes, in which everything is checked and relocated before any of it is mapped.

use std::ops::Range;

use object::ReadRef;
use object::pod::Pod;

use crate::layout::Layout;

/// The image, addressed as in the file: byte 0 is address 0.
#[derive(Debug)]
pub(crate) struct Staged {
    bytes: Vec<u8>,
    text: Range<u64>,
    data: Range<u64>,
}

impl Staged {
    /// Copies the segments out of the file. `layout` has been checked against `file`.
    pub(crate) fn new(file: &[u8], layout: &Layout) -> Self {
        let mut bytes = vec![0; to_usize(layout.reserved)];
        for segment in [&layout.text, &layout.data] {
            let source = &file[to_usize(segment.file.start)..to_usize(segment.file.end)];
            let start = to_usize(segment.address);
            bytes[start..start + source.len()].copy_from_slice(source);
        }
        Self { bytes, text: layout.text.pages.clone(), data: layout.data.pages.clone() }
    }

    /// What is at `address`, if all of it is inside one segment.
    pub(crate) fn read<T: Pod>(&self, address: u64) -> Option<&T> {
        let end = self.end_of_segment(address)?;
        self.bytes[..to_usize(end)].read_at(address).ok()
    }

    /// `count` items at `address`, if all of them are inside one segment.
    pub(crate) fn slice<T: Pod>(&self, address: u64, count: usize) -> Option<&[T]> {
        let end = self.end_of_segment(address)?;
        self.bytes[..to_usize(end)].read_slice_at(address, count).ok()
    }

    /// The string at `address`, if its end is inside the segment and it is text.
    pub(crate) fn string(&self, address: u64) -> Option<&str> {
        let end = self.end_of_segment(address)?;
        let tail = &self.bytes[to_usize(address)..to_usize(end)];
        let length = tail.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&tail[..length]).ok()
    }

    /// Writes at `address`; `false` if not all of it is inside one segment.
    #[must_use]
    pub(crate) fn write(&mut self, address: u64, value: &[u8]) -> bool {
        let Some(end) = self.end_of_segment(address) else { return false };
        let start = to_usize(address);
        match self.bytes[..to_usize(end)].get_mut(start..start + value.len()) {
            Some(target) => {
                target.copy_from_slice(value);
                true
            }
            None => false,
        }
    }

    /// The bytes of whole pages, to be mapped.
    pub(crate) fn pages(&self, range: &Range<u64>) -> &[u8] {
        &self.bytes[to_usize(range.start)..to_usize(range.end)]
    }

    /// The end of the segment that holds `address`.
    fn end_of_segment(&self, address: u64) -> Option<u64> {
        [&self.text, &self.data].into_iter().find(|range| range.contains(&address)).map(|range| range.end)
    }
}

/// An address inside an image of at most 16 MiB.
pub(crate) fn to_usize(address: u64) -> usize {
    usize::try_from(address).expect("the layout was checked to be small")
}
