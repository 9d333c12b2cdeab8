//! DIR/ledger.mark: how far the ledger of signed epochs was, noted outside of RocksDB (docs/FORMAT.md, "ledger.mark").

use std::io::Read;
use std::path::Path;
use std::str::Lines;

use sha3::{Digest, Sha3_256};

use super::error::{self, bad_mark, ledger_moved};
use super::locked::LockedDir;
use crate::error::{Error, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::publish::{Mode, Replacement};
use crate::files::{Entry, NotRegular, not_regular};
use crate::units::{KeyId, LedgerExtent, SetLedgerId};

const MARK_MODE: Mode = Mode::Umasked(0o600);
const TITLE: &str = "keymill-ledger-mark 2";
/// Of a key whose ledger has moved at least once. Programs that know nothing of moves refuse it.
const MOVED_TITLE: &str = "keymill-ledger-mark 3";
/// Of a mark as programs of format version 2 wrote it, which says nothing of its stage.
const OLD_TITLE: &str = "keymill-ledger-mark 1";
const TEXT_BYTES_MAX: u64 = 1024;

/// What a mark vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The key is being created from fresh randomness: beside its secret alone, the mark says that the key has not signed.
    Creating,
    /// The key exists, and its ledger says which epochs are unused.
    Begun,
    /// The key exists, and its secret is or was elsewhere, or its ledger in doubt: whatever the ledger says, no epoch is
    /// known to be unused before a new beginning.
    NotBegun,
    /// The ledger is on its way to that of a set: neither of the two signs before it has arrived.
    Moving(SetLedgerId),
    /// The ledger is that of a set.
    Moved(SetLedgerId),
}

impl Stage {
    /// That of a key which exists.
    pub(crate) fn of_key(is_begun: bool) -> Self {
        if is_begun { Self::Begun } else { Self::NotBegun }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Begun => "begun",
            Self::NotBegun => "not-begun",
            Self::Moving(_) => "moving",
            Self::Moved(_) => "moved",
        }
    }

    /// The set whose ledger it is, or is to be.
    pub(crate) fn set(self) -> Option<SetLedgerId> {
        match self {
            Self::Moving(set) | Self::Moved(set) => Some(set),
            Self::Creating | Self::Begun | Self::NotBegun => None,
        }
    }

    fn by_name(name: &str, set: Option<SetLedgerId>) -> Option<Self> {
        match (name, set) {
            ("creating", None) => Some(Self::Creating),
            ("begun", None) => Some(Self::Begun),
            ("not-begun", None) => Some(Self::NotBegun),
            ("moving", Some(set)) => Some(Self::Moving(set)),
            ("moved", Some(set)) => Some(Self::Moved(set)),
            _ => None,
        }
    }
}

/// What the ledger said when it was last written to. A ledger that says less has lost something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerMark {
    /// The key whose ledger it was.
    pub(crate) key_id: KeyId,
    /// What it vouches for.
    pub(crate) stage: Stage,
    /// How far it was.
    pub(crate) extent: LedgerExtent,
    /// How often the ledger has moved, to a set or back. It only grows, and tells an old copy of the mark.
    pub(crate) moves: u64,
}

impl LedgerMark {
    /// Replaces the file, atomically and durably.
    pub(crate) fn write(&self, directory: &LockedDir) -> Result<()> {
        Ok(self.draft(directory)?.put()?)
    }

    /// What is to take the place of the file.
    pub(crate) fn draft(&self, directory: &LockedDir) -> Result<Replacement> {
        let text = self.to_text();
        Ok(Replacement::new(&directory.ledger_mark(), text.as_bytes(), MARK_MODE)?)
    }

    /// The mark of a key whose creation begins.
    pub(crate) fn of_creation(key_id: KeyId) -> Self {
        Self {
            key_id,
            stage: Stage::Creating,
            extent: LedgerExtent::default(),
            moves: 0,
        }
    }

    /// Refuses a key whose ledger is that of a set, or on its way there.
    pub(crate) fn check_is_here(&self, directory: &Path) -> Result<()> {
        match self.stage.set() {
            Some(set) => Err(ledger_moved(directory, set)),
            None => Ok(()),
        }
    }

    /// Whether it lets the ledger beside it say which epochs are unused.
    pub(crate) fn vouches(&self) -> bool {
        matches!(self.stage, Stage::Creating | Stage::Begun)
    }

    /// Whether no epoch was spent when it was written.
    pub(crate) fn is_of_empty(&self) -> bool {
        self.extent == LedgerExtent::default()
    }

    /// Reads the mark of this key; `None` if there is no such file.
    pub(crate) fn read(file: &Entry, key_id: KeyId) -> Result<Option<Self>> {
        match Self::read_any(file)? {
            Some(mark) if mark.key_id != key_id => Err(bad_mark(file.path(), "it belongs to another key")),
            mark => Ok(mark),
        }
    }

    /// Reads the mark of whatever key; `None` if there is no such file.
    pub(crate) fn read_any(file: &Entry) -> Result<Option<Self>> {
        let path = file.path();
        let file = match file.open_to_read() {
            Err(failure) if failure.is_missing() => return Ok(None),
            Err(failure) => return Err(unopened(failure)),
            Ok(file) => file,
        };
        let mut bytes = Vec::new();
        attempt("read", path, || file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes))?;
        let mark = Self::parse_bytes(&bytes);
        mark.map(Some).map_err(|what| bad_mark(path, what))
    }

    /// Reads the mark of any key; the error says what the bytes are not.
    pub(crate) fn parse_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
        let is_old = text.starts_with(OLD_TITLE);
        let mark = Self::parse(text, is_old).ok_or("it is not what keymill writes")?;
        let expected = if is_old { mark.to_old_text() } else { mark.to_text() };
        // There is one way to write a mark, its checksum included.
        if expected == text {
            Ok(mark)
        } else {
            Err("its checksum does not match; it was changed after keymill wrote it")
        }
    }

    /// The one way in which it is written.
    pub(crate) fn to_text(&self) -> String {
        let (title, moves) = match self.moves {
            0 => (TITLE, String::new()),
            moves => {
                let set = self
                    .stage
                    .set()
                    .map_or_else(|| "none".to_owned(), |set| set.to_string());
                (MOVED_TITLE, format!("moves {moves}\nset {set}\n"))
            }
        };
        let (key_id, stage) = (self.key_id, self.stage.name());
        let head = format!("{title}\nkey_id {key_id}\nstage {stage}\n{moves}");
        with_checksum(&(head + &self.extent_lines()))
    }

    /// As programs of format version 2 wrote it.
    pub(crate) fn to_old_text(&self) -> String {
        let head = format!("{OLD_TITLE}\nkey_id {}\n", self.key_id);
        with_checksum(&(head + &self.extent_lines()))
    }

    fn extent_lines(&self) -> String {
        let extent = &self.extent;
        let highest = extent.highest;
        let highest = highest.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
        format!(
            "first_epoch {}\nspent {}\nhighest {highest}\ndigest {}\n",
            extent.first_epoch,
            extent.spent,
            hex::encode(extent.digest)
        )
    }

    fn parse(text: &str, is_old: bool) -> Option<Self> {
        let mut lines = text.lines();
        let title = lines.next()?;
        let has_moved = title == MOVED_TITLE;
        if !has_moved && title != if is_old { OLD_TITLE } else { TITLE } {
            return None;
        }
        let key_id = field(&mut lines, "key_id")?;
        // The old ones were of keys that existed, or were about to.
        let stage = if is_old { "begun" } else { field(&mut lines, "stage")? };
        let (moves, set) = if has_moved {
            let moves = field(&mut lines, "moves")?.parse().ok()?;
            (moves, parse_set(field(&mut lines, "set")?)?)
        } else {
            (0, None)
        };
        let first_epoch = field(&mut lines, "first_epoch")?;
        let spent = field(&mut lines, "spent")?;
        let highest = field(&mut lines, "highest")?;
        let digest = field(&mut lines, "digest")?;
        let mut mark = Self {
            key_id: KeyId([0; 16]),
            stage: Stage::by_name(stage, set)?,
            moves,
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

/// The body of a mark and the line that belongs behind it.
pub(crate) fn with_checksum(body: &str) -> String {
    let checksum = hex::encode(Sha3_256::digest(body.as_bytes()));
    format!("{body}checksum {checksum}\n")
}

/// A set, or that there is none.
fn parse_set(text: &str) -> Option<Option<SetLedgerId>> {
    if text == "none" {
        return Some(None);
    }
    let mut set = SetLedgerId([0; 16]);
    hex::decode_to_slice(text, &mut set.0).ok()?;
    Some(Some(set))
}

fn unopened(failure: IoFailure) -> Error {
    match not_regular(&failure) {
        // No mark can be renamed over it.
        Some(NotRegular::Directory) | None => error::unopened(failure),
        Some(found) => bad_mark(&failure.path, found.words()),
    }
}

/// The value on the next line, which has to have this name.
fn field<'a>(lines: &mut Lines<'a>, name: &str) -> Option<&'a str> {
    lines.next()?.strip_prefix(name)?.strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use super::{LedgerMark, Stage};
    use crate::keydir::KeyPaths;
    use crate::units::{KeyId, LedgerExtent, SetLedgerId};

    fn mark() -> LedgerMark {
        LedgerMark {
            key_id: KeyId([7; 16]),
            stage: Stage::NotBegun,
            extent: LedgerExtent {
                first_epoch: 12,
                spent: 3,
                highest: Some(15),
                digest: [9; 32],
            },
            moves: 0,
        }
    }

    #[test]
    fn a_mark_with_any_byte_changed_or_cut_is_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let locked = KeyPaths::open(directory.path()).unwrap().lock().unwrap();
        let path = locked.ledger_mark();
        let key_id = KeyId([7; 16]);
        assert_eq!(LedgerMark::read(&path, key_id).unwrap(), None);
        let begun = LedgerMark {
            stage: Stage::Begun,
            ..mark()
        };
        let unused = LedgerMark {
            extent: LedgerExtent {
                highest: None,
                ..mark().extent
            },
            ..mark()
        };
        let set = SetLedgerId([5; 16]);
        let [moving, moved, back] = [Stage::Moving(set), Stage::Moved(set), Stage::Begun].map(|stage| LedgerMark {
            stage,
            moves: 2,
            ..mark()
        });
        for (mark, text) in [
            (moving.clone(), moving.to_text()),
            (moved.clone(), moved.to_text()),
            (back.clone(), back.to_text()),
            (mark(), mark().to_text()),
            (begun.clone(), begun.to_text()),
            (begun.clone(), begun.to_old_text()),
            (unused.clone(), unused.to_text()),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(LedgerMark::read(&path, key_id).unwrap().unwrap(), mark);
            mark.write(&locked).unwrap();
            assert_eq!(LedgerMark::read(&path, key_id).unwrap().unwrap(), mark);
            std::fs::write(&path, &text).unwrap();
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
        let locked = KeyPaths::open(directory.path()).unwrap().lock().unwrap();
        mark().write(&locked).unwrap();
        let refused = LedgerMark::read(&locked.ledger_mark(), KeyId([8; 16])).unwrap_err();
        assert!(refused.to_string().contains("another key"), "{refused}");
    }
}
