//! What a checkpoint says, and its bytes: a version byte, then bincode (docs/FORMAT.md, "state").
//!
//! The only file that names bincode, so that another encoding can follow it behind another version byte.

use std::fmt;
use std::marker::PhantomData;

use bincode::error::EncodeError;
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

/// The scratch memory of the workers of the run that committed last. For people, as the progress is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArenaRecord {
    /// Most bytes that were in the arena of any worker.
    pub high_water_bytes: u64,
    /// Bytes of each arena.
    pub capacity_bytes: u64,
}

/// A record's bytes are not what this program writes.
#[derive(Debug)]
pub(crate) struct RecordDamaged;

/// No record of a commit is longer, but for those of which one is written after many: a batch record has up to eleven
/// checksums of five bytes.
const SHORT_BYTES_MAX: usize = 128;

/// The bytes of a record, on the heap only if they are many.
pub(crate) enum Encoded {
    Short([u8; SHORT_BYTES_MAX], usize),
    Long(Vec<u8>),
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..*length],
            Self::Long(bytes) => bytes,
        }
    }
}

pub(crate) fn encode(record: &impl Serialize) -> Result<Encoded, RecordDamaged> {
    let config = bincode::config::standard();
    let mut short = [RECORD_VERSION; SHORT_BYTES_MAX];
    match bincode::serde::encode_into_slice(record, &mut short[1..], config) {
        Ok(length) => return Ok(Encoded::Short(short, 1 + length)),
        Err(EncodeError::UnexpectedEnd) => {}
        Err(_) => return Err(RecordDamaged),
    }
    let mut long = vec![RECORD_VERSION];
    bincode::serde::encode_into_std_write(record, &mut long, config).map_err(|_| RecordDamaged)?;
    Ok(Encoded::Long(long))
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
    if used == body.len() && encode(&record)?.as_ref() == bytes {
        Ok(record)
    } else {
        Err(RecordDamaged)
    }
}

/// A list that grows as its items come. Its length is a claim; room for it must not be made before they are there.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
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
    Some(encode(&decode::<T>(bytes).ok()?).ok()?.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_commit_are_as_short_as_is_claimed_and_longer_ones_the_same_bytes_elsewhere() {
        let batch = |checksums| BatchRecord {
            slice_crc32: vec![u32::MAX; checksums],
        };
        assert!(matches!(encode(&batch(11)).unwrap(), Encoded::Short(_, 57)));
        for checksums in 0..100 {
            let record = batch(checksums);
            let encoded = encode(&record).unwrap();
            assert_eq!(encoded.as_ref().len(), 2 + 5 * checksums);
            assert_eq!(decode::<BatchRecord>(encoded.as_ref()).unwrap(), record);
        }
        let progress = ProgressRecord {
            batches_done: u64::MAX,
            run_started_unix_ms: u64::MAX,
            committed_unix_ms: u64::MAX,
            run_epochs: u64::MAX,
        };
        assert!(matches!(encode(&progress).unwrap(), Encoded::Short(_, 37)));
    }

    #[test]
    fn the_arena_record_is_the_bytes_that_the_format_says() {
        let record = ArenaRecord {
            high_water_bytes: 6784,
            capacity_bytes: 8128,
        };
        let bytes = [0x01, 0xfb, 0x80, 0x1a, 0xfb, 0xc0, 0x1f];
        assert_eq!(encode(&record).unwrap().as_ref(), bytes);
        assert_eq!(decode::<ArenaRecord>(&bytes).unwrap(), record);
    }
}
