//! What the handlers of all requests share.

use super::call::Call;
use super::hosts::Hosts;
use super::metrics::Figures;
use super::page::Live;
use super::refusal::{self, Refusal};
use super::reload::Reloads;
use crate::error::Result as Outcome;
use crate::service::engine::{Engine, NotAdmitted};
use crate::service::keys::KeyIndex;
use crate::service::limits::Limits;
use crate::service::memory::MemoryWatch;
use crate::service::token::Token;

/// The service, as a request finds it.
pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) memory: MemoryWatch,
    pub(crate) figures: Figures,
    pub(crate) live: Live,
    pub(crate) token: Option<Token>,
    pub(crate) limits: Limits,
    pub(crate) hosts: Hosts,
    pub(crate) reloads: Reloads,
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

    /// Why a request has no outcome: the service ends, or a thread of it failed.
    pub(crate) fn unanswered(&self) -> Refusal {
        Refusal::plain(if self.engine.is_ending() {
            refusal::ENDING
        } else {
            refusal::FAILED
        })
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(why: NotAdmitted) -> Self {
        Self::plain(match why {
            NotAdmitted::TooMany { most } => {
                let what = format!("it asks for more than may wait at a time, which is {most}");
                return Self::new(refusal::TOO_LARGE, what);
            }
            NotAdmitted::QueueFull => refusal::QUEUE_FULL,
            NotAdmitted::Closed => refusal::ENDING,
        })
    }
}
