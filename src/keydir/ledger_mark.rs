//! DIR/ledger.mark: how far the ledger of signed epochs was, noted outside of RocksDB (docs/FORMAT.md, "ledger.mark").

use std::io::Read;
use std::str::Lines;

use sha3::{Digest, Sha3_256};

use super::durable;
use super::error::KeyDirError;
use crate::failure::{IoFailure, attempt};
use crate::files::{Entry, NotRegular, not_regular};
use crate::state::LedgerExtent;
use crate::units::KeyId;

const MARK_MODE: u32 = 0o600;
const TITLE: &str = "keymill-ledger-mark 1";
const TEXT_BYTES_MAX: u64 = 1024;

/// What the ledger said when it was last written to. A ledger that says less has lost something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerMark {
    /// The key whose ledger it was.
    pub(crate) key_id: KeyId,
    /// How far it was.
    pub(crate) extent: LedgerExtent,
}

impl LedgerMark {
    /// Replaces the file, atomically and durably.
    pub(crate) fn write(&self, file: &Entry) -> Result<(), KeyDirError> {
        Ok(durable::replace(file, self.to_text().as_bytes(), MARK_MODE)?)
    }

    /// The mark of a ledger that has no entry yet.
    pub(crate) fn of_empty(key_id: KeyId) -> Self {
        let extent = LedgerExtent::default();
        Self { key_id, extent }
    }

    /// Whether no epoch was spent when it was written.
    pub(crate) fn is_of_empty(&self) -> bool {
        self.extent == LedgerExtent::default()
    }

    /// Reads the mark of this key; `None` if there is no such file.
    pub(crate) fn read(file: &Entry, key_id: KeyId) -> Result<Option<Self>, KeyDirError> {
        match Self::read_any(file)? {
            Some(mark) if mark.key_id != key_id => Err(KeyDirError::LedgerMark {
                path: file.path().to_owned(),
                what: "it belongs to another key",
            }),
            mark => Ok(mark),
        }
    }

    /// Reads the mark of whatever key; `None` if there is no such file.
    pub(crate) fn read_any(file: &Entry) -> Result<Option<Self>, KeyDirError> {
        let path = file.path();
        let file = match file.open_to_read() {
            Err(failure) if failure.is_missing() => return Ok(None),
            Err(failure) => return Err(unopened(failure)),
            Ok(file) => file,
        };
        let mut bytes = Vec::new();
        attempt("read", path, || file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes))?;
        let mark = Self::parse_bytes(&bytes);
        mark.map(Some).map_err(|what| KeyDirError::LedgerMark {
            path: path.to_owned(),
            what,
        })
    }

    /// Reads the mark of any key; the error says what the bytes are not.
    pub(crate) fn parse_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
        let mark = Self::parse(text).ok_or("it is not what keymill writes")?;
        // There is one way to write a mark, its checksum included.
        match mark.to_text() == text {
            true => Ok(mark),
            false => Err("its checksum does not match; it was changed after keymill wrote it"),
        }
    }

    /// The one way in which it is written.
    pub(crate) fn to_text(&self) -> String {
        let extent = &self.extent;
        let highest = extent.highest;
        let highest = highest.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
        let body = format!(
            "{TITLE}\nkey_id {}\nfirst_epoch {}\nspent {}\nhighest {highest}\ndigest {}\n",
            self.key_id,
            extent.first_epoch,
            extent.spent,
            hex::encode(extent.digest)
        );
        Self::with_checksum(&body)
    }

    /// The body of a mark and the line that belongs behind it.
    pub(crate) fn with_checksum(body: &str) -> String {
        let checksum = hex::encode(Sha3_256::digest(body.as_bytes()));
        format!("{body}checksum {checksum}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let key_id = field(&mut lines, "key_id")?;
        let first_epoch = field(&mut lines, "first_epoch")?;
        let spent = field(&mut lines, "spent")?;
        let highest = field(&mut lines, "highest")?;
        let digest = field(&mut lines, "digest")?;
        let mut mark = Self {
            key_id: KeyId([0; 16]),
            extent: LedgerExtent {
                first_epoch: first_epoch.parse().ok()?,
                spent: spent.parse().ok()?,
                highest: match highest {
                    "none" => None,
                    number => Some(number.parse().ok()?),
                },
                digest: [0; 32],
            },
        };
        hex::decode_to_slice(key_id, &mut mark.key_id.0).ok()?;
        hex::decode_to_slice(digest, &mut mark.extent.digest).ok()?;
        Some(mark)
    }
}

fn unopened(failure: IoFailure) -> KeyDirError {
    match not_regular(&failure) {
        // No mark can be renamed over it.
        Some(NotRegular::Directory) | None => KeyDirError::unopened(failure, "move it away"),
        Some(found) => KeyDirError::LedgerMark {
            path: failure.path,
            what: found.words(),
        },
    }
}

/// The value on the next line, which has to have this name.
fn field<'a>(lines: &mut Lines<'a>, name: &str) -> Option<&'a str> {
    lines.next()?.strip_prefix(name)?.strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use super::{LedgerExtent, LedgerMark};
    use crate::units::KeyId;

    fn mark() -> LedgerMark {
        LedgerMark {
            key_id: KeyId([7; 16]),
            extent: LedgerExtent {
                first_epoch: 12,
                spent: 3,
                highest: Some(15),
                digest: [9; 32],
            },
        }
    }

    #[test]
    fn a_mark_with_any_byte_changed_or_cut_is_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let path = crate::files::Entry::of(&directory.path().join("ledger.mark")).unwrap();
        let key_id = KeyId([7; 16]);
        assert_eq!(LedgerMark::read(&path, key_id).unwrap(), None);
        for mark in [
            mark(),
            LedgerMark {
                extent: LedgerExtent {
                    highest: None,
                    ..mark().extent
                },
                ..mark()
            },
        ] {
            mark.write(&path).unwrap();
            assert_eq!(LedgerMark::read(&path, key_id).unwrap().unwrap(), mark);
            let whole = std::fs::read(&path).unwrap();
            for at in 0..whole.len() {
                for changed in [whole[at] ^ 0x01, whole[at] ^ 0x20, b'\n', 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = changed;
                    std::fs::write(&path, &bytes).unwrap();
                    assert!(bytes == whole || LedgerMark::read(&path, key_id).is_err(), "byte {at}");
                }
                std::fs::write(&path, &whole[..at]).unwrap();
                assert!(LedgerMark::read(&path, key_id).is_err(), "cut to {at} bytes");
            }
            std::fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
            assert!(LedgerMark::read(&path, key_id).is_err(), "a line more");
        }
    }

    #[test]
    fn the_mark_of_another_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = crate::files::Entry::of(&directory.path().join("ledger.mark")).unwrap();
        mark().write(&path).unwrap();
        let refused = LedgerMark::read(&path, KeyId([8; 16])).unwrap_err();
        assert!(refused.to_string().contains("another key"), "{refused}");
    }
}
