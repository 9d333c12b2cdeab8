//! The file of a part: where everything in it is, and how it is written (docs/FORMAT.md, "Parts of a key").

mod closing;
mod kmac;

use std::ops::Range;

pub(crate) use closing::{write, wrong_checksums, wrong_closing};
use kmac::TAG_BYTES;

use super::header::page_of;
use crate::plan::{LevelSpan, Plan, piece_count};
use crate::units::{EpochRange, KeyId, Level, Slice};

const MAGIC: [u8; 8] = *b"KEYPART\n";
const PART_FORMAT_VERSION: u32 = 1;
/// Levels begin at pages, so that a file system can share their blocks.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// Bytes of the header that carry something; their checksum follows.
const FIELDS_BYTES: usize = 80;
const CHECKSUM_BYTES: u64 = 4;
pub(crate) const DIGEST_BYTES: usize = 32;
/// Ends the names of the files of parts.
pub(crate) const EXTENSION: &str = ".part";

/// What the header of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    binding: [u8; 32],
    pub(crate) epochs: EpochRange,
    trim: Level,
    top: Level,
    digest_bytes: u32,
    file_bytes: u64,
}

/// A level of a part, and where its nodes are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LevelPlace {
    pub(crate) span: LevelSpan,
    pub(crate) offset: u64,
}

/// Where everything in the file of a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) header: Header,
    /// From the highest down.
    pub(crate) levels: Vec<LevelPlace>,
    /// Of the checksums of the pieces, level by level as above.
    pub(crate) table: Range<u64>,
}

impl Layout {
    /// Of a part, whose plan this is, of the key of this binding.
    pub(crate) fn of(plan: &Plan, binding: &[u8; 32]) -> Self {
        let digest_bytes = plan.scheme().digest_bytes() as u64;
        let (mut levels, mut offset, mut checksums) = (Vec::new(), PAGE_BYTES, 0);
        for span in plan.geometry().stored_levels().iter().rev() {
            let span = span.clone();
            checksums += piece_count(span.stored_count());
            let end = offset + span.stored_count() * digest_bytes;
            levels.push(LevelPlace { span, offset });
            offset = end.next_multiple_of(PAGE_BYTES);
        }
        let table = offset..offset + checksums * CHECKSUM_BYTES;
        let header = Header {
            binding: *binding,
            epochs: plan.stored(),
            trim: plan.trim(),
            top: plan.geometry().root_level(),
            digest_bytes: digest_bytes as u32,
            file_bytes: table.end + (DIGEST_BYTES + TAG_BYTES) as u64,
        };
        Self { header, levels, table }
    }

    /// Length of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.header.file_bytes
    }

    /// Where the digests of some nodes are; `None` if the part does not have them all.
    pub(crate) fn place(&self, slice: &Slice) -> Option<Range<u64>> {
        let LevelPlace { span, offset } = self.levels.iter().find(|place| place.span.level == slice.level)?;
        if slice.nodes.start < span.stored.start || slice.nodes.end > span.stored.end {
            return None;
        }
        let digest_bytes = u64::from(self.header.digest_bytes);
        let at = |node: u64| offset + (node - span.stored.start) * digest_bytes;
        Some(at(slice.nodes.start)..at(slice.nodes.end))
    }
}

impl Header {
    pub(crate) fn to_page(&self) -> [u8; PAGE_BYTES as usize] {
        page_of(&[
            &MAGIC,
            &PART_FORMAT_VERSION.to_le_bytes(),
            &self.digest_bytes.to_le_bytes(),
            &self.binding,
            &self.epochs.start.to_le_bytes(),
            &self.epochs.end.to_le_bytes(),
            &u32::from(self.trim.0).to_le_bytes(),
            &u32::from(self.top.0).to_le_bytes(),
            &self.file_bytes.to_le_bytes(),
        ])
    }
}

/// The part of a key whose file begins with this page: its plan, and the layout of the file. The error says why the page is not that
/// of a part of this key.
pub(crate) fn read_page(
    page: &[u8; PAGE_BYTES as usize],
    key: &Plan,
    binding: &[u8; 32],
) -> Result<(Plan, Layout), String> {
    let word = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap_or_default());
    let long = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap_or_default());
    if page[..8] != MAGIC {
        return Err("it is not the file of a part".to_owned());
    }
    if word(8) != PART_FORMAT_VERSION {
        return Err(format!(
            "its format is {}, and this program knows format {PART_FORMAT_VERSION}",
            word(8)
        ));
    }
    if word(FIELDS_BYTES) != crc32fast::hash(&page[..FIELDS_BYTES]) {
        return Err("its header does not match its checksum".to_owned());
    }
    if page[16..48] != *binding {
        return Err("it is a part of another key".to_owned());
    }
    let trim = key.trim();
    if word(64) != u32::from(trim.0) {
        return Err(format!(
            "it was made with trim {}, and the key has trim {trim}",
            word(64)
        ));
    }
    let epochs = EpochRange {
        start: long(48),
        end: long(56),
    };
    let part = key
        .part_of(epochs)
        .ok_or_else(|| format!("its epochs {epochs} are not a part of the key"))?;
    let layout = Layout::of(&part, binding);
    // All else in it follows from what was looked at.
    if layout.header.to_page() != *page {
        return Err("its header contradicts itself".to_owned());
    }
    Ok((part, layout))
}

/// The name of the file of a part.
pub(crate) fn file_name(part: &Plan, key_id: KeyId) -> String {
    format!("{}{EXTENSION}", stem(part, key_id))
}

/// The same without its ending: of whatever belongs to a part.
pub(crate) fn stem(part: &Plan, key_id: KeyId) -> String {
    let EpochRange { start, end } = part.stored();
    format!("{}{start}-{end}-t{}", name_prefix(key_id), part.trim())
}

/// The beginning of the names of all parts of a key.
pub(crate) fn name_prefix(key_id: KeyId) -> String {
    format!("{key_id}-")
}

/// The plan of the part of a key that has this name, if one has.
pub(crate) fn of_name(name: &str, key: &Plan, key_id: KeyId) -> Option<Plan> {
    let (start, rest) = name.strip_prefix(&name_prefix(key_id))?.split_once('-')?;
    let (end, _) = rest.split_once('-')?;
    let part = key.part_of(EpochRange {
        start: start.parse().ok()?,
        end: end.parse().ok()?,
    })?;
    // Of several ways to write a number, one is the name.
    (file_name(&part, key_id) == name).then_some(part)
}
