//! Keys of which parts are lost and damaged.

use std::fs::{self, Permissions};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{MESSAGE, SPENT};
use crate::audit::fixture_tests::{TINY, open_request};
use crate::exchange::backup::Backup;
use crate::files::directory_tests::copy_directory;
use crate::keydir::KeyDir;
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, KeyRequest, NoProgress};
use crate::signing::Signer;
use crate::state::damage_tests::flip_in_tables;
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

/// Of the combinations in which more than two parts are damaged, one in so many.
const SAMPLED: usize = 29;

/// What has become of a part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    Missing,
    /// A bit of it is another one.
    Flipped,
    /// Something else stands in its place.
    Replaced,
    /// Of the store: the batches cannot be read, and the ledger can.
    BatchesFlipped,
}

pub(super) const SECRET: usize = 1;
pub(super) const STATE: usize = 3;
pub(super) const PARTS: [&str; 5] = ["manifest.toml", "secret", "ledger.mark", "state", "layers"];

pub(super) type Fates = [Fate; PARTS.len()];

/// What can become of a key: everything that can of one part, or of two, and some of the rest; of two parts one combination in
/// so many.
pub(super) fn all_fates(step: usize) -> Vec<Fates> {
    let each = [Fate::Whole, Fate::Missing, Fate::Flipped, Fate::Replaced];
    let of_store = [&each[..], &[Fate::BatchesFlipped]].concat();
    let mut all = vec![[Fate::Whole; PARTS.len()]];
    for part in 0..PARTS.len() {
        let fates = if part == STATE { &of_store[..] } else { &each[..] };
        let with = |before: &Fates| fates.iter().map(move |&fate| (*before, fate)).collect::<Vec<_>>();
        all = all
            .iter()
            .flat_map(with)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(mut before, fate)| {
                before[part] = fate;
                before
            })
            .collect();
    }
    let damaged = |fates: &Fates| fates.iter().filter(|&&fate| fate != Fate::Whole).count();
    let of = |count: RangeInclusive<usize>| {
        let fates = all.iter().copied();
        fates.filter(move |fates| count.contains(&damaged(fates)))
    };
    let (few, many) = (of(2..=2).step_by(step), of(3..=PARTS.len()).step_by(SAMPLED * step));
    of(1..=1).chain(few).chain(many).collect()
}

/// The keys that are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sealed,
    Trimmed,
    /// Made of a given seed, and not finished.
    Unfinished,
    /// Drawn here, and not finished.
    UnfinishedFresh,
}

impl Kind {
    pub(super) fn request(self) -> KeyRequest {
        KeyRequest {
            scheme: Some(Scheme::by_id(TINY).unwrap()),
            epochs: Some(256),
            trim: (self == Self::Trimmed).then_some(Level(3)),
            ..KeyRequest::default()
        }
    }

    pub(super) fn is_finished(self) -> bool {
        matches!(self, Self::Sealed | Self::Trimmed)
    }
}

/// A key before anything happens to it.
pub(super) struct Template {
    pub(super) kind: Kind,
    pub(super) place: TempDir,
    pub(super) backup: String,
    pub(super) secret: String,
    pub(super) binding: [u8; 32],
}

impl Template {
    pub(super) fn new(kind: Kind) -> Self {
        let place = in_memory();
        let key = place.path().join("key");
        let secret = (kind == Kind::Unfinished).then_some(crate::keydir::Secret::Seed([5; 32]));
        let request = KeyRequest {
            secret,
            ..kind.request()
        };
        let job = open_request(&key, &request, CancelHandle::default()).unwrap();
        if kind.is_finished() {
            job.run(&NoProgress).unwrap();
            Signer::open(&key).unwrap().sign(SPENT, &MESSAGE).unwrap();
        } else {
            drop(job);
        }
        let backup = Backup::of(&key).unwrap().to_text().to_string();
        let secret = fs::read_to_string(key.join("secret")).unwrap();
        let binding = KeyDir::open(&key).unwrap().manifest().binding();
        Self {
            kind,
            place,
            backup,
            secret,
            binding,
        }
    }

    pub(super) fn damaged(&self, fates: &Fates) -> TempDir {
        let copy = in_memory();
        let key = copy.path().join("key");
        copy_directory(&self.place.path().join("key"), &key);
        for (name, fate) in PARTS.iter().zip(fates) {
            damage(&key.join(name), *fate);
        }
        copy
    }
}

pub(super) fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        drop(fs::remove_file(path));
    }
}

pub(super) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(super) fn damage(part: &Path, fate: Fate) {
    let is_directory = part.is_dir();
    match fate {
        Fate::Whole => {}
        Fate::Missing => remove(part),
        Fate::Replaced => {
            remove(part);
            if is_directory {
                fs::write(part, "something").unwrap();
            } else {
                fs::create_dir(part).unwrap();
            }
        }
        Fate::BatchesFlipped => flip_in_tables(part, "batches"),
        Fate::Flipped if is_directory => {
            let is_wanted = |file: &PathBuf| {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                name.starts_with("MANIFEST-") || name.ends_with(".nodes")
            };
            flip(&sorted(part).into_iter().find(is_wanted).unwrap());
        }
        // Of a key from a given seed there is no mark before it is finished.
        Fate::Flipped if !part.exists() => {}
        Fate::Flipped => flip(part),
    }
}

pub(super) fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}
