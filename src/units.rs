//! Newtypes for the indices that run through the whole program; those of the tree come from the compute crate.

use std::fmt;

pub use keymill_xmss::units::{Epoch, EpochRange, Fingerprint, Level, NodeIndex, Slice};
use serde::{Deserialize, Serialize};

/// Index of a batch: the epochs `[batch * batch_epochs, (batch + 1) * batch_epochs)`, counted from epoch 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchIndex(pub u64);

impl fmt::Display for BatchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identifier of a key: the same in its manifest and in the header of each of its layer files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// The first half of the hash of everything that decides the bytes of a key.
    pub(crate) fn of_binding(binding: &[u8; 32]) -> Self {
        Self(std::array::from_fn(|at| binding[at]))
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The identifier of the ledger of a set, drawn when that is begun: in its mark, and in the mark of each key that moved to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetLedgerId(pub(crate) [u8; 16]);

impl std::fmt::Display for SetLedgerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// How far a ledger of signed epochs is: in its head, and in the mark beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerExtent {
    /// Epochs below it that have no entry are not known to be unused.
    pub(crate) first_epoch: u64,
    /// Number of entries.
    pub(crate) spent: u64,
    /// Highest epoch with an entry.
    pub(crate) highest: Option<u32>,
    /// The hashes of all entries, xored. It finds accidents; anyone who can write entries can also make them fit.
    pub(crate) digest: [u8; 32],
}

impl LedgerExtent {
    /// The first epoch that is above everything that it knows.
    pub(crate) fn above_all_known(&self) -> u64 {
        let above = self.highest.map_or(0, |epoch| u64::from(epoch) + 1);
        above.max(self.first_epoch)
    }
}
