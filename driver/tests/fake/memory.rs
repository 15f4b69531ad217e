//! A program's memory, which may not be there, and may change under the kernel's eyes.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use tuntap_driver::{Error, UserMemory};

use crate::fake::Task;

pub(crate) use tuntap_model::UNTOUCHED;

/// A buffer of a program's.
#[derive(Clone)]
pub(crate) struct User {
    memory: Arc<Mutex<Memory>>,
    fault: Range<usize>,
    /// What happens while the kernel finds the fault.
    meanwhile: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct Memory {
    bytes: Vec<u8>,
    /// Which bytes the kernel has fetched: for one packet, each may be fetched once.
    fetched: Vec<bool>,
    /// How often the thread that fetches them could begin anew by then.
    restarts: usize,
}

impl User {
    /// A buffer that holds something.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let memory = Memory { bytes: bytes.to_vec(), fetched: vec![false; bytes.len()], restarts: 0 };
        Self { memory: Arc::new(Mutex::new(memory)), fault: 0..0, meanwhile: Arc::new(|| ()) }
    }

    /// A buffer to read into.
    pub(crate) fn room(length: usize) -> Self {
        Self::holding(&vec![UNTOUCHED; length])
    }

    /// The same, but part of it is not mapped.
    pub(crate) fn faulting(self, fault: Range<usize>) -> Self {
        Self { fault, ..self }
    }

    /// The same, and something happens while the kernel finds the fault.
    pub(crate) fn meanwhile(self, act: impl Fn() + Send + Sync + 'static) -> Self {
        Self { meanwhile: Arc::new(act), ..self }
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
            (self.meanwhile)();
            return Err(Error::BadAddress);
        }
        Ok(offset..end)
    }
}

impl Memory {
    /// What was fetched before the thread freed a packet or ran a section of a lock may be fetched again, and is what it was.
    fn begin_anew(&mut self) {
        let restarts = Task::current().restarts();
        if self.restarts != restarts {
            self.restarts = restarts;
            for (byte, fetched) in self.bytes.iter_mut().zip(&mut self.fetched) {
                *byte ^= if *fetched { 0xff } else { 0 };
                *fetched = false;
            }
        }
    }

    fn fetch(&mut self, range: Range<usize>) {
        for at in range {
            assert!(!self.fetched[at], "byte {at} was fetched twice: it may have changed in between");
            self.fetched[at] = true;
            // It has changed in between.
            self.bytes[at] = !self.bytes[at];
        }
    }
}

impl UserMemory for User {
    fn len(&self) -> usize {
        self.memory.lock().unwrap().bytes.len()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let range = self.check("fetching a program's memory", offset, into.len())?;
        let mut memory = self.memory.lock().unwrap();
        memory.begin_anew();
        into.copy_from_slice(&memory.bytes[range.clone()]);
        memory.fetch(range);
        Ok(())
    }

    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        let range = self.check("writing to a program's memory", offset, from.len())?;
        self.memory.lock().unwrap().bytes[range].copy_from_slice(from);
        Ok(())
    }
}
