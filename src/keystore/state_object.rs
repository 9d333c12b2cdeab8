//! The object `state`: what was spent when the file was written. For people: nothing that signs reads it.

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::units::EpochRange;

/// A ledger that refuses to let an epoch sign twice is what EIP-8310 calls slashing protection.
const AUTHORITY: &str = "slashing-protection";

/// What a ledger said of a key when its keystore was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The epochs that the key stores.
    pub(crate) stored: EpochRange,
    /// How many of them are spent, and the highest.
    pub(crate) spent: u64,
    pub(crate) highest: Option<u32>,
    /// Where the ledger is found that decides.
    pub(crate) reference: String,
    /// Whether the file has left the directory of its ledger.
    pub(crate) is_for_recovery: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct StateObject {
    authoritative: bool,
    authority: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    capacity: Capacity,
    high_water: Option<u64>,
    reserved_ranges: Vec<ReservedRange>,
    /// Ours: only to compute the key again with, not to sign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    recovery_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Capacity {
    total: u64,
    consumed: u64,
    remaining: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct ReservedRange {
    id: String,
    start: u64,
    end: u64,
    high_water: u64,
}

impl StateObject {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let total = snapshot.stored.count();
        Self {
            authoritative: false,
            authority: AUTHORITY.to_owned(),
            reference: Some(snapshot.reference.clone()),
            capacity: Capacity {
                total,
                consumed: snapshot.spent,
                remaining: total.saturating_sub(snapshot.spent),
            },
            high_water: snapshot.highest.map(u64::from),
            reserved_ranges: Vec::new(),
            recovery_only: snapshot.is_for_recovery,
        }
    }

    /// Refuses what claims more than a file can: to decide what may sign, or to share epochs between signers that overlap.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.authoritative {
            return Err("its 'state' calls itself authoritative, and no file decides which epochs may sign".to_owned());
        }
        if self.authority != AUTHORITY {
            return Err(format!(
                "the 'authority' of its 'state' is not '{AUTHORITY}', which goes with 'synchronized'"
            ));
        }
        let mut ranges: Vec<_> = self.reserved_ranges.iter().collect();
        ranges.sort_by_key(|range| range.start);
        let is_sound = |range: &&ReservedRange| range.start <= range.end;
        let overlap = ranges.windows(2).any(|pair| pair[1].start <= pair[0].end);
        if overlap || !ranges.iter().all(is_sound) {
            return Err("the 'reserved_ranges' of its 'state' overlap, or end before they begin".to_owned());
        }
        Ok(())
    }
}
