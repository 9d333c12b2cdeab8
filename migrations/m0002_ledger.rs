//! Version 2: the ledger of signed epochs has a head, and `ledger.mark` stands beside it.

use super::{Action, Context, Step};
use crate::error::Result;
use crate::keydir::{LedgerMark, LockedDir};
use crate::ledger::{count, is_unused, mark_of};
use crate::state::{LedgerHead, Store};

pub(super) struct BeginLedger;

impl Step for BeginLedger {
    fn version(&self) -> u32 {
        2
    }

    fn title(&self) -> &'static str {
        "begin the ledger of signed epochs"
    }

    fn actions<'a>(&self, context: &'a Context<'a>) -> Vec<Action<'a>> {
        // What cannot be read now is an error when the head is written.
        let history = match is_unused(context.paths, context.manifest) {
            Ok(true) => "no epoch is spent",
            _ => "which epochs are spent is not known",
        };
        vec![
            Action {
                title: format!("write the head of the ledger into state/: {history}"),
                apply: Box::new(|_| write_head(context)),
            },
            Action {
                title: "write ledger.mark".to_owned(),
                apply: Box::new(|locked| write_mark(context, locked)),
            },
        ]
    }
}

fn open_store(context: &Context<'_>) -> Result<Store> {
    Store::open(&context.paths.state(), &context.manifest.binding())
}

fn write_head(context: &Context<'_>) -> Result<()> {
    let store = open_store(context)?;
    // A head that is there was written by this action before, or by a program that signed: it is never begun again.
    if store.ledger_head()?.is_some() {
        return Ok(());
    }
    let counted = count(&store)?;
    let initialised = counted.extent.spent == 0 && is_unused(context.paths, context.manifest)?;
    let head = LedgerHead { initialised, ..counted };
    store.commit_ledger([], &head)
}

fn write_mark(context: &Context<'_>, locked: &LockedDir) -> Result<()> {
    let file = context.paths.ledger_mark();
    let key_id = context.manifest.key_id();
    if LedgerMark::read(&file, key_id)?.is_some() {
        return Ok(());
    }
    let head = open_store(context)?.ledger_head()?.unwrap_or_default();
    // The mark of a ledger that has entries is lost, and a new one would hide that.
    if head.extent.spent > 0 {
        return Ok(());
    }
    mark_of(&head, key_id, 0).write(locked)
}
