//! A program's memory, which may not be there, and may change under the kernel's eyes.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use tuntap_driver::{Error, UserMemory};

use crate::fake::Task;

/// What memory holds that nobody has written to. No packet of the tests' has a byte of it.
pub(crate) const UNTOUCHED: u8 = 0xa5;

/// A buffer of a program's.
#[derive(Clone, Debug)]
pub(crate) struct User {
    memory: Arc<Mutex<Memory>>,
    fault: Range<usize>,
}

#[derive(Debug)]
struct Memory {
    bytes: Vec<u8>,
    /// How often each byte was fetched by the kernel.
    fetched: Vec<u8>,
}

impl User {
    /// A buffer that holds something.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let memory = Memory { bytes: bytes.to_vec(), fetched: vec![0; bytes.len()] };
        Self { memory: Arc::new(Mutex::new(memory)), fault: 0..0 }
    }

    /// A buffer to read into.
    pub(crate) fn room(length: usize) -> Self {
        Self::holding(&vec![UNTOUCHED; length])
    }

    /// The same, but part of it is not mapped.
    pub(crate) fn faulting(self, fault: Range<usize>) -> Self {
        Self { fault, ..self }
    }

    /// All that it holds now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.memory.lock().unwrap().bytes.clone()
    }

    /// The first `length` bytes; the others must be untouched.
    #[track_caller]
    pub(crate) fn first(&self, length: usize) -> Vec<u8> {
        let mut bytes = self.bytes();
        let rest = bytes.split_off(length);
        assert!(rest.iter().all(|&byte| byte == UNTOUCHED), "written beyond what was returned");
        bytes
    }

    fn check(&self, what: &str, offset: usize, length: usize) -> Result<Range<usize>, Error> {
        Task::current().must_not_spin(what);
        let end = offset.checked_add(length).expect("an offset in the buffer");
        assert!(end <= self.len(), "{what} beyond its end: {end} of {}", self.len());
        if length > 0 && offset < self.fault.end && self.fault.start < end {
            return Err(Error::BadAddress);
        }
        Ok(offset..end)
    }
}

impl UserMemory for User {
    fn len(&self) -> usize {
        self.memory.lock().unwrap().bytes.len()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let range = self.check("fetching a program's memory", offset, into.len())?;
        let mut memory = self.memory.lock().unwrap();
        into.copy_from_slice(&memory.bytes[range.clone()]);
        for at in range {
            memory.fetched[at] += 1;
            assert_eq!(memory.fetched[at], 1, "byte {at} was fetched twice: it may have changed in between");
            // It has changed in between.
            memory.bytes[at] = !memory.bytes[at];
        }
        Ok(())
    }

    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        let range = self.check("writing to a program's memory", offset, from.len())?;
        self.memory.lock().unwrap().bytes[range].copy_from_slice(from);
        Ok(())
    }
}
