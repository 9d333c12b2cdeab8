//! What closes the file of a part: checksums of the pieces, a digest and a tag, and how the whole file is written.

use sha3::{Digest, Sha3_256};

use super::kmac::{Kmac256, TAG_BYTES};
use super::{DIGEST_BYTES, Layout, LevelPlace, PAGE_BYTES};
use crate::plan::{Plan, pieces};
use crate::units::Slice;
use keymill_xmss::hash::PrfKey;

const TAG_DOMAIN: &[u8] = b"keymill/1 part";

/// The checksums that close a file, over all that comes before.
struct Closing {
    digest: Sha3_256,
    tag: Kmac256,
}

impl Closing {
    fn new(prf_key: &PrfKey) -> Self {
        Self {
            digest: Sha3_256::new(),
            tag: Kmac256::new(prf_key.expose(), TAG_DOMAIN),
        }
    }

    /// Of content: both go over it.
    fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.tag.update(bytes);
    }

    /// The digest of all content, and the tag of that and the digest.
    fn finish(mut self) -> ([u8; DIGEST_BYTES], [u8; TAG_BYTES]) {
        let digest: [u8; DIGEST_BYTES] = self.digest.finalize().into();
        self.tag.update(&digest);
        (digest, self.tag.finish())
    }
}

/// Writes the file of a part: `read` gives the digests of a slice of it, `put` takes the bytes of the file in order.
pub(crate) fn write<E>(
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

/// Bytes that are read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// What is wrong with the checksums of a file, if something is: a piece does not match its own, or there is something where zeros
/// have to be. `read` gives the bytes at an offset.
pub(crate) fn wrong_checksums<E>(
    layout: &Layout,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Option<&'static str>, E> {
    let (mut bytes, mut table) = (Vec::new(), Vec::new());
    let digest_bytes = u64::from(layout.header.digest_bytes);
    for LevelPlace { span, offset } in &layout.levels {
        let mut at = *offset;
        for piece in pieces(span.level, span.stored.clone()) {
            bytes.resize(piece.count() * digest_bytes as usize, 0);
            read(at, &mut bytes)?;
            table.extend(crc32fast::hash(&bytes).to_le_bytes());
            at += bytes.len() as u64;
        }
        bytes.resize((at.next_multiple_of(PAGE_BYTES) - at) as usize, 0);
        read(at, &mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(Some("there is something else than zeros behind the nodes of a level"));
        }
    }
    bytes.resize(table.len(), 0);
    read(layout.table.start, &mut bytes)?;
    Ok((bytes != table).then_some("a piece of its nodes does not match its checksum"))
}

/// What is wrong with the end of a file, if something is: the digest of its content, or its tag. `read` gives the bytes at an
/// offset.
pub(crate) fn wrong_closing<E>(
    layout: &Layout,
    prf_key: &PrfKey,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Option<&'static str>, E> {
    let mut closing = Closing::new(prf_key);
    let end = layout.table.end;
    let mut chunk = vec![0; CHUNK_BYTES.min(end) as usize];
    for start in (0..end).step_by(CHUNK_BYTES as usize) {
        let chunk = &mut chunk[..CHUNK_BYTES.min(end - start) as usize];
        read(start, chunk)?;
        closing.update(chunk);
    }
    let mut found = [0; DIGEST_BYTES + TAG_BYTES];
    read(end, &mut found)?;
    let (digest, tag) = closing.finish();
    Ok(match found.split_at(DIGEST_BYTES) {
        (found, _) if found != digest => Some("its content does not match its digest"),
        (_, found) if found != tag => Some("its tag was not made with the secret of this key"),
        _ => None,
    })
}
