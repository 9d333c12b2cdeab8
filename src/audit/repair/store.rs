//! The checkpoint store of a key that is repaired: the one that is there, or a new one in its place.

use super::files::move_aside;
use super::{RepairError, StoreReplaced};
use crate::failure::attempt;
use crate::keydir::{KeyPaths, Manifest};
use crate::ledger::is_unused;
use crate::migrations::COLUMN_FAMILIES;
use crate::plan::StoreBuffers;
use crate::state::{LedgerHead, StateError, Store};

/// Opens the store if all of it can be read. A damaged one is moved aside, never deleted: it may be the only place that
/// knows which epochs have signed.
pub(super) fn open(
    paths: &KeyPaths,
    manifest: &Manifest,
    buffers: StoreBuffers,
) -> Result<(Store, Option<StoreReplaced>), RepairError> {
    let (state, binding) = (paths.state(), &manifest.binding());
    let opened = Store::open_recording(&state, binding, buffers).and_then(|store| store.read_through().map(|()| store));
    let what = match opened {
        Ok(store) => return Ok((store, None)),
        Err(StateError::Damaged { message, .. }) => message,
        Err(error) => return Err(error.into()),
    };
    let moved_to = move_aside(&state)?;
    // Under another name until it is whole, so that a kill leaves no store that would have to be moved aside as well.
    let draft = paths.state_draft();
    Store::create(&draft, &COLUMN_FAMILIES, binding)?;
    let head = LedgerHead {
        initialised: is_unused(paths, manifest)?,
        ..LedgerHead::default()
    };
    Store::open(&draft, binding)?.commit_ledger([], &head)?;
    attempt("rename", draft.path(), || draft.rename(&state))?;
    paths.directory().sync()?;
    let store = Store::open_recording(&state, binding, buffers)?;
    Ok((store, Some(StoreReplaced { what, moved_to })))
}
