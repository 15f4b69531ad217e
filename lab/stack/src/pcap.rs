//! A packet capture: every frame of every interface, in both directions, into a file that Wireshark reads.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use haiku_kernel::sync::Mutex;

use crate::lock;

/// The file's first word, for microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
/// Frames are Ethernet.
const LINKTYPE_ETHERNET: u32 = 1;
/// The longest frame that is kept whole.
const SNAPLEN: u32 = 65_535;

/// A file that frames are written to.
#[derive(Debug)]
pub struct Capture(Mutex<BufWriter<File>>);

impl Capture {
    /// Creates the file and writes its header.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut writer = BufWriter::new(File::create(path)?);
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&2u16.to_le_bytes());
        header.extend_from_slice(&4u16.to_le_bytes());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&SNAPLEN.to_le_bytes());
        header.extend_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
        writer.write_all(&header)?;
        Ok(Self(Mutex::new(writer)))
    }

    /// Writes a frame. A full disk ends the capture's use, not the run's.
    pub fn frame(&self, frame: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kept = &frame[..frame.len().min(SNAPLEN as usize)];
        let mut record = Vec::with_capacity(16 + kept.len());
        record.extend_from_slice(&(now.as_secs() as u32).to_le_bytes());
        record.extend_from_slice(&now.subsec_micros().to_le_bytes());
        record.extend_from_slice(&(kept.len() as u32).to_le_bytes());
        record.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        record.extend_from_slice(kept);
        let _ = lock(&self.0).write_all(&record);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = lock(&self.0).flush();
    }
}
