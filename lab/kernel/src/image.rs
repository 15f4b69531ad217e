//! Add-on files on the emulated disk, and their images: one image serves both roles of a file.

use std::sync::Mutex;

use haiku_sys::{B_ENTRY_NOT_FOUND, status_t};

use crate::guarded::Guarded;
use crate::ledger;
use crate::{AddOn, Exports};

/// The directory of the user's non-packaged add-ons.
pub(crate) const DIRECTORY: &str = "/boot/home/config/non-packaged/add-ons/kernel";

/// Where the files of network devices are, below the directory.
pub(crate) const FOLDER: &str = "network/devices";

struct File {
    name: String,
    add_on: Box<dyn AddOn>,
    uses: usize,
    exports: Option<Exports>,
}

static FILES: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Puts a file into the folder of network devices; it replaces one of the same name.
pub(crate) fn add_file(name: &str, add_on: Box<dyn AddOn>) {
    let mut files = FILES.guarded();
    files.retain(|file| file.name != name);
    files.push(File { name: name.to_owned(), add_on, uses: 0, exports: None });
    files.sort_by(|a, b| a.name.cmp(&b.name));
}

/// All files by name, the order in which Haiku sees them.
pub(crate) fn files() -> Vec<String> {
    FILES.guarded().iter().map(|file| file.name.clone()).collect()
}

/// `load_kernel_add_on`: maps the file, or counts one more use of its image.
pub(crate) fn load(name: &str) -> Result<Exports, status_t> {
    let mut files = FILES.guarded();
    let file = files.iter_mut().find(|file| file.name == name).ok_or(B_ENTRY_NOT_FOUND)?;
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
pub(crate) fn unload(name: &str) -> bool {
    let mut files = FILES.guarded();
    let Some(file) = files.iter_mut().find(|file| file.name == name && file.uses > 0) else { return false };
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
