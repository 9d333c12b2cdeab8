//! What a disk shows of small files after a power cut: the double that follows each call on a real directory.
//!
//! Of each file it keeps the bytes that were last synced, of each directory the names that were durable when that was last
//! synced. After a cut, a name that was not synced is there in its old state or in its new one, and a rename as a whole;
//! what was not synced of a file is there, or in part, or not at all. The nodes of layer files are taken as they are, and
//! so is all of a checkpoint store: of those the disk is `keygen::tests::power_cut_medium`, and RocksDB's own.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Fate, Faults, Judge, lock};

const EIO: i32 = 5;

/// Gives a number below another one, for each choice that a cut leaves to chance.
pub(crate) type Chance<'a> = &'a mut dyn FnMut(u64) -> u64;

type Inode = (u64, u64);

fn inode(file: &File) -> Inode {
    let metadata = file.metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

/// What a directory has under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(Inode),
    Directory(Inode),
    /// Taken as it is, whatever is below it.
    Store(Inode),
}

impl Node {
    fn inode(self) -> Inode {
        let (Self::File(inode) | Self::Directory(inode) | Self::Store(inode)) = self;
        inode
    }
}

type Names = BTreeMap<OsString, Node>;

/// What is known of a file. It stays open, so that no other one gets its number.
struct Known {
    file: File,
    durable: Option<Vec<u8>>,
}

/// Follows the calls below a directory until the power goes.
pub(crate) struct Shadow {
    disk: Arc<Mutex<Disk>>,
    _faults: Faults,
}

struct Disk {
    root: Inode,
    calls: Vec<String>,
    /// The last call, counted from 1; and whether it is made.
    cut_at: usize,
    is_made: bool,
    files: HashMap<Inode, Known>,
    durable_names: HashMap<Inode, Names>,
}

impl Shadow {
    /// From here on, what is in `root` is on the disk. The power goes at this call.
    pub(crate) fn of(root: &Path, cut_at: usize, is_made: bool) -> Self {
        let mut disk = Disk {
            root: inode(&File::open(root).unwrap()),
            calls: Vec::new(),
            cut_at,
            is_made,
            files: HashMap::new(),
            durable_names: HashMap::new(),
        };
        disk.all_is_durable(File::open(root).unwrap());
        let disk = Arc::new(Mutex::new(disk));
        let follower = Follower(Arc::clone(&disk));
        Self {
            disk,
            _faults: Faults::judged(root, follower),
        }
    }

    /// How many calls were made so far.
    pub(crate) fn calls(&self) -> usize {
        lock(&self.disk).calls.len()
    }

    /// The call at which the power went.
    pub(crate) fn last_call(&self) -> String {
        let disk = lock(&self.disk);
        match disk.calls.get(disk.cut_at - 1) {
            Some(call) => format!("at call {}, {call}, made: {}", disk.cut_at, disk.is_made),
            None => format!("after all {} calls", disk.calls.len()),
        }
    }

    /// Puts into a new directory what the disk may show when the power is back.
    pub(crate) fn show(&self, chance: Chance<'_>, shown: &Path) {
        let mut disk = lock(&self.disk);
        let changes = disk.changes();
        let mut names: HashMap<Inode, Names> = HashMap::new();
        for group in grouped(&changes) {
            let is_new = chance(2) == 0;
            for at in group {
                let change = &changes[at];
                let node = if is_new { change.new } else { change.old };
                if let Some(node) = node {
                    names
                        .entry(change.directory)
                        .or_default()
                        .insert(change.name.clone(), node);
                }
            }
        }
        let root = disk.root;
        disk.write(root, &names, chance, shown);
    }
}

struct Follower(Arc<Mutex<Disk>>);

impl Judge for Follower {
    fn fate(&mut self, call: &'static str, path: &Path) -> Fate {
        let mut disk = lock(&self.0);
        disk.calls.push(format!("{call} on {}", path.display()));
        match disk.calls.len().cmp(&disk.cut_at) {
            std::cmp::Ordering::Less => Fate::Pass,
            std::cmp::Ordering::Equal if disk.is_made => Fate::FailAfterwards(EIO),
            _ => Fate::Fail(EIO),
        }
    }

    fn synced(&mut self, file: &File) {
        lock(&self.0).synced(file);
    }
}

/// A name, and what it stands for on the disk and in the cache.
struct Change {
    directory: Inode,
    name: OsString,
    old: Option<Node>,
    new: Option<Node>,
}

/// Changes that are one: of the names of the same file, as a rename makes them. What has not changed is a change by itself.
fn grouped(changes: &[Change]) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..changes.len()).collect();
    let mut by_inode: HashMap<Inode, usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        if change.old == change.new {
            continue;
        }
        for node in [change.old, change.new].into_iter().flatten() {
            let first = *by_inode.entry(node.inode()).or_insert(at);
            let (from, to) = (group[at], group[first]);
            group
                .iter_mut()
                .filter(|number| **number == from)
                .for_each(|number| *number = to);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, number) in group.into_iter().enumerate() {
        groups.entry(number).or_default().push(at);
    }
    groups.into_values().collect()
}

impl Disk {
    fn all_is_durable(&mut self, directory: File) {
        let names = self.names(&directory);
        let path = place(&directory);
        for (name, node) in &names {
            match node {
                Node::File(_) => {
                    let file = File::open(path.join(name)).unwrap();
                    let durable = (!is_of_nodes(name)).then(|| content(&file));
                    self.know(file).durable = durable;
                }
                Node::Directory(_) => self.all_is_durable(File::open(path.join(name)).unwrap()),
                Node::Store(_) => {}
            }
        }
        self.durable_names.insert(inode(&directory), names);
        self.know(directory);
    }

    fn know(&mut self, file: File) -> &mut Known {
        let durable = None;
        self.files.entry(inode(&file)).or_insert(Known { file, durable })
    }

    fn synced(&mut self, file: &File) {
        // As a new open file: what was synced may be open for writing alone.
        let opened = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        if opened.metadata().unwrap().is_dir() {
            let names = self.names(&opened);
            self.durable_names.insert(inode(&opened), names);
            self.know(opened);
        } else {
            let durable = content(&opened);
            self.know(opened).durable = Some(durable);
        }
    }

    /// The names in a directory at this moment.
    fn names(&mut self, directory: &File) -> Names {
        let path = place(directory);
        let mut names = Names::new();
        for entry in fs::read_dir(&path).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let file = File::open(path.join(&name)).unwrap();
            let inode = inode(&file);
            let node = match file.metadata().unwrap().is_dir() {
                true if name.to_string_lossy().starts_with("state") => Node::Store(inode),
                true => Node::Directory(inode),
                false => Node::File(inode),
            };
            self.know(file);
            names.insert(name, node);
        }
        names
    }

    /// Every name on the disk or in the cache, in every directory.
    fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut left = vec![self.root];
        let mut seen = Vec::new();
        while let Some(directory) = left.pop() {
            if seen.contains(&directory) {
                continue;
            }
            seen.push(directory);
            let opened = self.files[&directory].file.try_clone().unwrap();
            let old = self.durable_names.get(&directory).cloned().unwrap_or_default();
            // One that was removed is empty.
            let new = match opened.metadata().unwrap().nlink() {
                0 => Names::new(),
                _ => self.names(&opened),
            };
            let mut all: Vec<_> = old.keys().chain(new.keys()).cloned().collect();
            all.sort();
            all.dedup();
            for name in all {
                let (old, new) = (old.get(&name).copied(), new.get(&name).copied());
                let nodes = [old, new].into_iter().flatten();
                left.extend(nodes.filter(|node| matches!(node, Node::Directory(_))).map(Node::inode));
                changes.push(Change {
                    directory,
                    name,
                    old,
                    new,
                });
            }
        }
        changes
    }

    fn write(&self, directory: Inode, names: &HashMap<Inode, Names>, chance: Chance<'_>, to: &Path) {
        fs::create_dir(to).unwrap();
        for (name, node) in names.get(&directory).into_iter().flatten() {
            let target = to.join(name);
            let known = &self.files[&node.inode()];
            match node {
                Node::Directory(inode) => self.write(*inode, names, chance, &target),
                Node::Store(_) => copy_store(&place(&known.file), &target),
                Node::File(_) => {
                    let bytes = if is_of_nodes(name) {
                        content(&known.file)
                    } else {
                        known.after_cut(chance)
                    };
                    fs::write(&target, bytes).unwrap();
                    let mode = known.file.metadata().unwrap().permissions().mode();
                    fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
    }
}

impl Known {
    /// What may be found in a file.
    fn after_cut(&self, chance: Chance<'_>) -> Vec<u8> {
        let (old, new) = (self.durable.clone().unwrap_or_default(), content(&self.file));
        if old == new {
            return old;
        }
        // What was added at the end may be there in part; what was rewritten may be cut.
        let common = if new.starts_with(&old) { old.len() } else { 0 };
        match chance(3) {
            0 => old,
            1 => new[..common + (new.len() - common) / 2].to_vec(),
            _ => new,
        }
    }
}

fn is_of_nodes(name: &OsStr) -> bool {
    name.to_string_lossy().ends_with(".nodes")
}

/// Where an open directory can be listed, whatever its name is by now.
fn place(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(place(file)).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn copy_store(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
