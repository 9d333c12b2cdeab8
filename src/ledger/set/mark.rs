//! SET/ledger/set.mark: how far the ledger of a set was, noted outside of RocksDB (docs/FORMAT.md, "The ledger of a set").

use std::io::Read;
use std::path::Path;

use super::error::{backwards, bad_mark};
use crate::error::Result;
use crate::failure::attempt;
use crate::files::publish::{Mode, Replacement};
use crate::files::{Entry, not_regular};
use crate::keydir::with_checksum;
use crate::state::{SetExtent, SetHead};
use crate::text::counted;
use crate::units::SetLedgerId;

const MARK_MODE: Mode = Mode::Umasked(0o600);
const TITLE: &str = "keymill-set-ledger-mark 1";
const TEXT_BYTES_MAX: u64 = 1024;

/// What the ledger of a set said when it was last written to. A ledger that says less has lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetMark {
    /// The ledger that it is of.
    pub(super) id: SetLedgerId,
    /// How far it was.
    pub(super) extent: SetExtent,
}

impl SetMark {
    /// Replaces the file, atomically and durably.
    pub(super) fn write(&self, file: &Entry) -> Result<()> {
        Ok(self.draft(file)?.put()?)
    }

    /// What is to take the place of the file.
    pub(super) fn draft(&self, file: &Entry) -> Result<Replacement> {
        Ok(Replacement::new(file, self.to_text().as_bytes(), MARK_MODE)?)
    }

    /// Reads the mark; `None` if there is no such file.
    pub(super) fn read(file: &Entry) -> Result<Option<Self>> {
        let path = file.path();
        let opened = match file.open_to_read() {
            Err(failure) if failure.is_missing() => return Ok(None),
            Err(failure) => {
                let found = not_regular(&failure);
                return Err(found.map_or_else(|| failure.into(), |found| bad_mark(path, found.words())));
            }
            Ok(opened) => opened,
        };
        let mut bytes = Vec::new();
        attempt("read", path, || opened.take(TEXT_BYTES_MAX).read_to_end(&mut bytes))?;
        Self::parse_bytes(&bytes).map(Some).map_err(|what| bad_mark(path, what))
    }

    /// Reads a mark; the error says what the bytes are not.
    pub(crate) fn parse_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
        let mark = Self::parse(text).ok_or("it is not what keymill writes")?;
        // There is one way to write a mark, its checksum included.
        if mark.to_text() == text {
            Ok(mark)
        } else {
            Err("its checksum does not match; it was changed after keymill wrote it")
        }
    }

    /// The one way in which it is written.
    pub(crate) fn to_text(self) -> String {
        let SetExtent { keys, entries, digest } = self.extent;
        let (id, digest) = (self.id, hex::encode(digest));
        with_checksum(&format!(
            "{TITLE}\nset {id}\nkeys {keys}\nentries {entries}\ndigest {digest}\n"
        ))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let id = field("set")?;
        let mut mark = Self {
            id: SetLedgerId([0; 16]),
            extent: SetExtent {
                keys: field("keys")?.parse().ok()?,
                entries: field("entries")?.parse().ok()?,
                digest: [0; 32],
            },
        };
        hex::decode_to_slice(id, &mut mark.id.0).ok()?;
        hex::decode_to_slice(field("digest")?, &mut mark.extent.digest).ok()?;
        Some(mark)
    }

    /// Compares the head of a ledger with its mark: whether the mark is a step behind, and is to be written again. A ledger
    /// is written before its mark is, and only ever grows.
    pub(super) fn is_behind(&self, head: &SetHead, set: &Path) -> Result<bool> {
        let (now, before) = (&head.extent, &self.extent);
        if before == now {
            return Ok(false);
        }
        if *before == head.marked {
            return Ok(true);
        }
        let how = if before.keys > now.keys {
            format!("{}, {} expected", counted(now.keys, "key"), before.keys)
        } else if before.entries > now.entries {
            format!("{}, {} expected", counted(now.entries, "entry"), before.entries)
        } else {
            let now = (counted(now.keys, "key"), counted(now.entries, "entry"));
            let before = (counted(before.keys, "key"), counted(before.entries, "entry"));
            format!(
                "{} with {}, but its mark is of another state, with {} and {}",
                now.0, now.1, before.0, before.1
            )
        };
        Err(backwards(set, &how))
    }
}

#[cfg(test)]
mod tests {
    use super::SetMark;
    use crate::error::Reason;
    use crate::files::Directory;
    use crate::state::{SetExtent, SetHead};
    use crate::units::SetLedgerId;

    fn mark() -> SetMark {
        SetMark {
            id: SetLedgerId([7; 16]),
            extent: SetExtent {
                keys: 2,
                entries: 30,
                digest: [9; 32],
            },
        }
    }

    #[test]
    fn a_mark_of_a_set_with_any_byte_changed_or_cut_is_no_mark() {
        let place = tempfile::tempdir().unwrap();
        let file = Directory::open(place.path()).unwrap().entry("set.mark");
        assert_eq!(SetMark::read(&file).unwrap(), None);
        mark().write(&file).unwrap();
        assert_eq!(SetMark::read(&file).unwrap(), Some(mark()));
        let whole = std::fs::read(file.path()).unwrap();
        for at in 0..whole.len() {
            for changed in [whole[at] ^ 0x01, whole[at] ^ 0x20, b'\n', 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = changed;
                assert!(bytes == whole || SetMark::parse_bytes(&bytes).is_err(), "byte {at}");
            }
            assert!(SetMark::parse_bytes(&whole[..at]).is_err(), "cut to {at} bytes");
        }
        assert!(SetMark::parse_bytes(&[&whole[..], b"\n"].concat()).is_err());
    }

    #[test]
    fn a_ledger_of_a_set_fits_its_own_mark_and_the_one_before_and_no_other() {
        let now = mark().extent;
        let before = SetExtent {
            entries: 29,
            digest: [8; 32],
            ..now
        };
        let head = SetHead {
            extent: now,
            marked: before,
        };
        let fits = |extent| {
            let mark = SetMark { extent, ..mark() };
            mark.is_behind(&head, "SET".as_ref())
        };
        assert!(!fits(now).unwrap());
        assert!(fits(before).unwrap());
        let later = SetExtent { entries: 31, ..now };
        let other = SetExtent { digest: [1; 32], ..now };
        let fewer = SetExtent { keys: 3, ..now };
        for extent in [later, other, fewer, SetExtent::default()] {
            assert_eq!(fits(extent).unwrap_err().reason(), Reason::WentBackwards);
        }
    }
}
