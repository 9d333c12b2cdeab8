//! The file of a part: where everything in it is, and how it is written (docs/FORMAT.md, "Parts of a key").

use std::ops::Range;

use sha3::{Digest, Sha3_256};

use super::division::top;
use super::kmac::{Kmac256, TAG_BYTES};
use crate::keydir::Manifest;
use crate::plan::{LevelSpan, Plan, pieces};
use crate::units::{EpochRange, KeyId, Level, Slice};
use keymill_xmss::hash::PrfKey;

const MAGIC: [u8; 8] = *b"KEYPART\n";
const PART_FORMAT_VERSION: u32 = 1;
/// Levels begin at pages, so that a file system can share their blocks.
pub(super) const PAGE_BYTES: u64 = 4096;
/// Bytes of the header that carry something; their checksum follows.
const FIELDS_BYTES: usize = 80;
const CHECKSUM_BYTES: u64 = 4;
pub(super) const DIGEST_BYTES: usize = 32;
const TAG_DOMAIN: &[u8] = b"keymill/1 part";
/// Ends the names of the files of parts.
pub(super) const EXTENSION: &str = ".part";

/// What the header of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    binding: [u8; 32],
    pub(super) epochs: EpochRange,
    trim: Level,
    top: Level,
    digest_bytes: u32,
    file_bytes: u64,
}

/// A level of a part, and where its nodes are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LevelPlace {
    pub(super) span: LevelSpan,
    pub(super) offset: u64,
}

/// Where everything in the file of a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(super) header: Header,
    /// From the highest down.
    pub(super) levels: Vec<LevelPlace>,
    /// Of the checksums of the pieces, level by level as above.
    pub(super) table: Range<u64>,
}

impl Layout {
    /// Of a key of which one part alone is made.
    pub(super) fn of(part: &Manifest) -> Self {
        let plan = part.plan();
        let digest_bytes = plan.scheme().digest_bytes() as u64;
        let (mut levels, mut offset, mut checksums) = (Vec::new(), PAGE_BYTES, 0);
        for span in plan.geometry().stored_levels().iter().rev() {
            let span = span.clone();
            checksums += pieces(span.level, span.stored.clone()).count() as u64;
            let end = offset + span.stored_count() * digest_bytes;
            levels.push(LevelPlace { span, offset });
            offset = end.next_multiple_of(PAGE_BYTES);
        }
        let table = offset..offset + checksums * CHECKSUM_BYTES;
        let header = Header {
            binding: part.binding(),
            epochs: plan.stored(),
            trim: plan.trim(),
            top: plan.geometry().root_level(),
            digest_bytes: digest_bytes as u32,
            file_bytes: table.end + (DIGEST_BYTES + TAG_BYTES) as u64,
        };
        Self { header, levels, table }
    }

    /// Length of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.header.file_bytes
    }

    /// Where the digests of some nodes are; `None` if the part does not have them all.
    pub(super) fn place(&self, slice: &Slice) -> Option<Range<u64>> {
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
    pub(super) fn to_page(&self) -> [u8; PAGE_BYTES as usize] {
        let mut page = [0; PAGE_BYTES as usize];
        let fields: [&[u8]; 9] = [
            &MAGIC,
            &PART_FORMAT_VERSION.to_le_bytes(),
            &self.digest_bytes.to_le_bytes(),
            &self.binding,
            &self.epochs.start.to_le_bytes(),
            &self.epochs.end.to_le_bytes(),
            &u32::from(self.trim.0).to_le_bytes(),
            &u32::from(self.top.0).to_le_bytes(),
            &self.file_bytes.to_le_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            page[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let checksum = crc32fast::hash(&page[..FIELDS_BYTES]);
        page[FIELDS_BYTES..FIELDS_BYTES + 4].copy_from_slice(&checksum.to_le_bytes());
        page
    }
}

/// The part of a key whose file begins with this page: the key with that part alone, and the layout of the file. The error says
/// why the page is not that of a part of this key.
pub(crate) fn read_page(page: &[u8; PAGE_BYTES as usize], key: &Manifest) -> Result<(Manifest, Layout), String> {
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
    if page[16..48] != key.binding() {
        return Err("it is a part of another key".to_owned());
    }
    let trim = key.plan().trim();
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
    let top = top(key.plan(), epochs).ok_or_else(|| format!("its epochs {epochs} are not a part of the key"))?;
    let part = key.part(epochs, top);
    let layout = Layout::of(&part);
    // All else in it follows from what was looked at.
    if layout.header.to_page() != *page {
        return Err("its header contradicts itself".to_owned());
    }
    Ok((part, layout))
}

/// The name of the file of a part.
pub(super) fn file_name(part: &Manifest) -> String {
    format!("{}{EXTENSION}", stem(part))
}

/// The same without its ending: of whatever belongs to a part.
pub(super) fn stem(part: &Manifest) -> String {
    let (plan, key_id) = (part.plan(), part.key_id());
    let EpochRange { start, end } = plan.stored();
    format!("{}{start}-{end}-t{}", name_prefix(key_id), plan.trim())
}

/// The beginning of the names of all parts of a key.
pub(super) fn name_prefix(key_id: KeyId) -> String {
    format!("{key_id}-")
}

/// The checksums that close a file, over all that comes before.
pub(super) struct Closing {
    digest: Sha3_256,
    tag: Kmac256,
}

impl Closing {
    pub(super) fn new(prf_key: &PrfKey) -> Self {
        Self {
            digest: Sha3_256::new(),
            tag: Kmac256::new(prf_key.expose(), TAG_DOMAIN),
        }
    }

    /// Of content: both go over it.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.tag.update(bytes);
    }

    /// The digest of all content, and the tag of that and the digest.
    pub(super) fn finish(mut self) -> ([u8; DIGEST_BYTES], [u8; TAG_BYTES]) {
        let digest: [u8; DIGEST_BYTES] = self.digest.finalize().into();
        self.tag.update(&digest);
        (digest, self.tag.finish())
    }
}

/// Writes the file of a part: `read` gives the digests of a slice of it, `put` takes the bytes of the file in order.
pub(super) fn write<E>(
    plan: &Plan,
    layout: &Layout,
    prf_key: &PrfKey,
    mut read: impl FnMut(&Slice, &mut Vec<u8>) -> Result<(), E>,
    mut put: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut closing = Closing::new(prf_key);
    let (mut bytes, mut table) = (Vec::new(), Vec::new());
    let mut both = |bytes: &[u8]| {
        closing.update(bytes);
        put(bytes)
    };
    both(&layout.header.to_page())?;
    let digest_bytes = plan.scheme().digest_bytes() as u64;
    for LevelPlace { span, offset } in &layout.levels {
        for piece in pieces(span.level, span.stored.clone()) {
            read(&piece, &mut bytes)?;
            table.extend(crc32fast::hash(&bytes).to_le_bytes());
            both(&bytes)?;
        }
        let end = offset + span.stored_count() * digest_bytes;
        let padding = end.next_multiple_of(PAGE_BYTES) - end;
        both(&[0; PAGE_BYTES as usize][..padding as usize])?;
    }
    both(&table)?;
    let (digest, tag) = closing.finish();
    put(&digest)?;
    put(&tag)
}
