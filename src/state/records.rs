//! What a checkpoint says, and its bytes: a version byte, then bincode (docs/FORMAT.md, "state").
//!
//! The only file that names bincode, so that another encoding can follow it behind another version byte.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::plan::Batches;

const RECORD_VERSION: u8 = 1;

/// A batch whose slices are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchRecord {
    /// CRC-32 of the batch's slice of each level that was stored when the record was made, from the lowest up to the
    /// batch's root.
    #[serde(deserialize_with = "list")]
    pub(crate) slice_crc32: Vec<u32>,
}

impl BatchRecord {
    /// The checksums of the levels that these batches store now, which are the last ones: a key that was trimmed has
    /// records of more levels. `None` if it cannot be a record of such a batch.
    pub(crate) fn of_stored(&self, batches: &Batches) -> Option<&[u32]> {
        let (stored, all) = (batches.stored_levels().len(), batches.levels().count());
        let recorded = self.slice_crc32.len();
        (stored..=all)
            .contains(&recorded)
            .then(|| &self.slice_crc32[recorded - stored..])
    }
}

/// A level above the batches that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrownRecord {
    /// CRC-32 of each piece of the level, in order; a piece is 1,024 nodes, the last one shorter.
    #[serde(deserialize_with = "list")]
    pub(crate) piece_crc32: Vec<u32>,
}

/// How the job stood at its last commit. For people: nothing is recovered from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRecord {
    /// Batches that were committed by all runs together.
    pub batches_done: u64,
    /// When the run that committed last had begun, in milliseconds since 1970.
    pub run_started_unix_ms: u64,
    /// When it committed last, in milliseconds since 1970.
    pub committed_unix_ms: u64,
    /// Epochs that this run has committed.
    pub run_epochs: u64,
}

/// A record's bytes are not what this program writes.
#[derive(Debug)]
pub(crate) struct RecordDamaged;

pub(crate) fn encode(record: &impl Serialize) -> Result<Vec<u8>, RecordDamaged> {
    let mut bytes = vec![RECORD_VERSION];
    let body = bincode::serde::encode_to_vec(record, bincode::config::standard()).map_err(|_| RecordDamaged)?;
    bytes.extend(body);
    Ok(bytes)
}

/// Reads a record in the one form in which it is written: an integer that takes more bytes than it needs is damage too.
pub(crate) fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordDamaged> {
    // A length inside the record must never make us allocate more than a record can need.
    const LENGTH_MAX: usize = 1 << 20;
    let Some((&RECORD_VERSION, body)) = bytes.split_first() else {
        return Err(RecordDamaged);
    };
    let config = bincode::config::standard().with_limit::<LENGTH_MAX>();
    let decoded = bincode::serde::decode_from_slice(body, config);
    let (record, used): (T, usize) = decoded.map_err(|_| RecordDamaged)?;
    match used == body.len() && encode(&record)? == bytes {
        true => Ok(record),
        false => Err(RecordDamaged),
    }
}

/// A list that grows as its items come. Its length is a claim; room for it must not be made before they are there.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Items(PhantomData))
}

/// A text, taken from where it stands. Its length is a claim too; a text of its own would be made room for first.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    <&str>::deserialize(deserializer).map(str::to_owned)
}

/// The bytes that a record which can be read is written as.
#[cfg(any(test, fuzzing))]
pub(crate) fn reencoded<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
    encode(&decode::<T>(bytes).ok()?).ok()
}
