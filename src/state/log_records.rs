//! A kind of damage in RocksDB's logs that it would not report: it would take a log for empty, or read the same bytes for ever.

use std::io::Read;

use crate::failure::{IoFailure, attempt};
use crate::files::Entry;

/// No record goes beyond the end of a block (rocksdb/db/log_format.h).
const BLOCK_BYTES: usize = 32 << 10;
/// Checksum, length and type.
const HEADER_BYTES: usize = 7;
/// Types of records in a log that takes the place of an older one in the same file. Ours never do. RocksDB (11.8,
/// `Reader::ReadPhysicalRecord`) takes a log that begins with one for what is left of the older one, and looks at one further
/// behind again and again.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// The offset of the first record in a log that has such a type.
pub(super) fn recycled_record(log: &Entry) -> Result<Option<u64>, IoFailure> {
    let mut file = log.open_to_read()?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut block_offset = 0;
    loop {
        block.clear();
        let block_bytes = BLOCK_BYTES as u64;
        attempt("read", log.path(), || {
            (&mut file).take(block_bytes).read_to_end(&mut block)
        })?;
        if let Some(at) = recycled_record_of_block(&block) {
            return Ok(Some(block_offset + at as u64));
        }
        if block.len() < BLOCK_BYTES {
            return Ok(None);
        }
        block_offset += block_bytes;
    }
}

fn recycled_record_of_block(block: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&[_, _, _, _, low, high, kind]) = block.get(at..).and_then(|rest| rest.first_chunk::<HEADER_BYTES>())
    {
        let length = usize::from(u16::from_le_bytes([low, high]));
        match kind {
            kind if RECYCLED.contains(&kind) => return Some(at),
            // The rest was reserved and never written.
            0 if length == 0 => return None,
            _ => at += HEADER_BYTES + length,
        }
    }
    None
}
