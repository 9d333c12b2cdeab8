//! The page that every layer file begins with (docs/FORMAT.md, "Layer files").

use std::path::Path;

use super::bad_header;
use crate::error::Result;
use crate::plan::{LAYER_HEADER_BYTES, LevelSpan};
use crate::units::{KeyId, Level};

const MAGIC: [u8; 8] = *b"KEYMILL\n";
const LAYER_FORMAT_VERSION: u32 = 1;
/// Bytes that carry something; the checksum follows, and zeros up to the end of the page.
const FIELDS_BYTES: usize = 52;

/// What a layer file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) key_id: KeyId,
    pub(crate) level: Level,
    pub(crate) first_index: u64,
    pub(crate) count: u64,
    pub(crate) digest_bytes: u32,
}

impl Header {
    pub(crate) fn new(key_id: KeyId, span: &LevelSpan, digest_bytes: usize) -> Self {
        Self {
            key_id,
            level: span.level,
            first_index: span.stored.start,
            count: span.stored_count(),
            digest_bytes: digest_bytes as u32,
        }
    }

    /// Length of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        LAYER_HEADER_BYTES + self.count * u64::from(self.digest_bytes)
    }

    /// The whole page, little-endian throughout.
    pub(crate) fn to_page(&self) -> [u8; LAYER_HEADER_BYTES as usize] {
        page_of(&[
            &MAGIC,
            &LAYER_FORMAT_VERSION.to_le_bytes(),
            &u32::from(self.level.0).to_le_bytes(),
            &self.key_id.0,
            &self.first_index.to_le_bytes(),
            &self.count.to_le_bytes(),
            &self.digest_bytes.to_le_bytes(),
        ])
    }

    /// Compares the page of a file with what it has to be, and names the first difference.
    pub(crate) fn check_page(&self, page: &[u8], path: &Path) -> Result<()> {
        let expected = self.to_page();
        if page == expected {
            return Ok(());
        }
        let damaged = |offset: usize, what: String| bad_header(path, offset as u64, &what);
        let version = page.get(8..12).and_then(|v| v.try_into().ok());
        let version = version.map_or(0, u32::from_le_bytes);
        if page.get(..8) == Some(&MAGIC) && version > LAYER_FORMAT_VERSION {
            return Err(damaged(
                8,
                format!(
                    "layer format {version} is newer than {LAYER_FORMAT_VERSION}, the newest that this program reads"
                ),
            ));
        }
        let offset = page.iter().zip(&expected).position(|(a, b)| a != b);
        let offset = offset.unwrap_or(page.len().min(expected.len()));
        Err(damaged(offset, field_at(offset).to_owned()))
    }
}

/// A page with these fields, their checksum, and zeros.
pub(super) fn page_of(fields: &[&[u8]]) -> [u8; LAYER_HEADER_BYTES as usize] {
    let mut content = fields.concat();
    content.extend(crc32fast::hash(&content).to_le_bytes());
    let mut page = [0; LAYER_HEADER_BYTES as usize];
    page[..content.len()].copy_from_slice(&content);
    page
}

fn field_at(offset: usize) -> &'static str {
    match offset {
        0..8 => "magic",
        8..12 => "format version",
        12..16 => "level",
        16..32 => "key id",
        32..40 => "first index",
        40..48 => "count",
        48..FIELDS_BYTES => "digest length",
        FIELDS_BYTES..56 => "header checksum",
        _ => "zero padding",
    }
}
