//! Where a part is made before it is published: layer files and a checkpoint store of the part alone, so that a part that was
//! interrupted goes on. Whatever is wrong with it, it is thrown away and begun again.

use std::path::{Path, PathBuf};

use super::error::taken;
use super::ticket::Ticket;
use crate::error::{Reason, Result};
use crate::failure::{FailureKind, IoFailure, attempt};
use crate::files::publish::Mode;
use crate::files::{Directory, Entry, check_room, exists, make_directories};
use crate::keydir::{KeyPaths, LockedDir, Manifest, TICKET};
use crate::layers::{Header, LayerWriter, Medium};
use crate::migrations::COLUMN_FAMILIES;
use crate::plan::StoreBuffers;
use crate::remedy::Remedy;
use crate::state::Store;

const SCRATCH_MODE: Mode = Mode::Umasked(0o700);
/// Directories that are tried, of which another process may hold each.
const NAMES: u32 = 64;

/// The scratch of one part, under its lock.
pub(super) struct Scratch {
    locked: LockedDir,
    path: PathBuf,
}

/// The files of a part that is being made.
pub(super) struct Opened {
    pub(super) writer: LayerWriter,
    pub(super) store: Store,
}

impl Scratch {
    /// Takes a directory below `work` that no other process holds: a batch system may have begun the same part again on a machine
    /// where the first attempt still runs.
    pub(super) fn take(work: &Path, stem: &str) -> Result<Self> {
        make_directories(work, SCRATCH_MODE)?;
        let parent = Directory::open(work)?;
        let mut number = 1;
        loop {
            let name = match number {
                1 => stem.to_owned(),
                _ => format!("{stem}.{number}"),
            };
            let entry = parent.entry(&name);
            let paths = open_own(&entry)?;
            let is_last = number == NAMES;
            number += 1;
            let Some(paths) = paths else {
                if is_last {
                    return Err(taken(entry.path()));
                }
                continue;
            };
            match paths.lock() {
                Err(error) if error.reason() == Reason::Locked && !is_last => {}
                locked => {
                    return Ok(Self {
                        locked: locked?,
                        path: entry.path().to_owned(),
                    });
                }
            }
        }
    }

    /// Opens what an earlier run left of this part, or begins it.
    pub(super) fn open(
        &self,
        medium: &dyn Medium,
        ticket: &Ticket,
        part: &Manifest,
        buffers: StoreBuffers,
    ) -> Result<Opened> {
        if self.is_of(ticket) {
            match self.open_files(medium, part, buffers) {
                Err(error) if error.kind() == FailureKind::Directory => {
                    tracing::warn!(
                        "what an earlier run left in '{}' cannot be used: {error}",
                        self.path.display()
                    );
                }
                opened => return opened,
            }
        }
        check_room(&self.path, &self.path, part.plan().disk_bytes(), Remedy::OtherDirectory)?;
        self.begin(medium, ticket, part)?;
        self.open_files(medium, part, buffers)
    }

    /// Whether everything was made that a part of this ticket needs: the ticket is written after it.
    fn is_of(&self, ticket: &Ticket) -> bool {
        Ticket::read_entry(&self.ticket()).is_ok_and(|found| found == *ticket)
    }

    fn ticket(&self) -> Entry {
        self.locked.directory().entry(TICKET)
    }

    fn begin(&self, medium: &dyn Medium, ticket: &Ticket, part: &Manifest) -> Result<()> {
        let mark = self.ticket();
        if mark.exists()? {
            mark.unlink()?;
        }
        let layers = self.locked.layers();
        if exists(layers.path())? {
            remove_all(layers.path())?;
        }
        layers.make_directory()?;
        for span in part.plan().geometry().stored_levels() {
            let header = Header::new(part.key_id(), span, part.scheme().digest_bytes());
            medium.create(&self.locked.layer(span.level), header.file_bytes(), &header.to_page())?;
        }
        medium.sync_names(&layers)?;
        Store::create(&self.locked.state(), &COLUMN_FAMILIES, &part.binding())?;
        ticket.write(&mark)
    }

    fn open_files(&self, medium: &dyn Medium, part: &Manifest, buffers: StoreBuffers) -> Result<Opened> {
        let writer = LayerWriter::open(medium, &self.locked.layers(), part.plan(), &part.binding())?;
        let store = Store::open_with(&self.locked.state(), &part.binding(), buffers)?;
        Ok(Opened { writer, store })
    }

    /// Deletes it: the part is published.
    pub(super) fn remove(self) -> Result<(), IoFailure> {
        remove_all(&self.path)
    }
}

/// The directory of this name, which is made if there is none; `None` if what has the name is a link, may be written by others, or
/// has the files of a key: below a directory like /tmp, the name is for everybody to take.
fn open_own(entry: &Entry) -> Result<Option<KeyPaths>> {
    if entry.exists()? && !entry.is_directory()? {
        return Ok(None);
    }
    entry.make_directory()?;
    let directory = entry.open_directory()?;
    if !directory.is_for_owner_alone()? {
        return Ok(None);
    }
    let paths = KeyPaths::of(directory);
    for of_key in [paths.manifest(), paths.secret(), paths.keystore(), paths.ledger_mark()] {
        if of_key.exists()? {
            return Ok(None);
        }
    }
    Ok(Some(paths))
}

fn remove_all(path: &Path) -> Result<(), IoFailure> {
    attempt("remove", path, || std::fs::remove_dir_all(path))
}
