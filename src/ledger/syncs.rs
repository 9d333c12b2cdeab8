//! The two writes of a ledger: its store, and then its mark.

use crate::error::Result;
use crate::files::publish::Replacement;
use crate::workers::spawn_scoped;

/// How their syncs are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// One after the other, in the thread of the caller.
    InTurn,
    /// What is to be the mark is made durable while the store is written, by a thread for it. It takes the place of the mark only
    /// when the store is written, as ever.
    #[cfg(feature = "serve")]
    SideBySide,
}

impl Syncs {
    /// Writes the store, and makes a draft of the mark. The caller puts it in its place.
    ///
    /// # Errors
    /// That of the store; else that of the draft, which is gone if either fails.
    pub(super) fn write(
        self,
        store: impl FnOnce() -> Result<()>,
        draft: impl Fn() -> Result<Replacement> + Sync,
    ) -> Result<Replacement> {
        if self == Self::InTurn {
            store()?;
            return draft();
        }
        std::thread::scope(|scope| {
            // Without a thread for it, the draft is made afterwards.
            let drafting = spawn_scoped(scope, &draft).ok();
            let written = store();
            let drafted =
                drafting.map(|drafting| drafting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            written?;
            drafted.unwrap_or_else(&draft)
        })
    }
}
