//! The checkpoint store of a key that is repaired: the one that is there, or a new one in its place.

use super::StoreReplaced;
use super::files::move_aside;
use crate::error::{Reason, Result};
use crate::failure::{FailureKind, attempt};
use crate::keydir::{LockedDir, Manifest};
use crate::ledger::{is_unused, rescue};
use crate::migrations::COLUMN_FAMILIES;
use crate::plan::StoreBuffers;
use crate::state::{LedgerHead, Store};

/// Opens the store if all of it can be read. A damaged one is moved aside, never deleted: it may be the only place that
/// knows which epochs have signed. What can be read of its ledger is in the new one.
pub(super) fn open(
    paths: &LockedDir,
    manifest: &Manifest,
    buffers: StoreBuffers,
) -> Result<(Store, Option<StoreReplaced>)> {
    let (state, binding) = (paths.state(), &manifest.binding());
    let finished = finish_replacing(paths, binding)?;
    let reopened = || Store::open_with(&state, binding, buffers);
    // To look changes nothing, so that a failure of the machine is not mixed up with damage.
    let (damage, readable) = match Store::open_read_only(&state, binding) {
        Ok(store) => match store.read_through() {
            Ok(()) => {
                drop(store);
                remove_draft(paths)?;
                return Ok((reopened()?, finished));
            }
            Err(error) => (error, Some(store)),
        },
        Err(error) => (error, None),
    };
    if damage.reason() != Reason::Damaged {
        return Err(damage);
    }
    let ledger_kept = make_draft(paths, manifest, readable.as_ref())?;
    drop(readable);
    let moved_to = move_aside(&state)?;
    rename_draft(paths)?;
    let replaced = StoreReplaced {
        what: damage.detail().to_owned(),
        moved_to,
        ledger_kept,
    };
    Ok((reopened()?, Some(replaced)))
}

/// Makes the new store under another name, with what can be read of the old one's ledger, and says whether that was all of
/// it. Whatever fails here has changed nothing. The ledger's head comes last: a store that has it is whole.
fn make_draft(paths: &LockedDir, manifest: &Manifest, readable: Option<&Store>) -> Result<bool> {
    let (draft, binding) = (paths.state_draft(), &manifest.binding());
    let initialised = is_unused(paths, manifest)?;
    Store::create(&draft, &COLUMN_FAMILIES, binding)?;
    let store = Store::open(&draft, binding)?;
    if let Some(readable) = readable
        && let Some(rescued) = rescue(readable, &store)?
    {
        return Ok(rescued);
    }
    let head = LedgerHead {
        initialised,
        ..LedgerHead::default()
    };
    store.commit_ledger([], &head)?;
    Ok(false)
}

fn rename_draft(paths: &LockedDir) -> Result<()> {
    let (draft, state) = (paths.state_draft(), paths.state());
    attempt("rename", draft.path(), || draft.rename(&state))?;
    Ok(paths.directory().sync()?)
}

/// A repair that ended between the two names has left the new store whole, and perhaps with the only ledger that can be read.
fn finish_replacing(paths: &LockedDir, binding: &[u8; 32]) -> Result<Option<StoreReplaced>> {
    let draft = paths.state_draft();
    if paths.state().exists()? || !draft.is_directory()? {
        return Ok(None);
    }
    let opened = Store::open_read_only(&draft, binding);
    let head = match opened.and_then(|store| store.read_through().and_then(|()| store.ledger_head())) {
        Err(error) if error.kind() == FailureKind::Directory => None,
        head => head?,
    };
    let Some(head) = head else {
        return Ok(None);
    };
    rename_draft(paths)?;
    Ok(Some(StoreReplaced {
        what: "it was missing, and the repair before this one had made a new one".to_owned(),
        moved_to: None,
        ledger_kept: head.initialised,
    }))
}

/// What a repair that ended early was making is not to be taken for the newest store some day.
fn remove_draft(paths: &LockedDir) -> Result<()> {
    let draft = paths.state_draft();
    if draft.is_directory()? {
        let directory = draft.open_directory()?;
        for name in directory.names()? {
            directory.entry(name).unlink()?;
        }
        draft.remove_directory()?;
    }
    Ok(())
}
