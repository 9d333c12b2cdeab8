//! What the handlers of all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::call::Call;
use super::metrics::Figures;
use super::page::Live;
use super::refusal::{self, Refusal};
use crate::error::Result as Outcome;
use crate::service::engine::{Engine, NotAdmitted};
use crate::service::keys::KeyIndex;
use crate::service::memory::MemoryWatch;
use crate::service::token::Token;
use crate::workers::WhenDropped;

/// The service, as a request finds it.
pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) memory: MemoryWatch,
    pub(crate) figures: Figures,
    pub(crate) live: Live,
    pub(crate) token: Option<Token>,
    /// One reload at a time.
    pub(crate) is_reloading: AtomicBool,
    /// What a reload does beside opening ledgers again, as reading certificates.
    pub(crate) reload: Box<dyn Fn() -> Outcome<()> + Send + Sync>,
}

impl State {
    /// The key of the public key in an address.
    pub(crate) fn key(&self, call: &Call) -> Result<KeyIndex, Refusal> {
        self.find(call.parameter("public_key"))
    }

    /// The key with a public key that is written as 0x and hex digits.
    pub(crate) fn find(&self, text: &str) -> Result<KeyIndex, Refusal> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).map_err(|_| Refusal::form("a public key is 0x and hex digits"))?;
        self.engine
            .keys()
            .find(&bytes)
            .ok_or_else(|| Refusal::plain(refusal::UNKNOWN_KEY))
    }

    /// Whether another request can be taken.
    pub(crate) fn has_room(&self) -> Result<(), Refusal> {
        if self.memory.sample().is_nearly_full {
            return Err(Refusal::plain(refusal::MEMORY));
        }
        Ok(())
    }

    /// Begins a reload on a thread of its own, unless one is running.
    pub(crate) fn begin_reload(self: &Arc<Self>) -> Result<(), Refusal> {
        if self.is_reloading.swap(true, Ordering::AcqRel) {
            return Err(Refusal::plain(refusal::RELOADING));
        }
        let state = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // Also after a panic, so that the next one can try.
            let _done = WhenDropped(|| state.is_reloading.store(false, Ordering::Release));
            for ledger in state.engine.keys().ledgers() {
                if !ledger.reopen() {
                    tracing::error!("the ledger of '{}' cannot be opened", ledger.place().display());
                }
            }
            if let Err(error) = (state.reload)() {
                tracing::error!("{error}");
            }
        });
        Ok(())
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(why: NotAdmitted) -> Self {
        Self::plain(match why {
            NotAdmitted::QueueFull => refusal::QUEUE_FULL,
            NotAdmitted::Closed => refusal::ENDING,
        })
    }
}
