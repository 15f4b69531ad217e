//! What is below /dev: directories, and the nodes of drivers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use haiku_sys::{B_BAD_VALUE, B_ENTRY_NOT_FOUND, B_FILE_EXISTS, B_NO_MEMORY, status_t};

use crate::device::{Device, Vnode};
use crate::fault::{self, Fault};
use crate::fd;
use crate::guarded::Guarded;
use crate::ledger;

pub use crate::observe::{Observer, observe};

/// `B_NOT_A_DIRECTORY`.
pub const B_NOT_A_DIRECTORY: status_t = i32::MIN + 0x6005;
/// `B_IS_A_DIRECTORY`.
pub const B_IS_A_DIRECTORY: status_t = i32::MIN + 0x6009;

/// What an entry of /dev is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A driver's node.
    Device,
}

/// An entry of a directory of /dev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the directory.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
}

#[derive(Debug)]
enum Node {
    Directory(BTreeMap<String, Node>),
    Device(Arc<Vnode>),
}

static ROOT: Mutex<Node> = Mutex::new(Node::Directory(BTreeMap::new()));

/// The entries of a directory, by its path below /dev ("" for /dev itself), in Haiku's order: by name.
pub fn list(path: &str) -> Result<Vec<Entry>, status_t> {
    let root = ROOT.guarded();
    let Node::Directory(entries) = find(&root, path)? else { return Err(B_NOT_A_DIRECTORY) };
    let kind = |node: &Node| match node {
        Node::Directory(_) => NodeKind::Directory,
        Node::Device(_) => NodeKind::Device,
    };
    Ok(entries.iter().map(|(name, node)| Entry { name: name.clone(), kind: kind(node) }).collect())
}

/// Every device below /dev, by its path there, in the order of the directories.
#[must_use]
pub fn devices() -> Vec<String> {
    fn walk(node: &Node, path: &str, found: &mut Vec<String>) {
        match node {
            Node::Device(_) => found.push(path.to_owned()),
            Node::Directory(entries) => {
                for (name, node) in entries {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                    walk(node, &path, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&ROOT.guarded(), "", &mut found);
    found
}

fn find<'a>(root: &'a Node, path: &str) -> Result<&'a Node, status_t> {
    let mut node = root;
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        let Node::Directory(entries) = node else { return Err(B_NOT_A_DIRECTORY) };
        node = entries.get(name).ok_or(B_ENTRY_NOT_FOUND)?;
    }
    Ok(node)
}

/// The device node at a path below /dev.
pub(crate) fn lookup(path: &str) -> Result<Arc<Vnode>, status_t> {
    match find(&ROOT.guarded(), path)? {
        Node::Device(vnode) => Ok(Arc::clone(vnode)),
        Node::Directory(_) => Err(B_IS_A_DIRECTORY),
    }
}

/// Publishes a device at its path; directories on the way are made, and stay.
pub(crate) fn publish(device: &Arc<Device>) -> Result<(), status_t> {
    let path = device.path().to_string_lossy();
    if path.is_empty() || path.starts_with('/') {
        return Err(B_BAD_VALUE);
    }
    if fault::hit(Fault::PublishNode) {
        return Err(B_NO_MEMORY);
    }
    let mut root = ROOT.guarded();
    let mut node = &mut *root;
    let names: Vec<_> = path.split('/').filter(|name| !name.is_empty()).collect();
    for (index, &name) in names.iter().enumerate() {
        let Node::Directory(entries) = node else { return Err(B_FILE_EXISTS) };
        if index + 1 == names.len() {
            if entries.contains_key(name) {
                return Err(B_FILE_EXISTS);
            }
            let vnode = Vnode { device: Arc::clone(device) };
            entries.insert(name.to_owned(), Node::Device(Arc::new(vnode)));
            ledger::NODES.add(1);
            return Ok(());
        }
        node = entries.entry(name.to_owned()).or_insert_with(|| Node::Directory(BTreeMap::new()));
    }
    Err(B_BAD_VALUE)
}

/// Takes a device's node away and disconnects the descriptors that are open on it.
pub(crate) fn unpublish(device: &Arc<Device>) {
    let path = device.path().to_string_lossy();
    let Some(vnode) = remove(&mut ROOT.guarded(), &path, device) else { return };
    ledger::NODES.add(-1);
    fd::disconnect(&vnode);
}

fn remove(root: &mut Node, path: &str, device: &Arc<Device>) -> Option<Arc<Vnode>> {
    let mut node = root;
    let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let Node::Directory(entries) = node else { return None };
        if names.peek().is_some() {
            node = entries.get_mut(name)?;
            continue;
        }
        let Node::Device(vnode) = entries.get(name)? else { return None };
        if !Arc::ptr_eq(&vnode.device, device) {
            return None;
        }
        return match entries.remove(name) {
            Some(Node::Device(vnode)) => Some(vnode),
            _ => None,
        };
    }
    None
}

/// An empty /dev.
pub(crate) fn reset() {
    *ROOT.guarded() = Node::Directory(BTreeMap::new());
}
