//! What a checkpoint says, and its bytes: a version byte, then bincode (docs/FORMAT.md, "state").
//!
//! The only file that names bincode, so that another encoding can follow it behind another version byte.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const RECORD_VERSION: u8 = 1;

/// A batch whose slices are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchRecord {
    /// CRC-32 of the batch's slice of each level, from the leaves upward.
    pub(crate) slice_crc32: Vec<u32>,
}

/// A level above the batches that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrownRecord {
    /// CRC-32 of each piece of the level, in order; a piece is 1,024 nodes, the last one shorter.
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

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordDamaged> {
    // A length inside the record must never make us allocate more than a record can need.
    const LENGTH_MAX: usize = 1 << 20;
    let Some((&RECORD_VERSION, body)) = bytes.split_first() else {
        return Err(RecordDamaged);
    };
    let config = bincode::config::standard().with_limit::<LENGTH_MAX>();
    match bincode::serde::decode_from_slice(body, config) {
        Ok((record, used)) if used == body.len() => Ok(record),
        _ => Err(RecordDamaged),
    }
}
