//! What the ledger of a set says: a record of each of its keys, and a head over all of them. The entries are those of a key's
//! own ledger.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};

use super::ledger::{LedgerHead, LedgerRecord};
use crate::units::{Epoch, Fingerprint, KeyId, LedgerExtent};

const KEY_DOMAIN: &[u8] = b"keymill/1 set ledger key";

/// What the ledger of a set is to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyStanding {
    /// Its entries are being copied, and the key does not sign.
    Arriving,
    /// The key signs by this ledger alone.
    Active,
    /// It has left; what is here is what it had signed until then.
    Gone,
}

/// What the ledger of a set says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetKeyRecord {
    /// What the ledger is to the key.
    pub(crate) standing: KeyStanding,
    /// The number of the move that made it so, as the mark of the key counts them.
    pub(crate) moves: u64,
    /// The fingerprint of its one-time keys.
    pub(crate) fingerprint: [u8; 32],
    /// Whether it is known from where the key is unused.
    pub(crate) initialised: bool,
    /// How far it is.
    pub(crate) extent: LedgerExtent,
    /// When an epoch was last spent, in milliseconds since 1970.
    pub(crate) last_unix_ms: u64,
}

impl SetKeyRecord {
    /// That of a key which arrives, and has nothing here yet.
    pub(crate) fn of_arrival(fingerprint: Fingerprint, moves: u64) -> Self {
        Self {
            standing: KeyStanding::Arriving,
            moves,
            fingerprint: fingerprint.0,
            initialised: false,
            extent: LedgerExtent::default(),
            last_unix_ms: 0,
        }
    }

    /// The same as the head of a key's own ledger.
    pub(crate) fn head(&self) -> LedgerHead {
        LedgerHead {
            initialised: self.initialised,
            extent: self.extent,
            marked: LedgerExtent::default(),
            last_unix_ms: self.last_unix_ms,
        }
    }

    /// The record with what such a head says.
    pub(crate) fn with_head(self, head: &LedgerHead) -> Self {
        Self {
            initialised: head.initialised,
            extent: head.extent,
            last_unix_ms: head.last_unix_ms,
            ..self
        }
    }

    /// Counts an entry that is new.
    pub(crate) fn add(&mut self, epoch: Epoch, record: &LedgerRecord) {
        let mut head = self.head();
        head.add(epoch, record);
        *self = self.with_head(&head);
    }

    fn hash(&self, key: KeyId) -> [u8; 32] {
        let highest = self.extent.highest;
        Sha3_256::new()
            .chain_update(KEY_DOMAIN)
            .chain_update(key.0)
            .chain_update([self.standing as u8])
            .chain_update(self.moves.to_be_bytes())
            .chain_update(self.fingerprint)
            .chain_update([u8::from(self.initialised)])
            .chain_update(self.extent.first_epoch.to_be_bytes())
            .chain_update(self.extent.spent.to_be_bytes())
            .chain_update([u8::from(highest.is_some())])
            .chain_update(highest.unwrap_or_default().to_be_bytes())
            .chain_update(self.extent.digest)
            .chain_update(self.last_unix_ms.to_be_bytes())
            .finalize()
            .into()
    }
}

/// How far the ledger of a set is: in its head, and in the mark beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetExtent {
    /// Number of keys that it has a record of.
    pub(crate) keys: u64,
    /// Number of entries of all keys.
    pub(crate) entries: u64,
    /// The hashes of the records of all keys, xored. Each of them has the digest of the key's entries.
    pub(crate) digest: [u8; 32],
}

impl SetExtent {
    /// Takes in the record of a key, in the place of the one before.
    pub(crate) fn replace(&mut self, key: KeyId, before: Option<&SetKeyRecord>, now: &SetKeyRecord) {
        // Numbers that somebody has put there must not end the process. Such a sum is that of no head.
        if let Some(before) = before {
            self.keys = self.keys.wrapping_sub(1);
            self.entries = self.entries.wrapping_sub(before.extent.spent);
            self.mix(before.hash(key));
        }
        self.keys = self.keys.wrapping_add(1);
        self.entries = self.entries.wrapping_add(now.extent.spent);
        self.mix(now.hash(key));
    }

    fn mix(&mut self, hash: [u8; 32]) {
        self.digest = std::array::from_fn(|i| self.digest[i] ^ hash[i]);
    }
}

/// The ledger of a set as a whole. It changes in the same write as the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetHead {
    /// How far it is.
    pub(crate) extent: SetExtent,
    /// How far it was when the mark beside it was last known to fit: the only older mark that this ledger can have.
    pub(crate) marked: SetExtent,
}

#[cfg(test)]
mod tests {
    use super::super::records::{decode, encode};
    use super::{KeyStanding, SetExtent, SetHead, SetKeyRecord};
    use crate::units::{KeyId, LedgerExtent};

    fn record() -> SetKeyRecord {
        SetKeyRecord {
            standing: KeyStanding::Gone,
            moves: 3,
            fingerprint: [4; 32],
            initialised: true,
            extent: LedgerExtent {
                first_epoch: 300,
                spent: 2,
                highest: Some(9),
                digest: [8; 32],
            },
            last_unix_ms: 6,
        }
    }

    #[test]
    fn records_of_a_set_are_the_bytes_that_the_format_says() {
        let extent = [&[251, 0x2c, 0x01, 2, 1, 9][..], &[8; 32]].concat();
        let expected = [&[1, 2, 3][..], &[4; 32], &[1], &extent, &[6]].concat();
        assert_eq!(encode(&record()).unwrap().as_ref(), expected);
        assert_eq!(decode::<SetKeyRecord>(&expected).unwrap(), record());
        let head = SetHead {
            extent: SetExtent {
                keys: 2,
                entries: 300,
                digest: [7; 32],
            },
            marked: SetExtent::default(),
        };
        let expected = [&[1, 2, 251, 0x2c, 0x01][..], &[7; 32], &[0, 0], &[0; 32]].concat();
        assert_eq!(encode(&head).unwrap().as_ref(), expected);
        assert_eq!(decode::<SetHead>(&expected).unwrap(), head);
    }

    #[test]
    fn the_extent_of_a_set_does_not_depend_on_the_way_to_it_and_every_part_of_a_record_counts() {
        let (one, other) = (KeyId([1; 16]), KeyId([2; 16]));
        let mut straight = SetExtent::default();
        straight.replace(one, None, &record());
        straight.replace(other, None, &record());
        let early = SetKeyRecord {
            standing: KeyStanding::Active,
            ..record()
        };
        let mut around = SetExtent::default();
        around.replace(other, None, &early);
        around.replace(one, None, &record());
        assert_ne!(around, straight);
        around.replace(other, Some(&early), &record());
        assert_eq!(around, straight);
        let with_extent = |change: fn(&mut LedgerExtent)| {
            let mut changed = record();
            change(&mut changed.extent);
            changed
        };
        let changes = [
            SetKeyRecord { moves: 4, ..record() },
            SetKeyRecord {
                fingerprint: [5; 32],
                ..record()
            },
            SetKeyRecord {
                initialised: false,
                ..record()
            },
            SetKeyRecord {
                last_unix_ms: 7,
                ..record()
            },
            early,
            with_extent(|extent| extent.first_epoch += 1),
            with_extent(|extent| extent.highest = None),
            with_extent(|extent| extent.digest[31] ^= 1),
        ];
        for changed in changes {
            let mut found = straight;
            found.replace(one, Some(&record()), &changed);
            assert_ne!(found, straight, "{changed:?}");
        }
    }
}
