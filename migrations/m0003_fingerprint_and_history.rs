//! Version 3: the manifest has the fingerprint of the one-time keys, `ledger.mark` says what it vouches for, and the history is a
//! file.

use std::fmt::Display;

use super::{Action, Context, Step};
use crate::error::{Reason, Result};
use crate::failure::FailureKind;
use crate::history::replace_all;
use crate::keydir::{LedgerMark, LockedDir, Manifest, Stage, fingerprint_of};
use crate::ledger::mark_of;
use crate::state::{LedgerHead, Store};

pub(super) struct FingerprintAndHistory;

impl Step for FingerprintAndHistory {
    fn version(&self) -> u32 {
        3
    }

    fn title(&self) -> &'static str {
        "note the fingerprint of the one-time keys, if the secret is there, and take the history out of the store"
    }

    fn actions<'a>(&self, context: &'a Context<'a>) -> Vec<Action<'a>> {
        vec![
            Action {
                title: "write ledger.mark as that of a key that exists".to_owned(),
                apply: Box::new(|locked| write_mark(context, locked)),
            },
            Action {
                title: "move the history that is in state/ into history.jsonl".to_owned(),
                apply: Box::new(|_| move_history(context)),
            },
        ]
    }

    /// A key whose secret is elsewhere is given it when the secret is back.
    fn manifest(&self, context: &Context<'_>) -> Result<Manifest> {
        let manifest = context.manifest.clone();
        Ok(match fingerprint_of(context.paths, &manifest)? {
            Some(fingerprint) => manifest.with_fingerprint(fingerprint),
            None => manifest,
        })
    }
}

/// The last action of a creation: from here on a copy of secret and mark alone no longer says that the key has not signed.
fn write_mark(context: &Context<'_>, locked: &LockedDir) -> Result<()> {
    let file = context.paths.ledger_mark();
    let key_id = context.manifest.key_id();
    let mark = match LedgerMark::read(&file, key_id) {
        // What is wrong with it, sign, check and ledger init say.
        Err(error) if matches!(error.reason(), Reason::MarkDamaged | Reason::NotAFile) => return Ok(()),
        mark => mark?,
    };
    let mark = match (mark, ledger_head(context)?) {
        (Some(mark), Some(head)) => LedgerMark {
            stage: Stage::of_key(head.initialised && mark.vouches()),
            ..mark
        },
        (Some(mark), None) if mark.stage == Stage::Creating => LedgerMark {
            stage: Stage::Begun,
            ..mark
        },
        (None, Some(head)) if head.knows_nothing() => mark_of(&head, key_id, 0),
        // One that is lost, which a new one would hide; or an older one, which is read as that of a key that exists.
        _ => return Ok(()),
    };
    mark.write(locked)
}

/// Carries the history over, if it can be, and drops its column family, after which there is nothing more to do.
fn move_history(context: &Context<'_>) -> Result<()> {
    let state = context.paths.state();
    if !state.exists()? {
        return Ok(());
    }
    let opened = match Store::open_with_history(&state, &context.manifest.binding()) {
        // A repair puts a new store in its place.
        Err(error) if error.kind() == FailureKind::Directory => return Ok(()),
        opened => opened?,
    };
    let Some(mut store) = opened else {
        return Ok(());
    };
    let lost = |error: &dyn Display| tracing::warn!("the history of this key is lost: {error}");
    match store.old_history() {
        Ok(history) => {
            if let Err(failure) = replace_all(&context.paths.history(), &history) {
                lost(&failure);
            }
        }
        Err(error) if error.reason() == Reason::Damaged => lost(&error),
        Err(error) => return Err(error),
    }
    store.drop_history()
}

/// What the ledger says; none where it cannot be read, as beside a damaged store, whose repair needs this version first.
fn ledger_head(context: &Context<'_>) -> Result<Option<LedgerHead>> {
    let state = context.paths.state();
    if !state.exists()? {
        return Ok(None);
    }
    let opened = Store::open_read_only(&state, &context.manifest.binding());
    match opened.and_then(|store| store.ledger_head()) {
        Err(error) if error.kind() == FailureKind::Directory => Ok(None),
        head => Ok(Some(head?.unwrap_or_default())),
    }
}
