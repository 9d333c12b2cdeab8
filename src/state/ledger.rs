//! What the ledger of signed epochs says: one record a spent epoch, and a head over all of them.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};

use super::records::text;
use crate::units::{Epoch, LedgerExtent};

const ENTRY_DOMAIN: &[u8] = b"keymill/1 ledger entry";

/// An epoch that is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerRecord {
    /// SHA3-256 of the message; none if the epoch was imported without one, and is spent on an unknown message.
    pub(crate) message_digest: Option<[u8; 32]>,
    /// Identifier of the scheme.
    #[serde(deserialize_with = "text")]
    pub(crate) scheme: String,
    /// When it was spent, in milliseconds since 1970; 0 if that is not known.
    pub(crate) signed_unix_ms: u64,
}

/// The ledger as a whole. It changes in the same write as the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerHead {
    /// Whether it is known from where the key is unused.
    pub(crate) initialised: bool,
    /// How far it is.
    pub(crate) extent: LedgerExtent,
    /// How far it was when the mark beside it was last known to fit: the only older mark that this ledger can have.
    pub(crate) marked: LedgerExtent,
    /// When an epoch was last spent, in milliseconds since 1970.
    pub(crate) last_unix_ms: u64,
}

impl LedgerHead {
    /// Counts an entry that is new.
    pub(crate) fn add(&mut self, epoch: Epoch, record: &LedgerRecord) {
        let hash = hash(epoch, record);
        self.last_unix_ms = self.last_unix_ms.max(record.signed_unix_ms);
        let extent = &mut self.extent;
        extent.spent += 1;
        extent.highest = extent.highest.max(Some(epoch.0));
        extent.digest = std::array::from_fn(|i| extent.digest[i] ^ hash[i]);
    }

    /// Whether no epoch is spent, and none known to be unused: then nothing of it can be lost.
    pub(crate) fn knows_nothing(&self) -> bool {
        !self.initialised && self.extent == LedgerExtent::default()
    }

    /// Whether both were made from the same entries.
    pub(crate) fn has_entries_of(&self, other: &Self) -> bool {
        let entries = |extent: &LedgerExtent| (extent.spent, extent.highest, extent.digest);
        entries(&self.extent) == entries(&other.extent)
    }
}

fn hash(epoch: Epoch, record: &LedgerRecord) -> [u8; 32] {
    let known = u8::from(record.message_digest.is_some());
    Sha3_256::new()
        .chain_update(ENTRY_DOMAIN)
        .chain_update(epoch.0.to_be_bytes())
        .chain_update([known])
        .chain_update(record.message_digest.unwrap_or_default())
        .chain_update(record.signed_unix_ms.to_be_bytes())
        .chain_update(&record.scheme)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::records::{decode, encode};
    use super::{LedgerHead, LedgerRecord};
    use crate::units::LedgerExtent;

    #[test]
    fn records_are_the_bytes_that_the_format_says() {
        let record = LedgerRecord {
            message_digest: Some([7; 32]),
            scheme: "ab".to_owned(),
            signed_unix_ms: 5,
        };
        let expected = [&[1, 1][..], &[7; 32], &[2, b'a', b'b', 5]].concat();
        assert_eq!(encode(&record).unwrap().as_ref(), expected);
        assert_eq!(decode::<LedgerRecord>(&expected).unwrap(), record);
        let head = LedgerHead {
            initialised: true,
            extent: LedgerExtent {
                first_epoch: 300,
                spent: 2,
                highest: Some(9),
                digest: [8; 32],
            },
            marked: LedgerExtent::default(),
            last_unix_ms: 6,
        };
        let extent = [&[251, 0x2c, 0x01, 2, 1, 9][..], &[8; 32]].concat();
        let marked = [&[0, 0, 0][..], &[0; 32]].concat();
        let expected = [&[1, 1][..], &extent, &marked, &[6]].concat();
        assert_eq!(encode(&head).unwrap().as_ref(), expected);
        assert_eq!(decode::<LedgerHead>(&expected).unwrap(), head);
    }
}
