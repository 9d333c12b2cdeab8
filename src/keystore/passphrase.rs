//! What a person remembers, as it goes into the derivation of a key (docs/FORMAT.md, "keystore.json").

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::error::{exposed, no_passphrase};
use super::kdf::{Kdf, Key};
use crate::error::{Error, Result};
use crate::failure::attempt;
use crate::text::without_mark;

/// More than anybody types, and little enough to be read into memory that is wiped.
const TEXT_BYTES_MAX: usize = 4096;
/// The compatible decomposition of a character has at most eleven times its bytes (U+FDFA).
const DECOMPOSED_MAX: usize = 12;

/// A passphrase, under which the secret of a key is encrypted. Wiped from memory when the last copy is dropped, and never shown.
///
/// The key that follows from it is kept with it, so that a command that opens one keystore several times derives it once.
#[derive(Clone)]
pub struct Passphrase(Arc<Kept>);

struct Kept {
    bytes: Zeroizing<Vec<u8>>,
    derived: Mutex<Option<(Kdf, Key)>>,
    /// Keystores that are written have the salt of the one that was last opened or written.
    shares_salt: bool,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

impl Passphrase {
    /// A passphrase as it was typed: decomposed (NFKD), without control characters, as ERC-2335 has it.
    ///
    /// # Errors
    /// [`Error`] if nothing is left of it.
    pub fn new(text: &str) -> Result<Self> {
        // Room for all of it, so that no copy is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * DECOMPOSED_MAX));
        let mut buffer = Zeroizing::new([0; 4]);
        for character in text.nfkd().filter(|character| !character.is_control()) {
            bytes.extend_from_slice(character.encode_utf8(&mut *buffer).as_bytes());
        }
        if bytes.is_empty() {
            return Err(no_passphrase("it is empty"));
        }
        Ok(Self::of(bytes, false))
    }

    fn of(bytes: Zeroizing<Vec<u8>>, shares_salt: bool) -> Self {
        Self(Arc::new(Kept {
            bytes,
            derived: Mutex::default(),
            shares_salt,
        }))
    }

    /// The passphrase in a file, which no one but its owner may be able to read, or in a pipe.
    ///
    /// # Errors
    /// [`Error`] if it cannot be read, if others can read it, or if it does not hold a passphrase.
    pub fn from_file(path: &Path) -> Result<Self> {
        let file = attempt("open", path, || File::open(path)).map_err(Error::unreadable)?;
        let metadata = attempt("stat", path, || file.metadata())?;
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_file() && mode & 0o077 != 0 {
            return Err(exposed(path.to_owned(), mode));
        }
        Self::read(path, file)
    }

    /// The same where others decide who may read it, and its mode does not tell: a descriptor that was handed over, or the
    /// directory in which a service manager puts credentials.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_guarded_file(path: &Path) -> Result<Self> {
        let file = attempt("open", path, || File::open(path)).map_err(Error::unreadable)?;
        Self::read(path, file)
    }

    fn read(path: &Path, file: File) -> Result<Self> {
        let mut text = Zeroizing::new(Vec::with_capacity(TEXT_BYTES_MAX + 1));
        let limit = TEXT_BYTES_MAX as u64 + 1;
        attempt("read", path, || file.take(limit).read_to_end(&mut text)).map_err(Error::unreadable)?;
        let refused = |what: &str| no_passphrase(what).at(path);
        if text.len() > TEXT_BYTES_MAX {
            return Err(refused("it has more than 4,096 bytes"));
        }
        let text = std::str::from_utf8(&text).map_err(|_| refused("it is not UTF-8"))?;
        Self::new(without_mark(text)).map_err(|error| error.at(path))
    }

    /// The same for many keystores that are opened together: they share one salt, so that one derivation opens all of them. Who
    /// tries passphrases gains nothing by that, since any one of the keystores tells whether a passphrase is theirs.
    pub(crate) fn for_many(&self) -> Self {
        Self::of(self.0.bytes.clone(), true)
    }

    /// The same, of which no key is known.
    pub(super) fn without_key(&self) -> Self {
        Self::of(self.0.bytes.clone(), false)
    }

    /// The key that follows from it.
    pub(super) fn key(&self, kdf: &Kdf) -> Result<Key> {
        let mut derived = self.0.derived.lock().unwrap_or_else(PoisonError::into_inner);
        self.derive(&mut derived, kdf)
    }

    /// A key for a keystore that is written, and how it follows.
    pub(super) fn fresh_key(&self) -> Result<(Kdf, Key)> {
        // Under one lock, so that several who write at a time come to one salt.
        let mut derived = self.0.derived.lock().unwrap_or_else(PoisonError::into_inner);
        let known = derived.as_ref().map(|(kdf, _)| kdf);
        let shared = known.filter(|kdf| self.0.shares_salt && kdf.is_as_written());
        let kdf = shared.cloned().map_or_else(Kdf::fresh, Ok)?;
        let key = self.derive(&mut derived, &kdf)?;
        Ok((kdf, key))
    }

    fn derive(&self, derived: &mut Option<(Kdf, Key)>, kdf: &Kdf) -> Result<Key> {
        match derived {
            Some((of, key)) if of == kdf => Ok(key.clone()),
            _ => {
                let key = kdf.derive(&self.0.bytes)?;
                *derived = Some((kdf.clone(), key.clone()));
                Ok(key)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::error::Reason;

    #[track_caller]
    fn bytes(text: &str) -> Vec<u8> {
        Passphrase::new(text).unwrap().0.bytes.to_vec()
    }

    #[test]
    fn a_passphrase_is_decomposed_and_loses_its_control_characters() {
        // The example of ERC-2335.
        let expected = hex::decode("7465737470617373776f7264f09f9491").unwrap();
        assert_eq!(bytes("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑"), expected);
        assert_eq!(bytes("pass word\n"), b"pass word");
        assert_eq!(bytes("p\u{7f}a\u{85}s\ts\r\n"), b"pass");
        assert_eq!(bytes("\u{e9}"), bytes("e\u{301}"));
        for empty in ["", "\n", "\u{1}\u{9f}"] {
            let refused = Passphrase::new(empty).unwrap_err();
            assert!(refused.to_string().contains("it is empty"), "{refused}");
        }
        let longest = "\u{fdfa}".repeat(100);
        assert!(bytes(&longest).len() <= longest.len() * DECOMPOSED_MAX);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_passphrase_is_refused_without_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        fs::write(&path, "open sesame\n").unwrap();
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = Passphrase::from_file(&path).unwrap();
            assert_eq!(*read.0.bytes, b"open sesame");
            assert_eq!(format!("{read:?}"), "Passphrase(secret)");
        }
        for mode in [0o640, 0o604] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refused = Passphrase::from_file(&path).unwrap_err();
            assert_eq!(refused.reason(), Reason::SecretExposed);
            assert!(Passphrase::from_guarded_file(&path).is_ok());
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for wrong in [&b"sesame \xff"[..], b"", b"\n", &[b'a'; TEXT_BYTES_MAX + 1]] {
            fs::write(&path, wrong).unwrap();
            let refused = Passphrase::from_file(&path).unwrap_err();
            assert!(!refused.advised().contains("sesame"), "{refused}");
            assert_eq!(refused.path(), Some(path.as_path()));
        }
        assert!(Passphrase::from_file(&directory.path().join("missing")).is_err());
    }
}
