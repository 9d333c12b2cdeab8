//! The names inside a key directory (docs/FORMAT.md; scripts rely on them).

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::KeyPlace;
use crate::failure::IoFailure;
use crate::files::publish::is_draft;
use crate::files::{Directory, Entry};
use crate::keystore::Passphrase;
use crate::layers::part::EXTENSION;
use crate::layers::{adopted_parts, has_adopted_parts, layer_file};
use crate::units::Level;

pub(crate) const MANIFEST: &str = "manifest.toml";
pub(crate) const SECRET: &str = "secret";
pub(crate) const KEYSTORE: &str = "keystore.json";
pub(crate) const LAYERS: &str = "layers";
pub(crate) const STATE: &str = "state";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const LEDGER_MARK: &str = "ledger.mark";
const HISTORY: &str = "history.jsonl";
/// How a key is divided that is made in parts.
pub(crate) const TICKET: &str = "ticket.toml";
/// A checkpoint store that is being made in place of a damaged one.
const STATE_DRAFT: &str = "state.draft";
/// Ends the name of what was damaged and moved aside; further ones are numbered from 2, behind another dot.
const DAMAGED: &str = ".damaged";

/// Everything that may stand at the top of a key directory.
const TOP: [&str; 10] = [
    MANIFEST,
    SECRET,
    KEYSTORE,
    LAYERS,
    STATE,
    LOCK,
    LEDGER_MARK,
    HISTORY,
    STATE_DRAFT,
    TICKET,
];

/// What may stand in any directory: what mkfs puts at the top of a file system, and what people leave to say what
/// a directory is.
pub(crate) fn is_bystander(name: &str) -> bool {
    ["lost+found", "README", "README.md", "README.txt"].contains(&name)
}

/// What one key directory, which is open, has in it.
#[derive(Clone, Debug)]
pub(crate) struct KeyPaths {
    directory: Directory,
    /// What the secret is, or is to be, under.
    passphrase: Option<Passphrase>,
}

impl KeyPaths {
    #[track_caller]
    pub(crate) fn open<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self, IoFailure> {
        let place = place.into();
        Ok(Self {
            directory: Directory::open(place.path())?,
            passphrase: place.known_passphrase().cloned(),
        })
    }

    /// Of a directory that is open, which has no secret.
    pub(crate) fn of(directory: Directory) -> Self {
        Self {
            directory,
            passphrase: None,
        }
    }

    pub(crate) fn passphrase(&self) -> Option<&Passphrase> {
        self.passphrase.as_ref()
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn manifest(&self) -> Entry {
        self.directory.entry(MANIFEST)
    }

    pub(crate) fn secret(&self) -> Entry {
        self.directory.entry(SECRET)
    }

    pub(crate) fn keystore(&self) -> Entry {
        self.directory.entry(KEYSTORE)
    }

    pub(crate) fn lock_file(&self) -> Entry {
        self.directory.entry(LOCK)
    }

    pub(crate) fn ledger_mark(&self) -> Entry {
        self.directory.entry(LEDGER_MARK)
    }

    pub(crate) fn history(&self) -> Entry {
        self.directory.entry(HISTORY)
    }

    pub(crate) fn state(&self) -> Entry {
        self.directory.entry(STATE)
    }

    pub(crate) fn state_draft(&self) -> Entry {
        self.directory.entry(STATE_DRAFT)
    }

    pub(crate) fn layers(&self) -> Entry {
        self.directory.entry(LAYERS)
    }

    pub(crate) fn layer(&self, level: Level) -> Entry {
        layer_file(&self.layers(), level)
    }

    /// The directory of the parts that a key with this trim has adopted, if it has adopted them.
    pub(crate) fn adopted_parts(&self, trim: Level) -> Entry {
        adopted_parts(&self.layers(), trim)
    }

    /// Layer files of levels below a trim, which a trim that ended early has left.
    pub(crate) fn left_over_layers(&self, trim: Level) -> Result<Vec<Entry>, IoFailure> {
        existing((0..trim.0).map(|level| self.layer(Level(level))))
    }

    /// Layer files of these levels, which a key that has adopted its parts does not read.
    pub(crate) fn unread_layers(&self, trim: Level, in_parts: Range<u8>) -> Result<Vec<Entry>, IoFailure> {
        if has_adopted_parts(&self.layers(), trim)? {
            existing(in_parts.map(|level| self.layer(Level(level))))
        } else {
            Ok(Vec::new())
        }
    }

    /// Directories of adopted parts that such a trim has left, with parts in them.
    pub(crate) fn left_over_parts(&self, trim: Level) -> Result<Vec<Entry>, IoFailure> {
        let mut left_over = Vec::new();
        for parts in (0..trim.0).map(|level| self.adopted_parts(Level(level))) {
            if has_parts(&parts)? {
                left_over.push(parts);
            }
        }
        Ok(left_over)
    }

    /// A part of a key that is made after its manifest. Where it is and no manifest, that is lost.
    pub(crate) fn part_of_key(&self) -> Result<Option<PathBuf>, IoFailure> {
        for part in [self.layers(), self.state(), self.directory.entry(TICKET)] {
            if part.exists()? {
                return Ok(Some(part.path().to_owned()));
            }
        }
        Ok(None)
    }

    /// An entry of the directory that a key directory does not have, if there is one.
    pub(crate) fn foreign_entry(&self) -> Result<Option<PathBuf>, IoFailure> {
        let is_foreign =
            |name: &str| !TOP.contains(&name) && !is_draft(name) && !was_moved_aside(name) && !is_bystander(name);
        let foreign = self.entries(is_foreign)?;
        Ok(foreign.first().map(|entry| entry.path().to_owned()))
    }

    /// Removes what a process that died was writing, once the lock is held.
    pub(super) fn remove_temporaries(&self) -> Result<(), IoFailure> {
        self.entries(is_draft)?.iter().try_for_each(Entry::unlink)
    }

    fn entries(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Entry>, IoFailure> {
        let names = self.directory.names()?;
        let wanted = names.iter().filter(|name| wanted(&name.to_string_lossy()));
        Ok(wanted.map(|name| self.directory.entry(name)).collect())
    }
}

/// Whether it is empty, or has a part in it. Where there is something else alone, that is why it was left.
fn has_parts(parts: &Entry) -> Result<bool, IoFailure> {
    if !parts.is_directory()? {
        return Ok(false);
    }
    let (mut others, mut has_parts) = (0, false);
    parts.open_directory()?.each_entry(|name, _| {
        others += 1;
        has_parts |= name.ends_with(EXTENSION);
    })?;
    Ok(has_parts || others == 0)
}

fn existing(entries: impl Iterator<Item = Entry>) -> Result<Vec<Entry>, IoFailure> {
    let mut existing = Vec::new();
    for entry in entries {
        if entry.exists()? {
            existing.push(entry);
        }
    }
    Ok(existing)
}

/// Names for what is moved aside from `entry`, in the order in which they are taken.
pub(crate) fn free_names_aside(entry: &Entry) -> impl Iterator<Item = Entry> {
    let name = |end: String| {
        let mut name = entry.path().file_name().unwrap_or_default().to_owned();
        name.push(DAMAGED);
        name.push(end);
        entry.beside(name)
    };
    (1_u32..).map(move |number| match number {
        1 => name(String::new()),
        _ => name(format!(".{number}")),
    })
}

/// Whether a name is that of a checkpoint store, or a directory of layer files, that was moved aside.
fn was_moved_aside(name: &str) -> bool {
    let rest = name.strip_prefix(STATE).or_else(|| name.strip_prefix(LAYERS));
    let number = rest.and_then(|rest| rest.strip_prefix(DAMAGED)?.strip_prefix('.'));
    rest == Some(DAMAGED) || number.is_some_and(|number| number.parse::<u32>().is_ok())
}
