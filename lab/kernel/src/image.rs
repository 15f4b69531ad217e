//! Add-on files on the emulated disk, and their images: one image serves both roles of a file.

use std::sync::Mutex;

use haiku_sys::{B_ENTRY_NOT_FOUND, status_t};

use crate::guarded::Guarded;
use crate::ledger;
use crate::{AddOn, Exports};

/// Where add-ons are looked for, in the order in which Haiku looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Directory {
    /// `/boot/home/config/non-packaged/add-ons/kernel`.
    #[default]
    UserNonPackaged,
    /// `/boot/home/config/add-ons/kernel`.
    User,
    /// `/boot/system/non-packaged/add-ons/kernel`.
    SystemNonPackaged,
    /// `/boot/system/add-ons/kernel`.
    System,
}

impl Directory {
    /// The path of the directory.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::UserNonPackaged => "/boot/home/config/non-packaged/add-ons/kernel",
            Self::User => "/boot/home/config/add-ons/kernel",
            Self::SystemNonPackaged => "/boot/system/non-packaged/add-ons/kernel",
            Self::System => "/boot/system/add-ons/kernel",
        }
    }
}

/// Where the files of network devices are, below each directory.
pub(crate) const FOLDER: &str = "network/devices";

/// A file, as `(directory, name)`.
pub(crate) type FileId = (Directory, String);

struct File {
    id: FileId,
    add_on: Box<dyn AddOn>,
    uses: usize,
    exports: Option<Exports>,
}

static FILES: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Puts a file into the folder of network devices; it replaces one of the same name.
pub(crate) fn add_file(directory: Directory, name: &str, add_on: Box<dyn AddOn>) {
    let mut files = FILES.guarded();
    let id = (directory, name.to_owned());
    files.retain(|file| file.id != id);
    files.push(File { id, add_on, uses: 0, exports: None });
    files.sort_by(|a, b| a.id.cmp(&b.id));
}

/// All files, by directory and then by name: the order in which Haiku sees them.
pub(crate) fn files() -> Vec<FileId> {
    FILES.guarded().iter().map(|file| file.id.clone()).collect()
}

/// `load_kernel_add_on`: maps the file, or counts one more use of its image.
pub(crate) fn load(id: &FileId) -> Result<Exports, status_t> {
    let mut files = FILES.guarded();
    let file = files.iter_mut().find(|file| file.id == *id).ok_or(B_ENTRY_NOT_FOUND)?;
    let exports = match file.exports {
        Some(exports) => exports,
        None => {
            let exports = file.add_on.load()?;
            ledger::IMAGES.add(1);
            *file.exports.insert(exports)
        }
    };
    file.uses += 1;
    Ok(exports)
}

/// `unload_kernel_add_on`: unmaps the image with its last use. Returns whether it did.
pub(crate) fn unload(id: &FileId) -> bool {
    let mut files = FILES.guarded();
    let Some(file) = files.iter_mut().find(|file| file.id == *id && file.uses > 0) else { return false };
    file.uses -= 1;
    if file.uses > 0 {
        return false;
    }
    file.exports = None;
    file.add_on.unload();
    ledger::IMAGES.add(-1);
    true
}

pub(crate) fn reset() {
    FILES.guarded().clear();
}
